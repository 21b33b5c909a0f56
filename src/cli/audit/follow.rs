//! A file that is read to its end and beyond, while another program writes it.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::source::LineBuffer;

/// The pause before the file is checked again.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// A file that grows, and that can be replaced by a new file of the same name.
pub(super) struct FollowedFile {
    path: PathBuf,
    input: BufReader<File>,
    /// A line whose end is not written yet.
    partial: LineBuffer,
}

impl FollowedFile {
    /// Opens the file at its beginning.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened.
    pub(super) fn open(path: &Path) -> io::Result<FollowedFile> {
        let input = BufReader::new(File::open(path)?);
        Ok(FollowedFile { path: path.to_owned(), input, partial: LineBuffer::default() })
    }

    /// Returns the next complete line, without its newline. Waits for it without end.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(super) fn next_line(&mut self) -> io::Result<Vec<u8>> {
        while !self.read_line()? {
            if !self.is_replaced()? {
                thread::sleep(CHECK_INTERVAL);
                continue;
            }
            // The writer may have added lines to the old file before it opened the new one.
            if self.read_line()? {
                break;
            }
            *self = FollowedFile::open(&self.path)?;
        }
        Ok(self.partial.take())
    }

    /// Reads to the end of the line or of the file. Returns whether the line is complete.
    fn read_line(&mut self) -> io::Result<bool> {
        self.partial.read(&mut self.input)
    }

    /// Returns whether the path leads to another file, or to a file that was cut.
    fn is_replaced(&mut self) -> io::Result<bool> {
        let named = match fs::metadata(&self.path) {
            Ok(named) => named,
            // The file was moved away, and the new file does not exist yet.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let opened = self.input.get_ref().metadata()?;
        let is_other = (named.dev(), named.ino()) != (opened.dev(), opened.ino());
        Ok(is_other || named.len() < self.input.stream_position()?)
    }
}
