//! The lines of one chain, as they lie in the files: which are missing, there twice, or out of order.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::link::{ChainId, ChainLink, Hash, KeyId};
use super::record::ChainRecord;
use super::report::{ChainEnd, ChainReport, Lines, ProblemKind};

/// Where a line is.
#[derive(Clone, Copy)]
pub(super) struct LineAt<'a> {
    /// The file's name.
    pub(super) file: &'a Arc<str>,
    /// The file's place among the files, from 0.
    pub(super) number: usize,
    /// The line, from 1.
    pub(super) line: u64,
}

/// All lines of a chain that were read.
#[derive(Default)]
pub(super) struct LinkedLines {
    /// In the order in which they were read.
    runs: Vec<LineRun>,
    /// How many lines match their hash.
    pub(super) good: u64,
    unverified: Option<Unverified>,
}

/// Lines of a file of which each continues the one before. Lines of other chains may stand between them.
pub(super) struct LineRun {
    /// The file's name.
    pub(super) file: Arc<str>,
    number: usize,
    first_line: u64,
    /// Where its last line stands.
    pub(super) last_line: u64,
    first: u64,
    /// The number of its last line.
    pub(super) last: u64,
    /// The `prev` of its first line.
    prev: Option<Hash>,
    /// The hash of its last line.
    hash: Hash,
}

/// Lines that can't be checked.
struct Unverified {
    /// The first of them.
    at: Lines,
    /// The key that it needs; nothing if it is not keyed.
    key: Option<KeyId>,
    count: u64,
}

impl LineAt<'_> {
    /// The line alone.
    pub(super) fn lines(self) -> Lines {
        Lines { file: Arc::clone(self.file), first: self.line, last: self.line }
    }
}

impl LineRun {
    fn first_at(&self) -> Lines {
        Lines { file: Arc::clone(&self.file), first: self.first_line, last: self.first_line }
    }

    fn last_at(&self) -> Lines {
        Lines { file: Arc::clone(&self.file), first: self.last_line, last: self.last_line }
    }

    /// Whether this line continues it in the same file.
    fn is_continued_by(&self, at: LineAt<'_>, link: &ChainLink) -> bool {
        self.number == at.number && self.last.checked_add(1) == Some(link.seq) && link.prev == Some(self.hash)
    }
}

impl LinkedLines {
    /// Adds a line. Returns whether it begins a run.
    pub(super) fn add(&mut self, at: LineAt<'_>, link: &ChainLink) -> bool {
        if let Some(run) = self.runs.last_mut().filter(|run| run.is_continued_by(at, link)) {
            (run.last, run.hash, run.last_line) = (link.seq, link.hash, at.line);
            return false;
        }
        self.runs.push(LineRun {
            file: Arc::clone(at.file),
            number: at.number,
            first_line: at.line,
            last_line: at.line,
            first: link.seq,
            last: link.seq,
            prev: link.prev,
            hash: link.hash,
        });
        true
    }

    /// Notes that a line can't be checked.
    pub(super) fn unverified(&mut self, at: LineAt<'_>, key: Option<KeyId>) {
        self.unverified.get_or_insert_with(|| Unverified { at: at.lines(), key, count: 0 }).count += 1;
    }

    /// The run with the last line.
    pub(super) fn last(&self) -> Option<&LineRun> {
        self.runs.iter().max_by_key(|run| run.last)
    }

    /// Reports what is wrong with the chain, and how far it goes.
    pub(super) fn report(&self, id: ChainId, record: &ChainRecord, report: &mut ChainReport) {
        if let Some(unverified) = &self.unverified {
            unverified.report(id, report);
        } else if self.good == 0 {
            // Nothing shows that there ever was such a chain: each of its lines is reported as changed.
            return;
        }
        let kept = self.report_gaps(id, record, report);
        if !report_order(id, &kept, report) {
            report_returns(id, &kept, report);
        }
        report.ends.extend(self.last().map(|run| ChainEnd { id, seq: run.last, hash: run.hash }));
    }

    /// Reports missing and doubled lines, and those that don't continue the line before. Returns the runs in the chain's order, without
    /// second copies.
    fn report_gaps(&self, id: ChainId, record: &ChainRecord, report: &mut ChainReport) -> Vec<&LineRun> {
        let mut sorted: Vec<&LineRun> = self.runs.iter().collect();
        sorted.sort_by_key(|run| (run.first, run.number, run.first_line));
        let mut kept: Vec<&LineRun> = Vec::new();
        // The run with the highest number so far, and the number that should follow.
        let (mut last, mut next): (Option<&LineRun>, u64) = (None, 0);
        for run in sorted {
            if run.first < next {
                let message = format!("{}: there a second time", numbers(id, run.first, run.last.min(next - 1)));
                report.add(ProblemKind::Duplicated, Some(run.first_at()), message);
            } else {
                kept.push(run);
                if let Some((kind, message)) = break_before(id, run, last, next, record) {
                    report.add(kind, Some(run.first_at()), message);
                }
            }
            if run.last >= next {
                (last, next) = (Some(run), run.last.saturating_add(1));
            }
        }
        kept
    }
}

/// Reports lines that stand behind later ones of the same file. Returns whether there are any.
fn report_order(id: ChainId, kept: &[&LineRun], report: &mut ChainReport) -> bool {
    let mut in_files = kept.to_vec();
    in_files.sort_by_key(|run| (run.number, run.first_line));
    let mut found = false;
    for (before, run) in in_files.iter().zip(in_files.iter().skip(1)) {
        if before.number == run.number && run.first < before.first {
            let message = format!("{}: behind number {}", numbers(id, run.first, run.last), before.last);
            report.add(ProblemKind::Reordered, Some(run.first_at()), message);
            found = true;
        }
    }
    found
}

/// Reports where the chain comes back to a file that it had left: a file is left for good when it is rotated.
fn report_returns(id: ChainId, kept: &[&LineRun], report: &mut ChainReport) {
    let mut left = BTreeSet::new();
    for (before, run) in kept.iter().zip(kept.iter().skip(1)) {
        if before.number != run.number {
            left.insert(before.number);
            if left.contains(&run.number) {
                let message = format!(
                    "{}: continues {}, a line of another file",
                    numbers(id, run.first, run.first),
                    before.last_at()
                );
                report.add(ProblemKind::Reordered, Some(run.first_at()), message);
            }
        }
    }
}

/// What is wrong between a run and the one before it; `next` is the number that should come.
fn break_before(
    id: ChainId,
    run: &LineRun,
    last: Option<&LineRun>,
    next: u64,
    record: &ChainRecord,
) -> Option<(ProblemKind, String)> {
    let missing = || numbers(id, next, run.first.saturating_sub(1));
    match last {
        None if run.first > 0 && !record.continues(id, run.first, run.prev) => {
            Some((ProblemKind::Missing, format!("{}: missing before this line", missing())))
        }
        Some(last) if run.first > next => {
            let message = format!("{}: missing between {} and this line", missing(), last.last_at());
            Some((ProblemKind::Missing, message))
        }
        Some(last) if run.prev != Some(last.hash) => {
            let (this, before, there) = (numbers(id, run.first, run.first), last.last, last.last_at());
            let message = format!("{this}: does not continue number {before} at {there}; one of them was replaced");
            Some((ProblemKind::Changed, message))
        }
        _ => None,
    }
}

impl Unverified {
    fn report(&self, id: ChainId, report: &mut ChainReport) {
        let count = self.count;
        let message = match self.key {
            Some(key) => format!("chain {id}: {count} lines need the key {key}, which is not given"),
            None => format!("chain {id}: {count} lines are not keyed, so anyone can have made them"),
        };
        report.add(ProblemKind::Unverified, Some(self.at.clone()), message);
    }
}

/// Some lines of a chain in words.
fn numbers(id: ChainId, first: u64, last: u64) -> String {
    if first == last { format!("chain {id}, number {first}") } else { format!("chain {id}, numbers {first} to {last}") }
}
