//! What the audit log and the metrics say of changes: one line for each user, as each is decided for itself.

use crate::http::{Exchange, Failure, record, tally};
use crate::model::{Ask, Caller};
use crate::observe::{Decision, Record};
use crate::roster::{Failed, Ruling, Why};
use crate::vendor::App;

/// A change that was asked for, by whom.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) exchange: &'a Exchange<'a>,
    /// The one app that it is about; all, where there is none.
    pub(super) app: Option<&'a App>,
    pub(super) caller: &'a Caller,
    pub(super) ask: &'a Ask,
}

impl Asked<'_> {
    /// The lines for what became of it.
    pub(super) fn lines(&self, ruling: &Ruling) -> Result<Vec<u8>, Failure> {
        let mut lines = Vec::new();
        for user in &ruling.succeeded {
            let is_changed = ruling.set.iter().chain(&ruling.gone).any(|record| record.name() == user);
            let change = ruling.change.filter(|_| is_changed);
            lines.extend(record::line(&Record { rules: &ruling.rules, change, ..self.about(user) })?);
        }
        for Failed { user, why } in &ruling.failed {
            let reason = why.log();
            let record = Record { decision: Decision::Deny, reason: Some(&reason), ..self.about(user) };
            lines.extend(record::line(&match why {
                Why::Denied(denial) => record::denied(denial, &record),
                _ => record,
            })?);
        }
        Ok(lines)
    }

    /// Counts what became of it.
    pub(super) fn count(&self, ruling: &Ruling) {
        let action = self.ask.action;
        for _ in &ruling.succeeded {
            let decided = tally::Decided::allowed(action, Decision::Allow, ruling.rules.clone());
            decided.count(self.exchange, self.app);
        }
        for Failed { why, .. } in &ruling.failed {
            let decided = match why {
                Why::Denied(denial) => tally::Decided::denied(denial.action, denial.cause.clone()),
                _ => tally::Decided::ruled_out(action, why.code()),
            };
            decided.count(self.exchange, self.app);
        }
    }

    fn about<'u>(&'u self, user: &'u String) -> Record<'u> {
        let record = record::asked(self.exchange, self.app, self.caller, self.ask, Decision::Allow);
        // What is done to nobody but the client, or to a conversation, has no targets.
        let targets = if self.ask.members.is_empty() { &[] } else { std::slice::from_ref(user) };
        Record { targets, ..record }
    }
}
