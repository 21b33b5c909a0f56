//! What a policy file says: rules, and entries about people and conversations.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{ActionSet, CallerKind, ConversationKind, Millis, Pattern, Role, RoleHierarchy, Template};

/// Whether a rule that matches allows or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// What is asked may be done, if nothing denies it.
    Allow,
    /// What is asked may not be done, whatever allows it.
    Deny,
}

impl Effect {
    /// How the policy file spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        }
    }
}

/// Whom the client may be, for a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientCondition {
    /// The caller itself, who is then a user.
    Itself,
    /// Anyone.
    Anyone,
}

/// Whom the targets may be, for a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetCondition {
    /// The client itself.
    Itself,
    /// Anyone but the client.
    Others,
    /// Those whose role in the conversation is weaker than the client's.
    Outranked,
}

impl TargetCondition {
    /// How the policy file spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetCondition::Itself => "self",
            TargetCondition::Others => "others",
            TargetCondition::Outranked => "outranked",
        }
    }
}

/// A rule. Every condition that is given must hold; `None`, and no claims, is a condition not given.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The name by which answers, logs and tests refer to it.
    pub id: String,
    /// What it does where it matches.
    pub effect: Effect,
    /// What it is about.
    pub actions: ActionSet,
    /// Users, services, or both.
    pub callers: Option<Vec<CallerKind>>,
    /// Which services, by key id or subject.
    pub services: Option<Vec<String>>,
    /// Which authenticators vouch for the caller.
    pub authenticators: Option<Vec<String>>,
    /// Which apps, by name.
    pub apps: Option<Vec<String>>,
    /// The client's role in the conversation; for an action without one, at scope `*`.
    pub roles: Option<Vec<Role>>,
    /// The caller's own role there.
    pub caller_roles: Option<Vec<Role>>,
    /// Whom the client may be. An allow rule that says nothing means [`ClientCondition::Itself`].
    pub client: Option<ClientCondition>,
    /// Whom the targets may be.
    pub targets: Option<TargetCondition>,
    /// The conversation's kind.
    pub kinds: Option<Vec<ConversationKind>>,
    /// Which conversations.
    pub conversations: Option<Vec<Template>>,
    /// How many identities may be named, each counted once, the creator of a conversation among them. Allow rules only.
    pub max_members: Option<usize>,
    /// What the caller's token must say: claim names or JSON pointers, and a string, integer or boolean each. Allow rules only.
    pub claims: Vec<(String, Value)>,
    /// What a refused caller is told.
    pub reason: Option<String>,
}

impl Rule {
    /// A rule without conditions, to which they are then added.
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

    /// Whether it counts at this app.
    pub(super) fn is_for_app(&self, app: &str) -> bool {
        self.apps.as_deref().is_none_or(|apps| apps.iter().any(|own| own == app))
    }

    /// Whom the client may be, with the default of each effect.
    pub fn client(&self) -> ClientCondition {
        self.client.unwrap_or(match self.effect {
            Effect::Allow => ClientCondition::Itself,
            Effect::Deny => ClientCondition::Anyone,
        })
    }
}

/// By whose word an entry is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryOrigin {
    /// The policy file's, at this line, counted from 1.
    File {
        /// The line.
        line: usize,
    },
    /// Somebody's, at run time.
    Runtime {
        /// Whose.
        author: Arc<EntryAuthor>,
        /// When.
        at: Millis,
    },
}

/// Who made an entry at run time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EntryAuthor {
    /// A user or a service.
    pub kind: CallerKind,
    /// The identity.
    pub subject: String,
    /// The word for the role that a user had there at that time, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl EntryOrigin {
    /// The line of the policy file, if it is from there.
    pub fn line(&self) -> Option<usize> {
        match self {
            EntryOrigin::File { line } => Some(*line),
            EntryOrigin::Runtime { .. } => None,
        }
    }

    /// Who made it at run time, if it was made then.
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

/// "by the policy file, line 7", "by bob (manager) at 2026-…".
impl fmt::Display for EntryOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntryOrigin::File { line } => write!(f, "by the policy file, line {line}"),
            EntryOrigin::Runtime { author, at } => write!(f, "by {author} at {at}"),
        }
    }
}

/// A conversation whose kind and people the policy file tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationEntry {
    /// Its id.
    pub id: String,
    /// The one app that this is about; all, where there is none.
    pub app: Option<Arc<str>>,
    /// Its kind.
    pub kind: ConversationKind,
    /// Who is in it as what: the owner, the managers and the members, each with the role of that name.
    pub people: Vec<(String, Option<Role>)>,
    /// The line of the policy file.
    pub line: usize,
}

/// A conversation that was registered at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredConversation {
    /// Its id.
    pub id: String,
    /// The one app that this is about; all, where there is none.
    pub app: Option<Arc<str>>,
    /// Its kind.
    pub kind: ConversationKind,
    /// Its owner, once it has one. It never has another.
    pub owner: Option<String>,
    /// Whether it was forgotten: then only its owner is remembered, so that nobody else becomes it.
    pub forgotten: bool,
    /// By whose word.
    pub origin: EntryOrigin,
}

/// A user's role in some scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingEntry {
    /// Whose.
    pub user: String,
    /// Where.
    pub scope: Pattern,
    /// The one app that this is about; all, where there is none.
    pub app: Option<Arc<str>>,
    /// The role. `None` is a word that the policy does not list: it grants nothing, but still decides for its scope.
    pub role: Option<Role>,
    /// The line of the policy file.
    pub line: usize,
}

/// A ban or a mute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sanction {
    /// Whose.
    pub user: String,
    /// Where.
    pub scope: Pattern,
    /// The one app that this is about; all, where there is none.
    pub app: Option<Arc<str>>,
    /// When it ends: from this moment on it counts no more. For good, where there is none.
    pub until: Option<Millis>,
    /// Why.
    pub reason: Option<String>,
    /// By whose word.
    pub origin: EntryOrigin,
}

/// A user who does not want to be added to a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Whose.
    pub user: String,
    /// Which conversation or conversations.
    pub conversation: Pattern,
    /// The one app that this is about; all, where there is none.
    pub app: Option<Arc<str>>,
    /// By whose word.
    pub origin: EntryOrigin,
}

/// All that a policy file says of people and conversations.
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

/// A policy file, read and checked: what [`super::Policy`] is made of.
#[derive(Clone, Debug, Default)]
pub struct PolicyDocument {
    /// The roles, weakest first.
    pub ladder: RoleHierarchy,
    /// The role of those without a binding.
    pub default_role: Option<Role>,
    /// The rules, in the file's order.
    pub rules: Vec<Rule>,
    /// People and conversations.
    pub entries: PolicyEntries,
    /// SHA-256 of the file, in hex, for the audit log.
    pub hash: String,
}
