//! Summaries of refused requests that have no separate line in the audit log. They are counted by address, and each
//! address gets one line per second. So a client that sends many refused requests cannot fill the disk.
//!
//! The memory is limited. Addresses, reasons and callers above the limits are only counted.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;

use super::audit::AuditLog;
use super::json_line::serialize_display;
use super::log::UNLIMITED;
use super::{AuditEvent, AuditRecord};
use crate::clock;
use crate::model::Millis;

/// The time between the first request and its summary.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(1);

/// The maximum number of addresses with a separate line in one summary. All other addresses share one line.
const MAX_ADDRESSES: usize = 32;

/// The maximum number of different reasons in a line, and of different callers.
const MAX_REASONS: usize = 8;
const MAX_CALLERS: usize = 4;

/// The maximum length of a reason, in characters.
const MAX_REASON_LENGTH: usize = 100;

/// The refused requests that are counted and not yet written.
#[derive(Default)]
pub struct RefusalSummaries {
    open: Mutex<Summaries>,
    /// Notified when there is something to write.
    added: Notify,
    /// The lines that are being written, or whose last write failed.
    unwritten: tokio::sync::Mutex<Vec<u8>>,
}

#[derive(Default)]
struct Summaries {
    by_address: HashMap<IpAddr, RefusalSummary>,
    /// The summary of all addresses that have no separate line.
    others: Option<RefusalSummary>,
}

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

impl RefusalSummaries {
    /// Counts a refused request from this address, which is a rate-limit key. Does not write it.
    pub fn add(&self, address: IpAddr, refused: &AuditRecord<'_>) {
        if self.lock().add(address, refused) {
            self.added.notify_one();
        }
    }

    /// Writes each summary one span after its first request, and never returns. If the log cannot be written, counting
    /// continues.
    pub async fn write_to(&self, audit: &AuditLog) {
        loop {
            self.added.notified().await;
            tokio::time::sleep(SUMMARY_INTERVAL).await;
            while !self.flush(audit).await {
                tokio::time::sleep(SUMMARY_INTERVAL).await;
            }
        }
    }

    /// Writes the last summary when no more requests arrive. If the audit log cannot be written, the lines go to the
    /// program's own log.
    pub async fn close(&self, audit: &AuditLog) {
        if self.flush(audit).await {
            return;
        }
        let mut lines = std::mem::take(&mut *self.unwritten.lock().await);
        lines.extend(self.lock().take(clock::now()));
        for line in String::from_utf8_lossy(&lines).lines() {
            tracing::error!(target: UNLIMITED, "this is not in the audit log: {line}");
        }
    }

    /// Writes the requests that were counted so far. Returns whether all of them are written.
    async fn flush(&self, audit: &AuditLog) -> bool {
        let mut unwritten = self.unwritten.lock().await;
        if audit.health().is_err() {
            return false;
        }
        // Failed lines are written again before the new counts. The size of the counts is limited; the size of a list
        // of lines is not.
        if audit.write(&unwritten).await.is_err() {
            return false;
        }
        *unwritten = self.lock().take(clock::now());
        if audit.write(&unwritten).await.is_err() {
            return false;
        }
        unwritten.clear();
        true
    }

    fn lock(&self) -> MutexGuard<'_, Summaries> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Summaries {
    /// Counts a request. Returns whether it is the first since the last summary.
    fn add(&mut self, address: IpAddr, refused: &AuditRecord<'_>) -> bool {
        let is_first = self.by_address.is_empty() && self.others.is_none();
        if let Some(summary) = self.by_address.get_mut(&address) {
            summary.add(refused);
        } else if self.by_address.len() < MAX_ADDRESSES {
            self.by_address.entry(address).or_insert_with(|| RefusalSummary::new(Some(address), refused)).add(refused);
        } else {
            self.others.get_or_insert_with(|| RefusalSummary::new(None, refused)).add(refused);
        }
        is_first
    }

    /// Returns the lines of all counts, and resets the counts.
    fn take(&mut self, now: Millis) -> Vec<u8> {
        let Summaries { by_address, others } = std::mem::take(self);
        let summaries = by_address.into_values().chain(others).map(|summary| RefusalSummary { time: now, ..summary });
        // Every summary can be written as JSON.
        summaries.flat_map(|summary| AuditEvent::Refusals(&summary).line().unwrap_or_default()).collect()
    }
}

impl RefusalSummary {
    fn new(address: Option<IpAddr>, first: &AuditRecord<'_>) -> RefusalSummary {
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

    fn add(&mut self, refused: &AuditRecord<'_>) {
        self.count += 1;
        (self.since, self.until) = (self.since.min(refused.time), self.until.max(refused.time));
        *self.decisions.entry(refused.decision.as_str()).or_default() += 1;
        self.add_reason(summary_reason(refused));
        self.add_caller(refused);
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
fn format_address(address: IpAddr) -> String {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::telemetry::{AuditCaller, AuditDecision};

    fn refused<'a>(subject: Option<&'a str>, reason: &'a str, time: u64) -> AuditRecord<'a> {
        let caller = subject.map(|subject| AuditCaller { kind: "user", subject });
        let decision = if caller.is_some() { AuditDecision::Deny } else { AuditDecision::Refused };
        AuditRecord { reason: Some(reason), caller, ..AuditRecord::new(Millis(time), "id-1", decision, "policy") }
    }

    /// Counts these requests and parses the lines about them.
    fn lines(requests: impl IntoIterator<Item = (IpAddr, Option<String>, String, u64)>) -> Vec<Value> {
        let mut summaries = Summaries::default();
        for (address, subject, reason, time) in requests {
            summaries.add(address, &refused(subject.as_deref(), &reason, time));
        }
        let lines = String::from_utf8(summaries.take(Millis(9000))).unwrap();
        assert!(summaries.take(Millis(9000)).is_empty(), "written summaries are removed");
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_says_who_how_many_why_and_when() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let anonymous = |time| (address, None, "no credential".to_owned(), time);
        let written =
            lines([anonymous(2000), anonymous(1000), (address, Some("tom".to_owned()), "no".to_owned(), 3000)]);
        assert_eq!(
            written,
            [json!({
                "time": "1970-01-01T00:00:09.000Z",
                "event": "requests_refused",
                "address": "192.0.2.1",
                "since": "1970-01-01T00:00:01.000Z",
                "until": "1970-01-01T00:00:03.000Z",
                "count": 3,
                "decisions": { "deny": 1, "refused": 2 },
                "reasons": { "no": 1, "no credential": 2 },
                "callers": [{ "kind": "user", "subject": "tom", "count": 1 }],
                "request_id": "id-1",
            })]
        );
    }

    #[test]
    fn beyond_its_bounds_it_still_counts_everything() {
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        let request = |number: u32| (address(number % 100), Some(format!("user-{number}")), format!("{number}"), 0);
        let written = lines((0..100_000).map(request));
        assert_eq!(written.len(), MAX_ADDRESSES + 1);
        let sum = |of: &dyn Fn(&Value) -> u64| written.iter().map(of).sum::<u64>();
        let inner = |line: &Value| line["reasons"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
        assert_eq!(sum(&|line| line["count"].as_u64().unwrap()), 100_000);
        assert_eq!(sum(&|line| inner(line) + line["other_reasons"].as_u64().unwrap()), 100_000);
        let callers = |line: &Value| line["callers"].as_array().unwrap().len() as u64;
        assert_eq!(sum(&|line| callers(line) + line["other_callers"].as_u64().unwrap()), 100_000);
        let others: Vec<&Value> = written.iter().filter(|line| line["address"].is_null()).collect();
        assert_eq!(others.len(), 1);
        assert_eq!(others[0]["count"], (100 - MAX_ADDRESSES as u64) * 1000);
    }

    #[test]
    fn addresses_are_formatted_as_rate_limit_keys() {
        for (address, text) in
            [("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2::", "2001:db8:1:2::/64"), ("::1", "::1"), ("::", "unix")]
        {
            assert_eq!(format_address(address.parse().unwrap()), text);
        }
    }
}
