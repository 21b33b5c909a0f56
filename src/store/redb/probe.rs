//! Whether the file of a store could be written, tried on another file beside it.
//!
//! After a failed write redb needs the file opened anew, so a probe must not be such a write. It writes as much as a change does, to
//! where the store's file would grow. A full disk, a quota, a limit on the size of files and a read-only file system stop it as they
//! would stop a change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::store::FailureReason;

/// How much is written, in bytes: more than a change takes.
const SIZE: usize = 64 << 10;

/// Tries whether the file at this path could be written, and grow.
pub(super) fn probe(store: &Path) -> io::Result<()> {
    let store = fs::canonicalize(store)?;
    // As a restart opens it.
    let length = OpenOptions::new().read(true).write(true).open(&store)?.metadata()?.len();
    let path = beside(&store);
    let file = match create(&path) {
        // In such a directory nothing can be tried, and changes may well be made.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
        file => file?,
    };
    let written = write(&file, length);
    fs::remove_file(&path)?;
    written
}

fn write(file: &File, length: u64) -> io::Result<()> {
    file.write_all_at(&vec![0x5a; SIZE], length)?;
    file.sync_all()
}

/// A new file. What a crash left of the last probe is removed.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".probe");
    PathBuf::from(name)
}

/// What an error of the file system asks of an operator.
pub(in crate::store) fn reason(error: &io::Error) -> FailureReason {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => FailureReason::Full,
        ErrorKind::ReadOnlyFilesystem => FailureReason::ReadOnly,
        ErrorKind::PermissionDenied => FailureReason::Forbidden,
        ErrorKind::NotFound => FailureReason::Missing,
        _ => FailureReason::Other,
    }
}
