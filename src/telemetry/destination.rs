//! The output of the audit log. Opening it never blocks. If another file takes its place, it is opened again.
//!
//! There are two ways to write. [`LineOutput::write`] waits as long as the output needs. [`LineOutput::try_write`] is for
//! tasks of the server, which must not wait: see [`UnblockedOutput`]. What it cannot write, [`LineOutput::finish`] writes.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, ReadWriteFlags, pwritev2};

/// The time after which a task looks again whether the file is in its place. The thread looks before each write.
const PLACE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The offset with which `pwritev2` writes as `write` does: at the position of the descriptor, which it advances, or at
/// the end if the descriptor is for appending. Another program may share the position.
const AT_POSITION: u64 = u64::MAX;

/// The open output file.
pub struct LineOutput {
    file: File,
    /// The path. `None`: the output cannot be opened again.
    path: Option<PathBuf>,
    /// Whether the last byte in the file is not a newline.
    is_torn: bool,
    /// Whether the last attempt to open it again failed.
    reopen_failed: bool,
    /// The number of bytes of the last lines that were written.
    appended: usize,
    /// How tasks write to this output.
    unblocked: UnblockedOutput,
    /// When a task last saw that the file is in its place.
    seen_in_place: Option<Instant>,
    /// Whether [`try_write`](Self::try_write) has written a part of the last lines, and the rest must follow it.
    is_begun: bool,
}

/// How a task writes without waiting.
#[derive(Debug)]
enum UnblockedOutput {
    /// To a file, with the flag `RWF_NOWAIT`: the file system writes only what it can write without waiting.
    Nowait,
    /// To a file, in the usual way. The write can hang, so something must watch it.
    Watched,
    /// To a pipe, which was opened again in non-blocking mode. The mode belongs to the new descriptor only, so other
    /// programs that share the pipe do not notice it.
    Pipe(File),
    /// Never. A terminal or a socket, for example.
    Never,
}

/// Whether tasks may write in a way that can hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watchdog {
    /// Something notices a task that hangs.
    Present,
    /// Nothing does.
    Absent,
}

/// The result of a write by a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteProgress {
    /// Everything is written.
    Complete,
    /// Something is left for [`LineOutput::finish`].
    Incomplete,
}

impl LineOutput {
    /// Opens standard output. Logs a warning if standard output discards all data.
    pub fn stdout() -> io::Result<LineOutput> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        if is_null_device(&file) {
            tracing::warn!(
                "the audit log goes nowhere: standard output is closed or /dev/null. Set audit.to to a file, or to \
                 \"/dev/null\" if no audit log is wanted"
            );
        }
        Ok(LineOutput::from_file(file))
    }

    /// Opens standard error.
    ///
    /// # Errors
    /// Returns an error if standard error is closed.
    pub fn stderr() -> io::Result<LineOutput> {
        Ok(LineOutput::from_file(File::from(io::stderr().as_fd().try_clone_to_owned()?)))
    }

    /// Opens a file to append to, or a pipe. A missing file is created and is accessible only to its owner.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened, or if the pipe has no reader.
    pub fn open(path: &Path) -> io::Result<LineOutput> {
        Ok(LineOutput { path: Some(path.to_owned()), ..LineOutput::from_file(open(path)?) })
    }

    /// Writes to this open file.
    pub fn from_file(file: File) -> LineOutput {
        LineOutput {
            is_torn: is_torn(&file),
            unblocked: UnblockedOutput::of(&file),
            file,
            path: None,
            reopen_failed: false,
            appended: 0,
            seen_in_place: None,
            is_begun: false,
        }
    }

    /// Writes to this pipe as to a file on a file system that can hang.
    #[cfg(test)]
    pub(super) fn watched(pipe: File) -> LineOutput {
        LineOutput { unblocked: UnblockedOutput::Watched, ..LineOutput::from_file(pipe) }
    }

    /// Writes as many of these lines as is possible without waiting.
    ///
    /// # Errors
    /// Returns an error if writing fails.
    pub(super) fn try_write(&mut self, lines: &[u8], watchdog: Watchdog) -> io::Result<WriteProgress> {
        (self.appended, self.is_begun) = (0, false);
        if !self.is_for_tasks(watchdog) || self.is_torn || !self.was_in_place() {
            return Ok(WriteProgress::Incomplete);
        }
        while self.appended < lines.len() {
            match self.write_unblocked(&lines[self.appended..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.note_written(&lines[self.appended..], count),
                Err(Errno::INTR) => {}
                Err(error) => return self.leave_rest(error),
            }
        }
        // The lines in a file that was deleted are lost, so they are written again to a new file.
        Ok(if self.is_removed() { WriteProgress::Incomplete } else { WriteProgress::Complete })
    }

    /// Leaves the rest of the lines to [`finish`](Self::finish), if this error may concern only writes by tasks. A file
    /// system or a sandbox that does not know `RWF_NOWAIT` can return any error. `finish` meets all other errors again.
    fn leave_rest(&mut self, error: Errno) -> io::Result<WriteProgress> {
        if error != Errno::AGAIN {
            match self.unblocked {
                UnblockedOutput::Nowait => self.unblocked = UnblockedOutput::Watched,
                UnblockedOutput::Watched | UnblockedOutput::Pipe(_) | UnblockedOutput::Never => {
                    return Err(error.into());
                }
            }
        }
        self.is_begun = self.appended > 0;
        Ok(WriteProgress::Incomplete)
    }

    /// Returns whether tasks may write to the output.
    pub(super) fn is_for_tasks(&self, watchdog: Watchdog) -> bool {
        match self.unblocked {
            UnblockedOutput::Nowait | UnblockedOutput::Pipe(_) => true,
            UnblockedOutput::Watched => watchdog == Watchdog::Present,
            UnblockedOutput::Never => false,
        }
    }

    fn write_unblocked(&self, bytes: &[u8]) -> rustix::io::Result<usize> {
        match &self.unblocked {
            UnblockedOutput::Nowait => {
                pwritev2(&self.file, &[IoSlice::new(bytes)], AT_POSITION, ReadWriteFlags::NOWAIT)
            }
            UnblockedOutput::Watched => rustix::io::write(&self.file, bytes),
            UnblockedOutput::Pipe(pipe) => rustix::io::write(pipe, bytes),
            UnblockedOutput::Never => Err(Errno::AGAIN),
        }
    }

    /// Writes what [`try_write`](Self::try_write) has left of the same lines. Waits as long as the output needs.
    ///
    /// # Errors
    /// Returns an error if the lines are not written completely.
    pub(super) fn finish(&mut self, lines: &[u8]) -> io::Result<()> {
        if !std::mem::take(&mut self.is_begun) {
            return self.write(lines);
        }
        self.write_all(&lines[self.appended..])?;
        self.repeat_if_removed(lines)
    }

    /// Returns whether the path led to the open file a moment ago.
    fn was_in_place(&mut self) -> bool {
        if self.seen_in_place.is_none_or(|seen| seen.elapsed() >= PLACE_CHECK_INTERVAL) {
            self.seen_in_place = self.is_in_place().then(Instant::now);
        }
        self.seen_in_place.is_some()
    }

    /// Writes these lines. If the path leads to another file or to no file, opens the path again first. If that fails,
    /// continues with the old file if it was only renamed. A deleted file is not used, because its content is lost.
    ///
    /// # Errors
    /// Returns an error if the lines are not written completely.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if !self.is_in_place() {
            self.reopen();
        }
        self.append(lines)?;
        self.repeat_if_removed(lines)
    }

    /// Writes these lines again to a new file, if the file was deleted meanwhile.
    fn repeat_if_removed(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_removed() {
            self.appended = 0;
            self.try_reopen()?;
            self.append(lines)?;
        }
        Ok(())
    }

    /// Opens the path again. If that fails, keeps the open file and logs the error once.
    pub(super) fn reopen(&mut self) {
        if let Err(error) = self.try_reopen() {
            if !self.reopen_failed {
                tracing::error!("the audit log can't be opened again, so the old file stays in use: {error}");
            }
            self.reopen_failed = true;
        }
    }

    fn try_reopen(&mut self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        *self = LineOutput::open(path)?;
        Ok(())
    }

    /// Returns whether the path still leads to the open file.
    fn is_in_place(&self) -> bool {
        let Some(path) = &self.path else { return true };
        let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
        fs::metadata(path).is_ok_and(|there| self.file.metadata().is_ok_and(|own| id(own) == id(there)))
    }

    /// Returns whether the open file was deleted. Some file systems do not count links, so the path is also checked.
    fn is_removed(&self) -> bool {
        let has_no_name = || self.file.metadata().is_ok_and(|own| own.nlink() == 0);
        self.path.is_some() && has_no_name() && !self.is_in_place()
    }

    /// Returns the number of bytes of the last lines that were written. After an error, it can be less than their
    /// length.
    pub(super) fn appended(&self) -> usize {
        self.appended
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.appended = 0;
        if self.is_torn {
            self.write_all(b"\n")?;
            self.appended = 0;
        }
        self.write_all(lines)
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.note_written(bytes, count);
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process made the pipe non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl LineOutput {
    /// Notes that the first `count` of these bytes were written.
    fn note_written(&mut self, bytes: &[u8], count: usize) {
        self.is_torn = bytes[..count].last() != Some(&b'\n');
        self.appended += count;
    }
}

impl UnblockedOutput {
    /// Returns how tasks write to this file.
    fn of(file: &File) -> UnblockedOutput {
        let Ok(kind) = file.metadata().map(|metadata| metadata.file_type()) else { return UnblockedOutput::Never };
        if kind.is_file() || is_null_device(file) {
            return UnblockedOutput::Nowait;
        }
        let reopened = if kind.is_fifo() { open_unblocked(file).ok() } else { None };
        reopened.map_or(UnblockedOutput::Never, UnblockedOutput::Pipe)
    }
}

/// Opens a pipe again, in non-blocking mode.
fn open_unblocked(pipe: &File) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Opens the path in non-blocking mode, because opening a pipe without a reader would block. Then switches to blocking
/// mode.
fn open(path: &Path) -> io::Result<File> {
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

/// Returns whether the last line in a file has no newline, for example after a crash or on a full disk. If the file
/// cannot be read, returns true.
fn is_torn(file: &File) -> bool {
    let Ok(length) = file.metadata().map(|metadata| if metadata.is_file() { metadata.len() } else { 0 }) else {
        return false;
    };
    length > 0 && last_byte(file, length).map_or(true, |last| last != b'\n')
}

/// Reads the last byte. The file is open only for writing, so it is opened again for reading.
fn last_byte(file: &File, length: u64) -> io::Result<u8> {
    let mut last = [0];
    let readable = File::open(format!("/dev/fd/{}", file.as_raw_fd()))?;
    readable.read_exact_at(&mut last, length - 1)?;
    Ok(last[0])
}

fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Returns whether the file is the null device. If standard output is closed at the start, the null device replaces it.
fn is_null_device(file: &File) -> bool {
    let (Ok(file), Ok(null)) = (file.metadata(), fs::metadata("/dev/null")) else { return false };
    file.file_type().is_char_device() && file.rdev() == null.rdev()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn after_an_unexpected_error_the_rest_is_written_in_the_usual_way() {
        for begun in [0, 4] {
            let path = std::env::temp_dir().join(format!("chat-signer-unexpected-{}-{begun}", std::process::id()));
            let mut output = LineOutput::open(&path).unwrap();
            let lines = b"one\ntwo\n".as_slice();
            output.append(&lines[..begun]).unwrap();
            // A sandbox that forbids the call returns this error.
            assert_eq!(output.leave_rest(Errno::PERM).unwrap(), WriteProgress::Incomplete);
            output.finish(lines).unwrap();
            assert_eq!(fs::read(&path).unwrap(), lines);
            assert!(!output.is_for_tasks(Watchdog::Absent) && output.is_for_tasks(Watchdog::Present));
            assert_eq!(output.try_write(lines, Watchdog::Present).unwrap(), WriteProgress::Complete);
            assert_eq!(fs::read(&path).unwrap(), [lines, lines].concat());
            fs::remove_file(&path).unwrap();
        }
    }
}
