//! The file of a store: opened, or begun where there is none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database};

use super::{probe, tables};
use crate::store::{FailureReason, StoreUnavailable};

/// How much of the file is kept in memory, in bytes. The moderation entries is there already, as an index: the file is hardly ever read.
const CACHE: usize = 16 << 20;

/// Where the file is that was opened, and which one that is.
pub(super) struct OpenedFile {
    path: PathBuf,
    /// The device and the number of the file there. It has these whatever it is called.
    file: (u64, u64),
}

impl OpenedFile {
    fn of(path: &Path) -> io::Result<OpenedFile> {
        let file = fs::metadata(path)?;
        Ok(OpenedFile { path: path.to_owned(), file: (file.dev(), file.ino()) })
    }

    /// Whether the file still is where it was opened, so that whoever opens it there finds what is written now. If not: why.
    pub(super) fn check(&self) -> Result<(), StoreUnavailable> {
        let path = self.path.display();
        let missing = |message| Err(StoreUnavailable::new(FailureReason::Missing, message));
        match OpenedFile::of(&self.path) {
            Ok(now) if now.file == self.file => Ok(()),
            Ok(_) => missing(format!(
                "{path} is another file than the one that was opened: bring that one back. To take this one, stop the program, say \
                 `chat-signer store accept`, and start it"
            )),
            Err(error) => missing(format!("{path} can't be found any more ({error}): bring it back")),
        }
    }

    /// Whether the file could be written, and grow.
    pub(super) fn probe(&self) -> Result<(), StoreUnavailable> {
        let path = self.path.display();
        probe::probe(&self.path)
            .map_err(|error| StoreUnavailable::new(probe::reason(&error), format!("{path} can't be written: {error}")))
    }
}

/// Opens the file, or begins it with this epoch where there is none.
pub(super) fn open(path: &Path, epoch: &str) -> Result<(Database, OpenedFile), StoreUnavailable> {
    let opened = match there(path) {
        Err(redb::Error::Io(error)) if error.kind() == ErrorKind::NotFound => begin(path, epoch),
        opened => opened,
    };
    let (database, place) = opened.map_err(|error| flaw(path, &error))?;
    match tables::layout(&database) {
        Ok(Some(layout)) if layout == tables::LAYOUT => {
            tables::release(&database).map_err(|error| flaw(path, &error))?;
            Ok((database, place))
        }
        Ok(Some(layout)) => {
            let known = tables::LAYOUT;
            Err(StoreUnavailable::new(
                FailureReason::Damaged,
                format!(
                    "{} has the layout {layout}, and this version of chat-signer knows only {known}: start the one that wrote it",
                    path.display()
                ),
            ))
        }
        Ok(None) => {
            let flaw = format!("{} is a redb file, but not chat-signer's: {OTHER}", path.display());
            Err(StoreUnavailable::new(FailureReason::Damaged, flaw))
        }
        Err(error) => Err(flaw(path, &error)),
    }
}

/// The file that is there. One that takes its place meanwhile, which can take long, is noticed later.
fn there(path: &Path) -> Result<(Database, OpenedFile), redb::Error> {
    let place = OpenedFile::of(path)?;
    Ok((builder().open(path)?, place))
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

/// Makes the file under another name, so that whatever happens there is either none or a whole one.
fn begin(path: &Path, epoch: &str) -> Result<(Database, OpenedFile), redb::Error> {
    let beginning = beside(path, epoch);
    let begun = make(&beginning, epoch).and_then(|database| match fs::hard_link(&beginning, path) {
        Ok(()) => {
            let place = OpenedFile { path: path.to_owned(), ..OpenedFile::of(&beginning)? };
            let path = path.display();
            tracing::warn!("began an empty store in {path}; if there should have been one, stop and bring it back");
            Ok((database, place))
        }
        // Another process was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => there(path),
        Err(error) => Err(error.into()),
    });
    match fs::remove_file(&beginning) {
        Err(error) if begun.is_ok() => return Err(error.into()),
        _ => sync_directory(path)?,
    }
    begun
}

fn make(path: &Path, epoch: &str) -> Result<Database, redb::Error> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    let database = builder().create_with_backend(FileBackend::new(file)?)?;
    tables::begin(&database, epoch)?;
    Ok(database)
}

pub(in crate::store) fn beside(path: &Path, epoch: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{epoch}.new"));
    PathBuf::from(name)
}

pub(in crate::store) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

/// Where a file is.
pub(in crate::store) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What is wrong with a file, and what to do.
fn flaw(path: &Path, error: &redb::Error) -> StoreUnavailable {
    StoreUnavailable::new(reason(error), sentence(path, error))
}

/// What an error of redb asks of an operator.
pub(super) fn reason(error: &redb::Error) -> FailureReason {
    match error {
        redb::Error::Io(error) => probe::reason(error),
        redb::Error::PreviousIo => FailureReason::RestartNeeded,
        _ => FailureReason::Damaged,
    }
}

fn sentence(path: &Path, error: &redb::Error) -> String {
    let is_empty = fs::metadata(path).is_ok_and(|file| file.len() == 0);
    let path = path.display();
    match error {
        redb::Error::DatabaseAlreadyOpen => {
            format!("{path} is in use by another process: give each a file of its own, or have them share a Redis")
        }
        redb::Error::Io(error) if error.kind() != ErrorKind::InvalidData => format!("{path}: {error}"),
        redb::Error::UpgradeRequired(_) => format!("{path} is of a version of redb that is too old: {OTHER}"),
        _ if is_empty => {
            format!("{path} is empty. To use it as the moderation store, delete it: a missing file is created")
        }
        error => format!("{path} is no redb file, or damaged ({error}): {OTHER}"),
    }
}

const OTHER: &str = "put the file of the moderation store back in its place, or set another `path` in [store]";
