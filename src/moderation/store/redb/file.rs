//! Opens or creates the database of a store, and tests whether its file can be written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Builder, Database};

use super::tables;
use crate::files::{sync_directory, temporary_path};
use crate::moderation::store::{FailureReason, StoreUnavailable};

/// The size of the cache for the file, in bytes. The moderation entries are in memory already, as an index, so the file
/// is rarely read.
const CACHE_SIZE: usize = 4 << 20;

/// The size of the test write, in bytes. A change takes less.
const TEST_WRITE_SIZE: usize = 64 << 10;

/// The path and the identity of the opened file.
pub(super) struct OpenedFile {
    path: PathBuf,
    /// The device number and inode number of the file. They stay the same when the file is renamed.
    identity: (u64, u64),
}

impl OpenedFile {
    fn identify(path: &Path) -> io::Result<OpenedFile> {
        let file = fs::metadata(path)?;
        Ok(OpenedFile { path: path.to_owned(), identity: (file.dev(), file.ino()) })
    }

    /// Checks that the opened file is still at its path. Otherwise the next process that opens the path would not find
    /// the changes that are written now.
    pub(super) fn check(&self) -> Result<(), StoreUnavailable> {
        let path = self.path.display();
        let missing = |message| Err(StoreUnavailable::new(FailureReason::Missing, message));
        match OpenedFile::identify(&self.path) {
            Ok(now) if now.identity == self.identity => Ok(()),
            Ok(_) => missing(format!(
                "{path} is another file than the one that was opened: restore that file. To use this file, stop the program, run \
                 `chat-signer store accept`, and start the program"
            )),
            Err(error) => missing(format!("{path} can't be found any more ({error}): restore it")),
        }
    }

    /// Tests whether the file can be written and can grow.
    pub(super) fn probe(&self) -> Result<(), StoreUnavailable> {
        let path = self.path.display();
        probe(&self.path).map_err(|error| {
            StoreUnavailable::new(FailureReason::from_io_error(&error), format!("{path} can't be written: {error}"))
        })
    }
}

/// Opens the file. If the file does not exist, creates it with this epoch.
pub(super) fn open(path: &Path, epoch: &str) -> Result<(Database, OpenedFile), StoreUnavailable> {
    let opened = match open_existing(path) {
        Err(redb::Error::Io(error)) if error.kind() == ErrorKind::NotFound => create(path, epoch),
        opened => opened,
    };
    let (database, place) = opened.map_err(|error| open_error(path, &error))?;
    match tables::layout(&database) {
        Ok(Some(layout)) if layout == tables::LAYOUT => {
            tables::end_all_leases(&database).map_err(|error| open_error(path, &error))?;
            Ok((database, place))
        }
        Ok(Some(layout)) => {
            let known = tables::LAYOUT;
            Err(StoreUnavailable::new(
                FailureReason::Damaged,
                format!(
                    "{} has the layout {layout}, and this version of chat-signer knows only {known}: start the version that wrote it",
                    path.display()
                ),
            ))
        }
        Ok(None) => {
            let flaw = format!("{} is a redb file, but not chat-signer's: {RESTORE_HINT}", path.display());
            Err(StoreUnavailable::new(FailureReason::Damaged, flaw))
        }
        Err(error) => Err(open_error(path, &error)),
    }
}

/// Opens the existing file. Opening can take long. If another file takes its place meanwhile, a later check detects it.
fn open_existing(path: &Path) -> Result<(Database, OpenedFile), redb::Error> {
    let place = OpenedFile::identify(path)?;
    Ok((builder().open(path)?, place))
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_SIZE);
    builder
}

/// Creates the file under a temporary name and links it to its path. So the file is either complete or absent.
fn create(path: &Path, epoch: &str) -> Result<(Database, OpenedFile), redb::Error> {
    let beginning = temporary_path(path, epoch);
    let begun = create_database(&beginning, epoch).and_then(|database| match fs::hard_link(&beginning, path) {
        Ok(()) => {
            let place = OpenedFile { path: path.to_owned(), ..OpenedFile::identify(&beginning)? };
            let path = path.display();
            tracing::warn!(
                "created an empty store in {path}; if there was a store before, stop the program and restore it"
            );
            Ok((database, place))
        }
        // Another process created it first.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => open_existing(path),
        Err(error) => Err(error.into()),
    });
    match fs::remove_file(&beginning) {
        Err(error) if begun.is_ok() => return Err(error.into()),
        _ => sync_directory(path)?,
    }
    begun
}

fn create_database(path: &Path, epoch: &str) -> Result<Database, redb::Error> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    let database = builder().create_with_backend(FileBackend::new(file)?)?;
    tables::create_tables(&database, epoch)?;
    Ok(database)
}

/// Creates a database in memory with this epoch.
pub(super) fn create_in_memory(epoch: &str) -> Result<Database, redb::Error> {
    let database = Builder::new().set_cache_size(0).create_with_backend(InMemoryBackend::new())?;
    tables::create_tables(&database, epoch)?;
    Ok(database)
}

/// Tests whether the file at this path can be written and can grow, with another file in the same directory.
///
/// After a failed write, redb must open its file again. So the probe must not write to that file. It writes as many
/// bytes as a change does, at the offset at which the store's file would grow. A full disk, a quota, a file size limit
/// and a read-only file system stop the probe as they would stop a change.
fn probe(store: &Path) -> io::Result<()> {
    let store = fs::canonicalize(store)?;
    // A restart opens the file in the same way.
    let length = OpenOptions::new().read(true).write(true).open(&store)?.metadata()?.len();
    let path = probe_path(&store);
    let file = match create_probe_file(&path) {
        // In this directory a probe cannot create a file, but changes are still possible.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
        file => file?,
    };
    let written = write_probe(&file, length);
    fs::remove_file(&path)?;
    written
}

fn write_probe(file: &File, length: u64) -> io::Result<()> {
    file.write_all_at(&vec![0x5a; TEST_WRITE_SIZE], length)?;
    file.sync_all()
}

/// Creates a new file. Removes the file that a crash left behind.
fn create_probe_file(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn probe_path(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".probe");
    PathBuf::from(name)
}

/// Converts an error of redb into an error with a message for the operator.
fn open_error(path: &Path, error: &redb::Error) -> StoreUnavailable {
    StoreUnavailable::new(failure_reason(error), error_message(path, error))
}

/// Returns the reason for an error of redb.
pub(super) fn failure_reason(error: &redb::Error) -> FailureReason {
    match error {
        redb::Error::Io(error) => FailureReason::from_io_error(error),
        redb::Error::PreviousIo => FailureReason::RestartNeeded,
        _ => FailureReason::Damaged,
    }
}

fn error_message(path: &Path, error: &redb::Error) -> String {
    let is_empty = fs::metadata(path).is_ok_and(|file| file.len() == 0);
    let path = path.display();
    match error {
        redb::Error::DatabaseAlreadyOpen => {
            format!("{path} is in use by another process: give each process its own file, or let them share a Redis")
        }
        redb::Error::Io(error) if error.kind() != ErrorKind::InvalidData => format!("{path}: {error}"),
        redb::Error::UpgradeRequired(_) => format!("{path} has a redb format that is too old: {RESTORE_HINT}"),
        _ if is_empty => {
            format!("{path} is empty. To use it as the moderation store, delete it: a missing file is created")
        }
        error => format!("{path} is not a redb file, or is damaged ({error}): {RESTORE_HINT}"),
    }
}

const RESTORE_HINT: &str = "put the file of the moderation store back in its place, or set another `path` in [store]";
