//! A record of chains that is kept outside of the log files. It shows whether the end of a chain or a whole chain is
//! missing. The files alone cannot show this.

use std::collections::BTreeMap;

use super::link::{self, ChainId, Hash};

/// The recorded ends of chains. Each line of a record has the id of a chain, the number of a line, and the hash of that
/// line.
#[derive(Clone, Debug, Default)]
pub struct ChainRecord(pub(super) BTreeMap<(ChainId, u64), Hash>);

/// The error of a record that cannot be parsed, with the line number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The line does not have the format that `--heads` prints.
    #[error("line {0} is not a chain's id, a number and a hash, as --heads prints them")]
    Malformed(usize),
    /// The line contradicts an earlier line.
    #[error("line {0} contradicts an earlier line: the same line of the same chain has another hash there")]
    Contradiction(usize),
}

impl ChainRecord {
    /// Parses a record. Skips empty lines.
    ///
    /// # Errors
    /// Returns an error if a line is malformed, or contradicts another line.
    pub fn parse(text: &str) -> Result<ChainRecord, RecordError> {
        let mut record = ChainRecord::default();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let (place, hash) = entry(line).ok_or(RecordError::Malformed(number))?;
            if record.0.insert(place, hash).is_some_and(|other| other != hash) {
                return Err(RecordError::Contradiction(number));
            }
        }
        Ok(record)
    }

    /// Returns whether a line with this number and this `prev` directly follows a line of the record.
    pub(super) fn continues(&self, chain: ChainId, seq: u64, prev: Option<Hash>) -> bool {
        let before = seq.checked_sub(1).and_then(|before| self.0.get(&(chain, before)));
        before.is_some_and(|hash| prev == Some(*hash))
    }
}

fn entry(line: &str) -> Option<((ChainId, u64), Hash)> {
    let mut words = line.split_whitespace();
    let (id, seq, hash) = (words.next()?, words.next()?, words.next()?);
    let entry = ((ChainId::parse(id)?, seq.parse().ok()?), link::parse_hex(hash)?);
    words.next().is_none().then_some(entry)
}
