//! The file of a store: opened, or begun where there is none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, StorageError};

use super::tables;
use crate::store::Unavailable;

/// How much of the file is kept in memory, in bytes. The roster is there already, as an index: the file is hardly ever read.
const CACHE: usize = 16 << 20;

/// Opens the file, or begins it with this epoch where there is none.
pub(super) fn open(path: &Path, epoch: &str) -> Result<Database, Unavailable> {
    let opened = match builder().open(path) {
        Err(DatabaseError::Storage(StorageError::Io(error))) if error.kind() == ErrorKind::NotFound => {
            begin(path, epoch)
        }
        opened => opened.map_err(redb::Error::from),
    };
    let database = opened.map_err(|error| Unavailable(flaw(path, &error)))?;
    match tables::layout(&database) {
        Ok(Some(layout)) if layout == tables::LAYOUT => {
            tables::release(&database).map_err(|error| Unavailable(flaw(path, &error)))?;
            Ok(database)
        }
        Ok(Some(layout)) => {
            let known = tables::LAYOUT;
            Err(Unavailable(format!(
                "{} has the layout {layout}, and this version of chat-signer knows only {known}: start the one that wrote it",
                path.display()
            )))
        }
        Ok(None) => Err(Unavailable(format!("{} is a redb file, but not chat-signer's: {OTHER}", path.display()))),
        Err(error) => Err(Unavailable(flaw(path, &error))),
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

/// Makes the file under another name, so that whatever happens there is either none or a whole one.
fn begin(path: &Path, epoch: &str) -> Result<Database, redb::Error> {
    let beginning = beside(path, epoch);
    let begun = make(&beginning, epoch).and_then(|database| match fs::hard_link(&beginning, path) {
        Ok(()) => Ok(database),
        // Another process was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(builder().open(path)?),
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

fn beside(path: &Path, epoch: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{epoch}.new"));
    PathBuf::from(name)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// What is wrong with a file, and what to do.
fn flaw(path: &Path, error: &redb::Error) -> String {
    let is_empty = fs::metadata(path).is_ok_and(|file| file.len() == 0);
    let path = path.display();
    match error {
        redb::Error::DatabaseAlreadyOpen => {
            format!("{path} is in use by another process: give each a file of its own, or have them share a Redis")
        }
        redb::Error::Io(error) if error.kind() != ErrorKind::InvalidData => format!("{path}: {error}"),
        redb::Error::UpgradeRequired(_) => format!("{path} is of a version of redb that is too old: {OTHER}"),
        _ if is_empty => {
            format!("{path} is empty. If it is to become the roster's file, delete it: it is begun where there is none")
        }
        error => format!("{path} is no redb file, or damaged ({error}): {OTHER}"),
    }
}

const OTHER: &str = "put the roster's file back in its place, or set another `path` in [store]";
