//! The contents of a policy file: rules, and entries about users and conversations.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{ActionSet, CallerKind, ConversationKind, Millis, Pattern, Role, RoleHierarchy, Template};

/// The effect of a rule that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The action is allowed, unless something denies it.
    Allow,
    /// The action is denied, even if another rule allows it.
    Deny,
}

impl Effect {
    /// Returns the name in the policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        }
    }
}

/// The condition of a rule on the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientCondition {
    /// The client is the caller, which must be a user.
    Itself,
    /// Any client.
    Anyone,
}

/// The condition of a rule on the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetCondition {
    /// The client itself.
    Itself,
    /// Anyone except the client.
    Others,
    /// Users whose role in the conversation is weaker than the client's.
    Outranked,
}

impl TargetCondition {
    /// Returns the name in the policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetCondition::Itself => "self",
            TargetCondition::Others => "others",
            TargetCondition::Outranked => "outranked",
        }
    }
}

/// A rule. Every condition that it has must be met. `None`, and an empty list of claims, mean that there is no
/// condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The name of the rule in answers, logs and tests.
    pub id: String,
    /// The effect if the rule matches.
    pub effect: Effect,
    /// The actions that the rule is about.
    pub actions: ActionSet,
    /// The kinds of caller: users, services, or both.
    pub callers: Option<Vec<CallerKind>>,
    /// The services, as key ids or token subjects.
    pub services: Option<Vec<String>>,
    /// The authenticators that identified the caller.
    pub authenticators: Option<Vec<String>>,
    /// The names of the apps.
    pub apps: Option<Vec<String>>,
    /// The client's role in the conversation. If the action has no conversation, the role at scope `*`.
    pub roles: Option<Vec<Role>>,
    /// The caller's role in the conversation.
    pub caller_roles: Option<Vec<Role>>,
    /// The condition on the client. The default of allow rules is [`ClientCondition::Itself`].
    pub client: Option<ClientCondition>,
    /// The condition on the targets.
    pub targets: Option<TargetCondition>,
    /// The kinds of conversation.
    pub kinds: Option<Vec<ConversationKind>>,
    /// The conversations.
    pub conversations: Option<Vec<Template>>,
    /// The largest number of identities that the request may name. Each identity counts once. The creator of a
    /// conversation is one of its members. Only for allow rules.
    pub max_members: Option<usize>,
    /// The claims that the caller's token must have: claim names or JSON pointers, each with a string, an integer or a
    /// boolean. Only for allow rules.
    pub claims: Vec<(String, Value)>,
    /// The reason that a denied caller gets.
    pub reason: Option<String>,
}

impl Rule {
    /// Makes a rule without conditions.
    pub fn new(id: impl Into<String>, effect: Effect, actions: ActionSet) -> Rule {
        Rule {
            id: id.into(),
            effect,
            actions,
            callers: None,
            services: None,
            authenticators: None,
            apps: None,
            roles: None,
            caller_roles: None,
            client: None,
            targets: None,
            kinds: None,
            conversations: None,
            max_members: None,
            claims: Vec::new(),
            reason: None,
        }
    }

    /// Returns whether the rule is for this app.
    pub(super) fn is_for_app(&self, app: &str) -> bool {
        self.apps.as_deref().is_none_or(|apps| apps.iter().any(|own| own == app))
    }

    /// Returns the condition on the client, or the default of the rule's effect.
    pub fn client(&self) -> ClientCondition {
        self.client.unwrap_or(match self.effect {
            Effect::Allow => ClientCondition::Itself,
            Effect::Deny => ClientCondition::Anyone,
        })
    }
}

/// Where an entry comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryOrigin {
    /// From the policy file.
    File {
        /// The line of the file, counted from 1.
        line: usize,
    },
    /// Made at run time.
    Runtime {
        /// The user or service that made it.
        author: Arc<EntryAuthor>,
        /// The time when it was made.
        at: Millis,
    },
}

/// The user or service that made an entry at run time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EntryAuthor {
    /// User or service.
    pub kind: CallerKind,
    /// The identity.
    pub subject: String,
    /// The name of the role that the user had there at that time, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl EntryOrigin {
    /// Returns the line of the policy file, if the entry comes from it.
    pub fn line(&self) -> Option<usize> {
        match self {
            EntryOrigin::File { line } => Some(*line),
            EntryOrigin::Runtime { .. } => None,
        }
    }

    /// Returns the author, if the entry was made at run time.
    pub fn author(&self) -> Option<&EntryAuthor> {
        match self {
            EntryOrigin::File { .. } => None,
            EntryOrigin::Runtime { author, .. } => Some(author),
        }
    }
}

impl fmt::Display for EntryAuthor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.role {
            Some(role) => write!(f, "{} ({role})", self.subject),
            None => write!(f, "{} ({})", self.subject, self.kind.as_str()),
        }
    }
}

/// Writes "by the policy file, line 7" or "by bob (manager) at 2026-…".
impl fmt::Display for EntryOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntryOrigin::File { line } => write!(f, "by the policy file, line {line}"),
            EntryOrigin::Runtime { author, at } => write!(f, "by {author} at {at}"),
        }
    }
}

/// A conversation of the policy file, with its kind and its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationEntry {
    /// The id.
    pub id: String,
    /// The app that the entry is for, or `None` for all apps.
    pub app: Option<Arc<str>>,
    /// The kind.
    pub kind: ConversationKind,
    /// The users with their roles: the owner, the managers and the members. `None` if the policy does not list the
    /// role.
    pub members: Vec<(String, Option<Role>)>,
    /// The line of the policy file.
    pub line: usize,
}

/// A user's role in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingEntry {
    /// The user.
    pub user: String,
    /// The scope.
    pub scope: Pattern,
    /// The app that the binding is for, or `None` for all apps.
    pub app: Option<Arc<str>>,
    /// The role. `None` means that the policy does not list the role: the binding grants nothing, but it still decides
    /// for its scope.
    pub role: Option<Role>,
    /// The line of the policy file.
    pub line: usize,
}

/// A ban or a mute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sanction {
    /// The banned or muted user.
    pub user: String,
    /// The scope.
    pub scope: Pattern,
    /// The app that the entry is for, or `None` for all apps.
    pub app: Option<Arc<str>>,
    /// The end. At this time, the entry is no longer in force. `None` means that it has no end.
    pub until: Option<Millis>,
    /// The reason.
    pub reason: Option<String>,
    /// Where the entry comes from.
    pub origin: EntryOrigin,
}

impl Sanction {
    /// Returns whether the sanction has not ended at the time `now`.
    pub fn is_in_force(&self, now: Millis) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Returns whether the sanction applies in `place`, or in a part of it. `None`: only a sanction for everywhere
    /// applies.
    pub fn overlaps(&self, place: Option<&Pattern>) -> bool {
        place.map_or(self.scope == Pattern::Everything, |place| self.scope.overlaps(place))
    }
}

/// A block: the user does not want to be added to a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The user.
    pub user: String,
    /// The conversation, or a pattern of conversations.
    pub conversation: Pattern,
    /// The app that the block is for, or `None` for all apps.
    pub app: Option<Arc<str>>,
    /// Where the entry comes from.
    pub origin: EntryOrigin,
}

/// The entries of a policy file about users and conversations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyEntries {
    /// `[[conversations]]`
    pub conversations: Vec<ConversationEntry>,
    /// `[[bindings]]`
    pub bindings: Vec<BindingEntry>,
    /// `[[bans]]`
    pub bans: Vec<Sanction>,
    /// `[[mutes]]`
    pub mutes: Vec<Sanction>,
    /// `[[blocks]]`
    pub blocks: Vec<Block>,
}

/// A policy file after reading and checking. [`super::Policy`] is made from it.
#[derive(Clone, Debug, Default)]
pub struct PolicyDocument {
    /// The roles, the weakest first.
    pub role_hierarchy: RoleHierarchy,
    /// The role of users that have no binding.
    pub default_role: Option<Role>,
    /// The rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// The entries about users and conversations.
    pub entries: PolicyEntries,
    /// The SHA-256 of the file, in hex, for the audit log.
    pub hash: String,
}
