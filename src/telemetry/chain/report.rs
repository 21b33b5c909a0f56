//! What verification finds.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::link::{ChainId, Hash};

/// How many problems are kept; further ones are counted.
const MOST: usize = 10_000;

/// What verification found.
#[derive(Debug, Default)]
pub struct ChainReport {
    /// What is wrong.
    pub problems: Vec<ChainProblem>,
    /// How many more problems there are than are kept.
    pub more: u64,
    /// Torn lines, which are no problem: the chain goes on behind them.
    pub torn: Vec<Lines>,
    /// How many files were read.
    pub files: usize,
    /// How many chained lines there are.
    pub lines: u64,
    /// How far each chain goes, in the order of their ids.
    pub ends: Vec<ChainEnd>,
}

/// The last line of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChainEnd {
    /// The chain.
    #[serde(serialize_with = "display")]
    pub id: ChainId,
    /// The number of its last line.
    pub seq: u64,
    /// The hash of its last line.
    #[serde(serialize_with = "hex")]
    pub hash: Hash,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChainProblem {
    /// What sort of thing it is.
    pub kind: ProblemKind,
    /// Where it is; nothing if it is about a chain that is not there.
    #[serde(flatten)]
    pub at: Option<Lines>,
    /// It in words.
    pub message: String,
}

/// What sort of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// A line is not what was written, or does not continue the line before.
    Changed,
    /// Lines are missing.
    Missing,
    /// Lines are there twice.
    Duplicated,
    /// Lines are not where they were written.
    Reordered,
    /// A line belongs to no chain.
    Unchained,
    /// A line can't be checked, because of its key.
    Unverified,
    /// The files are not what the record says.
    Record,
}

/// Lines of a file, one or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lines {
    /// The file's name.
    #[serde(serialize_with = "display")]
    pub file: Arc<str>,
    /// The first line, from 1.
    #[serde(rename = "line")]
    pub first: u64,
    /// The last line.
    #[serde(rename = "last_line")]
    pub last: u64,
}

impl ChainReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// How many problems there are.
    pub fn problem_count(&self) -> u64 {
        self.problems.len() as u64 + self.more
    }

    /// Adds a problem. One that says the same as the last about the line after it extends that.
    pub(super) fn add(&mut self, kind: ProblemKind, at: Option<Lines>, message: String) {
        if let Some(last) = self.problems.last_mut().filter(|last| last.kind == kind && last.message == message)
            && let (Some(before), Some(at)) = (&mut last.at, &at)
            && before.extend(at)
        {
            return;
        }
        if self.problems.len() < MOST {
            self.problems.push(ChainProblem { kind, at, message });
        } else {
            self.more += 1;
        }
    }

    /// Adds a torn line, unless there are too many already.
    pub(super) fn add_torn(&mut self, at: Lines) {
        if self.torn.len() < MOST {
            self.torn.push(at);
        }
    }
}

impl Lines {
    /// Takes in the lines right behind these, if those are.
    fn extend(&mut self, next: &Lines) -> bool {
        let is_next = self.file == next.file && self.last.checked_add(1) == Some(next.first);
        if is_next {
            self.last = next.last;
        }
        is_next
    }
}

impl ProblemKind {
    /// How reports spell it.
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

fn display<T: fmt::Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn hex<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&crate::crypto::hex(hash))
}
