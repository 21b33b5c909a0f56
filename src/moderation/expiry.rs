//! Expiry: deletes entries when they end, and records this in the audit log.
//!
//! No caller waits for an expiry, so no request is denied if the audit log fails. If the log is known to fail, no entry
//! is deleted. If a deletion could not be recorded, it is recorded as soon as the log accepts lines again, before the
//! next deletion.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use tokio::time::sleep;

use super::event::{self, ChangeKind, ChangeSubscribers};
use super::replica::{ChangeError, ChangeOrigin, ModerationReplica};
use crate::clock;
use crate::model::Millis;
use crate::telemetry::audit::{AuditError, AuditLog};
use crate::telemetry::log::UNLIMITED;
use chat_signer_core::moderation::{EntryKey, ModerationEntry, ModerationIndex};

/// The maximum number of ended entries that a single change deletes.
const MAX_ENTRIES_PER_CHANGE: usize = 100;

/// The longest time between two checks for ended entries.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// The pause after a failure of the store or the audit log.
const RETRY_DELAY: Duration = Duration::from_secs(1);

impl ModerationReplica {
    /// Deletes entries when they end, until `end` completes. Calls `plan` for each deletion, because settings can
    /// change.
    pub async fn run_expiry(
        &self,
        audit: &AuditLog,
        plan: impl Fn() -> ChangeSubscribers + Send + Sync,
        end: impl Future<Output = ()> + Send,
    ) {
        let mut end = pin!(end);
        let (mut version, mut untold) = (self.version(), PendingAudit::default());
        loop {
            let wait = self.expire_once(audit, &plan(), &mut untold).await;
            tokio::select! {
                biased;
                () = &mut end => break,
                _ = version.changed() => {}
                () = sleep(wait) => {}
            }
        }
        untold.record_uncertain();
        _ = untold.write_lines(audit).await;
    }

    /// Deletes ended entries, as many as fit into one change. Returns how long there is nothing more to do.
    async fn expire_once(&self, audit: &AuditLog, plan: &ChangeSubscribers, untold: &mut PendingAudit) -> Duration {
        if audit.health().is_err() || untold.write_lines(audit).await.is_err() {
            return RETRY_DELAY;
        }
        let wait = self.until_next_ending(clock::now());
        if !wait.is_zero() && untold.uncertain.is_empty() {
            return wait;
        }
        let expired = self.expire(plan, untold).await;
        if untold.write_lines(audit).await.is_err() {
            return RETRY_DELAY;
        }
        match expired {
            // According to the clock of the store, the entry possibly has not ended yet.
            Ok(now) => self.until_next_ending(now),
            Err(error) => {
                self.count_failure(ChangeOrigin::Expiry, &error);
                tracing::debug!("ended entries could not be deleted yet: {error}");
                RETRY_DELAY
            }
        }
    }

    /// Deletes ended entries. The clock of the store decides which entries have ended, because all replicas share this
    /// clock. Returns the time of this clock. Adds the entries that were deleted, or may have been deleted, to
    /// `untold`.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read or written.
    pub async fn expire(&self, plan: &ChangeSubscribers, untold: &mut PendingAudit) -> Result<Millis, ChangeError> {
        let now = self.store().ok_or(ChangeError::NoStore)?.now().await?;
        if self.read_any_age().ended(now, 1).is_empty() && untold.uncertain.is_empty() {
            return Ok(now);
        }
        let made = self
            .change(|index, head| {
                untold.in_progress =
                    index.ended(now, MAX_ENTRIES_PER_CHANGE).iter().filter_map(|key| index.find(key)).collect();
                (event::build_expiry_change(&untold.in_progress, plan, head, now), head.version + 1)
            })
            .await;
        match made {
            Ok(change) => untold.record_made(change, &self.read_any_age()),
            Err(_) => untold.mark_uncertain(),
        }
        made.map(|_| now)
    }

    /// Returns how long no entry can end.
    fn until_next_ending(&self, now: Millis) -> Duration {
        let next = self.read_any_age().next_ending();
        next.map_or(MAX_CHECK_INTERVAL, |next| {
            Duration::from_millis(next.0.saturating_sub(now.0)).min(MAX_CHECK_INTERVAL)
        })
    }
}

/// Deletions that are not in the audit log yet. If they are still missing when the value is dropped, the program's own
/// log receives them.
#[derive(Default)]
pub struct PendingAudit {
    /// The entries of the deletion in progress.
    in_progress: Vec<ModerationEntry>,
    /// The entries of deletions of which it is unknown whether they were made.
    uncertain: Vec<ModerationEntry>,
    /// The lines to write to the audit log.
    lines: Vec<u8>,
}

impl PendingAudit {
    /// Records that the change was made. The index now also shows which uncertain deletions were made.
    fn record_made(&mut self, change: u64, index: &ModerationIndex) {
        let gone: HashSet<EntryKey> = self.in_progress.iter().map(ModerationEntry::key).collect();
        for record in self.in_progress.drain(..) {
            self.lines.extend(event::audit_line(&record, ChangeKind::Expired, Some(change), None));
        }
        // Another process may have deleted the entry and recorded this. The log may record a deletion twice, but it
        // never omits a deletion.
        for record in self.uncertain.drain(..).filter(|record| !gone.contains(&record.key())) {
            if index.find(&record.key()).as_ref() != Some(&record) {
                self.lines.extend(event::audit_line(&record, ChangeKind::Expired, None, None));
            }
        }
    }

    fn mark_uncertain(&mut self) {
        let known: HashSet<EntryKey> = self.uncertain.iter().map(ModerationEntry::key).collect();
        self.uncertain.extend(self.in_progress.drain(..).filter(|record| !known.contains(&record.key())));
    }

    /// Records the uncertain deletions, because there is no later opportunity.
    fn record_uncertain(&mut self) {
        for record in self.in_progress.drain(..).chain(self.uncertain.drain(..)) {
            self.lines.extend(event::audit_line(&record, ChangeKind::Expired, None, None));
        }
    }

    async fn write_lines(&mut self, audit: &AuditLog) -> Result<(), AuditError> {
        if !self.lines.is_empty() {
            audit.write(&self.lines).await?;
            self.lines.clear();
        }
        Ok(())
    }
}

impl Drop for PendingAudit {
    fn drop(&mut self) {
        self.record_uncertain();
        for line in String::from_utf8_lossy(&self.lines).lines() {
            tracing::error!(target: UNLIMITED, "this is not in the audit log: {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::model::{CallerKind, Pattern};
    use crate::moderation::store::{NewChange, Store};
    use crate::policy::{EntryAuthor, EntryOrigin, Sanction};

    fn ban(user: &str) -> ModerationEntry {
        let author = Arc::new(EntryAuthor { kind: CallerKind::Service, subject: "orders".to_owned(), role: None });
        let origin = EntryOrigin::Runtime { author, at: Millis(1) };
        let (scope, until) = (Pattern::Everything, Some(Millis(2)));
        ModerationEntry::Ban(Sanction { user: user.to_owned(), scope, app: None, until, reason: None, origin })
    }

    /// Returns the user of each line, and whether the line names a change.
    fn audited_users(untold: &mut PendingAudit) -> Vec<(String, bool)> {
        let lines = std::mem::take(&mut untold.lines);
        let lines = String::from_utf8(lines).unwrap();
        let read = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        read.map(|line| (line["targets"][0].as_str().unwrap().to_owned(), line["change"].is_u64())).collect()
    }

    #[tokio::test]
    async fn uncertain_deletions_are_audited_once_confirmed() {
        let moderation = ModerationReplica::with_store(Store::memory().unwrap(), Duration::from_secs(60));
        moderation.sync().await;
        let mut untold = PendingAudit::default();
        untold.in_progress.extend([ban("gone"), ban("there")]);
        untold.mark_uncertain();
        let there = ban("there");
        let put = NewChange { puts: vec![(there.key().to_string(), Some(there.value()))], ..NewChange::default() };
        moderation.change(|_, _| (put.clone(), ())).await.unwrap();
        moderation.expire(&ChangeSubscribers::default(), &mut untold).await.unwrap();
        assert_eq!(audited_users(&mut untold), [("there".to_owned(), true), ("gone".to_owned(), false)]);
        moderation.expire(&ChangeSubscribers::default(), &mut untold).await.unwrap();
        assert_eq!(audited_users(&mut untold), []);
    }
}
