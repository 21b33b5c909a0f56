//! Files that others can change at any time into something else: opened without waiting, and read up to a limit.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Which file was at a path.
#[derive(Clone, Debug)]
pub struct FileIdentity {
    /// The path.
    pub path: PathBuf,
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// What is at this path now, be it a link.
    ///
    /// # Errors
    /// If there is nothing.
    pub fn at(path: &Path) -> io::Result<FileIdentity> {
        let metadata = std::fs::symlink_metadata(path)?;
        Ok(FileIdentity { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    /// Whether it is still there, and not another in its place.
    pub fn is_the_same(&self) -> bool {
        FileIdentity::at(&self.path).is_ok_and(|now| (now.device, now.inode) == (self.device, self.inode))
    }
}

/// Opens a file for reading. Whether a pipe is waited for until somebody writes to it, `wait` says.
///
/// # Errors
/// If it can't be opened.
pub fn open(path: &Path, wait: bool) -> io::Result<File> {
    let wait = if wait { OFlags::empty() } else { OFlags::NONBLOCK };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | wait;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// All bytes of a file, from where it stands.
///
/// # Errors
/// [`ErrorKind::FileTooLarge`] if there are more than `longest`; if it can't be read.
pub fn bytes(file: &mut File, longest: u64) -> io::Result<Vec<u8>> {
    // A pipe has none, and what grows has more by the time it is read.
    let length = file.metadata()?.len();
    if length <= longest {
        // Room for all at once: of a secret, no part is left behind in memory that it has grown out of.
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1));
        file.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length <= longest) {
            return Ok(bytes);
        }
    }
    Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {longest} bytes")))
}

/// All bytes of the regular file at this path.
///
/// # Errors
/// If there is none, or as [`bytes`].
pub fn read(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let mut file = open(path, false)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    bytes(&mut file, longest)
}
