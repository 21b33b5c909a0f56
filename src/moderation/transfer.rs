//! Moves moderation entries from one store to another: exports them as readable TOML, and imports a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use super::event::{ChangeContext, ChangeKind, ChangeSubscribers, EventSubject, audit_line, remove_duplicate_jobs};
use super::key_spool::KeySpool;
use super::load::read_next_changes;
use crate::config::{IMPORT_SUBJECT, ImportFile, Report};
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
    EntryKey, EntryKind, EntryRecord, MalformedEntry, ModerationEntry, RegisteredConversation, RoleAssignment,
};

/// The maximum number of entries in a change. More entries are written in several changes.
pub const MAX_ENTRIES_PER_CHANGE: usize = 5000;

/// How often a change of an import is tried again because other processes change the store meanwhile.
const MAX_ATTEMPTS: usize = 20;

/// The options of an import.
#[derive(Debug)]
pub struct Import<'i> {
    /// Whether all entries that are not in the file are deleted.
    pub replace: bool,
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
    /// The file cannot be read again, or it has changed.
    #[error("{0}")]
    File(String),
    /// A temporary file cannot be used.
    #[error("a temporary file can't be written: {0}")]
    Temporary(io::Error),
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

/// Imports the entries of a file into a store, and records each entry in the audit log.
///
/// Entries that the store already holds are not written again, so another import completes an interrupted import.
/// Entries that have ended are not written, so they do not replace an entry in force. A new store begins only after the
/// last entry, so no server uses a part of the entries.
///
/// # Errors
/// Returns an error if the import was not completed. If it takes several changes, some of them may have been made.
pub async fn import(
    store: &Store,
    file: &mut ImportFile<'_>,
    import: &Import<'_>,
    tell: AuditLineSink<'_>,
) -> Result<ImportSummary, ImportError> {
    if !import.replace {
        file.forget_keys();
    }
    let survey = StoreSurvey::read(store, file, import.replace).await?;
    if !import.replace && file.has_conversations() {
        let mut parts = file.parts().map_err(|report| file_error(&report))?;
        while let Some(entries) = parts.read_next().map_err(|report| file_error(&report))? {
            survey.check_conversations(&entries)?;
        }
    }
    let done = ImportSummary { ended: file.ended, ..ImportSummary::default() };
    let mut writer = ImportWriter { store, import, now: file.now(), survey, done, tell };
    let (mut parts, mut waiting) = (file.parts().map_err(|report| file_error(&report))?, Vec::new());
    while let Some(entries) = parts.read_next().map_err(|report| file_error(&report))? {
        waiting.extend(entries.into_iter().filter(|entry| entry.is_in_force(writer.now)));
        while waiting.len() >= MAX_ENTRIES_PER_CHANGE {
            let some = waiting.drain(..MAX_ENTRIES_PER_CHANGE).collect();
            writer.change(parts.file(), some, BTreeSet::new()).await?;
        }
    }
    // If everything fits into one change, it is made as a whole.
    loop {
        let room = MAX_ENTRIES_PER_CHANGE - waiting.len();
        let gone: BTreeSet<String> =
            writer.survey.unlisted.take(room).map_err(ImportError::Temporary)?.into_iter().collect();
        if waiting.is_empty() && gone.is_empty() {
            break;
        }
        writer.change(parts.file(), std::mem::take(&mut waiting), gone).await?;
    }
    store.initialize().await?;
    Ok(writer.done)
}

fn file_error(report: &Report) -> ImportError {
    let problems = report.problems().iter().map(|problem| format!("{}: {}", problem.file, problem.message));
    ImportError::File(problems.collect::<Vec<_>>().join("; "))
}

/// What an import has to know of a store before it writes.
struct StoreSurvey {
    /// The head up to which the survey is complete.
    head: StoreHead,
    is_replacing: bool,
    /// The entries of conversations that the file also has, by key. Empty for an import that replaces everything.
    conversations: BTreeMap<String, String>,
    /// The keys of entries that are not in the file, for an import that replaces everything. A key can occur twice.
    unlisted: KeySpool,
}

impl StoreSurvey {
    async fn read(store: &Store, file: &ImportFile<'_>, is_replacing: bool) -> Result<StoreSurvey, ImportError> {
        let mut reader = store.read_entries().await?;
        let (conversations, unlisted) = (BTreeMap::new(), KeySpool::default());
        let mut survey = StoreSurvey { head: StoreHead::default(), is_replacing, conversations, unlisted };
        loop {
            let part = reader.next().await?;
            if part.is_empty() {
                break;
            }
            part.into_iter().try_for_each(|(key, value)| survey.add(file, key, Some(value)))?;
        }
        survey.head = reader.finish().await?;
        survey.update(store, file).await?;
        Ok(survey)
    }

    /// Adds the changes that were made since the head.
    async fn update(&mut self, store: &Store, file: &ImportFile<'_>) -> Result<(), ImportError> {
        let goal = store.head().await?;
        if goal.epoch != self.head.epoch {
            return Err(ImportError::Busy);
        }
        while self.head.version < goal.version {
            for change in read_next_changes(store, &self.head).await? {
                (self.head.version, self.head.change) = (change.version, change.id);
                change.puts.into_iter().try_for_each(|(key, value)| self.add(file, key, value))?;
            }
        }
        let StoreHead { version, change, .. } = std::mem::take(&mut self.head);
        self.head = StoreHead { version, change, ..goal };
        Ok(())
    }

    fn add(&mut self, file: &ImportFile<'_>, key: String, value: Option<String>) -> Result<(), ImportError> {
        if self.is_replacing {
            if value.is_some() && !file.contains(&key) {
                self.unlisted.push(&key).map_err(ImportError::Temporary)?;
            }
            return Ok(());
        }
        let parsed = EntryKey::parse(&key).filter(|key| key.table == EntryKind::Conversations);
        if parsed.is_some_and(|conversation| file.has_conversation(&conversation.name)) {
            match value {
                Some(value) => self.conversations.insert(key, value),
                None => self.conversations.remove(&key),
            };
        }
        Ok(())
    }

    fn check_conversations(&self, entries: &[ModerationEntry]) -> Result<(), ImportError> {
        entries.iter().try_for_each(|entry| match entry {
            ModerationEntry::Conversation(conversation) if !self.is_replacing => {
                check_conversation(&self.conversations, conversation)
            }
            _ => Ok(()),
        })
    }
}

/// An import in progress.
struct ImportWriter<'i> {
    store: &'i Store,
    import: &'i Import<'i>,
    /// The time of entries that state no time.
    now: Millis,
    survey: StoreSurvey,
    done: ImportSummary,
    tell: AuditLineSink<'i>,
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

impl ImportWriter<'_> {
    /// Sets entries, as far as the store does not hold them already, and deletes the entries with the keys `gone`, as far
    /// as they exist. This is one change.
    async fn change(
        &mut self,
        file: &ImportFile<'_>,
        entries: Vec<ModerationEntry>,
        gone: BTreeSet<String>,
    ) -> Result<(), ImportError> {
        for _ in 0..MAX_ATTEMPTS {
            self.survey.check_conversations(&entries)?;
            let mut work = self.new_entries(&entries).await?;
            let keys: Vec<String> = gone.iter().cloned().collect();
            for (key, value) in gone.iter().zip(self.store.find_entries(keys).await?) {
                let before = value.map(|value| ModerationEntry::parse(key, &value)).transpose()?;
                work.extend(before.map(ImportChange::Gone));
            }
            if self.write(&work).await? {
                return Ok(());
            }
            self.survey.update(self.store, file).await?;
        }
        Err(ImportError::Busy)
    }

    /// Returns the entries that the store does not hold already.
    async fn new_entries(&self, entries: &[ModerationEntry]) -> Result<Vec<ImportChange>, ImportError> {
        let keys: Vec<String> = entries.iter().map(|entry| entry.key().to_string()).collect();
        let stored = self.store.find_entries(keys.clone()).await?;
        let is_new = |key: &str, before: Option<&String>, entry: &ModerationEntry| {
            before.is_none_or(|before| !is_stored(key, before, entry, self.now))
        };
        let compared = keys.iter().zip(&stored).zip(entries);
        let new = compared.filter(|((key, before), entry)| is_new(key, before.as_ref(), entry));
        Ok(new.map(|(_, entry)| ImportChange::Set(entry.clone())).collect())
    }

    /// Makes a change of these entries. Returns `false` if another process has changed the store.
    async fn write(&mut self, work: &[ImportChange]) -> Result<bool, ImportError> {
        if work.is_empty() {
            return Ok(true);
        }
        let ImportWriter { store, import, survey: StoreSurvey { head, .. }, done, tell, .. } = self;
        // Events need a unique id, even if the store has no epoch yet.
        let id = format!("import-{}", hex(&random::bytes::<16>().map_err(StoreUnavailable::from)?));
        let epoch = if head.epoch.is_empty() { id } else { head.epoch.clone() };
        let now = clock::now();
        let told = StoreHead { epoch, ..head.clone() };
        let made = store.commit(head, build_change(work, import.plan, &told, now), now).await;
        let (change, made) = match made {
            Err(CommitError::Behind) => return Ok(false),
            // The change may have been made nevertheless. Another import would then find nothing to record.
            Err(CommitError::Unavailable(unavailable)) => (None, Err(unavailable)),
            Ok(change) => (Some(change.version), Ok(change)),
        };
        tell(&audit_lines(work, change, import.caller)).map_err(ImportError::Untold)?;
        let StoredChange { version, id, .. } = made?;
        (head.version, head.change) = (version, id);
        let set = work.iter().filter(|work| matches!(work, ImportChange::Set(_))).count();
        done.set += set;
        done.deleted += work.len() - set;
        Ok(true)
    }
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

/// Returns an entry as TOML, in the table of a policy file.
pub fn to_toml(entry: &ModerationEntry) -> String {
    let mut text = format!("[[{}]]\n", table_name(entry.table()));
    for (name, value) in toml_fields(entry) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name} = {value}");
    }
    text.push('\n');
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
