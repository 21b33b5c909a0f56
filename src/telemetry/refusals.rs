//! Summaries of refused requests that have no separate line in the audit log. They are counted by address, and each
//! address gets one line per second. So a client that sends many refused requests cannot fill the disk.
//!
//! The memory is limited. Addresses, reasons and callers above the limits are only counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::audit::AuditLog;
use super::log::UNLIMITED;
use super::refusal_summary::RefusalSummary;
use super::{AuditEvent, AuditRecord};
use crate::clock;
use crate::model::Millis;

/// The time between the first request and its summary.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(1);

/// The time limit for the last summary.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum number of addresses with a separate line in one summary. All other addresses share one line.
const MAX_ADDRESSES: usize = 32;

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

    /// Writes the last summary when no more requests arrive. If the audit log cannot be written within
    /// `CLOSE_TIMEOUT`, the lines go to the program's own log.
    pub async fn close(&self, audit: &AuditLog) {
        if timeout(CLOSE_TIMEOUT, self.flush(audit)).await == Ok(true) {
            return;
        }
        // A task that hangs in a write keeps its lines.
        let mut lines = self.unwritten.try_lock().map(|mut lines| std::mem::take(&mut *lines)).unwrap_or_default();
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
        let summaries = by_address.into_values().chain(others).map(|summary| summary.at(now));
        // Every summary can be written as JSON.
        summaries.flat_map(|summary| AuditEvent::Refusals(&summary).line().unwrap_or_default()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::File;
    use std::io::{Write, pipe};
    use std::os::fd::OwnedFd;
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::telemetry::refusal_summary::format_address;
    use crate::telemetry::{AuditCaller, AuditDecision, LineOutput, LineWriter, Watchdog};

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

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_end_does_not_wait_for_a_log_that_hangs() {
        let (reader, mut writer) = pipe().unwrap();
        // The pipe is full, and nobody reads it.
        writer.write_all(&vec![b'x'; 1 << 16]).unwrap();
        let output = LineOutput::watched(File::from(OwnedFd::from(writer)));
        let audit = Arc::new(AuditLog::start_with(LineWriter::new(output, None), Watchdog::Present).unwrap());
        let summaries = Arc::new(RefusalSummaries::default());
        let add = || summaries.add(IpAddr::from([192, 0, 2, 1]), &refused(None, "no credential", 1000));
        add();
        let (writing, log) = (Arc::clone(&summaries), Arc::clone(&audit));
        tokio::spawn(async move { writing.write_to(&log).await });
        let hanging = async {
            while !audit.hangs() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), hanging).await.unwrap();
        add();
        timeout(Duration::from_secs(20), summaries.close(&audit)).await.unwrap();
        timeout(Duration::from_secs(20), audit.close()).await.unwrap();
        assert!(summaries.lock().by_address.is_empty(), "the lines are in the program's own log");
        drop(reader);
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
