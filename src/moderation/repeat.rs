//! Requests the enforcement of all bans and mutes of an app again, part by part: after enforcement was turned on, after an
//! outage of a vendor, and for the bans of the policy file.

use super::api::RepeatReply;
use super::event::{build_enforcement_job, enforcement_queues, remove_duplicate_jobs};
use super::replica::{ChangeError, ChangeOrigin, ModerationReplica};
use crate::clock;
use crate::crypto::percent_encode;
use crate::moderation::store::{NewChange, NewJob};
use crate::policy::{Policy, Sanction};
use chat_signer_core::moderation::{EntryKind, ModerationEntry, ModerationIndex};

/// While more jobs of an app are due, no further jobs are requested. So a new ban does not wait long behind them.
const MAX_WAITING_JOBS: u64 = 1_000;

/// The number of users, or of entries of the policy file, in one request.
const USERS_PER_REQUEST: usize = 500;

/// The parts, in order: the name in cursors, and the table of entries. `None`: the policy file.
const PARTS: [(&str, Option<EntryKind>); 3] =
    [("file", None), ("bans", Some(EntryKind::Bans)), ("mutes", Some(EntryKind::Mutes))];

/// A pass over the bans and mutes of an app.
pub struct EnforcementPass<'a> {
    /// The policy, whose entries come first.
    pub policy: &'a Policy,
    /// The app.
    pub app: &'a str,
}

impl EnforcementPass<'_> {
    /// Requests the enforcement for the next users. `after` is the cursor of the answer before. An unknown cursor starts
    /// from the beginning, which repeats work and misses nothing.
    ///
    /// # Errors
    /// Returns an error if nothing was requested, or if this is unknown.
    pub async fn request_next(
        &self,
        moderation: &ModerationReplica,
        after: Option<&str>,
    ) -> Result<RepeatReply, ChangeError> {
        let store = moderation.store().ok_or(ChangeError::NoStore)?;
        let prefix = format!("enforce:{}:", percent_encode(self.app.as_bytes()));
        let queues = enforcement_queues(self.app).to_vec();
        let waiting = store.count_jobs(&prefix, queues, clock::now()).await?.due;
        if waiting >= MAX_WAITING_JOBS {
            let next = Some(after.unwrap_or("file:").to_owned());
            return Ok(RepeatReply { requested: 0, waiting, change: None, next });
        }
        let requested = moderation.change(|index, head| {
            let (jobs, next) = self.next_jobs(index, after.unwrap_or_default());
            let (requested, change) = (jobs.len(), (!jobs.is_empty()).then_some(head.version + 1));
            (NewChange { jobs, ..NewChange::default() }, RepeatReply { requested, waiting, change, next })
        });
        requested.await.inspect_err(|not_changed| moderation.count_failure(ChangeOrigin::Caller, not_changed))
    }

    /// Returns the jobs of the next users, and the cursor after them.
    fn next_jobs(&self, index: &ModerationIndex, after: &str) -> (Vec<NewJob>, Option<String>) {
        let (part, from) = after.split_once(':').unwrap_or((PARTS[0].0, ""));
        let number = PARTS.iter().position(|(name, _)| *name == part).unwrap_or(0);
        let table = PARTS.get(number).and_then(|(_, table)| *table);
        let (sanctions, next) = match table {
            None => self.filed(from.parse().unwrap_or(0)),
            Some(table) => stored(index, table, from),
        };
        let now = clock::now();
        let is_due = |sanction: &Sanction| {
            sanction.app.as_ref().is_none_or(|app| **app == *self.app) && sanction.is_in_force(now)
        };
        let due = sanctions.iter().filter(|sanction| is_due(sanction));
        let mut jobs = due.map(|sanction| build_enforcement_job(self.app, &sanction.user, &sanction.scope)).collect();
        remove_duplicate_jobs(&mut jobs);
        let following = PARTS.get(number + 1).map(|(name, _)| format!("{name}:"));
        (jobs, next.map(|from| format!("{part}:{from}")).or(following))
    }

    /// Returns the next sanctions of the policy file, and the number of the first one that is left.
    fn filed(&self, from: usize) -> (Vec<Sanction>, Option<String>) {
        let entries = &self.policy.document().entries;
        let mut left = entries.bans.iter().chain(&entries.mutes).skip(from);
        let sanctions = left.by_ref().take(USERS_PER_REQUEST).cloned().collect();
        (sanctions, left.next().map(|_| (from + USERS_PER_REQUEST).to_string()))
    }
}

/// Returns the next sanctions of the moderation entries, and the first user that is left.
fn stored(index: &ModerationIndex, table: EntryKind, from: &str) -> (Vec<Sanction>, Option<String>) {
    let mut users = index.users(table, from);
    let entries = users.by_ref().take(USERS_PER_REQUEST).flat_map(|user| index.entries_of_user(table, user));
    let sanctions = entries.filter_map(|entry| match entry {
        ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => Some(sanction),
        ModerationEntry::Role(_) | ModerationEntry::Block(_) | ModerationEntry::Conversation(_) => None,
    });
    (sanctions.collect(), users.next().map(ToString::to_string))
}
