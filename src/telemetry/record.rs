//! A line of the audit log.

use std::fmt::Display;

use serde::{Serialize, Serializer};

use super::escape;
use crate::model::{Action, Caller, Millis, Pattern, RequestedGrant};
use crate::policy::EntryAuthor;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditDecision {
    /// It was allowed, and signed.
    Allow,
    /// The policy did not allow it.
    Deny,
    /// It was allowed, but could not be signed as asked.
    Invalid,
    /// The caller was not authenticated.
    Refused,
    /// What it depends on could not be found out, so it was not decided.
    Unavailable,
}

impl AuditDecision {
    /// How the audit log and the metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            AuditDecision::Allow => "allow",
            AuditDecision::Deny => "deny",
            AuditDecision::Invalid => "invalid",
            AuditDecision::Refused => "refused",
            AuditDecision::Unavailable => "unavailable",
        }
    }
}

impl Serialize for AuditDecision {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// What the audit log says of one decision, or of one caller who was refused. It has no place for a signature or token.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AuditRecord<'a> {
    /// When the request came in.
    #[serde(serialize_with = "display")]
    pub time: Millis,
    /// The id that the answer carries, too.
    pub request_id: &'a str,
    /// The trace that the request belongs to, by its own account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<&'a str>,
    /// What this program calls its part of the trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<&'a str>,
    /// What the caller calls its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<&'a str>,
    /// What was decided.
    pub decision: AuditDecision,
    /// The authenticator that vouches for the caller, or refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authenticator: Option<&'a str>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<AuditCaller<'a>>,
    /// The app's name; nothing where it is about all apps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<&'a str>,
    /// Its vendor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<&'static str>,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<&'static str>,
    /// The chat identity that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'a str>,
    /// The conversation that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<AuditScope<'a>>,
    /// The other identities that it names, as sent.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub targets: &'a [String],
    /// How many they are, where only the first are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets_count: Option<usize>,
    /// The capability asked for, where it was not granted.
    #[serde(skip_serializing_if = "<[RequestedGrant]>::is_empty", serialize_with = "capability")]
    pub asked: &'a [RequestedGrant],
    /// How many resources it has, where only the first are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_count: Option<usize>,
    /// The capability granted.
    #[serde(skip_serializing_if = "<[RequestedGrant]>::is_empty", serialize_with = "capability")]
    pub granted: &'a [RequestedGrant],
    /// The nonce that was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<&'a str>,
    /// The number of the moderation store's change that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    /// The word of the role that was to be given or taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'a str>,
    /// Whether it was to be taken.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
    /// The kind that the conversation was to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// The owner that it was to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<&'a str>,
    /// Whether it was to be forgotten.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forgotten: bool,
    /// When what was asked for was to end.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "displayed")]
    pub until: Option<Millis>,
    /// The rules that allowed it.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub rules: &'a [String],
    /// The rule that denied it, or came nearest to allowing it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'a str>,
    /// The ban's scope, where a ban denied it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ban: Option<AuditScope<'a>>,
    /// Why not, in full; of a ban or mute that was made, why, in the moderator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// SHA-256 of the policy file that decided.
    pub policy: &'a str,
    /// Microseconds from the end of the request's header to this line.
    pub latency_us: u64,
}

/// How many targets, and how many resources of a capability, are named where nothing was allowed.
const MOST_NAMED: usize = 20;

impl<'a> AuditRecord<'a> {
    /// A record with these fields and no others.
    pub fn new(time: Millis, request_id: &'a str, decision: AuditDecision, policy: &'a str) -> AuditRecord<'a> {
        AuditRecord {
            time,
            request_id,
            trace_id: None,
            span_id: None,
            parent_span_id: None,
            decision,
            authenticator: None,
            caller: None,
            app: None,
            vendor: None,
            action: None,
            client: None,
            conversation: None,
            targets: &[],
            targets_count: None,
            asked: &[],
            asked_count: None,
            granted: &[],
            nonce: None,
            change: None,
            role: None,
            removed: false,
            kind: None,
            owner: None,
            forgotten: false,
            until: None,
            rules: &[],
            rule: None,
            ban: None,
            reason: None,
            policy,
            latency_us: 0,
        }
    }

    /// The same with long lists cut, and with how long they were: a refused client may ask for as much as fits into a request.
    #[must_use]
    pub fn shortened(&self) -> AuditRecord<'a> {
        let (targets, targets_count) = first(self.targets);
        let (asked, asked_count) = first(self.asked);
        AuditRecord { targets, targets_count, asked, asked_count, ..*self }
    }

    /// The line, with its newline.
    pub fn line(&self) -> Result<Vec<u8>, serde_json::Error> {
        line(self)
    }
}

/// What the audit log says of something in the moderation entries that no request asked for: it ended by itself, or an operator took it over.
#[derive(Clone, Debug, Serialize)]
pub struct ModerationRecord<'a> {
    /// When the line was made.
    #[serde(serialize_with = "display")]
    pub time: Millis,
    /// What happened, as events call it.
    pub event: &'a str,
    /// Who did it, unless nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<AuditCaller<'a>>,
    /// The app's name; nothing where it is about all apps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<&'a str>,
    /// The conversation that it is about, or the pattern of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The user whom it is about.
    #[serde(skip_serializing_if = "<[&str]>::is_empty")]
    pub targets: &'a [&'a str],
    /// The number of the moderation store's change that was made; nothing where that isn't known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    /// The word of the role that the entry gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'a str>,
    /// The conversation's kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// The conversation's owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<&'a str>,
    /// When the entry ends, if it does by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why there is a ban or mute, in the words of who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// Who made the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'a EntryAuthor>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

impl<'a> ModerationRecord<'a> {
    /// Something that happened, of which nothing more is said yet.
    pub fn new(event: &'a str, time: Millis) -> ModerationRecord<'a> {
        ModerationRecord {
            time,
            event,
            caller: None,
            app: None,
            conversation: None,
            targets: &[],
            change: None,
            role: None,
            kind: None,
            owner: None,
            until: None,
            reason: None,
            by: None,
            at: None,
        }
    }

    /// The line, with its newline.
    pub fn line(&self) -> Result<Vec<u8>, serde_json::Error> {
        line(self)
    }
}

/// The first of a list that may be too long, and if it is, how long it is.
fn first<T>(list: &[T]) -> (&[T], Option<usize>) {
    list.get(..MOST_NAMED).filter(|_| list.len() > MOST_NAMED).map_or((list, None), |first| (first, Some(list.len())))
}

/// A line of the audit log, with its newline.
///
/// # Errors
/// If the value cannot be written as JSON.
pub fn line(of: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = Vec::with_capacity(512);
    escape::to_json(&mut line, of)?;
    line.push(b'\n');
    Ok(line)
}

/// Who asked.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AuditCaller<'a> {
    /// User or service.
    pub kind: &'static str,
    /// The identity.
    pub subject: &'a str,
}

impl<'a> From<&'a Caller> for AuditCaller<'a> {
    fn from(caller: &'a Caller) -> AuditCaller<'a> {
        AuditCaller { kind: caller.kind.as_str(), subject: &caller.subject }
    }
}

/// A conversation or a pattern of them.
#[derive(Clone, Copy, Debug)]
pub struct AuditScope<'a>(pub &'a Pattern);

impl Serialize for AuditScope<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self.0)
    }
}

pub(super) fn display<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn displayed<T: Display, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

pub(super) fn capability<S: Serializer>(grants: &[RequestedGrant], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(grants.iter().map(|grant| {
        let operations: Vec<_> = grant.operations.iter().map(Action::as_str).collect();
        (grant.resource.to_string(), operations)
    }))
}
