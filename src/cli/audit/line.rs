//! A line of the audit log, and the filters that select lines.

use clap::builder::PossibleValuesParser;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::common::parse_time;
use crate::model::Millis;
use crate::telemetry::AuditDecision;
use crate::{clock, config};

/// The members of a line that the commands need. Other members are ignored, so the lines of other versions can be read,
/// too.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct LoggedLine {
    pub(in crate::cli) time: String,
    pub(in crate::cli) request_id: Option<String>,
    /// The decision about a request.
    pub(in crate::cli) decision: Option<String>,
    /// The event, in a line that no request caused.
    pub(in crate::cli) event: Option<String>,
    pub(in crate::cli) authenticator: Option<String>,
    pub(in crate::cli) caller: Option<LoggedCaller>,
    pub(in crate::cli) app: Option<String>,
    pub(in crate::cli) vendor: Option<String>,
    pub(in crate::cli) action: Option<String>,
    /// The action that a service asked about, and the caller.
    pub(in crate::cli) question: Option<String>,
    pub(in crate::cli) about: Option<LoggedCaller>,
    pub(in crate::cli) client: Option<String>,
    pub(in crate::cli) conversation: Option<String>,
    pub(in crate::cli) targets: Vec<String>,
    /// The number of targets, if `targets` is cut.
    pub(in crate::cli) targets_count: Option<u64>,
    pub(in crate::cli) granted: Map<String, Value>,
    /// The requested grants, if nothing was granted.
    pub(in crate::cli) asked: Map<String, Value>,
    /// The number of requested grants, if `asked` is cut.
    pub(in crate::cli) asked_count: Option<u64>,
    rules: Vec<String>,
    rule: Option<String>,
    pub(in crate::cli) reason: Option<String>,
    pub(in crate::cli) latency_us: Option<u64>,
}

/// The caller of a request, or the operator.
#[derive(Debug, Deserialize)]
pub(in crate::cli) struct LoggedCaller {
    pub(in crate::cli) kind: String,
    pub(in crate::cli) subject: String,
}

/// The filters. A line is shown if it passes all of them.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LineFilter {
    /// Only lines with this user: as the caller, as the client, or among the targets.
    #[arg(long)]
    user: Option<String>,
    /// Only lines about this conversation or channel.
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// Only lines about this app.
    #[arg(long)]
    app: Option<String>,
    /// Only lines with this decision. Several can be given, with commas.
    #[arg(long, value_name = "DECISION", value_delimiter = ',', value_parser = decisions())]
    decision: Vec<String>,
    /// Only lines with this action, for example join or ban.
    #[arg(long)]
    action: Option<String>,
    /// Only lines that this rule allowed or denied.
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// Only the lines of the request with this id.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Only lines from this time on: 2027-01-01T00:00:00Z, milliseconds since 1970, or a duration before now such as 1h.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Millis>,
    /// Only lines before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<Millis>,
}

fn decisions() -> PossibleValuesParser {
    use AuditDecision::{Allow, Deny, Invalid, Refused, Unavailable};
    PossibleValuesParser::new([Allow, Deny, Invalid, Refused, Unavailable].map(AuditDecision::as_str))
}

impl LineFilter {
    /// Returns whether the line passes all filters.
    pub(super) fn accepts(&self, line: &LoggedLine) -> bool {
        let is = |wanted: &Option<String>, value: Option<&String>| wanted.is_none() || wanted.as_ref() == value;
        self.user.as_deref().is_none_or(|user| line.concerns_user(user))
            && self.conversation.as_deref().is_none_or(|id| line.concerns_conversation(id))
            && is(&self.app, line.app.as_ref())
            && (self.decision.is_empty() || line.decision.as_ref().is_some_and(|one| self.decision.contains(one)))
            && is(&self.action, line.action.as_ref())
            && self.rule.as_deref().is_none_or(|rule| line.rules().any(|known| known == rule))
            && is(&self.request_id, line.request_id.as_ref())
            && self.accepts_time(line)
    }

    fn accepts_time(&self, line: &LoggedLine) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let time = Millis::parse(&line.time).ok();
        time.is_some_and(|time| self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|end| time < end))
    }
}

impl LoggedLine {
    /// Reads a line. Returns `None` if it is not a line of an audit log.
    pub(in crate::cli) fn parse(text: &[u8]) -> Option<LoggedLine> {
        serde_json::from_slice(text).ok().filter(|line: &LoggedLine| !line.time.is_empty())
    }

    /// Returns the rules that decided: those that allowed, or the one that denied or came nearest.
    pub(super) fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().chain(&self.rule).map(String::as_str)
    }

    fn concerns_user(&self, user: &str) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.subject == user)
            || self.client.as_deref() == Some(user)
            || self.targets.iter().any(|target| target == user)
    }

    fn concerns_conversation(&self, id: &str) -> bool {
        self.conversation.as_deref() == Some(id) || self.granted.contains_key(id) || self.asked.contains_key(id)
    }
}

/// Reads a time, or a duration before now.
fn parse_moment(text: &str) -> Result<Millis, String> {
    match config::duration(text) {
        Some(age) => Ok(clock::now().before(age)),
        None => parse_time(text).map_err(|flaw| format!("{flaw}, or a duration before now such as 1h")),
    }
}
