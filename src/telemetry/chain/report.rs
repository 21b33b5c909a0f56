//! The result of a verification, and the record of chains that it can be compared with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::link::{ChainId, Hash, parse_hex};

/// The maximum number of problems that are kept. Further problems are only counted.
const MAX_PROBLEMS: usize = 10_000;

/// The result of a verification.
#[derive(Debug, Default)]
pub struct ChainReport {
    /// The problems.
    pub problems: Vec<ChainProblem>,
    /// The number of further problems that are not kept.
    pub more: u64,
    /// Torn lines. They are not problems, because the chain continues after them.
    pub torn: Vec<Lines>,
    /// The number of files that were read.
    pub files: usize,
    /// The number of chained lines.
    pub lines: u64,
    /// The last line of each chain, in the order of their ids.
    pub ends: Vec<ChainEnd>,
}

/// The last line of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChainEnd {
    /// The chain.
    #[serde(serialize_with = "display")]
    pub id: ChainId,
    /// The number of the line.
    pub seq: u64,
    /// The hash of the line.
    #[serde(serialize_with = "hex")]
    pub hash: Hash,
}

/// A problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChainProblem {
    /// The kind of problem.
    pub kind: ProblemKind,
    /// The place. `None`: the problem is about a chain that is not in the files.
    #[serde(flatten)]
    pub at: Option<Lines>,
    /// The description.
    pub message: String,
}

/// The kind of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// A line was changed, or does not continue the previous line.
    Changed,
    /// Lines are missing.
    Missing,
    /// Lines are duplicated.
    Duplicated,
    /// Lines are not in their original place.
    Reordered,
    /// A line belongs to no chain.
    Unchained,
    /// A line cannot be checked, because its key is unknown or it has none.
    Unverified,
    /// The files contradict the record.
    Record,
}

/// One or several lines of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lines {
    /// The name of the file.
    #[serde(serialize_with = "display")]
    pub file: Arc<str>,
    /// The number of the first line, from 1.
    #[serde(rename = "line")]
    pub first: u64,
    /// The number of the last line.
    #[serde(rename = "last_line")]
    pub last: u64,
}

impl ChainReport {
    /// Returns whether there are no problems.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Returns the number of problems.
    pub fn problem_count(&self) -> u64 {
        self.problems.len() as u64 + self.more
    }

    /// Adds a problem. If the previous problem has the same text and ends at the previous line, extends it instead.
    pub(super) fn add(&mut self, kind: ProblemKind, at: Option<Lines>, message: String) {
        if let Some(last) = self.problems.last_mut().filter(|last| last.kind == kind && last.message == message)
            && let (Some(before), Some(at)) = (&mut last.at, &at)
            && before.extend(at)
        {
            return;
        }
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(ChainProblem { kind, at, message });
        } else {
            self.more += 1;
        }
    }

    /// Adds a torn line, up to a limit.
    pub(super) fn add_torn(&mut self, at: Lines) {
        if self.torn.len() < MAX_PROBLEMS {
            self.torn.push(at);
        }
    }
}

impl Lines {
    /// Extends this range if `next` directly follows it. Returns whether it does.
    fn extend(&mut self, next: &Lines) -> bool {
        let is_next = self.file == next.file && self.last.checked_add(1) == Some(next.first);
        if is_next {
            self.last = next.last;
        }
        is_next
    }
}

impl ProblemKind {
    /// Returns the name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            ProblemKind::Changed => "changed",
            ProblemKind::Missing => "missing",
            ProblemKind::Duplicated => "duplicated",
            ProblemKind::Reordered => "reordered",
            ProblemKind::Unchained => "unchained",
            ProblemKind::Unverified => "unverified",
            ProblemKind::Record => "record",
        }
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.first)?;
        if self.last > self.first { write!(f, "-{}", self.last) } else { Ok(()) }
    }
}

impl fmt::Display for ChainProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        write!(f, "{}: {}", self.kind.as_str(), self.message)
    }
}

impl fmt::Display for ChainEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.id, self.seq, crate::crypto::hex(&self.hash))
    }
}

/// The recorded ends of chains, kept outside of the log files. A record shows whether the end of a chain or a whole chain
/// is missing. The files alone cannot show this. Each line of a record has the id of a chain, the number of a line, and the hash of that
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
    let entry = ((ChainId::parse(id)?, seq.parse().ok()?), parse_hex(hash)?);
    words.next().is_none().then_some(entry)
}

fn display<T: fmt::Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn hex<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&crate::crypto::hex(hash))
}
