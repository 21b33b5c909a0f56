//! The inputs of `audit show`: files, compressed files and standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// The first bytes of a file that gzip compressed (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The longest line that is kept, in bytes. A longer line cannot come from this program.
const MAX_LINE_BYTES: usize = 4 << 20;

/// An input that yields lines.
pub(in crate::cli) struct LineSource {
    input: Box<dyn BufRead>,
    line: LineBuffer,
}

impl LineSource {
    /// Opens a file, or standard input if the path is `-`. Decompresses a file that gzip compressed.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened or its first bytes cannot be read.
    pub(in crate::cli) fn open(path: &Path) -> io::Result<LineSource> {
        let raw: Box<dyn Read> =
            if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
        let mut raw = BufReader::with_capacity(1 << 16, raw);
        let input: Box<dyn BufRead> = if raw.fill_buf()?.starts_with(&GZIP_MAGIC) {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        Ok(LineSource { input, line: LineBuffer::default() })
    }

    /// Reads the next line, without its newline. Of a line that is too long, returns only the start. Returns `None` at
    /// the end.
    ///
    /// # Errors
    /// Returns an error if the input cannot be read.
    pub(in crate::cli) fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let is_complete = self.line.read(&mut self.input)?;
        let line = self.line.take();
        Ok((is_complete || !line.is_empty()).then_some(line))
    }
}

/// A line that is being read. It keeps at most [`MAX_LINE_BYTES`].
#[derive(Default)]
pub(super) struct LineBuffer(Vec<u8>);

impl LineBuffer {
    /// Reads to the end of the line, or to the end of the input. Returns whether the line is complete.
    ///
    /// # Errors
    /// Returns an error if the input cannot be read.
    pub(super) fn read(&mut self, input: &mut impl BufRead) -> io::Result<bool> {
        loop {
            let available = input.fill_buf()?;
            if available.is_empty() {
                return Ok(false);
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let room = MAX_LINE_BYTES - self.0.len();
            self.0.extend_from_slice(&part[..part.len().min(room)]);
            let read = end.map_or(available.len(), |end| end + 1);
            input.consume(read);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    /// Returns the line, and starts the next one.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}
