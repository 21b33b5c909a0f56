//! A moderation store's way from one store to another: out as TOML that people can read, and in from such a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use super::audit;
use super::entry::{EntryKind, MalformedEntry, ModerationEntry, RegisteredConversation};
use super::event::{ChangeKind, ChangeSubscribers, each_once, note};
use crate::config::{IMPORT, ImportFile};
use crate::crypto::hex;
use crate::model::{CallerKind, Millis, Pattern, is_unruly};
use crate::policy::{EntryAuthor, EntryOrigin, RoleGrant};
use crate::store::{
    ChangesSince, CommitError, FailureReason, NewChange, Store, StoreContents, StoreHead, StoreUnavailable,
    StoredChange,
};
use crate::telemetry::AuditCaller;
use crate::{clock, random};

/// How many entries are written in one change. What is more is written in several.
pub const AT_ONCE: usize = 5000;

/// How often an import begins anew because others change the store meanwhile.
const ATTEMPTS: usize = 20;

/// What is to be taken over into a store.
#[derive(Debug)]
pub struct Import<'i> {
    /// The entries.
    pub records: &'i [ModerationEntry],
    /// Whether all others go.
    pub replace: bool,
    /// When they were read: which of them have ended, and since when those hold that say no time.
    pub now: Millis,
    /// Who is told, and where it is carried out.
    pub plan: &'i ChangeSubscribers,
    /// By whose hand, for the audit log.
    pub caller: AuditCaller<'i>,
}

/// Writes lines to the audit log.
pub type AuditLineSink<'t> = &'t mut (dyn FnMut(&[u8]) -> io::Result<()> + Send);

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// How many entries are new or changed.
    pub set: usize,
    /// How many went.
    pub gone: usize,
    /// How many had ended, and were left out.
    pub ended: usize,
}

/// Why an import was not done, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store can't be had.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
    /// An entry in the store can't be understood.
    #[error(transparent)]
    Malformed(#[from] MalformedEntry),
    /// An owner would be another: conversation, before, after.
    #[error("the conversation {0} has the owner {1} in the store, and an owner is set once: it can't become {2}")]
    Owner(String, String, String),
    /// An entry for all apps and one for a single app would be about the same conversation: its id, what there is, what is wanted.
    #[error("the conversation {0} has an entry for {1} in the store: one for {2} can't stand beside it")]
    Beside(String, String, String),
    /// Others were faster each time.
    #[error("the store changes faster than it can be written: try again")]
    Busy,
    /// What was done could not be recorded.
    #[error("the audit log can't be written: {0}")]
    Untold(io::Error),
}

/// All entries of a store by their keys, as of one moment.
///
/// # Errors
/// If the store can't be read.
pub async fn held(store: &Store) -> Result<(StoreHead, BTreeMap<String, String>), StoreUnavailable> {
    let StoreContents { mut head, entries } = store.contents().await?;
    let mut held: BTreeMap<String, String> = entries.into_iter().collect();
    let goal = store.head().await?.version;
    while head.version < goal {
        let changes = match store.since(head.version).await? {
            ChangesSince::Changes(changes) if !changes.is_empty() => changes,
            _ => return Err(StoreUnavailable::new(FailureReason::Other, "it changes faster than it can be read")),
        };
        for StoredChange { version, id, puts, .. } in changes {
            put(&mut held, puts);
            head = StoreHead { version, change: id, ..head };
        }
    }
    Ok((head, held))
}

fn put(held: &mut BTreeMap<String, String>, puts: Vec<(String, Option<String>)>) {
    for (key, value) in puts {
        match value {
            Some(value) => held.insert(key, value),
            None => held.remove(&key),
        };
    }
}

/// The entries of a file.
pub fn records(file: ImportFile) -> Vec<ModerationEntry> {
    let ImportFile { bans, mutes, bindings, blocks, conversations, hash: _ } = file;
    let sanctions = bans.into_iter().map(ModerationEntry::Ban).chain(mutes.into_iter().map(ModerationEntry::Mute));
    let roles = bindings.into_iter().map(|(user, tenure)| ModerationEntry::Role(user, tenure));
    sanctions
        .chain(roles)
        .chain(blocks.into_iter().map(ModerationEntry::Block))
        .chain(conversations.into_iter().map(ModerationEntry::Conversation))
        .collect()
}

/// Takes entries over into a store. What the store holds just so is not written again, so an import that was cut off is finished by another;
/// and what has ended is not written at all, so that it takes the place of nothing that holds. A store that was never begun is begun at
/// the end: no server goes by a part of them. The audit log is told of each entry.
///
/// # Errors
/// If it was not done. Where it takes several changes, some of them may have been made.
pub async fn import(store: &Store, import: &Import<'_>, tell: AuditLineSink<'_>) -> Result<ImportSummary, ImportError> {
    let ended = import.records.iter().filter(|record| record.has_ended(import.now)).count();
    let mut done = ImportSummary { ended, ..ImportSummary::default() };
    for _ in 0..ATTEMPTS {
        let (mut head, before) = held(store).await?;
        let work = work(&before, import)?;
        if write(store, &mut head, &work, import, &mut done, tell).await? {
            store.begin().await?;
            return Ok(done);
        }
    }
    Err(ImportError::Busy)
}

/// An entry that is to be set, or to go.
enum ImportChange {
    Set(ModerationEntry),
    Gone(ModerationEntry),
}

impl ImportChange {
    fn fate(&self) -> ChangeKind {
        match self {
            ImportChange::Set(_) => ChangeKind::Set,
            ImportChange::Gone(_) => ChangeKind::Lifted,
        }
    }
}

fn work(held: &BTreeMap<String, String>, import: &Import<'_>) -> Result<Vec<ImportChange>, ImportError> {
    let mut work = Vec::new();
    let mut wanted = BTreeSet::new();
    for record in import.records.iter().filter(|record| !record.has_ended(import.now)) {
        let key = record.key().to_string();
        if let ModerationEntry::Conversation(conversation) = record
            && !import.replace
        {
            fit_in(held, conversation)?;
        }
        if !held.get(&key).is_some_and(|before| is_there(&key, before, record, import.now)) {
            work.push(ImportChange::Set(record.clone()));
        }
        wanted.insert(key);
    }
    if import.replace {
        for (key, value) in held.iter().filter(|(key, _)| !wanted.contains(*key)) {
            work.push(ImportChange::Gone(ModerationEntry::read(key, value)?));
        }
    }
    Ok(work)
}

/// Whether a kept value is an entry just so. One that said no time, and so is from `now`, is there if the same is said, since whenever.
fn is_there(key: &str, before: &str, record: &ModerationEntry, now: Millis) -> bool {
    let is_dated = !matches!(record.origin(), EntryOrigin::Runtime { at, .. } if *at == now);
    if is_dated {
        return before == record.value();
    }
    ModerationEntry::read(key, before).is_ok_and(|before| before.says_the_same_as(record))
}

/// That a conversation keeps its owner, and has an entry for all apps or one for each: else nobody could change either any more.
fn fit_in(held: &BTreeMap<String, String>, after: &RegisteredConversation) -> Result<(), ImportError> {
    let own = ModerationEntry::Conversation(RegisteredConversation { app: None, ..after.clone() }).key().to_string();
    for (key, value) in held.range(own.clone()..).take_while(|(key, _)| key.starts_with(&own)) {
        let ModerationEntry::Conversation(before) = ModerationEntry::read(key, value)? else { continue };
        if before.app == after.app {
            keep_owner(&before, after)?;
        } else if before.app.is_none() || after.app.is_none() {
            let [before, wanted] = [before.app.as_ref(), after.app.as_ref()].map(apps);
            return Err(ImportError::Beside(after.id.clone(), before, wanted));
        }
    }
    Ok(())
}

/// "the app ably", or "all apps".
fn apps(app: Option<&Arc<str>>) -> String {
    app.map_or_else(|| "all apps".to_owned(), |app| format!("the app {app}"))
}

fn keep_owner(before: &RegisteredConversation, after: &RegisteredConversation) -> Result<(), ImportError> {
    match (&before.owner, &after.owner) {
        (Some(owner), other) if other.as_ref() != Some(owner) => {
            let other = other.clone().unwrap_or_else(|| "nobody".to_owned());
            Err(ImportError::Owner(before.id.clone(), owner.clone(), other))
        }
        _ => Ok(()),
    }
}

/// Writes entries, and tells whether it did: if not, others have changed the store.
async fn write(
    store: &Store,
    head: &mut StoreHead,
    work: &[ImportChange],
    import: &Import<'_>,
    done: &mut ImportSummary,
    tell: AuditLineSink<'_>,
) -> Result<bool, ImportError> {
    // What is told has an id of its own also where the store has no epoch yet.
    let id = format!("import-{}", hex(&random::bytes::<16>().map_err(StoreUnavailable::from)?));
    let epoch = if head.epoch.is_empty() { id } else { head.epoch.clone() };
    for part in work.chunks(AT_ONCE) {
        let now = clock::now();
        let told = StoreHead { epoch: epoch.clone(), ..head.clone() };
        let made = store.commit(head, commit(part, import.plan, &told, now), now).await;
        let (change, made) = match made {
            Err(CommitError::Behind) => return Ok(false),
            // It may have been made all the same, and another import would then find nothing to do.
            Err(CommitError::Unavailable(unavailable)) => (None, Err(unavailable)),
            Ok(change) => (Some(change.version), Ok(change)),
        };
        tell(&lines_of(part, change, import.caller)).map_err(ImportError::Untold)?;
        let StoredChange { version, id, .. } = made?;
        (head.version, head.change) = (version, id);
        let set = part.iter().filter(|work| matches!(work, ImportChange::Set(_))).count();
        done.set += set;
        done.gone += part.len() - set;
    }
    Ok(true)
}

/// What the audit log says of entries, by which change, where that is known.
fn lines_of(part: &[ImportChange], change: Option<u64>, caller: AuditCaller<'_>) -> Vec<u8> {
    let mut lines = Vec::new();
    for work in part {
        let (ImportChange::Set(record) | ImportChange::Gone(record)) = work;
        lines.extend(audit::line(record, work.fate(), change, Some(caller)));
    }
    lines
}

/// A change of these entries, told as each author's. Those that go, go by the import's word.
fn commit(part: &[ImportChange], plan: &ChangeSubscribers, head: &StoreHead, now: Millis) -> NewChange {
    let import = EntryAuthor { kind: CallerKind::Service, subject: IMPORT.to_owned(), role: None };
    let mut commit = NewChange::default();
    for work in part {
        let (record, value, by) = match work {
            ImportChange::Set(record) => (record, Some(record.value()), record.origin().author()),
            ImportChange::Gone(record) => (record, None, Some(&import)),
        };
        commit.puts.push((record.key().to_string(), value));
        note(&mut commit, record, work.fate(), by, plan, head, now);
    }
    each_once(&mut commit.jobs);
    commit
}

/// Entries as a file of TOML, in the tables of a policy file: each table sorted by user, then by conversation.
pub fn toml(records: &[ModerationEntry]) -> String {
    let mut records: Vec<&ModerationEntry> = records.iter().collect();
    records.sort_by_cached_key(|record| record.key());
    let mut text = String::new();
    for record in records {
        // Writing to a string does not fail.
        let _ = writeln!(text, "[[{}]]", header(record.table()));
        for (name, value) in lines(record) {
            let _ = writeln!(text, "{name} = {value}");
        }
        text.push('\n');
    }
    text
}

/// How a policy file spells the table.
fn header(table: EntryKind) -> &'static str {
    if table == EntryKind::Roles { "bindings" } else { table.as_str() }
}

/// The keys of an entry, and their values as TOML has them.
fn lines(record: &ModerationEntry) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let mut line = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    let is_conversation = record.table() == EntryKind::Conversations;
    line(if is_conversation { "id" } else { "user" }, Some(quoted(record.name())));
    let everywhere = matches!(record, ModerationEntry::Ban(_) | ModerationEntry::Mute(_))
        && record.scope() == Some(&Pattern::Everything);
    let scope = record.scope().filter(|_| !everywhere);
    line("conversation", scope.map(|scope| quoted(&scope.to_string())));
    line("app", record.app().map(|app| quoted(app)));
    match record {
        ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => {
            line("until", sanction.until.map(time));
            line("reason", sanction.reason.as_deref().map(quoted));
        }
        ModerationEntry::Role(_, tenure) => match &tenure.held {
            RoleGrant::Word(word) => line("role", Some(quoted(word))),
            RoleGrant::Role(_) | RoleGrant::Removed | RoleGrant::Remembered => line("removed", Some("true".to_owned())),
        },
        ModerationEntry::Block(_) => {}
        ModerationEntry::Conversation(conversation) => {
            line("kind", Some(quoted(conversation.kind.as_str())));
            line("owner", conversation.owner.as_deref().map(quoted));
            line("forgotten", conversation.forgotten.then(|| "true".to_owned()));
        }
    }
    if let EntryOrigin::Runtime { author, at } = record.origin() {
        line("by", Some(by(author)));
        line("at", Some(time(*at)));
    }
    lines
}

fn by(EntryAuthor { kind, subject, role }: &EntryAuthor) -> String {
    let role = role.as_ref().map_or_else(String::new, |role| format!(", role = {}", quoted(role)));
    format!("{{ kind = {}, subject = {}{role} }}", quoted(kind.as_str()), quoted(subject))
}

/// A time as TOML has it: to the millisecond, and never later than the year 9999.
fn time(time: Millis) -> String {
    time.min(Millis::LAST).to_string()
}

/// A text as TOML has it, in one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if is_unruly(c) => _ = write!(quoted, "\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
