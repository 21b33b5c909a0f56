//! The contents of the lines of the audit log.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::json_line::{LineBuilder, serialize_display, serialize_display_option, serialize_grants, serialize_names};
use crate::model::{Caller, ConversationKind, Millis, Pattern, RequestedGrant};
use crate::policy::EntryAuthor;

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditDecision {
    /// The request was allowed and, unless its action is `decide`, signed.
    Allow,
    /// The policy did not allow it.
    Deny,
    /// The request was allowed, but could not be signed with these values.
    Invalid,
    /// The caller was not authenticated.
    Refused,
    /// The request was not decided, because necessary data was not available.
    Unavailable,
}

impl AuditDecision {
    /// Returns the name in the audit log and the metrics.
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

/// The audit line of a decision, or of a caller who was refused. It has no field for a signature or token.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each of them is a field of the line")]
pub struct AuditRecord<'a> {
    /// The time at which the request arrived.
    #[serde(serialize_with = "serialize_display")]
    pub time: Millis,
    /// The request id, which is also in the answer.
    pub request_id: &'a str,
    /// The trace id, from the headers of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<&'a str>,
    /// The span id of this program in the trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<&'a str>,
    /// The span id of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<&'a str>,
    /// The decision.
    pub decision: AuditDecision,
    /// The authenticator that accepted or refused the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authenticator: Option<&'a str>,
    /// The caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<AuditCaller<'a>>,
    /// The name of the app. `None`: the request is about all apps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<&'a str>,
    /// The vendor of the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<&'static str>,
    /// The requested action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<&'static str>,
    /// The action that a service asked about, if the action is `decide`. Nothing was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<&'static str>,
    /// The caller that a service asked about, if the action is `decide`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<AuditCaller<'a>>,
    /// The chat identity that the signature is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'a str>,
    /// The conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<AuditScope<'a>>,
    /// The other identities in the request, as sent.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub targets: &'a [String],
    /// The number of targets, if `targets` is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets_count: Option<usize>,
    /// The requested capability, if it was not granted.
    #[serde(skip_serializing_if = "<[RequestedGrant]>::is_empty", serialize_with = "serialize_grants")]
    pub asked: &'a [RequestedGrant],
    /// The number of resources in the requested capability, if `asked` is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_count: Option<usize>,
    /// The granted capability.
    #[serde(skip_serializing_if = "<[RequestedGrant]>::is_empty", serialize_with = "serialize_grants")]
    pub granted: &'a [RequestedGrant],
    /// The parts of the requested capability that were not granted as requested. If nothing was granted: those that are
    /// not known.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub left_out: &'a [String],
    /// The number of these parts, if `left_out` is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out_count: Option<usize>,
    /// The signed nonce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<&'a str>,
    /// The number of the change in the moderation store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    /// The name of the role to grant or remove.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'a str>,
    /// Whether the request is to remove the role.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
    /// The requested kind of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// The requested owner of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<&'a str>,
    /// Whether the request is to forget the conversation.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forgotten: bool,
    /// The end of the requested ban or mute. `None`: it is permanent.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_display_option")]
    pub until: Option<Millis>,
    /// Whether the command concerned only the entries of its author.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// Whether only the outcome of the command was asked for. Nothing was changed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub preview: bool,
    /// The rules that allowed the request.
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "serialize_names")]
    pub rules: &'a [Arc<str>],
    /// The rule that denied the request, or the rule that was closest to allowing it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'a str>,
    /// The scope of the ban, if a ban denied the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ban: Option<AuditScope<'a>>,
    /// The full reason of the refusal. For a new ban or mute: the reason that the moderator gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The SHA-256 of the policy file that decided.
    pub policy: &'a str,
    /// The time from the end of the request's header to this line, in microseconds.
    pub latency_us: u64,
}

/// The maximum number of targets, and of resources of a capability, in the line of a refused request.
const MAX_LISTED: usize = 20;

impl<'a> AuditRecord<'a> {
    /// Creates a record with these fields only.
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
            question: None,
            about: None,
            client: None,
            conversation: None,
            targets: &[],
            targets_count: None,
            asked: &[],
            asked_count: None,
            granted: &[],
            left_out: &[],
            left_out_count: None,
            nonce: None,
            change: None,
            role: None,
            removed: false,
            kind: None,
            owner: None,
            forgotten: false,
            until: None,
            own: false,
            preview: false,
            rules: &[],
            rule: None,
            ban: None,
            reason: None,
            policy,
            latency_us: 0,
        }
    }

    /// Formats the line, with its newline. It has the same bytes as the serialized record.
    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(768);
        let mut members = LineBuilder::new(&mut line);
        self.write_request(&mut members);
        self.write_details(&mut members);
        members.end();
        line.push(b'\n');
        line
    }

    /// Writes the fields about the request and its decision.
    fn write_request(&self, members: &mut LineBuilder<'_>) {
        members.time("time", self.time);
        members.text("request_id", self.request_id);
        members.optional_text("trace_id", self.trace_id);
        members.optional_text("span_id", self.span_id);
        members.optional_text("parent_span_id", self.parent_span_id);
        members.text("decision", self.decision.as_str());
        members.optional_text("authenticator", self.authenticator);
        write_caller(members, "caller", self.caller);
        members.optional_text("app", self.app);
        members.optional_text("vendor", self.vendor);
        members.optional_text("action", self.action);
        members.optional_text("question", self.question);
        write_caller(members, "about", self.about);
        members.optional_text("client", self.client);
        members.optional_pattern("conversation", self.conversation.map(|scope| scope.0));
        members.texts("targets", self.targets);
        members.optional_number("targets_count", self.targets_count.map(|count| count as u64));
        members.grants("asked", self.asked);
        members.optional_number("asked_count", self.asked_count.map(|count| count as u64));
        members.grants("granted", self.granted);
        members.texts("left_out", self.left_out);
        members.optional_number("left_out_count", self.left_out_count.map(|count| count as u64));
        members.optional_text("nonce", self.nonce);
    }

    /// Writes the fields about a moderation command, and about the reasons of the decision.
    fn write_details(&self, members: &mut LineBuilder<'_>) {
        members.optional_number("change", self.change);
        members.optional_text("role", self.role);
        members.flag("removed", self.removed);
        members.optional_text("kind", self.kind);
        members.optional_text("owner", self.owner);
        members.flag("forgotten", self.forgotten);
        if let Some(until) = self.until {
            members.time("until", until);
        }
        members.flag("own", self.own);
        members.flag("preview", self.preview);
        members.texts("rules", self.rules);
        members.optional_text("rule", self.rule);
        members.optional_pattern("ban", self.ban.map(|scope| scope.0));
        members.optional_text("reason", self.reason);
        members.text("policy", self.policy);
        members.number("latency_us", self.latency_us);
    }

    /// Returns the record with long lists cut, and with their lengths. A refused client can send lists as long as the
    /// limit of a request allows.
    #[must_use]
    pub fn with_short_lists(&self) -> AuditRecord<'a> {
        let (targets, targets_count) = cut_list(self.targets);
        let (asked, asked_count) = cut_list(self.asked);
        AuditRecord { targets, targets_count, asked, asked_count, ..*self }
    }

    /// Returns the record with the parts of a capability that were left out. A client can send very many, so the list is
    /// cut.
    #[must_use]
    pub fn with_left_out(&self, parts: &'a [String]) -> AuditRecord<'a> {
        let (left_out, left_out_count) = cut_list(parts);
        AuditRecord { left_out, left_out_count, ..*self }
    }
}

fn write_caller(members: &mut LineBuilder<'_>, name: &'static str, caller: Option<AuditCaller<'_>>) {
    if let Some(AuditCaller { kind, subject }) = caller {
        members.object(name);
        members.text("kind", kind);
        members.text("subject", subject);
        members.end();
    }
}

/// The audit line of a moderation entry that no request changed: it expired, or an operator imported it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ModerationRecord<'a> {
    /// The time of the line.
    #[serde(serialize_with = "serialize_display")]
    pub time: Millis,
    /// The event name.
    pub event: &'static str,
    /// The author of the change. `None`: the entry expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<AuditCaller<'a>>,
    /// The name of the app. `None`: the entry is about all apps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<&'a str>,
    /// The conversation, or the pattern of conversations.
    pub conversation: &'a str,
    /// The user that the entry is about, if it is about a user.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub targets: &'a [String],
    /// The number of the change in the moderation store. `None`: unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    /// The name of the role that the entry grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'a str>,
    /// The kind of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ConversationKind>,
    /// The owner of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<&'a str>,
    /// The time at which the entry expires. `None`: it does not expire.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_display_option")]
    pub until: Option<Millis>,
    /// The reason of the ban or mute, as its author gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The author of the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'a EntryAuthor>,
    /// The time at which the entry was made.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_display_option")]
    pub at: Option<Millis>,
}

/// A signature that an operator made without a server and without the policy. It has no field for the signature itself.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OperatorSignature<'a> {
    /// When the line was made.
    #[serde(serialize_with = "serialize_display")]
    pub time: Millis,
    /// The constant [`EVENT`](Self::EVENT).
    pub event: &'static str,
    /// The operator.
    pub caller: AuditCaller<'a>,
    /// The app's name.
    pub app: &'a str,
    /// The vendor of the app.
    pub vendor: &'static str,
    /// The action that was signed.
    pub action: &'static str,
    /// The chat identity that the signature is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'a str>,
    /// The conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<AuditScope<'a>>,
    /// The members.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub targets: &'a [String],
    /// The capability that was signed.
    #[serde(skip_serializing_if = "<[RequestedGrant]>::is_empty", serialize_with = "serialize_grants")]
    pub granted: &'a [RequestedGrant],
    /// The nonce that was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<&'a str>,
    /// The time that was signed, if the operator gave it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_display_option")]
    pub signed_at: Option<Millis>,
}

impl OperatorSignature<'_> {
    /// The value of `event`.
    pub const EVENT: &'static str = "request.signed";
}

/// The audit line for an accepted store. It has a reason if the acceptance failed or its outcome is unknown.
#[derive(Clone, Debug, Serialize)]
pub struct AcceptedStore<'a> {
    /// The time of the line.
    #[serde(serialize_with = "serialize_display")]
    pub time: Millis,
    /// The event name.
    pub event: &'static str,
    /// The operator.
    pub caller: AuditCaller<'a>,
    /// The new epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<&'a str>,
    /// The number of the last change in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    /// The number of entries in each table.
    pub entries: &'a BTreeMap<&'static str, usize>,
    /// The error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The audit line for an imported file. It has a reason if the import was not completed.
#[derive(Clone, Debug, Serialize)]
pub struct ImportedFile<'a> {
    /// The time of the line.
    #[serde(serialize_with = "serialize_display")]
    pub time: Millis,
    /// The event name.
    pub event: &'static str,
    /// The operator.
    pub caller: AuditCaller<'a>,
    /// The path of the file, as given.
    pub file: &'a str,
    /// The SHA-256 of the file, in hex.
    pub sha256: &'a str,
    /// Whether all other entries were removed.
    pub replace: bool,
    /// Whether the import was not announced to webhooks and vendors.
    pub quiet: bool,
    /// The numbers of entries, if the import was completed.
    #[serde(flatten)]
    pub count: Option<ImportCounts>,
    /// The error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The numbers of entries that an import set, removed and found unchanged, and of expired entries that it skipped.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ImportCounts {
    /// Set entries.
    pub set: usize,
    /// Removed entries.
    pub gone: usize,
    /// Entries that were in the store already.
    pub same: usize,
    /// Entries that had ended.
    pub ended: usize,
}

/// The audit log can be written again.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ResumedLog {
    /// The time of the line.
    #[serde(serialize_with = "serialize_display")]
    pub time: Millis,
    /// The event name.
    pub event: &'static str,
    /// The number of lines that are missing.
    pub lost: u64,
}

/// Cuts a list that is too long. If the list was cut, also returns its original length.
fn cut_list<T>(list: &[T]) -> (&[T], Option<usize>) {
    list.get(..MAX_LISTED).filter(|_| list.len() > MAX_LISTED).map_or((list, None), |first| (first, Some(list.len())))
}

/// The caller in an audit line.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AuditCaller<'a> {
    /// The kind: user or service.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::json_line::line;
    use super::*;
    use crate::model::{Action, ActionSet};

    /// Texts with and without characters that must be escaped.
    fn text() -> impl Strategy<Value = String> {
        let odd = prop::collection::vec(
            select(vec![
                '"',
                '\\',
                '\n',
                '\u{7f}',
                '\u{2028}',
                '\u{202e}',
                '\u{feff}',
                '\u{e0041}',
                'é',
                '汤',
                '/',
                'a',
            ]),
            0..4,
        );
        prop_oneof!["[ -~]{0,12}", "[a-z0-9_.:-]{1,24}", odd.prop_map(String::from_iter)]
    }

    fn some_text() -> impl Strategy<Value = Option<String>> {
        prop::option::of(text())
    }

    fn pattern() -> impl Strategy<Value = Pattern> {
        prop_oneof![text().prop_map(Pattern::Exact), text().prop_map(Pattern::Namespace), Just(Pattern::Everything)]
    }

    fn grants() -> impl Strategy<Value = Vec<RequestedGrant>> {
        let operations = prop::collection::vec(select(Action::ALL.to_vec()), 0..4);
        let grant = (pattern(), operations)
            .prop_map(|(resource, operations)| RequestedGrant { resource, operations: ActionSet::of(&operations) });
        prop::collection::vec(grant, 0..3)
    }

    type Texts = (Vec<String>, Vec<String>, Vec<String>);

    fn lists() -> impl Strategy<Value = Texts> {
        let list = || prop::collection::vec(text(), 0..3);
        (list(), list(), list())
    }

    proptest! {
        #[test]
        fn the_line_is_the_serialized_record(
            texts in prop::collection::vec(some_text(), 16),
            (targets, left_out, rules) in lists(),
            (asked, granted) in (grants(), grants()),
            (conversation, ban) in (prop::option::of(pattern()), prop::option::of(pattern())),
            flags in any::<[bool; 5]>(),
            (counts, change) in (any::<Option<[u16; 3]>>(), any::<Option<u64>>()),
            (time, until, latency_us) in (0..=u64::MAX, any::<Option<u64>>(), any::<u64>()),
        ) {
            let text = |place: usize| texts[place].as_deref();
            let count = |place: usize| counts.map(|counts| usize::from(counts[place]));
            let rules: Vec<Arc<str>> = rules.into_iter().map(Arc::from).collect();
            // All fields are named, so that a new field cannot be forgotten here.
            let record = AuditRecord {
                time: Millis(time),
                request_id: text(13).unwrap_or("id"),
                decision: AuditDecision::Deny,
                policy: text(14).unwrap_or(""),
                trace_id: text(1),
                span_id: text(2),
                parent_span_id: text(3),
                authenticator: text(4),
                caller: text(5).map(|subject| AuditCaller { kind: "user", subject }),
                app: text(6),
                vendor: flags[0].then_some("ably"),
                action: flags[1].then_some("set-role"),
                question: flags[2].then_some("publish"),
                about: text(15).map(|subject| AuditCaller { kind: "service", subject }),
                client: text(7),
                conversation: conversation.as_ref().map(AuditScope),
                targets: &targets,
                targets_count: count(0),
                asked: &asked,
                asked_count: count(1),
                granted: &granted,
                left_out: &left_out,
                left_out_count: count(2),
                nonce: text(8),
                change,
                role: text(9),
                removed: flags[2],
                kind: flags[3].then_some("group"),
                owner: text(10),
                forgotten: flags[4],
                until: until.map(Millis),
                own: flags[0],
                preview: flags[1],
                rules: &rules,
                rule: text(11),
                ban: ban.as_ref().map(AuditScope),
                reason: text(12),
                latency_us,
            };
            let (built, serialized) = (record.line(), line(&record).unwrap());
            prop_assert_eq!(String::from_utf8_lossy(&built), String::from_utf8_lossy(&serialized));
        }
    }
}
