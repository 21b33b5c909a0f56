//! The output of the audit log. Opening it never blocks. If another file takes its place, it is opened again.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

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
    pub(super) fn from_file(file: File) -> LineOutput {
        LineOutput { is_torn: is_torn(&file), file, path: None, reopen_failed: false, appended: 0 }
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
        self.path.is_some() && self.file.metadata().is_ok_and(|own| own.nlink() == 0) && !self.is_in_place()
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
                    self.is_torn = bytes[..count].last() != Some(&b'\n');
                    self.appended += count;
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
