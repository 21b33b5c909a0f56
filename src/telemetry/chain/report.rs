//! The result of a verification.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::link::{ChainId, Hash};

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

fn display<T: fmt::Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn hex<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&crate::crypto::hex(hash))
}
