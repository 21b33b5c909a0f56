//! Tests whether the file of a store can be written, with another file in the same directory.
//!
//! After a failed write, redb must open its file again. So the probe must not write to that file. It writes as many
//! bytes as a change does, at the offset at which the store's file would grow. A full disk, a quota, a file size limit
//! and a read-only file system stop the probe as they would stop a change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The size of the test write, in bytes. A change takes less.
const TEST_WRITE_SIZE: usize = 64 << 10;

/// Tests whether the file at this path can be written and can grow.
pub(super) fn probe(store: &Path) -> io::Result<()> {
    let store = fs::canonicalize(store)?;
    // A restart opens the file in the same way.
    let length = OpenOptions::new().read(true).write(true).open(&store)?.metadata()?.len();
    let path = probe_path(&store);
    let file = match create(&path) {
        // In this directory a probe cannot create a file, but changes are still possible.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
        file => file?,
    };
    let written = write(&file, length);
    fs::remove_file(&path)?;
    written
}

fn write(file: &File, length: u64) -> io::Result<()> {
    file.write_all_at(&vec![0x5a; TEST_WRITE_SIZE], length)?;
    file.sync_all()
}

/// Creates a new file. Removes the file that a crash left behind.
fn create(path: &Path) -> io::Result<File> {
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
