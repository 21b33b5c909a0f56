//! `store`: an operator's word on the moderation store, and its entries as a file. Opens the configured store itself, without a server.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::audit_trail::{AcceptedStore, AuditTrail, ImportCounts, ImportedFile, OPERATOR, operator};
use super::{CommandError, CommonArguments, block_on, complain, line};
use crate::clock;
use crate::config::{self, Settings, StoreKind};
use crate::model::Millis;
use crate::moderation::transfer::{self, AT_ONCE, Import, ImportError, ImportSummary};
use crate::moderation::{ChangeSubscribers, EntryKey, EntryKind, MalformedEntry, ModerationEntry, ModerationIndex};
use crate::store::{HighWaterMark, RecordFile, Store, StoreHead, StoreUnavailable};
use crate::telemetry::AuditCaller;

/// What is done with the store.
#[derive(Debug, clap::Subcommand)]
pub(super) enum StoreCommand {
    /// Say that the store is as it should be, though servers know another: one that was brought back or flushed, say.
    Accept(AcceptArguments),
    /// Write all entries as TOML, in a policy file's tables.
    Export(ExportArguments),
    /// Take over the entries of such a file.
    Import(ImportArguments),
}

/// `store accept`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct AcceptArguments {
    /// Also if it holds no entry: then nobody is banned any more.
    #[arg(long)]
    empty: bool,
}

/// `store export`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArguments {
    /// The file. Standard output, if left out.
    file: Option<PathBuf>,
}

/// `store import`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    /// The file.
    file: PathBuf,
    /// Take away all entries that are not in the file.
    #[arg(long)]
    replace: bool,
    /// Also if the file holds no entry: then nobody is banned any more.
    #[arg(long, requires = "replace")]
    empty: bool,
    /// Send no webhooks and carry nothing to the vendors: the entries held before, in another store.
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(common: &CommonArguments, command: &StoreCommand) -> Result<ExitCode, CommandError> {
    let settings = common.settings()?;
    match command {
        StoreCommand::Accept(arguments) => block_on(accept(common, &settings, arguments))?,
        StoreCommand::Export(arguments) => block_on(export(common, &settings, arguments))?,
        StoreCommand::Import(arguments) => import(common, &settings, arguments),
    }
}

async fn accept(
    common: &CommonArguments,
    settings: &Settings,
    arguments: &AcceptArguments,
) -> Result<ExitCode, CommandError> {
    // A file that is missing is given up by an empty one in its place.
    let store = open(settings, arguments.empty && has_record(settings)).await?;
    let (_, entries) = transfer::held(&store).await?;
    if entries.is_empty() && !arguments.empty {
        return Err(CommandError::No(
            "the store is empty: to accept it is to forget every ban. If that is right, say --empty; if not, bring back what it held, \
             or `store import` what was exported"
                .to_owned(),
        ));
    }
    let (mut trail, operator) = (AuditTrail::open(settings)?, operator());
    let (accepted, count) = (accept_now(&store).await, count(&entries));
    let line = AcceptedStore {
        time: clock::now().to_string(),
        event: "store.accepted",
        caller: AuditCaller { kind: OPERATOR, subject: &operator },
        epoch: accepted.as_ref().ok().map(|head| &*head.epoch),
        change: accepted.as_ref().ok().map(|head| head.version),
        entries: &count,
        reason: accepted.as_ref().err().map(ToString::to_string),
    };
    let written = trail.tell(&line);
    let head = accepted?;
    written
        .map_err(|error| CommandError::No(format!("it is accepted, but the audit log can't be written: {error}")))?;
    record_accepted(settings, &store, &head).await?;
    let StoreHead { epoch, version, .. } = head;
    let text = || format!("accepted: {}, at change {version}, epoch {epoch}", told(&count));
    let json = || json!({ "accepted": true, "epoch": epoch, "version": version, "entries": count }).to_string();
    common.print(text, json)?;
    Ok(ExitCode::SUCCESS)
}

async fn accept_now(store: &Store) -> Result<StoreHead, StoreUnavailable> {
    store.accept().await?;
    store.head().await
}

/// Has the store's record say what was accepted. That of a Redis is a server's own: where there is none, none is begun.
async fn record_accepted(settings: &Settings, store: &Store, head: &StoreHead) -> Result<(), StoreUnavailable> {
    let Some(record) = record(settings).filter(|_| !store.is_shared() || has_record(settings)) else { return Ok(()) };
    record.replace(&HighWaterMark::of(head, store.now().await?))?;
    store.note_record().await
}

/// The store's record, if it is to have one.
fn record(settings: &Settings) -> Option<RecordFile> {
    settings.store.as_ref()?.record.clone().map(RecordFile::new)
}

fn has_record(settings: &Settings) -> bool {
    record(settings).is_some_and(|record| record.path().exists())
}

/// What the record says that the store with this head has lost, so that servers refuse the store. `None`: nothing.
async fn lost(settings: &Settings, store: &Store, head: &StoreHead) -> Result<Option<String>, StoreUnavailable> {
    let Some(record) = record(settings) else { return Ok(None) };
    let Some(mark) = record.read()? else { return Ok(None) };
    if mark.is_kept_by(store, head).await? {
        return Ok(None);
    }
    let (path, version) = (record.path().display(), mark.version);
    Ok(Some(format!(
        "the store lacks change {version}, which its record {path} has. Servers refuse it until `chat-signer store accept`"
    )))
}

async fn export(
    common: &CommonArguments,
    settings: &Settings,
    arguments: &ExportArguments,
) -> Result<ExitCode, CommandError> {
    let store = open(settings, false).await?;
    let (head, entries) = transfer::held(&store).await?;
    note_flaw(&head);
    note(lost(settings, &store, &head).await);
    let records = records(&entries).map_err(|malformed| CommandError::No(malformed.to_string()))?;
    let Some(path) = &arguments.file else {
        common.print_exact(|| toml(&head, &records), || whole(&entries))?;
        return Ok(ExitCode::SUCCESS);
    };
    let flaw = |error: io::Error| CommandError::No(format!("{} can't be written: {error}", path.display()));
    write(path, &toml(&head, &records)).map_err(flaw)?;
    let count = count(&entries);
    let (file, version) = (path.display().to_string(), head.version);
    let text = || format!("wrote {file}: {}, at change {version}", told(&count));
    common.print(text, || json!({ "file": file, "version": version, "entries": count }).to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn import(
    common: &CommonArguments,
    settings: &Settings,
    arguments: &ImportArguments,
) -> Result<ExitCode, CommandError> {
    let now = clock::now();
    let (records, hash) = read(&arguments.file, settings, now)?;
    if arguments.replace && !arguments.empty && records.iter().all(|record| record.has_ended(now)) {
        return Err(CommandError::No(format!(
            "{} holds no entry, or none that has not ended: to replace all by it is to forget every ban. If that is right, say --empty",
            arguments.file.display()
        )));
    }
    let imported = block_on(take_over(settings, arguments, &records, &hash, now))??;
    let count = count_of(imported, &records);
    common.print(|| told_of(count), || json!(count).to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn told_of(ImportCounts { set, gone, same, ended }: ImportCounts) -> String {
    let ended = if ended > 0 { format!("; {ended} had ended and were left out") } else { String::new() };
    format!("set {set}, took away {gone}, and {same} were there already{ended}")
}

/// Takes the entries of a file over, each with its line in the audit log, and the file with one at the end, whatever came of it.
async fn take_over(
    settings: &Settings,
    arguments: &ImportArguments,
    records: &[ModerationEntry],
    hash: &str,
    now: Millis,
) -> Result<ImportSummary, CommandError> {
    let store = open(settings, true).await?;
    let (mut trail, operator) = (AuditTrail::open(settings)?, operator());
    let plan = if arguments.quiet { ChangeSubscribers::default() } else { ChangeSubscribers::of(settings) };
    let caller = AuditCaller { kind: OPERATOR, subject: &operator };
    let import = Import { records, replace: arguments.replace, now, plan: &plan, caller };
    let imported = transfer::import(&store, &import, &mut |lines| trail.write(lines)).await;
    let told = ImportedFile {
        time: clock::now().to_string(),
        event: "store.imported",
        caller,
        file: &arguments.file.to_string_lossy(),
        sha256: hash,
        replace: arguments.replace,
        quiet: arguments.quiet,
        count: imported.as_ref().ok().map(|imported| count_of(*imported, records)),
        reason: imported.as_ref().err().map(ToString::to_string),
    };
    let told = trail.tell(&told).map_err(ImportError::Untold);
    let imported =
        imported.and_then(|imported| told.map(|()| imported)).map_err(|error| unfinished(&error, &import))?;
    if let Ok(head) = store.head().await {
        note_flaw(&head);
        note(record_imported(settings, &store, &head).await);
    }
    Ok(imported)
}

/// Has the store's record, if there is one, say that the store has come so far; unless the store lacks what the record has: then returns that.
async fn record_imported(
    settings: &Settings,
    store: &Store,
    head: &StoreHead,
) -> Result<Option<String>, StoreUnavailable> {
    let lost = lost(settings, store, head).await?;
    if let Some(record) = record(settings).filter(|_| lost.is_none() && has_record(settings)) {
        let written = record.write(&HighWaterMark::of(head, store.now().await?))?;
        written.sync().map_err(|error| record.unwritten(&error))?;
    }
    Ok(lost)
}

fn count_of(ImportSummary { set, gone, ended }: ImportSummary, records: &[ModerationEntry]) -> ImportCounts {
    ImportCounts { set, gone, same: records.len().saturating_sub(set + ended), ended }
}

/// The entries of a file that is read `now`, and its hash; of one with mistakes, their report.
fn read(path: &Path, settings: &Settings, now: Millis) -> Result<(Vec<ModerationEntry>, String), CommandError> {
    let apps: Vec<String> = settings.engine.apps.iter().map(|app| app.name().to_string()).collect();
    let ladder = &settings.engine.policy.document().ladder;
    let render = |report: &config::Report| report.render(io::stderr().is_terminal());
    let (file, report) =
        config::moderation(path, &apps, ladder, now).map_err(|report| CommandError::Mistakes(render(&report)))?;
    if !report.is_empty() {
        complain(&render(&report));
    }
    let hash = file.hash.clone();
    Ok((transfer::records(file), hash))
}

/// The moderation entries that servers go by, as far as it can be known here: that of the file, or of the store. Else it is empty, and a note says
/// why.
pub(super) fn moderation(settings: &Settings, file: Option<&Path>) -> Result<ModerationIndex, CommandError> {
    if let Some(path) = file {
        let records = read(path, settings, clock::now())?.0;
        let entries: Vec<_> = records.iter().map(|one| (one.key().to_string(), one.value())).collect();
        return index(entries.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    }
    if settings.store.is_none() {
        return Ok(ModerationIndex::default());
    }
    block_on(followed(settings))?.or_else(|stop| {
        complain(&format!("note: moderation entries are not counted: {}", line(stop.message())));
        Ok(ModerationIndex::default())
    })
}

/// The moderation entries that a server which starts now would follow.
async fn followed(settings: &Settings) -> Result<ModerationIndex, CommandError> {
    let store = open(settings, false).await?;
    let (head, entries) = transfer::held(&store).await?;
    if head.epoch.is_empty() {
        return Err(CommandError::No(
            "the store is empty, and servers refuse everyone until `chat-signer store accept`".to_owned(),
        ));
    }
    if let Some(flaw) = head.flaw() {
        return Err(CommandError::No(flaw));
    }
    if let Some(lost) = lost(settings, &store, &head).await? {
        return Err(CommandError::No(lost));
    }
    index(entries.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

fn index<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> Result<ModerationIndex, CommandError> {
    ModerationIndex::new(entries).map_err(|malformed| CommandError::No(malformed.to_string()))
}

/// Says so where a store's entries are not what they should be: servers refuse everyone by it.
fn note_flaw(head: &StoreHead) {
    if let Some(flaw) = head.flaw() {
        complain(&format!("note: {flaw}"));
    }
}

/// Says why servers refuse the store, or why that can't be told.
fn note(lost: Result<Option<String>, StoreUnavailable>) {
    match lost {
        Ok(None) => {}
        Ok(Some(lost)) => complain(&format!("note: {lost}")),
        Err(unavailable) => complain(&format!("note: {unavailable}")),
    }
}

/// Opens the store, which is begun only where that is meant.
async fn open(settings: &Settings, begin: bool) -> Result<Store, CommandError> {
    let Some(store) = &settings.store else {
        return Err(CommandError::No("the configuration has no [store]: the policy file is all there is".to_owned()));
    };
    let path = match &store.kind {
        StoreKind::Memory => {
            return Err(CommandError::No(
                "the store is in the memory of the server; ask the server with `chat-signer list`".to_owned(),
            ));
        }
        StoreKind::Redb { path } if !begin && !path.exists() && has_record(settings) => {
            return Err(CommandError::No(format!(
                "the store {} is missing, though it has a record. Bring it back, or `store import` what was exported; if all that it held is \
                 to be given up, say `chat-signer store accept --empty`",
                path.display()
            )));
        }
        StoreKind::Redb { path } if !begin && !path.exists() => {
            return Err(CommandError::No(format!(
                "the store {} is not there: the first server begins it",
                path.display()
            )));
        }
        StoreKind::Redb { path } => Some(path),
        StoreKind::Redis(_) => None,
    };
    let hint = |StoreUnavailable { message: flaw, .. }| match path {
        Some(_) => CommandError::No(format!(
            "{flaw} (a running server locks the file: stop the server, or ask it with `chat-signer list`)"
        )),
        None => CommandError::No(flaw),
    };
    Store::open(store).await.map_err(hint)
}

impl From<StoreUnavailable> for CommandError {
    fn from(unavailable: StoreUnavailable) -> CommandError {
        CommandError::No(unavailable.to_string())
    }
}

/// What to say of an import that was not done, or not to its end.
fn unfinished(error: &ImportError, import: &Import<'_>) -> CommandError {
    let maybe = match error {
        ImportError::Untold(_) => "; what it lacks is told here. Say it again to finish once it can be",
        _ if import.records.len() > AT_ONCE => "; some of it may be written: say it again to finish",
        ImportError::Malformed(_) | ImportError::Owner(..) | ImportError::Beside(..) => "; nothing was written",
        ImportError::Unavailable(_) | ImportError::Busy => "; say it again to be sure",
    };
    CommandError::No(format!("{error}{maybe}"))
}

fn records(entries: &BTreeMap<String, String>) -> Result<Vec<ModerationEntry>, MalformedEntry> {
    entries.iter().map(|(key, value)| ModerationEntry::read(key, value)).collect()
}

fn toml(head: &StoreHead, records: &[ModerationEntry]) -> String {
    let (now, version, epoch) = (clock::now(), head.version, &head.epoch);
    let head = format!("# chat-signer's moderation entries at {now}: at change {version}, epoch {epoch}.\n\n");
    head + &transfer::toml(records)
}

/// Every entry as it is kept, for programs.
fn whole(entries: &BTreeMap<String, String>) -> String {
    let parsed = |value: &str| serde_json::from_str::<Value>(value).unwrap_or_default();
    let entries = entries.iter().map(|(key, value)| json!({ "key": key, "value": parsed(value) }));
    entries.collect::<Value>().to_string()
}

/// Writes a file that its owner alone can read: whole, or not at all.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

/// How many entries each table has.
fn count(entries: &BTreeMap<String, String>) -> BTreeMap<&'static str, usize> {
    let mut count: BTreeMap<_, _> = EntryKind::ALL.iter().map(|table| (table.as_str(), 0)).collect();
    for key in entries.keys().filter_map(|key| EntryKey::parse(key)) {
        *count.entry(key.table.as_str()).or_default() += 1;
    }
    count
}

fn told(count: &BTreeMap<&'static str, usize>) -> String {
    EntryKind::ALL
        .iter()
        .map(|table| format!("{} {}", count.get(table.as_str()).unwrap_or(&0), table.as_str()))
        .collect::<Vec<_>>()
        .join(", ")
}
