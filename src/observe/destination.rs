//! Where the audit log goes, opened so that opening never waits.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// Standard output. Warns if nothing that is written there is kept.
pub(super) fn stdout() -> io::Result<File> {
    let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    if goes_nowhere(&file) {
        tracing::warn!(
            "the audit log goes nowhere: standard output is closed or /dev/null. Set audit.to to a file, or to \
             \"/dev/null\" if no audit log is wanted"
        );
    }
    Ok(file)
}

/// A file to append to, made for its owner alone if it doesn't exist, or a pipe that somebody reads.
///
/// Opening a pipe that nobody reads would wait for a reader, so it is opened without waiting; it is written to like any other.
pub(super) fn path(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Err(Errno::NXIO) if is_pipe(path) => {
            return Err(io::Error::other("nobody reads this pipe: start its reader first"));
        }
        opened => opened?,
    };
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file.into())
}

/// Whether the last line in a file has no end, as after a crash or on a full disk. Where that can't be read, it may be so.
pub(super) fn is_torn(file: &File) -> bool {
    let Ok(length) = file.metadata().map(|metadata| if metadata.is_file() { metadata.len() } else { 0 }) else {
        return false;
    };
    length > 0 && last_byte(file, length).map_or(true, |last| last != b'\n')
}

/// What is open for writing alone is opened again.
fn last_byte(file: &File, length: u64) -> io::Result<u8> {
    let mut last = [0];
    let readable = File::open(format!("/dev/fd/{}", file.as_raw_fd()))?;
    readable.read_exact_at(&mut last, length - 1)?;
    Ok(last[0])
}

fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Whether this is the null device, which also stands in for a standard output that was closed when the program began.
fn goes_nowhere(file: &File) -> bool {
    let (Ok(file), Ok(null)) = (file.metadata(), fs::metadata("/dev/null")) else { return false };
    file.file_type().is_char_device() && file.rdev() == null.rdev()
}
