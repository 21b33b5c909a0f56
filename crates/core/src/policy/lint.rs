//! Warns about valid parts of a policy file that are probably mistakes: rules that never match, entries without effect.

mod rules;

use std::collections::HashMap;

use super::rule::{BindingEntry, ClientCondition, Effect, PolicyDocument, Rule, Sanction, TargetCondition};
use crate::model::{Action, ActionSet, CallerKind, ConversationKind, Millis, Pattern, Template};

/// An app that the policy is for, with the data that the warnings need.
#[derive(Clone, Debug)]
pub struct LintApp {
    /// The app's name.
    pub name: String,
    /// The requests of the app's vendor.
    pub vendor: &'static VendorFeatures,
}

/// What the requests of a vendor's apps can be about.
#[derive(Debug)]
pub struct VendorFeatures {
    /// The vendor's name for people.
    pub title: &'static str,
    /// The actions that requests can need.
    pub actions: ActionSet,
    /// The names of conversations in requests.
    pub conversations: ConversationNames,
    /// Whether the signatures for `login` and for `create` without members are the same, so that both must be allowed.
    pub login_is_create: bool,
    /// Whether requests for `create` name the conversation.
    pub create_names_conversation: bool,
}

/// The names of conversations in the requests of a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversationNames {
    /// Requests have no conversation.
    None,
    /// A name has no `:`, except in this prefix.
    WithoutColon {
        /// The prefix, which ends with `:`.
        except: &'static str,
    },
    /// Any name.
    Any,
}

/// The part of the policy that a warning is about, as an index into a list of the [`PolicyDocument`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LintLocation {
    /// The whole policy.
    Policy,
    /// A rule.
    Rule(usize),
    /// A conversation.
    Conversation(usize),
    /// A binding.
    Binding(usize),
    /// A ban.
    Ban(usize),
    /// A mute.
    Mute(usize),
    /// A block.
    Block(usize),
}

/// A warning about a probable mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintWarning {
    /// The part of the policy that the warning is about.
    pub location: LintLocation,
    /// The mistake, and how to correct it.
    pub message: String,
}

/// Returns all warnings about a policy for these apps at this time, in the order of the file's sections.
pub fn lint(document: &PolicyDocument, apps: &[LintApp], now: Millis) -> Vec<LintWarning> {
    let mut warnings = Vec::new();
    let mut warn = |about, message: String| warnings.push(LintWarning { location: about, message });
    let decides =
        document.rules.iter().any(|rule| rule.effect == Effect::Allow && rule.actions.contains(Action::Decide));
    for (index, rule) in document.rules.iter().enumerate() {
        let never = never_matches(rule, apps, decides);
        let pointless = || redundant_rule(document, index);
        if let Some(message) = never.or_else(pointless) {
            warn(LintLocation::Rule(index), message);
        }
        if let Some(message) = rules::lint_moderation_rule(rule) {
            warn(LintLocation::Rule(index), message);
        }
        if let Some(message) = rules::lint_placeholders(rule) {
            warn(LintLocation::Rule(index), message);
        }
    }
    for app in apps.iter().filter(|app| app.vendor.login_is_create) {
        if let Some(message) = login_without_create(document, app) {
            warn(LintLocation::Policy, message);
        }
    }
    lint_entries(document, apps, now, decides, &mut warn);
    warnings
}

/// Returns the actions that the apps have to which the rule can apply. If services can ask for decisions, each app also has
/// the actions of their gates.
fn possible_actions(named: Option<&[String]>, apps: &[LintApp], decides: bool) -> ActionSet {
    let meant = apps.iter().filter(|app| named.is_none_or(|names| names.contains(&app.name)));
    meant.flat_map(|app| Action::ALL.iter().copied().filter(|action| app.vendor.has_action(*action, decides))).collect()
}

fn never_matches(rule: &Rule, apps: &[LintApp], decides: bool) -> Option<String> {
    let possible = rule.actions.intersection(possible_actions(rule.apps.as_deref(), apps, decides));
    let never = |why: String| Some(format!("this rule can never match: {why}"));
    if possible.is_empty() {
        let words: Vec<_> = rule.actions.iter().map(Action::as_str).collect();
        return never(format!("none of its apps has the action {}", words.join(", ")));
    }
    let placeless = possible.iter().all(|action| !has_conversation(rule, action, apps));
    let words = || possible.iter().map(Action::as_str).collect::<Vec<_>>().join(", ");
    if placeless && rule.conversations.is_some() {
        return never(format!("it has `conversations`, but {} has no conversation", words()));
    }
    if placeless && rule.kinds.is_some() {
        return never(format!("it has `kinds`, but {} has no conversation", words()));
    }
    if rule.targets.is_some() && possible.iter().all(|action| !has_targets(action)) {
        return never(format!("it has `targets`, but {} has no targets", words()));
    }
    conflicting_conditions(rule).and_then(never)
}

/// Returns the reason why conditions on the caller, the client and the targets exclude each other.
fn conflicting_conditions(rule: &Rule) -> Option<String> {
    let only = |kind| rule.callers.as_deref().is_some_and(|callers| callers == [kind]);
    if rule.client() == ClientCondition::Itself && (only(CallerKind::Service) || rule.services.is_some()) {
        return Some("a service is never the client; write `client = \"any\"`".to_owned());
    }
    if only(CallerKind::User) && rule.services.is_some() {
        return Some("`services` is only for services, but `callers` is only for users".to_owned());
    }
    let others_only = |action| matches!(action, Action::Invite | Action::Kick | Action::Create);
    if rule.targets == Some(TargetCondition::Itself) && rule.actions.iter().filter(|a| has_targets(*a)).all(others_only)
    {
        return Some(
            "users add or remove themselves with `join` and `leave`: name these actions, without `targets`".to_owned(),
        );
    }
    None
}

/// Returns a warning if another rule already decides everything that this rule decides.
fn redundant_rule(document: &PolicyDocument, index: usize) -> Option<String> {
    let rule = &document.rules[index];
    let mut others = document.rules.iter().enumerate().filter(|(other, _)| *other != index);
    others.find_map(|(other_index, other)| {
        // If two rules are equivalent, only the later one is redundant.
        if !includes(other, rule) || index < other_index && other.effect == rule.effect && includes(rule, other) {
            return None;
        }
        match (other.effect, rule.effect) {
            (Effect::Deny, Effect::Allow) => {
                Some(format!("this rule has no effect: whenever it matches, the deny rule `{}` matches too", other.id))
            }
            (Effect::Allow, Effect::Deny) => None,
            (_, effect) => {
                let does = if effect == Effect::Allow { "allows" } else { "denies" };
                Some(format!("this rule is redundant: `{}` {does} everything that it {does}", other.id))
            }
        }
    })
}

/// Returns whether `other` always matches if `rule` matches.
fn includes(other: &Rule, rule: &Rule) -> bool {
    let anyone = other.effect == Effect::Deny || other.caller_roles.is_some();
    other.actions.contains_all(rule.actions)
        && is_subset(rule.callers.as_deref(), other.callers.as_deref())
        && is_subset(rule.services.as_deref(), other.services.as_deref())
        && is_subset(rule.authenticators.as_deref(), other.authenticators.as_deref())
        && is_subset(rule.apps.as_deref(), other.apps.as_deref())
        && is_subset(rule.roles.as_deref(), other.roles.as_deref())
        && is_subset(rule.caller_roles.as_deref(), other.caller_roles.as_deref())
        && is_subset(rule.kinds.as_deref(), other.kinds.as_deref())
        && (other.client() == rule.client() || other.client() == ClientCondition::Anyone && anyone)
        && (other.targets.is_none() || other.targets == rule.targets || is_outranked_within_others(other, rule))
        && other.max_members.is_none_or(|max| rule.max_members.is_some_and(|own| own <= max))
        && other.claims.iter().all(|claim| rule.claims.contains(claim))
        && conversations_included(other, rule)
}

/// Returns whether `other` is for other users and `rule` for outranked users, who are always other users.
fn is_outranked_within_others(other: &Rule, rule: &Rule) -> bool {
    other.targets == Some(TargetCondition::Others) && rule.targets == Some(TargetCondition::Outranked)
}

fn conversations_included(other: &Rule, rule: &Rule) -> bool {
    let Some(outer) = &other.conversations else {
        // An allow rule without `conversations` does not include names that a rule must name.
        let must_be_named = |template: &Template| template.source().starts_with('[');
        return other.effect == Effect::Deny || !rule.conversations.iter().flatten().any(must_be_named);
    };
    let inside = |template: &Template| {
        outer.iter().any(|outer| match (outer.fixed(), template.fixed()) {
            (Some(outer), Some(inner)) => outer.covers(inner),
            _ => outer == template,
        })
    };
    rule.conversations.as_ref().is_some_and(|templates| templates.iter().all(inside))
}

/// Returns whether `inner` is a subset of `outer`. A missing condition includes everything.
fn is_subset<T: PartialEq>(inner: Option<&[T]>, outer: Option<&[T]>) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => inner.iter().all(|one| outer.contains(one)),
    }
}

/// Warns if rules allow only one of `login` and `create` at a vendor whose signatures for `login` and for `create`
/// without members are the same, so that a request needs both.
fn login_without_create(document: &PolicyDocument, app: &LintApp) -> Option<String> {
    let allows = |action, kind| {
        let mut rules =
            document.rules.iter().filter(|rule| rule.effect == Effect::Allow && rule.actions.contains(action));
        rules.any(|rule| {
            rule.apps.as_deref().is_none_or(|apps| apps.contains(&app.name))
                && rule.callers.as_deref().is_none_or(|callers| callers.contains(&kind))
                && match kind {
                    CallerKind::User => rule.services.is_none(),
                    CallerKind::Service => rule.client() == ClientCondition::Anyone,
                }
        })
    };
    [CallerKind::User, CallerKind::Service].into_iter().find_map(|kind| {
        let (given, missing) = match (allows(Action::Login, kind), allows(Action::Create, kind)) {
            (true, false) => ("login", "create"),
            (false, true) => ("create", "login"),
            _ => return None,
        };
        let (kind, name, vendor) = (kind.as_str(), &app.name, app.vendor.title);
        Some(format!(
            "no {kind} gets {given} at `{name}`: {vendor}'s signatures for login and for create without members are the \
             same, so both must be allowed, and no rule allows a {kind} to {missing}"
        ))
    })
}

fn lint_entries(
    document: &PolicyDocument,
    apps: &[LintApp],
    now: Millis,
    decides: bool,
    warn: &mut impl FnMut(LintLocation, String),
) {
    let entries = &document.entries;
    for (index, conversation) in entries.conversations.iter().enumerate() {
        if conversation.members.is_empty() && conversation.kind == ConversationKind::from_id(&conversation.id) {
            let kind = conversation.kind;
            warn(
                LintLocation::Conversation(index),
                format!("this entry has no effect: it names no users, and the kind is {kind} without it too"),
            );
        } else if let Some(why) =
            unreachable_scope(&Pattern::Exact(conversation.id.clone()), conversation.app.as_deref(), apps)
        {
            warn(LintLocation::Conversation(index), why);
        }
    }
    for index in weaker_bindings(&entries.bindings) {
        let message = "this binding has no effect: another binding gives this user a stronger role in the same scope";
        warn(LintLocation::Binding(index), message.to_owned());
    }
    for (index, binding) in entries.bindings.iter().enumerate() {
        if let Some(why) = unreachable_scope(&binding.scope, binding.app.as_deref(), apps) {
            warn(LintLocation::Binding(index), why);
        }
    }
    lint_sanctions(&entries.bans, apps, now, &mut |index, message| warn(LintLocation::Ban(index), message));
    lint_sanctions(&entries.mutes, apps, now, &mut |index, message| warn(LintLocation::Mute(index), message));
    for (index, mute) in entries.mutes.iter().enumerate() {
        let sends = |vendor: &VendorFeatures| decides || !vendor.actions.intersection(ActionSet::SENDING).is_empty();
        if !any_vendor(mute.app.as_deref(), apps, sends) {
            let message = "this mute has no effect: mutes only deny the sending operations of capabilities, but it is \
                           for no app that has them";
            warn(LintLocation::Mute(index), message.to_owned());
        }
    }
    for (index, block) in entries.blocks.iter().enumerate() {
        if !any_vendor(block.app.as_deref(), apps, |vendor| vendor.actions.contains(Action::Invite)) {
            let message = "this block has no effect: blocks only deny invites, but it is for no app that has them";
            warn(LintLocation::Block(index), message.to_owned());
        } else if let Some(why) = unreachable_scope(&block.conversation, block.app.as_deref(), apps) {
            warn(LintLocation::Block(index), why);
        }
    }
}

fn lint_sanctions(sanctions: &[Sanction], apps: &[LintApp], now: Millis, warn: &mut impl FnMut(usize, String)) {
    for (index, sanction) in sanctions.iter().enumerate() {
        if let Some(until) = sanction.until.filter(|until| *until <= now) {
            warn(index, format!("this entry ended at {until} and has no effect; remove it or give it a later `until`"));
        } else if let Some(why) = unreachable_scope(&sanction.scope, sanction.app.as_deref(), apps) {
            warn(index, why);
        }
    }
    for index in included_sanctions(sanctions) {
        warn(index, "this entry has no effect: another entry for this user includes its scope and its time".to_owned());
    }
}

/// Returns the bindings whose user has a stronger binding in the same scope.
fn weaker_bindings(bindings: &[BindingEntry]) -> Vec<usize> {
    let place = |binding: &'_ BindingEntry| (binding.user.clone(), binding.scope.clone(), binding.app.clone());
    let mut strongest = HashMap::new();
    for binding in bindings {
        let role = strongest.entry(place(binding)).or_insert(binding.role);
        *role = binding.role.max(*role);
    }
    let weaker = bindings.iter().enumerate().filter(|(_, binding)| binding.role < strongest[&place(binding)]);
    weaker.map(|(index, _)| index).collect()
}

/// Returns the sanctions that another sanction of the same user includes. Users with many sanctions are skipped.
fn included_sanctions(sanctions: &[Sanction]) -> Vec<usize> {
    let mut of_user: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, sanction) in sanctions.iter().enumerate() {
        of_user.entry(&sanction.user).or_default().push(index);
    }
    let outlasts = |outer: &Sanction, inner: &Sanction| match (outer.until, inner.until) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(outer), Some(inner)) => outer >= inner,
    };
    let holds = |outer: &Sanction, inner: &Sanction| {
        outer.scope.covers(&inner.scope) && (outer.app.is_none() || outer.app == inner.app) && outlasts(outer, inner)
    };
    let is_repeated = |index: usize, own: &[usize]| {
        own.iter().any(|&other| {
            let (outer, inner) = (&sanctions[other], &sanctions[index]);
            other != index && holds(outer, inner) && (other < index || !holds(inner, outer))
        })
    };
    let few = of_user.values().filter(|own| own.len() <= 100);
    let mut repeated: Vec<usize> =
        few.flat_map(|own| own.iter().copied().filter(|index| is_repeated(*index, own)).collect::<Vec<_>>()).collect();
    repeated.sort_unstable();
    repeated
}

/// Returns whether an entry is for an app whose vendor fulfils the condition.
fn any_vendor(named: Option<&str>, apps: &[LintApp], condition: impl Fn(&VendorFeatures) -> bool) -> bool {
    meant_vendors(named, apps).any(condition)
}

fn meant_vendors<'a>(named: Option<&'a str>, apps: &'a [LintApp]) -> impl Iterator<Item = &'static VendorFeatures> {
    apps.iter().filter(move |app| named.is_none_or(|name| *name == *app.name)).map(|app| app.vendor)
}

/// Returns the reason why no request of the entry's apps can be about this scope.
fn unreachable_scope(scope: &Pattern, named: Option<&str>, apps: &[LintApp]) -> Option<String> {
    if *scope == Pattern::Everything || any_vendor(named, apps, |vendor| vendor.conversations.reach(scope)) {
        return None;
    }
    let mut reasons: Vec<String> = meant_vendors(named, apps).map(VendorFeatures::describe_conversations).collect();
    reasons.sort_unstable();
    reasons.dedup();
    Some(format!("this entry has no effect on {scope}: {}", reasons.join(", and ")))
}

impl VendorFeatures {
    /// Returns whether requests can need the action. Moderation keeps its entries, and blocks by users, for every
    /// vendor, even if the vendor does not use them.
    fn has_action(&self, action: Action, decides: bool) -> bool {
        action.is_moderation()
            || decides && ActionSet::GATES.contains(action)
            || matches!(action, Action::BlockConversation | Action::UnblockConversation)
            || self.actions.contains(action)
    }

    fn describe_conversations(&self) -> String {
        match self.conversations {
            ConversationNames::None | ConversationNames::Any => format!("{} requests have no conversation", self.title),
            ConversationNames::WithoutColon { except } => {
                format!("a {} conversation's id has no `:`, except in `{except}`", self.title)
            }
        }
    }
}

impl ConversationNames {
    /// Returns whether a request can be about a conversation in this scope.
    fn reach(self, scope: &Pattern) -> bool {
        match (self, scope) {
            (ConversationNames::None, _) => false,
            (ConversationNames::Any, _) | (_, Pattern::Everything) => true,
            (ConversationNames::WithoutColon { except }, Pattern::Namespace(name) | Pattern::Exact(name)) => {
                !name.strip_prefix(except).unwrap_or(name).contains(':')
            }
        }
    }
}

/// Returns whether requests of the rule's apps have a conversation for this action. `create` names one only where the
/// client can choose it.
fn has_conversation(rule: &Rule, action: Action, apps: &[LintApp]) -> bool {
    let mut meant = apps.iter().filter(|app| rule.apps.as_ref().is_none_or(|names| names.contains(&app.name)));
    match action {
        Action::Login | Action::AppToken => false,
        Action::Create => meant.any(|app| app.vendor.create_names_conversation),
        _ => true,
    }
}

fn has_targets(action: Action) -> bool {
    use Action::{Ban, BlockClients, Create, Invite, Kick, Mute, SetRole, Unban, UnblockClients, Unmute};
    matches!(action, Create | Invite | Kick | BlockClients | UnblockClients | Ban | Unban | Mute | Unmute | SetRole)
}
