//! One access query to the policy. Derived values, such as roles, are computed when they are first needed.

use std::cell::OnceCell;

use serde_json::Value;

use super::Policy;
use super::conversation_facts::ConversationFacts;
use super::effective_role::{DecisionData, EffectiveRole, RoleQuery, RolesInScope};
use super::entry_index::UserEntry;
use super::parts::find_parts;
use super::rule::{Effect, Sanction};
use crate::model::{Action, Caller, CallerKind, ConversationKind, Millis, Pattern, Role, SigningRequest, Template};

/// The data that all access queries of one request share.
#[derive(Clone, Copy)]
pub(super) struct EvalContext<'a> {
    pub(super) policy: &'a Policy,
    pub(super) facts: DecisionData<'a>,
    pub(super) caller: &'a Caller,
    pub(super) request: &'a SigningRequest,
    pub(super) now: Millis,
}

/// A conversation or pattern that is requested, with the roles of the client and the caller in it. All access queries
/// about it share this value. A pattern represents all its names, or those that none of its parts contains: see
/// [`AccessQuery::in_parts`].
pub(super) struct ScopeContext<'p, 'a> {
    pub(super) case: EvalContext<'a>,
    pub(super) conversation: Option<&'p Pattern>,
    parts: OnceCell<Vec<Pattern>>,
    ban: OnceCell<Option<&'a Sanction>>,
    mute: OnceCell<Option<&'a Sanction>>,
    client: OnceCell<EffectiveRole>,
    caller: OnceCell<EffectiveRole>,
    untokened: OnceCell<EffectiveRole>,
}

fn as_ban(entry: &UserEntry) -> Option<&Sanction> {
    if let UserEntry::Ban(ban) = entry { Some(ban) } else { None }
}

fn as_mute(entry: &UserEntry) -> Option<&Sanction> {
    if let UserEntry::Mute(mute) = entry { Some(mute) } else { None }
}

/// The question whether an action is allowed in a conversation or pattern.
#[derive(Clone, Copy)]
pub(super) struct AccessQuery<'s, 'a> {
    pub(super) scope: &'s ScopeContext<'s, 'a>,
    /// If a pattern is requested: its parts, which are decided separately. See [`ScopeContext::split`].
    pub(super) parts: &'s [ScopeContext<'s, 'a>],
    pub(super) action: Action,
    pub(super) targets: &'s [String],
}

impl<'a> EvalContext<'a> {
    /// Returns the entries about a user that may overlap a conversation. Without a conversation: the entries for
    /// everywhere.
    pub(super) fn entries_about<'u>(
        &self,
        user: &'u str,
        place: Option<&'u Pattern>,
    ) -> impl Iterator<Item = &'a UserEntry> + use<'u, 'a> {
        let app = &*self.request.app;
        self.facts.entries().flat_map(move |register| register.entries_near(user, app, place))
    }

    /// Returns the ban on a user that is in force in this conversation, if there is one.
    pub(super) fn ban(&self, user: &str, place: Option<&Pattern>) -> Option<&'a Sanction> {
        self.strictest(self.entries_about(user, place).filter_map(as_ban), place)
    }

    /// Returns the sanction that lasts longest, among those in force here. If several last equally long, returns the
    /// one with the smallest scope and reason in sort order, so the result does not depend on the order of the file.
    fn strictest(
        &self,
        sanctions: impl Iterator<Item = &'a Sanction>,
        place: Option<&Pattern>,
    ) -> Option<&'a Sanction> {
        sanctions.filter(|sanction| self.is_in_force(sanction, place)).min_by_key(|sanction| {
            let left = sanction.until.map_or(0, |until| u64::MAX - until.0);
            (left, &sanction.scope, &sanction.reason)
        })
    }

    /// Returns whether a ban or mute is in force now and in this conversation. If the action has no conversation, only
    /// a sanction for everywhere is in force.
    pub(super) fn is_in_force(&self, sanction: &Sanction, place: Option<&Pattern>) -> bool {
        let here = match place {
            Some(place) => sanction.scope.overlaps(place),
            None => sanction.scope == Pattern::Everything,
        };
        here && sanction.until.is_none_or(|until| self.now < until)
    }

    /// Fills in the template of a rule for the requested `place`. In an allow rule, a placeholder without a usable
    /// value matches nothing. In a deny rule, it matches any one segment.
    pub(super) fn fill_template(&self, effect: Effect, template: &Template, place: &Pattern) -> Option<Pattern> {
        let (client, claim) = (self.request.client.as_str(), |name: &str| self.text_claim(name));
        match effect {
            Effect::Allow => template.fill(client, claim),
            Effect::Deny => template.fill_to_match(client, claim, place),
        }
    }

    /// Fills in the template of a deny rule around `place`. `otherwise` replaces a placeholder that has no usable value
    /// if `place` has no segment in this position.
    pub(super) fn fill_template_around(
        &self,
        template: &Template,
        place: &Pattern,
        otherwise: &str,
    ) -> Option<Pattern> {
        template.fill_around(&self.request.client, |name| self.text_claim(name), place, otherwise)
    }

    /// Returns a claim of the caller if it is a text.
    pub(super) fn text_claim(&self, name: &str) -> Option<&'a str> {
        self.caller.claim(name).and_then(Value::as_str)
    }

    pub(super) fn role_query<'b>(&'b self, name: &'b str, token: &'b [(Pattern, Role)]) -> RoleQuery<'b> {
        let document = self.policy.document();
        // The name is empty for a service that acts as itself. It has no roles, not even the default role.
        let default_role = document.default_role.filter(|_| !name.is_empty());
        RoleQuery { name, app: &self.request.app, token, default_role, role_hierarchy: &document.role_hierarchy }
    }

    /// Returns the role query for the client. It includes the roles of the client's token if the client is the caller.
    pub(super) fn client(&self) -> RoleQuery<'_> {
        let token = if self.caller.is_client(&self.request.client) { self.caller.bindings.as_slice() } else { &[] };
        self.role_query(&self.request.client, token)
    }

    /// Returns the role query for the caller. A service has only the roles of its token, because bindings are for
    /// users.
    pub(super) fn caller_query(&self) -> RoleQuery<'_> {
        let name = match self.caller.kind {
            CallerKind::User => self.caller.subject.as_str(),
            CallerKind::Service => "",
        };
        self.role_query(name, &self.caller.bindings)
    }
}

impl<'p, 'a> ScopeContext<'p, 'a> {
    pub(super) fn new(case: EvalContext<'a>, conversation: Option<&'p Pattern>) -> ScopeContext<'p, 'a> {
        ScopeContext {
            case,
            conversation,
            parts: OnceCell::new(),
            ban: OnceCell::new(),
            mute: OnceCell::new(),
            client: OnceCell::new(),
            caller: OnceCell::new(),
            untokened: OnceCell::new(),
        }
    }

    /// Returns the parts of a pattern that are decided separately.
    pub(super) fn split(&self) -> Vec<ScopeContext<'_, 'a>> {
        let find = |asked| find_parts(self.case, asked).into_iter().collect();
        let parts = self.parts.get_or_init(|| self.conversation.map_or_else(Vec::new, find));
        parts.iter().map(|part| ScopeContext::new(self.case, Some(part))).collect()
    }

    /// Returns the ban on the caller or the client that is in force here.
    pub(super) fn ban(&self) -> Option<&'a Sanction> {
        *self.ban.get_or_init(|| self.find_on_actors(as_ban))
    }

    /// Returns the mute on the caller or the client that is in force here.
    pub(super) fn find_mute(&self) -> Option<&'a Sanction> {
        *self.mute.get_or_init(|| self.find_on_actors(as_mute))
    }

    fn find_on_actors(&self, sort: fn(&UserEntry) -> Option<&Sanction>) -> Option<&'a Sanction> {
        self.actors().find_map(|actor| {
            let sanctions = self.case.entries_about(actor, self.conversation).filter_map(sort);
            self.case.strictest(sanctions.filter(|sanction| self.applies_to_actor(actor, sanction)), self.conversation)
        })
    }

    /// Returns whether a ban or mute is meant for this actor. Moderators sanction users only. So a service that has the
    /// same name as a user is banned or muted only by an entry in the policy file.
    pub(super) fn applies_to_actor(&self, actor: &str, sanction: &Sanction) -> bool {
        let caller = self.case.caller;
        let is_service =
            caller.kind == CallerKind::Service && caller.subject == actor && self.case.request.client != actor;
        !is_service || sanction.origin.line().is_some()
    }

    /// Returns the caller, and the client if it is not the caller.
    pub(super) fn actors(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let (caller, client) = (self.case.caller.subject.as_str(), self.case.request.client.as_str());
        std::iter::once(caller).chain((caller != client).then_some(client))
    }

    /// Returns the facts about this conversation, if there are any.
    pub(super) fn facts(&self) -> Option<&'a ConversationFacts> {
        self.case.facts.facts_about(self.conversation?)
    }

    /// Returns the client's role here.
    pub(super) fn client(&self) -> &EffectiveRole {
        self.client.get_or_init(|| self.role(self.case.client()))
    }

    /// Returns the client's role here without the roles of its token.
    pub(super) fn client_without_token(&self) -> &EffectiveRole {
        self.untokened.get_or_init(|| self.role(self.case.role_query(&self.case.request.client, &[])))
    }

    /// Returns the caller's role here.
    pub(super) fn caller(&self) -> &EffectiveRole {
        self.caller.get_or_init(|| self.role(self.case.caller_query()))
    }

    /// Returns a target's role here.
    pub(super) fn target(&self, name: &str) -> EffectiveRole {
        self.role(self.case.role_query(name, &[]))
    }

    /// Returns whether a target may be stronger than its role says. This is so if its role is not in the policy's list,
    /// or if it is the remembered owner of a conversation that was forgotten.
    pub(super) fn is_protected(&self, target: &str, role: &EffectiveRole) -> bool {
        let (facts, person) = (self.case.facts, self.case.role_query(target, &[]));
        let is_remembered = |place| facts.is_remembered_owner(person, place, Pattern::applies_to_all);
        role.is_unlisted() || self.conversation.is_some_and(is_remembered)
    }

    fn role(&self, person: RoleQuery<'_>) -> EffectiveRole {
        match self.conversation {
            Some(place) => self.case.facts.role(person, place),
            None => self.case.facts.role_everywhere(person),
        }
    }

    /// Returns a person's roles in the whole conversation or pattern, with its parts.
    pub(super) fn roles_in_scope(&self, person: RoleQuery<'_>) -> RolesInScope {
        match self.conversation {
            Some(place) => self.case.facts.roles_in_scope(person, place),
            None => RolesInScope { whole: self.role(person), parts: Vec::new() },
        }
    }

    /// Returns the kind of the conversation.
    pub(super) fn kind(&self) -> Option<ConversationKind> {
        self.conversation.map(|place| self.case.facts.kind(place, &self.case.request.app))
    }
}

impl<'s, 'a> AccessQuery<'s, 'a> {
    /// Returns one query for each part. If the query is about a pattern, the first returned query is about the pattern
    /// itself, for those of its names that no other part contains.
    pub(super) fn in_parts(&self) -> impl Iterator<Item = AccessQuery<'s, 'a>> + use<'s, 'a> {
        let AccessQuery { scope: scene, parts, action, targets } = *self;
        let scenes = std::iter::once(scene).chain(parts);
        scenes.map(move |scene| AccessQuery { scope: scene, parts: &[], action, targets })
    }

    /// Returns the query about this part, or the whole query if `part` is `None`.
    pub(super) fn in_part(&self, part: Option<&Pattern>) -> AccessQuery<'s, 'a> {
        let found = part.and_then(|part| self.in_parts().find(|question| question.scope.conversation == Some(part)));
        found.unwrap_or(*self)
    }

    /// Returns the data that all queries of the request share.
    pub(super) fn context(&self) -> &'s EvalContext<'a> {
        &self.scope.case
    }

    /// Returns how many identities are named. Each identity counts once. The creator of a conversation is one of its
    /// members.
    ///
    /// For `create` and `history`, the targets of the required action are counted, not the members of the request. If
    /// one signature is valid for both, either request needs both actions, and only one of these actions has members.
    pub(super) fn count_members(&self) -> usize {
        let ask = self.context().request;
        let (named, creator) = match self.action {
            Action::Create => (self.targets, Some(ask.client.as_str())),
            Action::History => (self.targets, None),
            _ => (ask.members.as_slice(), None),
        };
        let mut named: Vec<&str> = named.iter().map(String::as_str).chain(creator).collect();
        named.sort_unstable();
        named.dedup();
        named.len()
    }
}
