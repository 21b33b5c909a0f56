//! The files of a configuration, and the content that each had.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::origin::ConfigOrigin;
use super::report::{ConfigProblem, Report};
use crate::{crypto, files};

/// How long the times of a file must be unchanged before they are trusted. On file systems with coarse clocks, a second
/// change soon after the first can leave the times unchanged.
const MIN_UNCHANGED_TIME: Duration = Duration::from_secs(5);

/// The maximum size of a file, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 16 << 20;

/// The files that a configuration was read from, also those that were missing, and the content of each.
#[derive(Clone, Default)]
pub struct SourceFiles(BTreeMap<PathBuf, SourceState>);

/// The state of a file when it was last checked.
#[derive(Clone, Copy)]
struct SourceState {
    content: FileContent,
    stamp: Option<FileStamp>,
    /// The first time when this stamp was seen.
    unchanged_since: Instant,
}

/// The content of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FileContent {
    /// The SHA-256 of the bytes.
    Bytes([u8; 32]),
    /// A pipe or a device, which can be read only once.
    Stream,
    /// The file cannot be read, for this reason.
    Unread(ErrorKind),
    /// Two reads of the file returned different content.
    ChangedWhileReading,
}

/// Metadata that changes when a file changes, so the file need not be read: device, inode, length, and the times of the
/// last changes to its content and its metadata, in seconds and nanoseconds.
type FileStamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl SourceFiles {
    /// Returns the current state of the same files. Symbolic links are followed again.
    #[must_use]
    pub fn recheck(&self) -> SourceFiles {
        SourceFiles(self.0.iter().map(|(path, seen)| (path.clone(), seen.recheck(path))).collect())
    }

    /// Returns whether these are the same files with the same content.
    pub fn has_same_content_as(&self, other: &SourceFiles) -> bool {
        let same = |((path, seen), (other_path, other)): ((&PathBuf, &SourceState), (&PathBuf, &SourceState))| {
            path == other_path && seen.content == other.content && seen.content != FileContent::ChangedWhileReading
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }

    fn record(&mut self, path: &Path, content: FileContent, stamp: Option<FileStamp>) {
        let seen = SourceState { content, stamp, unchanged_since: Instant::now() };
        let known = self.0.entry(path.to_owned()).or_insert(seen);
        if known.content != content {
            known.content = FileContent::ChangedWhileReading;
        }
    }
}

impl fmt::Debug for SourceFiles {
    /// Shows only the number of files: some hold secrets, and a path may be a secret that was written by mistake.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceFiles({})", self.0.len())
    }
}

impl SourceState {
    /// Returns the state of a file that cannot be read.
    fn unread(error: ErrorKind) -> SourceState {
        SourceState { content: FileContent::Unread(error), stamp: None, unchanged_since: Instant::now() }
    }

    fn recheck(&self, path: &Path) -> SourceState {
        let opened = files::open(path, false).and_then(|file| Ok((stamp(&file.metadata()?), file)));
        let (stamp, mut file) = match opened {
            Ok(opened) => opened,
            Err(error) => return SourceState::unread(error.kind()),
        };
        let since = if self.stamp == Some(stamp) { self.unchanged_since } else { Instant::now() };
        if since.elapsed() >= MIN_UNCHANGED_TIME {
            return *self;
        }
        SourceState { content: read(&mut file, true).0, stamp: Some(stamp), unchanged_since: since }
    }
}

/// Reads the files of a configuration, and records their content.
#[derive(Clone, Default)]
pub(super) struct FileReader {
    sources: Rc<RefCell<SourceFiles>>,
    /// Whether the files have been read before. A second read of a pipe would never end.
    again: bool,
    /// The origin of the settings in force.
    earlier: Arc<ConfigOrigin>,
    /// The parts that keep their earlier values.
    kept: Rc<BTreeSet<String>>,
    origin: Rc<RefCell<ConfigOrigin>>,
    /// The kept parts with a file that differs from its earlier content.
    replaced: Rc<RefCell<BTreeSet<String>>>,
}

impl FileReader {
    /// Returns a reader for a configuration that has been read before, with this origin.
    pub(super) fn for_reload(earlier: Arc<ConfigOrigin>) -> FileReader {
        FileReader { again: true, earlier, ..FileReader::default() }
    }

    /// Returns a reader of the same files. It returns the earlier content of the files of these parts.
    pub(super) fn keeping(&self, kept: BTreeSet<String>) -> FileReader {
        let (sources, earlier) = (Rc::clone(&self.sources), Arc::clone(&self.earlier));
        FileReader { sources, again: self.again, earlier, kept: Rc::new(kept), ..FileReader::default() }
    }

    /// Reads a file of this part.
    pub(super) fn read(&self, part: &str, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = self.read_now(path);
        if let Some(earlier) = self.earlier.file(part, path).filter(|_| self.kept.contains(part)) {
            if !bytes.as_ref().is_ok_and(|bytes| bytes == earlier.expose()) {
                self.replaced.borrow_mut().insert(part.to_owned());
            }
            bytes = Ok(earlier.expose().to_vec());
        }
        if let Ok(bytes) = &bytes {
            self.origin.borrow_mut().record_file(part, path, bytes);
        }
        bytes
    }

    fn read_now(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (stamp, (content, bytes)) = match files::open(path, !self.again) {
            Ok(mut file) => (file.metadata().ok().as_ref().map(stamp), read(&mut file, self.again)),
            Err(error) => (None, (FileContent::Unread(error.kind()), Err(error))),
        };
        self.sources.borrow_mut().record(path, content, stamp);
        bytes
    }

    /// Returns all files that were read.
    pub(super) fn sources(&self) -> SourceFiles {
        self.sources.borrow().clone()
    }

    /// Returns the kept parts with a file that differs from its earlier content.
    pub(super) fn replaced_parts(&self) -> BTreeSet<String> {
        self.replaced.borrow().clone()
    }

    /// Returns the parts that keep their earlier values.
    pub(super) fn kept_parts(&self) -> &BTreeSet<String> {
        &self.kept
    }

    /// Returns the origin of the settings in force.
    pub(super) fn earlier(&self) -> &ConfigOrigin {
        &self.earlier
    }

    /// Returns the origin of what was read with this reader. `parts` are the parts of the main file, which has this
    /// text.
    pub(super) fn origin(&self, parts: BTreeSet<String>, text: &str) -> ConfigOrigin {
        let mut origin = self.origin.take();
        origin.record_sections(parts, text, &self.kept, &self.earlier);
        origin
    }
}

/// Reads all bytes of a file. A second read of a pipe or device fails.
fn read(file: &mut File, again: bool) -> (FileContent, io::Result<Vec<u8>>) {
    let is_stream = file.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
    if is_stream && again {
        return (FileContent::Stream, Err(ErrorKind::Unsupported.into()));
    }
    match files::read_to_end(file, MAX_FILE_BYTES) {
        Ok(bytes) if is_stream => (FileContent::Stream, Ok(bytes)),
        Ok(bytes) => (FileContent::Bytes(crypto::sha256(&bytes)), Ok(bytes)),
        Err(error) => (FileContent::Unread(error.kind()), Err(error)),
    }
}

/// Returns the reason why a file could not be read. The text continues a sentence after the name of the file.
pub(super) fn describe_read_error(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "which does not exist".to_owned(),
        ErrorKind::Unsupported => "which can't be read a second time: it is not a regular file".to_owned(),
        ErrorKind::FileTooLarge => format!("which is larger than {} MiB", MAX_FILE_BYTES >> 20),
        _ => format!("which can't be read: {error}"),
    }
}

/// Reads the text of a file that is not part of the configuration. `is` describes the file for messages.
pub(super) fn read_text_file(path: &Path, is: &str) -> Result<String, Report> {
    decode_text(path, std::fs::read(path), is, "")
}

/// Returns the text of a file, or a report that begins with `is` if the file could not be read.
pub(super) fn decode_text(path: &Path, bytes: io::Result<Vec<u8>>, is: &str, help: &str) -> Result<String, Report> {
    let (message, help) = match bytes.map(String::from_utf8) {
        Ok(Ok(text)) => return Ok(text),
        Ok(Err(_)) => ("this is not UTF-8".to_owned(), "save the file as UTF-8"),
        Err(error) => (format!("{is}, {}", describe_read_error(&error)), help),
    };
    Err(Report::new(vec![ConfigProblem::of_file(path, message, help)]))
}

fn stamp(metadata: &Metadata) -> FileStamp {
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    (metadata.dev(), metadata.ino(), metadata.size(), modified, changed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;
    use crate::config::origin::MAIN_PART;

    /// A directory for a single test. It is removed at the end.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path = std::env::temp_dir().join(format!("chat-signer-sources-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Directory(path)
        }

        fn join(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Reads these files, and returns the recorded states.
    fn read(paths: &[&Path]) -> SourceFiles {
        let disk = FileReader::default();
        for path in paths {
            let _ = disk.read(MAIN_PART, path);
        }
        disk.sources()
    }

    #[test]
    fn what_a_file_holds_tells_whether_it_changed() {
        let directory = Directory::new("content");
        let path = directory.join("file");
        fs::write(&path, "one").unwrap();
        let sources = read(&[&path]);
        assert!(sources.recheck().has_same_content_as(&sources));
        fs::write(&path, "one").unwrap();
        assert!(sources.recheck().has_same_content_as(&sources), "it was written, and holds the same");
        fs::write(&path, "two").unwrap();
        assert!(!sources.recheck().has_same_content_as(&sources));
        fs::remove_file(&path).unwrap();
        assert!(!sources.recheck().has_same_content_as(&sources));
        fs::write(&path, "one").unwrap();
        assert!(sources.recheck().recheck().has_same_content_as(&sources));
    }

    #[test]
    fn what_is_missing_is_known_too_and_links_are_followed() {
        let directory = Directory::new("links");
        let [missing, link] = ["missing", "link"].map(|name| directory.join(name));
        for name in ["one", "two"] {
            fs::write(directory.join(name), name).unwrap();
        }
        symlink("one", &link).unwrap();
        let sources = read(&[&missing, &link]);
        assert!(sources.recheck().has_same_content_as(&sources));
        fs::remove_file(&link).unwrap();
        symlink("two", &link).unwrap();
        assert!(!sources.recheck().has_same_content_as(&sources));
        fs::remove_file(&link).unwrap();
        symlink("one", &link).unwrap();
        assert!(sources.recheck().has_same_content_as(&sources));
        fs::write(&missing, "").unwrap();
        assert!(!sources.recheck().has_same_content_as(&sources));
    }

    #[test]
    fn two_readings_that_differ_are_no_state_at_all() {
        let directory = Directory::new("torn");
        let path = directory.join("file");
        let disk = FileReader::default();
        for text in ["one", "two"] {
            fs::write(&path, text).unwrap();
            disk.read(MAIN_PART, &path).unwrap();
        }
        assert!(!disk.sources().has_same_content_as(&disk.sources()));
        assert!(!disk.sources().recheck().has_same_content_as(&disk.sources()));
    }

    #[test]
    fn a_pipe_is_read_once_and_never_waited_for_again() {
        let directory = Directory::new("pipe");
        let path = directory.join("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let writer = std::thread::spawn({
            let path = path.clone();
            move || fs::write(path, "secret").unwrap()
        });
        let disk = FileReader::default();
        assert_eq!(disk.read(MAIN_PART, &path).unwrap(), b"secret");
        writer.join().unwrap();
        assert!(disk.sources().recheck().has_same_content_as(&disk.sources()));
        assert_eq!(
            FileReader::for_reload(Arc::default()).read(MAIN_PART, &path).unwrap_err().kind(),
            ErrorKind::Unsupported
        );
    }
}
