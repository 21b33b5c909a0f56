//! Compares a store with the acknowledged changes in audit logs, and makes changes again that the store lacks.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::event::{ChangeContext, ChangeKind, ChangeSubscribers, EventSubject, audit_line, remove_duplicate_jobs};
use super::transfer::{AuditLineSink, ImportError, MAX_ENTRIES_PER_CHANGE, read_entries};
use crate::clock;
use crate::model::Millis;
use crate::moderation::store::{
    ChangesSince, CommitError, LOG_LIMIT, NewChange, Store, StoreHead, StoreUnavailable, StoredChange,
};
use crate::policy::{EntryAuthor, EntryOrigin};
use crate::telemetry::AuditCaller;
use chat_signer_core::moderation::{EntryKey, EntryKind, MalformedEntry, ModerationEntry};

/// How often a replay starts again because other processes change the store meanwhile.
const MAX_ATTEMPTS: usize = 20;

/// An acknowledged change of one user's entries, from an audit log.
#[derive(Clone, Debug)]
pub struct LoggedChange {
    /// The time of the request.
    pub at: Millis,
    /// The number that the change had. `None`: nothing had to be changed then.
    pub version: Option<u64>,
    /// The author.
    pub by: EntryAuthor,
    /// What the change did.
    pub effect: LoggedEffect,
}

/// What an acknowledged change did.
#[derive(Clone, Debug)]
pub enum LoggedEffect {
    /// It set an entry.
    Set(ModerationEntry),
    /// It removed the entries of this key. A key of a ban or mute without an author stands for those of all authors.
    Lift(EntryKey),
    /// It changed a conversation. The log does not show the resulting entry, so a person must repeat the change.
    Conversation {
        /// The id of the conversation.
        id: String,
        /// The only app of the entry. `None`: all apps.
        app: Option<Arc<str>>,
    },
}

/// The changes to look for, and what to do with those that the store lacks.
#[derive(Debug)]
pub struct Replay<'r> {
    /// The acknowledged changes, the earliest first.
    pub changes: &'r [LoggedChange],
    /// Whether missing changes are made again.
    pub apply: bool,
    /// The recipients of events, and the apps at whose vendors the entries are enforced.
    pub plan: &'r ChangeSubscribers,
    /// The caller, for the audit log.
    pub caller: AuditCaller<'r>,
}

/// What a replay found.
#[derive(Debug, Default)]
pub struct ReplayReport {
    /// The changes that the store lacks, or lacked before they were made again.
    pub missing: Vec<MissingChange>,
    /// The times, numbers and ids of changes of conversations that the store lacks, and that a person must repeat.
    pub by_hand: Vec<(Millis, Option<u64>, String)>,
    /// The number of entries that are as the logs say, or that were changed later.
    pub present: usize,
    /// The number of entries that have ended.
    pub ended: usize,
}

/// A change of an entry that the store lacks.
#[derive(Clone, Debug)]
pub struct MissingChange {
    /// The time of the request.
    pub at: Millis,
    /// The number that the change had.
    pub version: Option<u64>,
    /// Whether the entry has to be removed, and not set.
    pub is_lift: bool,
    /// The entry to set or to remove.
    pub entry: ModerationEntry,
    by: EntryAuthor,
}

/// Finds the changes that a store lacks, and makes them again if the replay says so. Makes no change twice.
///
/// # Errors
/// Returns an error if the store cannot be read or written, or if the audit log cannot be written. Some of the changes
/// may have been made.
pub async fn replay(store: &Store, replay: &Replay<'_>, tell: AuditLineSink<'_>) -> Result<ReplayReport, ImportError> {
    let mut made = Vec::new();
    for _ in 0..MAX_ATTEMPTS {
        let (mut head, entries) = read_entries(store).await?;
        let recent = recent_changes(store, &head).await?;
        let mut report = compare(replay.changes, &entries, &recent, clock::now())?;
        if !replay.apply {
            return Ok(report);
        }
        if write(store, &mut head, &report.missing, replay, &mut made, tell).await? {
            report.missing = made;
            return Ok(report);
        }
    }
    Err(ImportError::Busy)
}

/// Returns the time of the last change of each key, as far as the log of the store goes back.
async fn recent_changes(store: &Store, head: &StoreHead) -> Result<HashMap<String, Millis>, StoreUnavailable> {
    let (mut recent, mut version) = (HashMap::new(), head.version.saturating_sub(LOG_LIMIT));
    while let ChangesSince::Changes(changes) = store.changes_since(version).await? {
        let Some(last) = changes.last() else { break };
        version = last.version;
        for StoredChange { at, puts, .. } in changes {
            recent.extend(puts.into_iter().map(|(key, _)| (key, at)));
        }
    }
    Ok(recent)
}

/// Compares what the logs say last about each entry with the store.
fn compare(
    changes: &[LoggedChange],
    entries: &BTreeMap<String, String>,
    recent: &HashMap<String, Millis>,
    now: Millis,
) -> Result<ReplayReport, MalformedEntry> {
    let mut report = ReplayReport::default();
    for (key, (change, wanted)) in last_effects(changes, entries) {
        let stored = entries.get(&key).map(|value| ModerationEntry::parse(&key, value)).transpose()?;
        let is_later = |entry: &ModerationEntry| match entry.origin() {
            EntryOrigin::Runtime { at, .. } => *at >= change.at,
            EntryOrigin::File { .. } => false,
        };
        if let LoggedEffect::Conversation { id, .. } = &change.effect {
            if stored.is_some_and(|stored| is_later(&stored)) || change.version.is_none() {
                report.present += 1;
            } else {
                report.by_hand.push((change.at, change.version, id.clone()));
            }
            continue;
        }
        let missing = match (wanted, stored) {
            (Some(wanted), _) if !wanted.is_in_force(now) => {
                report.ended += 1;
                continue;
            }
            (Some(wanted), Some(stored)) if stored.has_same_content(wanted) || is_later(&stored) => None,
            // The store has removed the entry since then.
            (Some(_), None) if recent.get(&key).is_some_and(|at| *at >= change.at) => None,
            (Some(wanted), _) => Some((wanted.clone(), false)),
            (None, Some(stored)) if !is_later(&stored) => Some((stored, true)),
            (None, _) => None,
        };
        match missing {
            Some((entry, is_lift)) => {
                let LoggedChange { at, version, by, .. } = change.clone();
                report.missing.push(MissingChange { at, version, is_lift, entry, by });
            }
            None => report.present += 1,
        }
    }
    report.missing.sort_by_key(|missing| missing.at);
    Ok(report)
}

/// Returns for each key the last change in the logs, and the entry that it left.
fn last_effects<'c>(
    changes: &'c [LoggedChange],
    entries: &BTreeMap<String, String>,
) -> BTreeMap<String, (&'c LoggedChange, Option<&'c ModerationEntry>)> {
    let mut last = BTreeMap::new();
    for change in changes {
        match &change.effect {
            LoggedEffect::Set(entry) => _ = last.insert(entry.key().to_string(), (change, Some(entry))),
            LoggedEffect::Conversation { id, app } => {
                let (table, name, app) = (EntryKind::Conversations, id.clone(), app.clone());
                let key = EntryKey { table, name, scope: None, app, author: None };
                last.insert(key.to_string(), (change, None));
            }
            LoggedEffect::Lift(key) => {
                let mut keys = keys_of(&last, key);
                keys.extend(keys_of(entries, key));
                last.extend(keys.into_iter().map(|key| (key, (change, None))));
            }
        }
    }
    last
}

/// Returns the keys in a map that equal this key. A key without an author also stands for keys with one.
fn keys_of<V>(map: &BTreeMap<String, V>, key: &EntryKey) -> Vec<String> {
    let start = key.to_string();
    let with_author = format!("{start}/");
    let keys = map.range::<str, _>((Bound::Included(&*start), Bound::Unbounded)).map(|(key, _)| key);
    let keys = keys.take_while(|key| key.starts_with(&start));
    keys.filter(|key| **key == start || key.starts_with(&with_author)).cloned().collect()
}

/// Makes changes, and records each in the audit log. Returns `false` if another process has changed the store.
async fn write(
    store: &Store,
    head: &mut StoreHead,
    missing: &[MissingChange],
    replay: &Replay<'_>,
    made: &mut Vec<MissingChange>,
    tell: AuditLineSink<'_>,
) -> Result<bool, ImportError> {
    for part in missing.chunks(MAX_ENTRIES_PER_CHANGE) {
        let now = clock::now();
        let (version, result) = match store.commit(head, build_change(part, replay.plan, head, now), now).await {
            Err(CommitError::Behind) => return Ok(false),
            Err(CommitError::Unavailable(unavailable)) => (None, Err(unavailable)),
            Ok(change) => (Some(change.version), Ok(change)),
        };
        let lines = part.iter().flat_map(|one| audit_line(&one.entry, one.change_kind(), version, Some(replay.caller)));
        tell(&lines.collect::<Vec<u8>>()).map_err(ImportError::Untold)?;
        let StoredChange { version, id, .. } = result?;
        (head.version, head.change) = (version, id);
        made.extend_from_slice(part);
    }
    Ok(true)
}

impl MissingChange {
    fn change_kind(&self) -> ChangeKind {
        if self.is_lift { ChangeKind::Lifted } else { ChangeKind::Set }
    }
}

fn build_change(part: &[MissingChange], plan: &ChangeSubscribers, head: &StoreHead, now: Millis) -> NewChange {
    let (mut commit, context) = (NewChange::default(), ChangeContext { plan, head, now, is_background: true });
    for one in part {
        let value = (!one.is_lift).then(|| one.entry.value());
        commit.puts.push((one.entry.key().to_string(), value));
        let ended = one.is_lift.then_some(&one.entry);
        let about = EventSubject { record: &one.entry, ended, kind: one.change_kind(), by: Some(&one.by) };
        context.add_event_and_jobs(&mut commit, &about);
    }
    remove_duplicate_jobs(&mut commit.jobs);
    commit
}
