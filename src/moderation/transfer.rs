//! Moves moderation entries from one store to another: exports them as readable TOML, and imports a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use super::event::{ChangeContext, ChangeKind, ChangeSubscribers, EventSubject, audit_line, remove_duplicate_jobs};
use crate::config::IMPORT_SUBJECT;
use crate::crypto::hex;
use crate::model::{CallerKind, Millis, is_disruptive};
use crate::moderation::store::{
    ChangesSince, CommitError, FailureReason, NewChange, Store, StoreContents, StoreHead, StoreUnavailable,
    StoredChange,
};
use crate::policy::{EntryAuthor, EntryOrigin};
use crate::telemetry::AuditCaller;
use crate::{clock, random};
use chat_signer_core::moderation::{
    EntryKind, EntryRecord, MalformedEntry, ModerationEntry, RegisteredConversation, RoleAssignment,
};

/// The maximum number of entries in a change. More entries are written in several changes.
pub const MAX_ENTRIES_PER_CHANGE: usize = 5000;

/// How often an import starts again because other processes change the store meanwhile.
const MAX_ATTEMPTS: usize = 20;

/// The entries to import, and the options of the import.
#[derive(Debug)]
pub struct Import<'i> {
    /// The entries.
    pub records: &'i [ModerationEntry],
    /// Whether all other entries are deleted.
    pub replace: bool,
    /// The time at which the entries were read. It decides which entries have ended, and is the time of entries that
    /// state no time.
    pub now: Millis,
    /// The recipients of events, and the apps at whose vendors the entries are enforced.
    pub plan: &'i ChangeSubscribers,
    /// The caller, for the audit log.
    pub caller: AuditCaller<'i>,
}

/// Writes lines to the audit log.
pub type AuditLineSink<'t> = &'t mut (dyn FnMut(&[u8]) -> io::Result<()> + Send);

/// The result of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// The number of new or changed entries.
    pub set: usize,
    /// The number of deleted entries.
    pub deleted: usize,
    /// The number of entries that had ended and were left out.
    pub ended: usize,
}

/// Why an import was not made, or not completed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store is unavailable.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
    /// An entry in the store cannot be read.
    #[error(transparent)]
    Malformed(#[from] MalformedEntry),
    /// The owner of a conversation would change. The fields are the conversation, the old owner and the new owner.
    #[error(
        "the conversation {0} has the owner {1} in the store, and an owner is set once: it can't be changed to {2}"
    )]
    Owner(String, String, String),
    /// A conversation would have an entry for all apps and an entry for a single app. The fields are its id, the apps
    /// of the stored entry and the apps of the new entry.
    #[error("the conversation {0} has an entry for {1} in the store, so it can't have an entry for {2}")]
    Beside(String, String, String),
    /// Other processes changed the store during each attempt.
    #[error("the store changes faster than it can be written: try again")]
    Busy,
    /// The changes could not be recorded in the audit log.
    #[error("the audit log can't be written: {0}")]
    Untold(io::Error),
}

/// Returns all entries of a store by key, as of one version.
///
/// # Errors
/// Returns an error if the store cannot be read.
pub async fn read_entries(store: &Store) -> Result<(StoreHead, BTreeMap<String, String>), StoreUnavailable> {
    let StoreContents { mut head, entries } = store.read_all().await?;
    let mut by_key: BTreeMap<String, String> = entries.into_iter().collect();
    let goal = store.head().await?.version;
    while head.version < goal {
        let changes = match store.changes_since(head.version).await? {
            ChangesSince::Changes(changes) if !changes.is_empty() => changes,
            _ => return Err(StoreUnavailable::new(FailureReason::Other, "it changes faster than it can be read")),
        };
        for StoredChange { version, id, puts, .. } in changes {
            apply_puts(&mut by_key, puts);
            head = StoreHead { version, change: id, ..head };
        }
    }
    Ok((head, by_key))
}

fn apply_puts(held: &mut BTreeMap<String, String>, puts: Vec<(String, Option<String>)>) {
    for (key, value) in puts {
        match value {
            Some(value) => held.insert(key, value),
            None => held.remove(&key),
        };
    }
}

/// Imports entries into a store, and records each entry in the audit log.
///
/// Entries that the store already holds are not written again, so another import completes an interrupted import.
/// Entries that have ended are not written, so they do not replace an entry in force. A new store begins only after the
/// last entry, so no server uses a part of the entries.
///
/// # Errors
/// Returns an error if the import was not completed. If it takes several changes, some of them may have been made.
pub async fn import(store: &Store, import: &Import<'_>, tell: AuditLineSink<'_>) -> Result<ImportSummary, ImportError> {
    let ended = import.records.iter().filter(|record| !record.is_in_force(import.now)).count();
    let mut done = ImportSummary { ended, ..ImportSummary::default() };
    for _ in 0..MAX_ATTEMPTS {
        let (mut head, before) = read_entries(store).await?;
        let work = plan_changes(&before, import)?;
        if write(store, &mut head, &work, import, &mut done, tell).await? {
            store.initialize().await?;
            return Ok(done);
        }
    }
    Err(ImportError::Busy)
}

/// An entry to set or to delete.
enum ImportChange {
    Set(ModerationEntry),
    Gone(ModerationEntry),
}

impl ImportChange {
    fn change_kind(&self) -> ChangeKind {
        match self {
            ImportChange::Set(_) => ChangeKind::Set,
            ImportChange::Gone(_) => ChangeKind::Lifted,
        }
    }
}

fn plan_changes(held: &BTreeMap<String, String>, import: &Import<'_>) -> Result<Vec<ImportChange>, ImportError> {
    let mut work = Vec::new();
    let mut wanted = BTreeSet::new();
    for record in import.records.iter().filter(|record| record.is_in_force(import.now)) {
        let key = record.key().to_string();
        if let ModerationEntry::Conversation(conversation) = record
            && !import.replace
        {
            check_conversation(held, conversation)?;
        }
        if !held.get(&key).is_some_and(|before| is_stored(&key, before, record, import.now)) {
            work.push(ImportChange::Set(record.clone()));
        }
        wanted.insert(key);
    }
    if import.replace {
        for (key, value) in held.iter().filter(|(key, _)| !wanted.contains(*key)) {
            work.push(ImportChange::Gone(ModerationEntry::parse(key, value)?));
        }
    }
    Ok(work)
}

/// Returns whether a stored value equals an entry. If the entry stated no time, its time is `now`, and only the content
/// is compared.
fn is_stored(key: &str, before: &str, record: &ModerationEntry, now: Millis) -> bool {
    let is_dated = !matches!(record.origin(), EntryOrigin::Runtime { at, .. } if *at == now);
    if is_dated {
        return before == record.value();
    }
    ModerationEntry::parse(key, before).is_ok_and(|before| before.has_same_content(record))
}

/// Checks that a conversation keeps its owner, and has either an entry for all apps or entries for single apps.
/// Otherwise nobody could change these entries any more.
fn check_conversation(held: &BTreeMap<String, String>, after: &RegisteredConversation) -> Result<(), ImportError> {
    let own = ModerationEntry::Conversation(RegisteredConversation { app: None, ..after.clone() }).key().to_string();
    for (key, value) in held.range(own.clone()..).take_while(|(key, _)| key.starts_with(&own)) {
        let ModerationEntry::Conversation(before) = ModerationEntry::parse(key, value)? else { continue };
        if before.app == after.app {
            check_owner_unchanged(&before, after)?;
        } else if before.app.is_none() || after.app.is_none() {
            let [before, wanted] = [before.app.as_ref(), after.app.as_ref()].map(describe_apps);
            return Err(ImportError::Beside(after.id.clone(), before, wanted));
        }
    }
    Ok(())
}

/// Returns "the app ably", or "all apps".
fn describe_apps(app: Option<&Arc<str>>) -> String {
    app.map_or_else(|| "all apps".to_owned(), |app| format!("the app {app}"))
}

fn check_owner_unchanged(before: &RegisteredConversation, after: &RegisteredConversation) -> Result<(), ImportError> {
    match (&before.owner, &after.owner) {
        (Some(owner), other) if other.as_ref() != Some(owner) => {
            let other = other.clone().unwrap_or_else(|| "nobody".to_owned());
            Err(ImportError::Owner(before.id.clone(), owner.clone(), other))
        }
        _ => Ok(()),
    }
}

/// Writes entries. Returns `false` if another process has changed the store.
async fn write(
    store: &Store,
    head: &mut StoreHead,
    work: &[ImportChange],
    import: &Import<'_>,
    done: &mut ImportSummary,
    tell: AuditLineSink<'_>,
) -> Result<bool, ImportError> {
    // Events need a unique id, even if the store has no epoch yet.
    let id = format!("import-{}", hex(&random::bytes::<16>().map_err(StoreUnavailable::from)?));
    let epoch = if head.epoch.is_empty() { id } else { head.epoch.clone() };
    for part in work.chunks(MAX_ENTRIES_PER_CHANGE) {
        let now = clock::now();
        let told = StoreHead { epoch: epoch.clone(), ..head.clone() };
        let made = store.commit(head, build_change(part, import.plan, &told, now), now).await;
        let (change, made) = match made {
            Err(CommitError::Behind) => return Ok(false),
            // The change may have been made nevertheless. Another import would then find nothing to record.
            Err(CommitError::Unavailable(unavailable)) => (None, Err(unavailable)),
            Ok(change) => (Some(change.version), Ok(change)),
        };
        tell(&audit_lines(part, change, import.caller)).map_err(ImportError::Untold)?;
        let StoredChange { version, id, .. } = made?;
        (head.version, head.change) = (version, id);
        let set = part.iter().filter(|work| matches!(work, ImportChange::Set(_))).count();
        done.set += set;
        done.deleted += part.len() - set;
    }
    Ok(true)
}

/// Returns the audit log lines of changed entries. `change` is the number of the change, if known.
fn audit_lines(part: &[ImportChange], change: Option<u64>, caller: AuditCaller<'_>) -> Vec<u8> {
    let mut lines = Vec::new();
    for work in part {
        let (ImportChange::Set(record) | ImportChange::Gone(record)) = work;
        lines.extend(audit_line(record, work.change_kind(), change, Some(caller)));
    }
    lines
}

/// Builds the change of these entries. The author of a set entry is its own author. The author of a deletion is the
/// import.
fn build_change(part: &[ImportChange], plan: &ChangeSubscribers, head: &StoreHead, now: Millis) -> NewChange {
    let import = EntryAuthor { kind: CallerKind::Service, subject: IMPORT_SUBJECT.to_owned(), role: None };
    let (mut commit, context) = (NewChange::default(), ChangeContext { plan, head, now, is_background: true });
    for work in part {
        let (record, value, by, ended) = match work {
            ImportChange::Set(record) => (record, Some(record.value()), record.origin().author(), None),
            ImportChange::Gone(record) => (record, None, Some(&import), Some(record)),
        };
        commit.puts.push((record.key().to_string(), value));
        let about = EventSubject { record, ended, kind: work.change_kind(), by };
        context.add_event_and_jobs(&mut commit, &about);
    }
    remove_duplicate_jobs(&mut commit.jobs);
    commit
}

/// Returns entries as TOML, in the tables of a policy file. Each table is sorted by user, then by conversation.
pub fn to_toml(records: &[ModerationEntry]) -> String {
    let mut records: Vec<&ModerationEntry> = records.iter().collect();
    records.sort_by_cached_key(|record| record.key());
    let mut text = String::new();
    for record in records {
        // Writing to a string does not fail.
        let _ = writeln!(text, "[[{}]]", table_name(record.table()));
        for (name, value) in toml_fields(record) {
            let _ = writeln!(text, "{name} = {value}");
        }
        text.push('\n');
    }
    text
}

/// Returns the name of the table in a policy file.
fn table_name(table: EntryKind) -> &'static str {
    if table == EntryKind::Roles { "bindings" } else { table.as_str() }
}

/// Returns the keys of an entry and their TOML values: those of its record, with the names of a policy file.
fn toml_fields(entry: &ModerationEntry) -> Vec<(&'static str, String)> {
    let EntryRecord { app, at, by, conversation, forgotten, kind, owner, reason, role, until, user, .. } = entry.into();
    let (id, conversation) = match entry.table() {
        EntryKind::Conversations => (conversation, None),
        EntryKind::Bans | EntryKind::Mutes => (None, conversation),
        EntryKind::Roles | EntryKind::Blocks => (None, Some(conversation.unwrap_or_else(|| "*".to_owned()))),
    };
    let is_removed = matches!(entry, ModerationEntry::Role(RoleAssignment { role: None, .. }));
    let (text, flag) =
        (|text: Option<String>| text.as_deref().map(toml_string), |flag: bool| flag.then(|| "true".into()));
    let fields = [
        ("id", text(id)),
        ("user", text(user)),
        ("conversation", text(conversation)),
        ("app", text(app)),
        ("until", until.map(toml_time)),
        ("reason", text(reason)),
        ("role", text(role)),
        ("removed", flag(is_removed)),
        ("kind", kind.map(|kind| toml_string(kind.as_str()))),
        ("owner", text(owner)),
        ("forgotten", flag(forgotten)),
        ("by", by.as_ref().map(toml_author)),
        ("at", at.map(toml_time)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn toml_author(EntryAuthor { kind, subject, role }: &EntryAuthor) -> String {
    let role = role.as_ref().map_or_else(String::new, |role| format!(", role = {}", toml_string(role)));
    format!("{{ kind = {}, subject = {}{role} }}", toml_string(kind.as_str()), toml_string(subject))
}

/// Formats a time for TOML: to the millisecond, and never later than the year 9999.
fn toml_time(time: Millis) -> String {
    time.min(Millis::LAST).to_string()
}

/// Quotes a text for TOML, on a single line.
fn toml_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if is_disruptive(c) => _ = write!(quoted, "\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
