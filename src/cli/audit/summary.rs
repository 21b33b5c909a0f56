//! The summary of `audit show --summary`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::line::LoggedLine;
use crate::telemetry::AuditDecision;

/// The number of entries in each list of the summary.
const TOP: usize = 10;

/// The counts of the lines that were read.
#[derive(Debug, Default)]
pub(super) struct LogSummary {
    lines: u64,
    first: Option<String>,
    last: Option<String>,
    decisions: BTreeMap<String, u64>,
    events: BTreeMap<String, u64>,
    /// The denied requests, by the rule that denied or came nearest.
    denials: HashMap<String, u64>,
    callers: HashMap<String, u64>,
    /// The slowest requests: microseconds, request id and action. The least of them is on top.
    slowest: BinaryHeap<Reverse<(u64, String, String)>>,
}

impl LogSummary {
    /// Counts a line.
    pub(super) fn add(&mut self, line: &LoggedLine) {
        self.lines += 1;
        self.add_time(&line.time);
        if let Some(event) = &line.event {
            *self.events.entry(event.clone()).or_default() += 1;
        }
        let Some(decision) = &line.decision else { return };
        *self.decisions.entry(decision.clone()).or_default() += 1;
        if decision == AuditDecision::Deny.as_str() {
            let rule = line.rules().next().unwrap_or("no rule");
            *self.denials.entry(rule.to_owned()).or_default() += 1;
        }
        if let Some(caller) = &line.caller {
            *self.callers.entry(format!("{} {}", caller.kind, caller.subject)).or_default() += 1;
        }
        self.add_latency(line);
    }

    /// Extends the covered time. Files can be given in any order. Times in UTC have an order as text.
    fn add_time(&mut self, time: &str) {
        if self.first.as_deref().is_none_or(|first| time < first) {
            self.first = Some(time.to_owned());
        }
        if self.last.as_deref().is_none_or(|last| time > last) {
            self.last = Some(time.to_owned());
        }
    }

    fn add_latency(&mut self, line: &LoggedLine) {
        let (Some(latency), Some(id)) = (line.latency_us, &line.request_id) else { return };
        self.slowest.push(Reverse((latency, id.clone(), line.action.clone().unwrap_or_default())));
        if self.slowest.len() > TOP {
            self.slowest.pop();
        }
    }

    /// Returns the slowest requests, the slowest first.
    fn slowest(&self) -> Vec<&(u64, String, String)> {
        let mut slowest: Vec<_> = self.slowest.iter().map(|Reverse(entry)| entry).collect();
        slowest.sort_by(|one, other| other.cmp(one));
        slowest
    }

    fn slowest_json(&self) -> Vec<Value> {
        let json = |(latency, id, action): &(u64, String, String)| json!({ "latency_us": latency, "request_id": id, "action": action });
        self.slowest().into_iter().map(json).collect()
    }

    /// Returns the summary as text.
    pub(super) fn text(&self) -> String {
        let (Some(first), Some(last)) = (&self.first, &self.last) else { return "no line matches".to_owned() };
        let noun = if self.lines == 1 { "line" } else { "lines" };
        let mut text = format!("{} {noun} from {first} to {last}\n", self.lines);
        let counts = |map: &BTreeMap<String, u64>| map.iter().map(|(name, count)| (*count, name.clone())).collect();
        write_list(&mut text, "decisions", counts(&self.decisions));
        write_list(&mut text, "events", counts(&self.events));
        write_list(&mut text, "denials by rule", top(&self.denials));
        write_list(&mut text, "top callers", top(&self.callers));
        self.write_slowest(&mut text);
        text
    }

    fn write_slowest(&self, text: &mut String) {
        let slowest = self.slowest();
        if !slowest.is_empty() {
            text.push_str("\nslowest requests\n");
        }
        for (latency, id, action) in slowest {
            let _ = writeln!(text, "{:>10} ms  {id}  {action}", format_millis(*latency));
        }
    }

    /// Returns the summary as JSON.
    pub(super) fn json(&self) -> String {
        let list = |entries: Vec<(u64, String)>| -> Vec<Value> {
            entries.into_iter().map(|(count, name)| json!({ "name": name, "count": count })).collect()
        };
        json!({
            "lines": self.lines,
            "first": self.first,
            "last": self.last,
            "decisions": self.decisions,
            "events": self.events,
            "denials_by_rule": list(top(&self.denials)),
            "top_callers": list(top(&self.callers)),
            "slowest": self.slowest_json(),
        })
        .to_string()
    }
}

/// Returns the entries with the highest counts, the highest first.
fn top(counts: &HashMap<String, u64>) -> Vec<(u64, String)> {
    let mut entries: Vec<_> = counts.iter().map(|(name, count)| (*count, name.clone())).collect();
    entries.sort_by(|(one, left), (other, right)| other.cmp(one).then_with(|| left.cmp(right)));
    entries.truncate(TOP);
    entries
}

fn write_list(text: &mut String, title: &str, entries: Vec<(u64, String)>) {
    if entries.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for (count, name) in entries {
        let _ = writeln!(text, "{count:>10}  {name}");
    }
}

/// Formats microseconds as milliseconds with one decimal.
fn format_millis(micros: u64) -> String {
    format!("{}.{}", micros / 1000, micros % 1000 / 100)
}
