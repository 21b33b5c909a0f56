//! A record of chains that is kept elsewhere: it shows what the files alone can't, that the end of a chain or a whole chain is missing.

use std::collections::BTreeMap;

use super::link::{self, ChainId, Hash};

/// How far chains had got: a line for each, with the chain's id, the number of a line, and that line's hash.
#[derive(Clone, Debug, Default)]
pub struct ChainRecord(pub(super) BTreeMap<(ChainId, u64), Hash>);

/// What is wrong with a record, and in which of its lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not what `--heads` prints.
    #[error("line {0} is not a chain's id, a number and a hash, as --heads prints them")]
    Malformed(usize),
    /// Another line says something else.
    #[error("line {0} has another hash than an earlier line for the same number of the same chain")]
    Contradiction(usize),
}

impl ChainRecord {
    /// Reads a record. Empty lines are skipped.
    ///
    /// # Errors
    /// If a line is malformed, or contradicts another.
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

    /// Whether a line with this number and this `prev` comes right after a line of the record.
    pub(super) fn continues(&self, chain: ChainId, seq: u64, prev: Option<Hash>) -> bool {
        let before = seq.checked_sub(1).and_then(|before| self.0.get(&(chain, before)));
        before.is_some_and(|hash| prev == Some(*hash))
    }
}

fn entry(line: &str) -> Option<((ChainId, u64), Hash)> {
    let mut words = line.split_whitespace();
    let (id, seq, hash) = (words.next()?, words.next()?, words.next()?);
    let entry = ((ChainId::parse(id)?, seq.parse().ok()?), link::bytes(hash)?);
    words.next().is_none().then_some(entry)
}
