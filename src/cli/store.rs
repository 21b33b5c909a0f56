//! `store`: accepts the moderation store, and exports and imports its entries. It opens the configured store directly,
//! without a server.

mod replay;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::audit_trail::{AuditTrail, OPERATOR, operator_name};
use super::common::{
    CommandError, CommonArguments, OutputFormat, block_on, escape_line, escape_lines, print_error, print_file,
    render_report,
};
use crate::clock;
use crate::config::{ImportFile, Settings, StoreKind};
use crate::files::unnamed_file;
use crate::model::{Millis, RoleHierarchy};
use crate::moderation::store::{HighWaterMark, RecordFile, Store, StoreHead, StoreUnavailable};
use crate::moderation::transfer::{self, Import, ImportError, ImportSummary, MAX_ENTRIES_PER_CHANGE};
use crate::moderation::{
    ChangeSubscribers, EntryKey, EntryKind, LoadError, ModerationEntry, ModerationIndex, ModerationIndexBuilder,
    SortError, SortedEntries, load_index,
};
use crate::telemetry::{AcceptedStore, AuditCaller, AuditEvent, ImportCounts, ImportedFile};

/// The commands for the moderation store.
#[derive(Debug, clap::Subcommand)]
pub(super) enum StoreCommand {
    /// Accept the current content of the store, for example after a restore or a flush. Servers refuse such a store
    /// until then.
    Accept(AcceptArguments),
    /// Write all entries as TOML, in the tables of a policy file.
    Export(ExportArguments),
    /// Import the entries of an exported file.
    Import(ImportArguments),
    /// Show the acknowledged changes in audit logs that the store lacks, for example after a failover, and make them
    /// again.
    Replay(replay::Arguments),
}

/// `store accept`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct AcceptArguments {
    /// Accept a store without entries. Nobody is banned any more then.
    #[arg(long)]
    empty: bool,
}

/// `store export`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArguments {
    /// The file to write. Default: standard output.
    file: Option<PathBuf>,
}

/// `store import`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    /// The file to import.
    file: PathBuf,
    /// Remove all entries that are not in the file.
    #[arg(long)]
    replace: bool,
    /// Import a file without entries. Nobody is banned any more then.
    #[arg(long, requires = "replace")]
    empty: bool,
    /// Send no webhooks and enforce nothing at the vendors. Use it if the entries were already in force in another
    /// store.
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(common: &CommonArguments, command: &StoreCommand) -> Result<ExitCode, CommandError> {
    let settings = common.settings()?;
    match command {
        StoreCommand::Accept(arguments) => block_on(accept(common, &settings, arguments))?,
        StoreCommand::Export(arguments) => block_on(export(common, &settings, arguments))?,
        StoreCommand::Import(arguments) => import(common, &settings, arguments),
        StoreCommand::Replay(arguments) => block_on(async {
            let store = open(&settings, false).await?;
            replay::run(common, &settings, &store, arguments).await
        })?,
    }
}

async fn accept(
    common: &CommonArguments,
    settings: &Settings,
    arguments: &AcceptArguments,
) -> Result<ExitCode, CommandError> {
    // If the file is missing, an empty store takes its place.
    let store = open(settings, arguments.empty && has_record(settings)).await?;
    let count = count_entries(&store).await?;
    if count.values().all(|entries| *entries == 0) && !arguments.empty {
        return Err(CommandError::Failed(
            "the store is empty. Accepting it removes every ban. If this is intended, add --empty. If not, restore the \
             store, or import an export with `store import`"
                .to_owned(),
        ));
    }
    let (mut trail, operator) = (AuditTrail::open(settings)?, operator_name());
    let accepted = accept_now(&store).await;
    let line = AcceptedStore {
        time: clock::now(),
        event: "store.accepted",
        caller: AuditCaller { kind: OPERATOR, subject: &operator },
        epoch: accepted.as_ref().ok().map(|head| &*head.epoch),
        change: accepted.as_ref().ok().map(|head| head.version),
        entries: &count,
        reason: accepted.as_ref().err().map(ToString::to_string),
    };
    let written = trail.write_event(AuditEvent::AcceptedStore(&line));
    let head = accepted?;
    written.map_err(|error| {
        CommandError::Failed(format!("the store was accepted, but the audit log cannot be written: {error}"))
    })?;
    write_accepted_mark(settings, &store, &head).await?;
    let StoreHead { epoch, version, .. } = head;
    let text = || format!("accepted: {}, at change {version}, epoch {epoch}", format_counts(&count));
    let json = || json!({ "accepted": true, "epoch": epoch, "version": version, "entries": count }).to_string();
    common.print(text, json)?;
    Ok(ExitCode::SUCCESS)
}

async fn accept_now(store: &Store) -> Result<StoreHead, StoreUnavailable> {
    store.accept().await?;
    store.head().await
}

/// Writes the accepted state to the record file of the store. For Redis, each server has its own record file, so a
/// missing file is not created.
async fn write_accepted_mark(settings: &Settings, store: &Store, head: &StoreHead) -> Result<(), StoreUnavailable> {
    let Some(record) = record_file(settings).filter(|_| !store.is_shared() || has_record(settings)) else {
        return Ok(());
    };
    record.replace(&HighWaterMark::from_head(head, store.now().await?))?;
    store.set_has_record().await
}

/// Returns the record file of the store, if one is configured.
fn record_file(settings: &Settings) -> Option<RecordFile> {
    settings.store.as_ref()?.record.clone().map(RecordFile::new)
}

fn has_record(settings: &Settings) -> bool {
    record_file(settings).is_some_and(|record| record.path().exists())
}

/// Compares the store with its record. Returns a message if the store lacks changes that are in the record, because
/// servers refuse such a store. Returns `None` if it lacks nothing.
async fn missing_changes(
    settings: &Settings,
    store: &Store,
    head: &StoreHead,
) -> Result<Option<String>, StoreUnavailable> {
    let Some(record) = record_file(settings) else { return Ok(None) };
    let Some(mark) = record.read()? else { return Ok(None) };
    if mark.is_satisfied_by(store, head).await? {
        return Ok(None);
    }
    let (path, version) = (record.path().display(), mark.version);
    Ok(Some(format!(
        "the store lacks change {version}, which is in its record {path}. Servers refuse the store until you run \
         `chat-signer store accept`"
    )))
}

async fn export(
    common: &CommonArguments,
    settings: &Settings,
    arguments: &ExportArguments,
) -> Result<ExitCode, CommandError> {
    let store = open(settings, false).await?;
    let mut entries = SortedEntries::read(&store).await?;
    print_flaw(entries.head());
    print_note(missing_changes(settings, &store, entries.head()).await);
    let Some(path) = &arguments.file else {
        // Nothing is printed before all entries are known to be readable.
        let flaw = |error: io::Error| CommandError::Failed(format!("a temporary file can't be written: {error}"));
        let mut file = unnamed_file().map_err(flaw)?;
        write_entries(&mut file, &mut entries, common.output).await?;
        file.seek(SeekFrom::Start(0)).map_err(flaw)?;
        print_file(&mut file)?;
        return Ok(ExitCode::SUCCESS);
    };
    let flaw = |error: io::Error| CommandError::Failed(format!("cannot write {}: {error}", path.display()));
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let _ = fs::remove_file(&draft);
    // Only its owner can read the file. If the export fails, the file at `path` is unchanged.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(flaw)?;
    let written = write_entries(&mut file, &mut entries, OutputFormat::Text).await;
    let written = written.and_then(|count| file.sync_all().map(|()| count).map_err(flaw));
    let count = written.inspect_err(|_| _ = fs::remove_file(&draft))?;
    fs::rename(&draft, path).map_err(flaw)?;
    let (file, version) = (path.display().to_string(), entries.head().version);
    let text = || format!("wrote {file}: {}, at change {version}", format_counts(&count));
    common.print(text, || json!({ "file": file, "version": version, "entries": count }).to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Writes all entries to a file. Returns their number by table.
async fn write_entries(
    file: &mut File,
    entries: &mut SortedEntries<'_>,
    format: OutputFormat,
) -> Result<EntryCounts, CommandError> {
    let flaw = |error: io::Error| CommandError::Failed(format!("the export can't be written: {error}"));
    let (mut to, mut count, mut is_first) = (BufWriter::new(file), no_entries(), true);
    let begin = match format {
        OutputFormat::Text => title(entries.head()),
        OutputFormat::Json => "[".to_owned(),
    };
    to.write_all(begin.as_bytes()).map_err(flaw)?;
    while let Some((key, value)) = entries.next().await? {
        let entry = ModerationEntry::parse(&key, &value).map_err(|flaw| CommandError::Failed(flaw.to_string()))?;
        *count.entry(entry.table().as_str()).or_default() += 1;
        let text = match format {
            OutputFormat::Text => escape_lines(&transfer::to_toml(&entry)),
            OutputFormat::Json => {
                let comma = if std::mem::take(&mut is_first) { "" } else { "," };
                let value = serde_json::from_str::<Value>(&value).unwrap_or_default();
                format!("{comma}{}", json!({ "key": key, "value": value }))
            }
        };
        to.write_all(text.as_bytes()).map_err(flaw)?;
    }
    if format == OutputFormat::Json {
        to.write_all(b"]\n").map_err(flaw)?;
    }
    to.flush().map_err(flaw)?;
    Ok(count)
}

fn import(
    common: &CommonArguments,
    settings: &Settings,
    arguments: &ImportArguments,
) -> Result<ExitCode, CommandError> {
    let names = ImportNames::new(settings);
    let mut file = names.open(&arguments.file, clock::now())?;
    if arguments.replace && !arguments.empty && file.entries == file.ended {
        return Err(CommandError::Failed(format!(
            "{} has no entries, or all its entries have ended. --replace would remove every ban. If this is intended, add \
             --empty",
            arguments.file.display()
        )));
    }
    let imported = block_on(import_entries(settings, arguments, &mut file))??;
    let count = count_of(imported, &file);
    common.print(|| format_import_counts(count), || json!(count).to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn format_import_counts(ImportCounts { set, gone, same, ended }: ImportCounts) -> String {
    let ended = if ended > 0 { format!("; skipped {ended} that had ended") } else { String::new() };
    format!("set {set}, removed {gone}, unchanged {same}{ended}")
}

/// Imports the entries of a file. The audit log gets a line for each entry, and at the end a line for the file, also if
/// the import fails.
async fn import_entries(
    settings: &Settings,
    arguments: &ImportArguments,
    file: &mut ImportFile<'_>,
) -> Result<ImportSummary, CommandError> {
    let store = open(settings, true).await?;
    let (mut trail, operator) = (AuditTrail::open(settings)?, operator_name());
    let plan = if arguments.quiet { ChangeSubscribers::default() } else { ChangeSubscribers::from_settings(settings) };
    let caller = AuditCaller { kind: OPERATOR, subject: &operator };
    let import = Import { replace: arguments.replace, plan: &plan, caller };
    let imported = transfer::import(&store, file, &import, &mut |lines| trail.write(lines)).await;
    let told = ImportedFile {
        time: clock::now(),
        event: "store.imported",
        caller,
        file: &arguments.file.to_string_lossy(),
        sha256: &file.hash(),
        replace: arguments.replace,
        quiet: arguments.quiet,
        count: imported.as_ref().ok().map(|imported| count_of(*imported, file)),
        reason: imported.as_ref().err().map(ToString::to_string),
    };
    let told = trail.write_event(AuditEvent::ImportedFile(&told)).map_err(ImportError::Untold);
    let imported = imported.and_then(|imported| told.map(|()| imported));
    let imported = imported.map_err(|error| import_error(&error, file, arguments.replace))?;
    if let Ok(head) = store.head().await {
        print_flaw(&head);
        print_note(write_imported_mark(settings, &store, &head).await);
    }
    Ok(imported)
}

/// Writes the state of the store to its record file, if the file exists. If the store lacks changes that are in the
/// record, it writes nothing and returns a message.
async fn write_imported_mark(
    settings: &Settings,
    store: &Store,
    head: &StoreHead,
) -> Result<Option<String>, StoreUnavailable> {
    let lost = missing_changes(settings, store, head).await?;
    if let Some(record) = record_file(settings).filter(|_| lost.is_none() && has_record(settings)) {
        let written = record.write(&HighWaterMark::from_head(head, store.now().await?))?;
        written.sync().map_err(|error| record.write_error(&error))?;
    }
    Ok(lost)
}

fn count_of(ImportSummary { set, deleted: gone, ended }: ImportSummary, file: &ImportFile<'_>) -> ImportCounts {
    ImportCounts { set, gone, same: file.entries.saturating_sub(set + ended), ended }
}

/// The configured names that the entries of a file can refer to.
struct ImportNames<'s> {
    apps: Vec<String>,
    role_hierarchy: &'s RoleHierarchy,
}

impl<'s> ImportNames<'s> {
    fn new(settings: &'s Settings) -> ImportNames<'s> {
        let apps = settings.engine.apps.iter().map(|app| app.name().to_string()).collect();
        ImportNames { apps, role_hierarchy: &settings.engine.policy.document().role_hierarchy }
    }

    /// Opens a file of entries. `now` decides which entries have ended.
    ///
    /// # Errors
    /// Returns the report if the file has mistakes.
    fn open(&self, path: &Path, now: Millis) -> Result<ImportFile<'_>, CommandError> {
        let (file, report) = ImportFile::open(path, &self.apps, self.role_hierarchy, now)
            .map_err(|report| CommandError::Invalid(render_report(&report)))?;
        if !report.is_empty() {
            print_error(&render_report(&report));
        }
        Ok(file)
    }
}

/// Returns the moderation entries of the file or, without a file, of the store. If the store cannot be read, the result
/// is empty, and a note on standard error says why.
pub(super) fn moderation(settings: &Settings, file: Option<&Path>) -> Result<ModerationIndex, CommandError> {
    if let Some(path) = file {
        return index_file(&mut ImportNames::new(settings).open(path, clock::now())?);
    }
    if settings.store.is_none() {
        return Ok(ModerationIndex::default());
    }
    block_on(load_entries(settings))?.or_else(|stop| {
        print_error(&format!("note: moderation entries are not counted: {}", escape_line(stop.message())));
        Ok(ModerationIndex::default())
    })
}

/// Returns the moderation entries that a server would use if it started now.
async fn load_entries(settings: &Settings) -> Result<ModerationIndex, CommandError> {
    let store = open(settings, false).await?;
    let check = |head: &StoreHead| {
        let empty = "the store is empty, and servers refuse everyone until you run `chat-signer store accept`";
        let flaw = if head.epoch.is_empty() { Some(empty.to_owned()) } else { head.unusable_reason() };
        flaw.map_or(Ok(()), |flaw| Err(LoadError::Flaw(flaw)))
    };
    let (index, head) = load_index(&store, check).await.map_err(|error| CommandError::Failed(error.to_string()))?;
    match missing_changes(settings, &store, &head).await? {
        Some(lost) => Err(CommandError::Failed(lost)),
        None => Ok(index),
    }
}

fn index_file(file: &mut ImportFile<'_>) -> Result<ModerationIndex, CommandError> {
    let mut builder = ModerationIndexBuilder::default();
    let mut parts = file.parts().map_err(|report| CommandError::Invalid(render_report(&report)))?;
    while let Some(entries) = parts.read_next().map_err(|report| CommandError::Invalid(render_report(&report)))? {
        let added = entries.into_iter().try_for_each(|entry| builder.add(&entry.key(), entry));
        added.map_err(|malformed| CommandError::Failed(malformed.to_string()))?;
    }
    Ok(builder.finish())
}

/// Prints a note if the entries of the store are damaged. Servers with such a store refuse everyone.
fn print_flaw(head: &StoreHead) {
    if let Some(flaw) = head.unusable_reason() {
        print_error(&format!("note: {flaw}"));
    }
}

/// Prints a note with the reason why servers refuse the store, or why this is unknown.
fn print_note(lost: Result<Option<String>, StoreUnavailable>) {
    match lost {
        Ok(None) => {}
        Ok(Some(lost)) => print_error(&format!("note: {lost}")),
        Err(unavailable) => print_error(&format!("note: {unavailable}")),
    }
}

/// Opens the store. A missing store is created only if `begin` is true.
async fn open(settings: &Settings, begin: bool) -> Result<Store, CommandError> {
    let Some(store) = &settings.store else {
        return Err(CommandError::Failed(
            "the configuration has no [store], so there are no entries beside the policy file".to_owned(),
        ));
    };
    let path = match &store.kind {
        StoreKind::Memory => {
            return Err(CommandError::Failed(
                "the store is in the memory of the server; ask the server with `chat-signer list`".to_owned(),
            ));
        }
        StoreKind::Redb { path } if !begin && !path.exists() && has_record(settings) => {
            return Err(CommandError::Failed(format!(
                "the store {} is missing, but it has a record. Restore the file, or import an export with `store \
                 import`. To give up all its entries, run `chat-signer store accept --empty`",
                path.display()
            )));
        }
        StoreKind::Redb { path } if !begin && !path.exists() => {
            return Err(CommandError::Failed(format!(
                "the store {} does not exist yet: the first server creates it",
                path.display()
            )));
        }
        StoreKind::Redb { path } => Some(path),
        StoreKind::Redis(_) => None,
    };
    let hint = |StoreUnavailable { message: flaw, .. }| match path {
        Some(_) => CommandError::Failed(format!(
            "{flaw} (a running server locks the file: stop the server, or ask it with `chat-signer list`)"
        )),
        None => CommandError::Failed(flaw),
    };
    Store::open(store).await.map_err(hint)
}

impl From<SortError> for CommandError {
    fn from(error: SortError) -> CommandError {
        CommandError::Failed(error.to_string())
    }
}

impl From<StoreUnavailable> for CommandError {
    fn from(unavailable: StoreUnavailable) -> CommandError {
        CommandError::Failed(unavailable.to_string())
    }
}

/// Describes an import that failed, and whether some entries may have been written. An import that replaces the entries
/// of the store can take several changes, even if the file is small.
fn import_error(error: &ImportError, file: &ImportFile<'_>, is_replacing: bool) -> CommandError {
    let maybe = match error {
        ImportError::Untold(_) => "; the missing lines are printed here. Repeat the import when the log can be written",
        _ if file.entries > MAX_ENTRIES_PER_CHANGE || is_replacing => {
            "; some entries may have been written: repeat the import to finish it"
        }
        ImportError::Malformed(_) | ImportError::Owner(..) | ImportError::Beside(..) => "; nothing was written",
        ImportError::Unavailable(_) | ImportError::Busy | ImportError::File(_) | ImportError::Temporary(_) => {
            "; repeat the import to be sure"
        }
    };
    CommandError::Failed(format!("{error}{maybe}"))
}

/// Returns the first line of an export.
fn title(head: &StoreHead) -> String {
    let (now, version, epoch) = (clock::now(), head.version, &head.epoch);
    format!("# chat-signer: moderation entries at {now}, at change {version}, epoch {epoch}.\n\n")
}

/// The number of entries of each table.
type EntryCounts = BTreeMap<&'static str, usize>;

fn no_entries() -> EntryCounts {
    EntryKind::ALL.iter().map(|table| (table.as_str(), 0)).collect()
}

/// Counts the entries of each table.
async fn count_entries(store: &Store) -> Result<EntryCounts, StoreUnavailable> {
    let (mut count, mut reader) = (no_entries(), store.read_entries().await?);
    loop {
        let part = reader.next().await?;
        if part.is_empty() {
            break;
        }
        for key in part.iter().filter_map(|(key, _)| EntryKey::parse(key)) {
            *count.entry(key.table.as_str()).or_default() += 1;
        }
    }
    reader.finish().await.map(|_| count)
}

fn format_counts(count: &BTreeMap<&'static str, usize>) -> String {
    EntryKind::ALL
        .iter()
        .map(|table| format!("{} {}", count.get(table.as_str()).unwrap_or(&0), table.as_str()))
        .collect::<Vec<_>>()
        .join(", ")
}
