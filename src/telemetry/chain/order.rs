//! The order of the lines of one chain in the files: finds missing, duplicated and reordered lines.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::link::{ChainId, ChainLink, Hash, KeyId};
use super::report::{ChainEnd, ChainRecord, ChainReport, Lines, ProblemKind};

/// The place of a line.
#[derive(Clone, Copy)]
pub(super) struct LineAt<'a> {
    /// The name of the file.
    pub(super) file: &'a Arc<str>,
    /// The index of the file, from 0.
    pub(super) number: usize,
    /// The line number, from 1.
    pub(super) line: u64,
}

/// All lines of a chain that were read.
#[derive(Default)]
pub(super) struct LinkedLines {
    /// The runs, in the order in which they were read.
    runs: Vec<LineRun>,
    /// The number of lines that match their hash.
    pub(super) verified_count: u64,
    unverified: Option<Unverified>,
}

/// Lines of one file in which each line continues the previous line. Lines of other chains can be in between.
pub(super) struct LineRun {
    /// The name of the file.
    pub(super) file: Arc<str>,
    number: usize,
    first_line: u64,
    /// The line number of its last line.
    pub(super) last_line: u64,
    first: u64,
    /// The sequence number of its last line.
    pub(super) last: u64,
    /// The `prev` of its first line.
    prev: Option<Hash>,
    /// The hash of its last line.
    hash: Hash,
}

/// Lines that cannot be checked.
struct Unverified {
    /// The first of these lines.
    at: Lines,
    /// The key that the line needs. `None`: the line is not keyed.
    key: Option<KeyId>,
    count: u64,
}

impl LineAt<'_> {
    /// Returns this line as a range.
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

    /// Returns whether this line continues the run in the same file.
    fn is_continued_by(&self, at: LineAt<'_>, link: &ChainLink) -> bool {
        self.number == at.number && self.last.checked_add(1) == Some(link.seq) && link.prev == Some(self.hash)
    }
}

impl LinkedLines {
    /// Adds a line. Returns whether it starts a new run.
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

    /// Adds a line that cannot be checked.
    pub(super) fn unverified(&mut self, at: LineAt<'_>, key: Option<KeyId>) {
        self.unverified.get_or_insert_with(|| Unverified { at: at.lines(), key, count: 0 }).count += 1;
    }

    /// Returns the run with the highest sequence number.
    pub(super) fn last(&self) -> Option<&LineRun> {
        self.runs.iter().max_by_key(|run| run.last)
    }

    /// Reports the problems of the chain, and its last line.
    pub(super) fn report(&self, id: ChainId, record: &ChainRecord, report: &mut ChainReport) {
        if let Some(unverified) = &self.unverified {
            unverified.report(id, report);
        } else if self.verified_count == 0 {
            // Nothing proves that this chain existed. Each of its lines is already reported as changed.
            return;
        }
        let kept = self.report_gaps(id, record, report);
        if !report_order(id, &kept, report) {
            report_returns(id, &kept, report);
        }
        report.ends.extend(self.last().map(|run| ChainEnd { id, seq: run.last, hash: run.hash }));
    }

    /// Reports missing lines, duplicated lines, and lines that do not continue the previous line. Returns the runs in
    /// the order of the chain, without duplicates.
    fn report_gaps(&self, id: ChainId, record: &ChainRecord, report: &mut ChainReport) -> Vec<&LineRun> {
        let mut sorted: Vec<&LineRun> = self.runs.iter().collect();
        sorted.sort_by_key(|run| (run.first, run.number, run.first_line));
        let mut kept: Vec<&LineRun> = Vec::new();
        // The run with the highest sequence number so far, and the number that should follow.
        let (mut last, mut next): (Option<&LineRun>, u64) = (None, 0);
        for run in sorted {
            if run.first < next {
                let message = format!("{}: there a second time", format_numbers(id, run.first, run.last.min(next - 1)));
                report.add(ProblemKind::Duplicated, Some(run.first_at()), message);
            } else {
                kept.push(run);
                if let Some((kind, message)) = problem_before(id, run, last, next, record) {
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

/// Reports lines that come after later lines in the same file. Returns whether there are any.
fn report_order(id: ChainId, kept: &[&LineRun], report: &mut ChainReport) -> bool {
    let mut in_files = kept.to_vec();
    in_files.sort_by_key(|run| (run.number, run.first_line));
    let mut found = false;
    for (before, run) in in_files.iter().zip(in_files.iter().skip(1)) {
        if before.number == run.number && run.first < before.first {
            let message = format!("{}: after number {}", format_numbers(id, run.first, run.last), before.last);
            report.add(ProblemKind::Reordered, Some(run.first_at()), message);
            found = true;
        }
    }
    found
}

/// Reports the places where the chain returns to an earlier file. After a file is rotated, the chain must not return to
/// it.
fn report_returns(id: ChainId, kept: &[&LineRun], report: &mut ChainReport) {
    let mut left = BTreeSet::new();
    for (before, run) in kept.iter().zip(kept.iter().skip(1)) {
        if before.number != run.number {
            left.insert(before.number);
            if left.contains(&run.number) {
                let message = format!(
                    "{}: continues {}, a line of another file",
                    format_numbers(id, run.first, run.first),
                    before.last_at()
                );
                report.add(ProblemKind::Reordered, Some(run.first_at()), message);
            }
        }
    }
}

/// Returns the problem between a run and the previous run. `next` is the expected sequence number.
fn problem_before(
    id: ChainId,
    run: &LineRun,
    last: Option<&LineRun>,
    next: u64,
    record: &ChainRecord,
) -> Option<(ProblemKind, String)> {
    let missing = || format_numbers(id, next, run.first.saturating_sub(1));
    match last {
        None if run.first > 0 && !record.continues(id, run.first, run.prev) => {
            Some((ProblemKind::Missing, format!("{}: missing before this line", missing())))
        }
        Some(last) if run.first > next => {
            let message = format!("{}: missing between {} and this line", missing(), last.last_at());
            Some((ProblemKind::Missing, message))
        }
        Some(last) if run.prev != Some(last.hash) => {
            let (this, before, there) = (format_numbers(id, run.first, run.first), last.last, last.last_at());
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
            None => format!("chain {id}: {count} lines are not keyed, so anyone could have written them"),
        };
        report.add(ProblemKind::Unverified, Some(self.at.clone()), message);
    }
}

/// Formats a range of lines of a chain.
fn format_numbers(id: ChainId, first: u64, last: u64) -> String {
    if first == last { format!("chain {id}, number {first}") } else { format!("chain {id}, numbers {first} to {last}") }
}
