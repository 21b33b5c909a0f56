//! Writes audit lines to their output, with a hash chain if it is configured.

use std::io;

use super::chain::{Chain, ChainKey};
use super::destination::{LineOutput, Watchdog, WriteProgress};
use crate::random::{self, EntropyError};
use crate::secret::Secret;

/// The memory of a written batch that is kept for the next batch, in bytes.
pub(super) const SPARE_CAPACITY: usize = 64 << 10;

/// Writes lines. Only one thread uses it at a time.
pub struct LineWriter {
    destination: LineOutput,
    chained: Option<Chained>,
}

/// The chain, and the current lines with their links.
struct Chained {
    chain: Chain,
    lines: Vec<u8>,
    /// The chain before the current lines.
    before: Chain,
}

/// Creates a chain with a random id. With a secret, the chain is keyed.
///
/// # Errors
/// Returns an error if the system returns no random bytes.
pub fn new_chain(key: Option<&Secret>) -> Result<Chain, EntropyError> {
    Ok(Chain::new(random::bytes()?, key.map(ChainKey::new)))
}

impl LineWriter {
    /// Creates a writer to this output. With a chain, each line gets its link.
    pub fn new(destination: LineOutput, chain: Option<Chain>) -> LineWriter {
        LineWriter { destination, chained: chain.map(Chained::new) }
    }

    /// Writes lines. Each line must end with a newline.
    ///
    /// # Errors
    /// Returns an error if the lines are not written completely. The chain then continues after the lines that were
    /// written.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match &mut self.chained {
            None => self.destination.write(lines),
            Some(chained) => {
                chained.begin(lines);
                let written = self.destination.write(&chained.lines);
                chained.end(lines, written, &self.destination)
            }
        }
    }

    /// Returns whether tasks may write to the output: see [`try_write`](Self::try_write).
    pub(super) fn is_for_tasks(&self, watchdog: Watchdog) -> bool {
        self.destination.is_for_tasks(watchdog)
    }

    /// Writes as many lines as is possible without waiting. If the result is [`WriteProgress::Incomplete`],
    /// [`finish`](Self::finish) must be called with the same lines next.
    ///
    /// # Errors
    /// Returns an error if writing fails. The chain then continues after the lines that were written.
    pub(super) fn try_write(&mut self, lines: &[u8], watchdog: Watchdog) -> io::Result<WriteProgress> {
        let Some(chained) = &mut self.chained else { return self.destination.try_write(lines, watchdog) };
        chained.begin(lines);
        match self.destination.try_write(&chained.lines, watchdog) {
            Ok(WriteProgress::Incomplete) => Ok(WriteProgress::Incomplete),
            Ok(WriteProgress::Complete) => {
                chained.end(lines, Ok(()), &self.destination).map(|()| WriteProgress::Complete)
            }
            Err(error) => chained.end(lines, Err(error), &self.destination).map(|()| WriteProgress::Complete),
        }
    }

    /// Writes what [`try_write`](Self::try_write) has left of these lines.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`write`](Self::write).
    pub(super) fn finish(&mut self, lines: &[u8]) -> io::Result<()> {
        match &mut self.chained {
            None => self.destination.finish(lines),
            Some(chained) => {
                let written = self.destination.finish(&chained.lines);
                chained.end(lines, written, &self.destination)
            }
        }
    }

    /// Opens the file again, as [`LineOutput::reopen`] does. The chain continues.
    pub(super) fn reopen(&mut self) {
        self.destination.reopen();
    }
}

impl Chained {
    fn new(chain: Chain) -> Chained {
        Chained { before: chain.clone(), chain, lines: Vec::new() }
    }

    /// Adds the links of these lines.
    fn begin(&mut self, lines: &[u8]) {
        self.before = self.chain.clone();
        self.lines.clear();
        self.chain.append(lines, &mut self.lines);
    }

    /// If the lines were not written completely, the chain continues after the last line that was.
    fn end(&mut self, lines: &[u8], written: io::Result<()>, to: &LineOutput) -> io::Result<()> {
        if written.is_err() {
            let count = count_complete_lines(&self.lines, to.appended());
            self.chain = self.before.clone();
            self.chain.advance(lines, count);
        }
        self.lines.shrink_to(SPARE_CAPACITY);
        written
    }
}

/// Returns how many of these lines are complete in their first `appended` bytes. The last complete line needs no
/// newline, because the next write begins with a newline.
fn count_complete_lines(lines: &[u8], appended: usize) -> usize {
    let mut end = 0;
    let ends = lines.split_inclusive(|byte| *byte == b'\n').map(|line| {
        end += line.len();
        end - 1
    });
    ends.take_while(|end| *end <= appended).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_its_newline_is_whole() {
        let counts: Vec<usize> = (0..=6).map(|appended| count_complete_lines(b"ab\nc\n\n", appended)).collect();
        assert_eq!(counts, [0, 0, 1, 1, 2, 3, 3]);
    }
}
