//! Writes audit lines to where they go, in a hash chain if there is one.

use std::io;

use super::audit::SPARE;
use super::chain::{Chain, ChainKey};
use super::destination::LineOutput;
use crate::random::{self, NoEntropy};
use crate::secret::Secret;

/// Writes lines, which only one thread does at a time.
pub struct LineWriter {
    destination: LineOutput,
    chained: Option<Chained>,
}

/// The chain, and the lines that are being written, with their links.
struct Chained {
    chain: Chain,
    lines: Vec<u8>,
}

/// A chain with a random id, keyed with this secret if there is one.
///
/// # Errors
/// If the system gives no random bytes.
pub fn new_chain(key: Option<&Secret>) -> Result<Chain, NoEntropy> {
    Ok(Chain::new(random::bytes()?, key.map(ChainKey::new)))
}

impl LineWriter {
    /// Writes to this destination; with a chain each line gets its link.
    pub fn new(destination: LineOutput, chain: Option<Chain>) -> LineWriter {
        LineWriter { destination, chained: chain.map(|chain| Chained { chain, lines: Vec::new() }) }
    }

    /// Writes lines, each of which ends with its newline.
    ///
    /// # Errors
    /// If they are not written, or not all of them. The chain then goes on behind those that were.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match &mut self.chained {
            None => self.destination.write(lines),
            Some(chained) => chained.write(lines, &mut self.destination),
        }
    }

    /// Has the file opened anew, as [`LineOutput::reopen`] does. The chain goes on.
    pub(super) fn reopen(&mut self) {
        self.destination.reopen();
    }
}

impl Chained {
    fn write(&mut self, lines: &[u8], to: &mut LineOutput) -> io::Result<()> {
        let before = self.chain.clone();
        self.lines.clear();
        self.chain.append(lines, &mut self.lines);
        let written = to.write(&self.lines);
        if written.is_err() {
            let count = whole_lines(&self.lines, to.appended());
            self.chain = before;
            self.chain.skip(lines, count);
        }
        self.lines.shrink_to(SPARE);
        written
    }
}

/// How many lines are whole in the first `appended` bytes of these. The last needs no newline: the next write begins with one.
fn whole_lines(lines: &[u8], appended: usize) -> usize {
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
        let counts: Vec<usize> = (0..=6).map(|appended| whole_lines(b"ab\nc\n\n", appended)).collect();
        assert_eq!(counts, [0, 0, 1, 1, 2, 3, 3]);
    }
}
