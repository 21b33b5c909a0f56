//! Reads files that others can replace at any time: opens them without waiting, and reads them up to a limit. Helps to
//! create files that are either complete or absent.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::random;

/// The identity of the file at a path.
#[derive(Clone, Debug)]
pub struct FileIdentity {
    /// The path.
    pub path: PathBuf,
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// Returns the identity of the file that is at this path now. Does not follow a symbolic link.
    ///
    /// # Errors
    /// Returns an error if there is no file.
    pub fn of_path(path: &Path) -> io::Result<FileIdentity> {
        let metadata = std::fs::symlink_metadata(path)?;
        Ok(FileIdentity { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    /// Returns whether the same file is still at the path.
    pub fn is_unchanged(&self) -> bool {
        FileIdentity::of_path(&self.path).is_ok_and(|now| (now.device, now.inode) == (self.device, self.inode))
    }
}

/// Opens a file for reading. If the file is a pipe, `wait` says whether to wait until a process writes to it.
///
/// # Errors
/// Returns an error if the file cannot be opened.
pub fn open(path: &Path, wait: bool) -> io::Result<File> {
    let wait = if wait { OFlags::empty() } else { OFlags::NONBLOCK };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | wait;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Reads the file from its current position to the end.
///
/// # Errors
/// Returns [`ErrorKind::FileTooLarge`] if there are more than `longest` bytes. Returns other errors if the file cannot
/// be read.
pub fn read_to_end(file: &mut File, longest: u64) -> io::Result<Vec<u8>> {
    // A pipe has no length, and a file can grow before it is read.
    let length = file.metadata()?.len();
    if length <= longest {
        // The capacity is reserved at once. A reallocation would leave a part of a secret in freed memory.
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1));
        file.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length <= longest) {
            return Ok(bytes);
        }
    }
    Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {longest} bytes")))
}

/// Reads the regular file at this path.
///
/// # Errors
/// Returns an error if there is no regular file, and in the same cases as [`read_to_end`].
pub fn read(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let mut file = open(path, false)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    read_to_end(&mut file, longest)
}

/// Returns the name of a temporary file for this file, in the same directory. `id` makes the name unique.
pub fn temporary_path(path: &Path, id: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{id}.new"));
    PathBuf::from(name)
}

/// Creates a file without a name in the directory for temporary files. It disappears when it is closed.
///
/// # Errors
/// Returns an error if the file cannot be created.
pub fn unnamed_file() -> io::Result<File> {
    let path = std::env::temp_dir()
        .join(format!("chat-signer-{}", hex::encode(random::bytes::<16>().map_err(io::Error::other)?)));
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Writes the directory of this file to the disk, so that a new name in it survives a crash.
///
/// # Errors
/// Returns an error if the directory cannot be opened or written.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

/// Returns the directory of a file.
pub fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
