//! The inputs of `audit show`: files, compressed files and standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// The first bytes of a file that gzip compressed (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The longest line that is read, in bytes. A longer line cannot come from this program.
const MAX_LINE_BYTES: u64 = 4 << 20;

/// An input that yields lines.
pub(super) struct LineSource {
    input: Box<dyn BufRead>,
    line: Vec<u8>,
}

impl LineSource {
    /// Opens a file, or standard input if the path is `-`. Decompresses a file that gzip compressed.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened or its first bytes cannot be read.
    pub(super) fn open(path: &Path) -> io::Result<LineSource> {
        let raw: Box<dyn Read> =
            if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
        let mut raw = BufReader::with_capacity(1 << 16, raw);
        let input: Box<dyn BufRead> = if raw.fill_buf()?.starts_with(&GZIP_MAGIC) {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        Ok(LineSource { input, line: Vec::new() })
    }

    /// Reads the next line, without its newline. Returns `None` at the end.
    ///
    /// # Errors
    /// Returns an error if the input cannot be read, or if a line is too long.
    pub(super) fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let read = self.input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut self.line)?;
        if read as u64 == MAX_LINE_BYTES && !self.line.ends_with(b"\n") {
            return Err(io::Error::other("a line has more than 4 MiB"));
        }
        Ok((read > 0).then(|| self.line.trim_ascii_end()))
    }
}
