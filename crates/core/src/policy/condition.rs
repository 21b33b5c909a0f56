//! The conditions that a rule can have, and what is known of them before there is a request.

use super::rule::{ClientCondition, Effect, Rule};
use crate::model::{Action, ActionSet, CallerKind};

/// A condition: one key of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `apps`
    Apps,
    /// `callers`
    Callers,
    /// `services`
    Services,
    /// `authenticators`
    Authenticators,
    /// `client`
    Client,
    /// `claims`
    Claims,
    /// `max_members`
    MaxMembers,
    /// `conversations`
    Conversations,
    /// `roles`
    Roles,
    /// `caller_roles`
    CallerRoles,
    /// `kinds`
    Kinds,
    /// `targets`
    Targets,
}

/// The three values of partial evaluation. `Unknown` means that facts can change the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ternary {
    False,
    Unknown,
    True,
}

/// The queries about one action, from one kind of caller to one app.
pub(super) struct QueryClass<'a> {
    /// The name of the app, or `None` for all apps that no rule names.
    pub(super) app: Option<&'a str>,
    pub(super) caller: CallerKind,
    pub(super) action: Action,
}

impl Condition {
    /// All conditions, the cheapest first.
    pub(super) const ALL: [Condition; 12] = [
        Condition::Apps,
        Condition::Callers,
        Condition::Services,
        Condition::Authenticators,
        Condition::Client,
        Condition::Claims,
        Condition::MaxMembers,
        Condition::Conversations,
        Condition::Roles,
        Condition::CallerRoles,
        Condition::Kinds,
        Condition::Targets,
    ];

    /// The key in the policy file.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Apps => "apps",
            Condition::Callers => "callers",
            Condition::Services => "services",
            Condition::Authenticators => "authenticators",
            Condition::Client => "client",
            Condition::Claims => "claims",
            Condition::MaxMembers => "max_members",
            Condition::Conversations => "conversations",
            Condition::Roles => "roles",
            Condition::CallerRoles => "caller_roles",
            Condition::Kinds => "kinds",
            Condition::Targets => "targets",
        }
    }

    /// Returns how far this condition puts a rule from the request if it is not met.
    pub(super) fn distance(self) -> RuleDistance {
        match self {
            Condition::Apps | Condition::Callers | Condition::Services | Condition::Authenticators => {
                RuleDistance::OtherCaller
            }
            Condition::Client => RuleDistance::OtherClient,
            Condition::Conversations | Condition::Kinds => RuleDistance::OtherConversation,
            Condition::Claims
            | Condition::MaxMembers
            | Condition::Roles
            | Condition::CallerRoles
            | Condition::Targets => RuleDistance::SameSubject,
        }
    }

    /// Evaluates the condition for all queries of a class. `Unknown` means that the result depends on the query.
    pub(super) fn evaluate_for(self, rule: &Rule, class: &QueryClass<'_>) -> Ternary {
        let unknown_if = |is_given: bool| if is_given { Ternary::Unknown } else { Ternary::True };
        let known = |is_met: bool| if is_met { Ternary::True } else { Ternary::False };
        match self {
            Condition::Apps => known(class.app.map_or(rule.apps.is_none(), |app| rule.is_for_app(app))),
            Condition::Callers => known(accepts_caller(rule, class.caller, class.action)),
            Condition::Services if class.caller == CallerKind::User => known(rule.services.is_none()),
            Condition::Services => unknown_if(rule.services.is_some()),
            Condition::Authenticators => unknown_if(rule.authenticators.is_some()),
            Condition::Client => match (rule.client(), class.caller) {
                (ClientCondition::Anyone, caller) => known(accepts_any_client(rule, caller)),
                // A service is never the client.
                (ClientCondition::Itself, CallerKind::Service) => Ternary::False,
                (ClientCondition::Itself, CallerKind::User) => Ternary::Unknown,
            },
            Condition::Claims => unknown_if(!rule.claims.is_empty()),
            Condition::MaxMembers => unknown_if(rule.max_members.is_some()),
            Condition::Conversations => unknown_if(rule.conversations.is_some() || rule.effect == Effect::Allow),
            Condition::Roles => unknown_if(rule.roles.is_some()),
            Condition::CallerRoles => unknown_if(rule.caller_roles.is_some()),
            Condition::Kinds => unknown_if(rule.kinds.is_some()),
            Condition::Targets => unknown_if(rule.targets.is_some()),
        }
    }
}

/// How far a rule that does not match is from the request, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RuleDistance {
    /// The rule is about this caller, app and conversation.
    SameSubject,
    /// The rule is about other conversations.
    OtherConversation,
    /// The rule is about callers who ask for themselves, and the request is for another client, or the other way round.
    OtherClient,
    /// The rule is about other callers or apps.
    OtherCaller,
}

/// Returns whether the rule is for this kind of caller. Some actions are for services only, whatever the rule says.
pub(super) fn accepts_caller(rule: &Rule, kind: CallerKind, action: Action) -> bool {
    let may_have =
        rule.effect == Effect::Deny || !ActionSet::SERVICES_ONLY.contains(action) || kind == CallerKind::Service;
    may_have && rule.callers.as_deref().is_none_or(|callers| callers.contains(&kind))
}

/// Returns whether a rule with `client = "any"` lets this kind of caller act for any client.
pub(super) fn accepts_any_client(rule: &Rule, kind: CallerKind) -> bool {
    let keeps_users_out = rule.callers.as_deref().is_some_and(|callers| !callers.contains(&CallerKind::User));
    let is_service = kind == CallerKind::Service;
    rule.effect == Effect::Deny || is_service || rule.caller_roles.is_some() || keeps_users_out
}
