//! Where the audit log goes: opened so that opening never waits, and opened anew when something else has taken its place.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// Where lines go, and whether it is still where it was.
pub struct LineOutput {
    file: File,
    /// What it was opened by; nothing where it can't be opened anew.
    path: Option<PathBuf>,
    /// Whether the last byte, of what was written or was there before, is not a newline.
    torn: bool,
    /// Whether opening it anew failed the last time.
    unopened: bool,
    /// How many bytes of the lines that were last written are in it.
    appended: usize,
}

impl LineOutput {
    /// Standard output. Warns if nothing that is written there is kept.
    pub fn stdout() -> io::Result<LineOutput> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        if goes_nowhere(&file) {
            tracing::warn!(
                "the audit log goes nowhere: standard output is closed or /dev/null. Set audit.to to a file, or to \
                 \"/dev/null\" if no audit log is wanted"
            );
        }
        Ok(LineOutput::to(file))
    }

    /// Standard error.
    ///
    /// # Errors
    /// If it is closed.
    pub fn stderr() -> io::Result<LineOutput> {
        Ok(LineOutput::to(File::from(io::stderr().as_fd().try_clone_to_owned()?)))
    }

    /// A file to append to, made for its owner alone if it doesn't exist, or a pipe that somebody reads.
    ///
    /// # Errors
    /// If it can't be opened, or nobody reads the pipe.
    pub fn at(path: &Path) -> io::Result<LineOutput> {
        Ok(LineOutput { path: Some(path.to_owned()), ..LineOutput::to(open(path)?) })
    }

    /// Wherever this leads.
    pub(super) fn to(file: File) -> LineOutput {
        LineOutput { torn: is_torn(&file), file, path: None, unopened: false, appended: 0 }
    }

    /// Writes these lines; at the path, if something else or nothing is there by now. A file that was only given another name is good
    /// as long as no other can be had. One that was removed is not: what is written there is lost.
    ///
    /// # Errors
    /// If they are not written, or not all of them.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if !self.is_in_place() {
            self.reopen();
        }
        self.append(lines)?;
        if self.is_removed() {
            self.appended = 0;
            self.open_anew()?;
            self.append(lines)?;
        }
        Ok(())
    }

    /// Opens the path anew. Where that fails all stays as it is, and the log says so, once.
    pub(super) fn reopen(&mut self) {
        if let Err(error) = self.open_anew() {
            if !self.unopened {
                tracing::error!("the audit log can't be opened anew and goes on where it was: {error}");
            }
            self.unopened = true;
        }
    }

    fn open_anew(&mut self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        *self = LineOutput::at(path)?;
        Ok(())
    }

    /// Whether what is at the path is what is written to.
    fn is_in_place(&self) -> bool {
        let Some(path) = &self.path else { return true };
        let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
        fs::metadata(path).is_ok_and(|there| self.file.metadata().is_ok_and(|own| id(own) == id(there)))
    }

    /// Whether it has no name any more. Some file systems count no names.
    fn is_removed(&self) -> bool {
        self.path.is_some() && self.file.metadata().is_ok_and(|own| own.nlink() == 0) && !self.is_in_place()
    }

    /// How many bytes of the lines that were last written are in it: if that failed, perhaps some of them.
    pub(super) fn appended(&self) -> usize {
        self.appended
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.appended = 0;
        if self.torn {
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
                    self.torn = bytes[..count].last() != Some(&b'\n');
                    self.appended += count;
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Someone else made the pipe non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Opening a pipe that nobody reads would wait for a reader, so it is opened without waiting; it is written to like any other.
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

/// Whether the last line in a file has no end, as after a crash or on a full disk. Where that can't be read, it may be so.
fn is_torn(file: &File) -> bool {
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
