//! One line about many refused requests.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::audit_record::AuditRecord;
use super::json_line::serialize_display;
use crate::model::Millis;

/// The maximum number of different reasons in a line, and of different callers.
const MAX_REASONS: usize = 8;
const MAX_CALLERS: usize = 4;

/// The maximum length of a reason, in characters.
const MAX_REASON_LENGTH: usize = 100;

/// One line: the refused requests of one address, or of several.
#[derive(Debug, Serialize)]
pub struct RefusalSummary {
    /// The time of the line.
    #[serde(serialize_with = "serialize_display")]
    time: Millis,
    event: &'static str,
    /// The address, the /64 prefix, or `unix` for the Unix socket. `None`: the line is about the addresses without a
    /// separate line.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// The times at which the first and the last request arrived.
    #[serde(serialize_with = "serialize_display")]
    since: Millis,
    #[serde(serialize_with = "serialize_display")]
    until: Millis,
    /// The number of requests. A change that is about several users counts once for each user.
    count: u64,
    decisions: BTreeMap<&'static str, u64>,
    reasons: BTreeMap<String, u64>,
    /// The number of requests whose reasons are not in `reasons`.
    #[serde(skip_serializing_if = "is_zero")]
    other_reasons: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    callers: Vec<CountedCaller>,
    /// The number of requests whose callers are not in `callers`.
    #[serde(skip_serializing_if = "is_zero")]
    other_callers: u64,
    /// The id of the first request.
    request_id: String,
}

#[derive(Debug, Serialize)]
struct CountedCaller {
    kind: &'static str,
    subject: String,
    count: u64,
}

impl RefusalSummary {
    /// Starts a summary with its first request, which is not counted yet.
    pub(super) fn new(address: Option<IpAddr>, first: &AuditRecord<'_>) -> RefusalSummary {
        RefusalSummary {
            time: first.time,
            event: "requests_refused",
            address: address.map(format_address),
            since: first.time,
            until: first.time,
            count: 0,
            decisions: BTreeMap::new(),
            reasons: BTreeMap::new(),
            other_reasons: 0,
            callers: Vec::new(),
            other_callers: 0,
            request_id: first.request_id.to_owned(),
        }
    }

    /// Counts a request.
    pub(super) fn add(&mut self, refused: &AuditRecord<'_>) {
        self.count += 1;
        (self.since, self.until) = (self.since.min(refused.time), self.until.max(refused.time));
        *self.decisions.entry(refused.decision.as_str()).or_default() += 1;
        self.add_reason(summary_reason(refused));
        self.add_caller(refused);
    }

    /// Sets the time of the line.
    pub(super) fn at(self, time: Millis) -> RefusalSummary {
        RefusalSummary { time, ..self }
    }

    fn add_reason(&mut self, reason: String) {
        let has_room = self.reasons.len() < MAX_REASONS;
        match self.reasons.get_mut(&reason) {
            Some(count) => *count += 1,
            None if has_room => _ = self.reasons.insert(reason, 1),
            None => self.other_reasons += 1,
        }
    }

    fn add_caller(&mut self, refused: &AuditRecord<'_>) {
        let Some(caller) = refused.caller else { return };
        let has_room = self.callers.len() < MAX_CALLERS;
        let known = self.callers.iter_mut().find(|one| one.kind == caller.kind && one.subject == caller.subject);
        match known {
            Some(known) => known.count += 1,
            None if has_room => {
                self.callers.push(CountedCaller { kind: caller.kind, subject: caller.subject.to_owned(), count: 1 });
            }
            None => self.other_callers += 1,
        }
    }
}

/// Returns the reason of a refusal in a form that many requests share: the rule, if a rule decided.
fn summary_reason(refused: &AuditRecord<'_>) -> String {
    match (refused.rule, refused.ban, refused.reason) {
        (Some(rule), _, _) => format!("rule {rule}"),
        (None, Some(_), _) => "ban".to_owned(),
        (None, None, reason) => reason.unwrap_or_default().chars().take(MAX_REASON_LENGTH).collect(),
    }
}

/// Formats an address for the log.
pub(super) fn format_address(address: IpAddr) -> String {
    match address {
        IpAddr::V6(address) if address.is_unspecified() => "unix".to_owned(),
        IpAddr::V6(address) if address.to_bits() >> 64 != 0 => format!("{address}/64"),
        address => address.to_string(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
