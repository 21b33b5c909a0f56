//! Reads files of chained lines and checks each line. Checks the order of the lines at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use serde::de::IgnoredAny;

use super::link::{self, ChainId, ChainKey, ChainLink, KeyId};
use super::order::{LineAt, LineRun, LinkedLines};
use super::report::{ChainRecord, ChainReport, Lines, ProblemKind};

/// The maximum length of a line, in bytes. The audit log accepts at most 4 MiB at once.
const MAX_LINE_LENGTH: u64 = 8 << 20;

/// The maximum number of runs of all chains in memory. A run is a sequence of lines in the correct order in one file.
const MAX_RUNS: usize = 1_000_000;

/// The beginning of each audit line.
const LINE_START: &[u8] = br#"{"time":""#;

/// Verifies chains. Reads each file once, line by line. The files can come in any order.
#[derive(Default)]
pub struct ChainVerifier {
    keys: Vec<ChainKey>,
    record: ChainRecord,
    /// The lines of the record that are in the files.
    found: BTreeSet<(ChainId, u64)>,
    chains: BTreeMap<ChainId, LinkedLines>,
    runs: usize,
    report: ChainReport,
}

/// The result of the check of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    Good,
    Changed,
    /// The line needs a key that is not given.
    UnknownKey(KeyId),
    /// The line is not keyed, but keys are given.
    NotKeyed,
}

impl ChainVerifier {
    /// Creates a verifier. With keys, each chain must be keyed with one of them. Without keys, no chain can be keyed.
    pub fn new(keys: Vec<ChainKey>, record: ChainRecord) -> ChainVerifier {
        ChainVerifier { keys, record, ..ChainVerifier::default() }
    }

    /// Reads a file. `name` is its name in the report. The use of memory does not depend on the length of the file or
    /// of its lines.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if the chains have too many runs.
    pub fn read(&mut self, name: &str, input: &mut impl BufRead) -> io::Result<()> {
        let (number, file) = (self.report.files, Arc::<str>::from(name));
        self.report.files += 1;
        let mut line = Vec::new();
        for place in 1.. {
            line.clear();
            if input.by_ref().take(MAX_LINE_LENGTH).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let at = LineAt { file: &file, number, line: place };
            if line.len() as u64 == MAX_LINE_LENGTH && !line.ends_with(b"\n") {
                input.skip_until(b'\n')?;
                self.report.add(ProblemKind::Unchained, Some(at.lines()), "too long for an audit line".to_owned());
            } else {
                self.check_line(at, line.strip_suffix(b"\n").unwrap_or(&line));
            }
            if self.runs > MAX_RUNS {
                return Err(io::Error::other("its lines are too disordered to be verified"));
            }
        }
        Ok(())
    }

    /// Returns the report on all files.
    pub fn finish(mut self) -> ChainReport {
        for (id, lines) in &self.chains {
            lines.report(*id, &self.record, &mut self.report);
        }
        self.report_record();
        if self.report.lines == 0 {
            let message = "there is no chained line in these files".to_owned();
            self.report.add(ProblemKind::Missing, None, message);
        }
        self.report
    }

    fn check_line(&mut self, at: LineAt<'_>, text: &[u8]) {
        match ChainLink::parse(text) {
            Some((covered, link)) => self.check_chained(at, covered, &link),
            // The writer ends a line that is possibly torn. If the line was complete, this leaves a blank line.
            None if text.is_empty() => {}
            None => self.report_unchained(at, text),
        }
    }

    fn check_chained(&mut self, at: LineAt<'_>, covered: &[u8], link: &ChainLink) {
        let mut check = self.check(covered, link);
        if check == Check::Changed
            && let Some((torn, _)) = split_torn(covered).filter(|(_, whole)| self.check(whole, link) == Check::Good)
        {
            self.report_unchained(at, torn);
            check = Check::Good;
        }
        self.report.lines += 1;
        let lines = self.chains.entry(link.id).or_default();
        match check {
            Check::Good => lines.verified_count += 1,
            Check::Changed => {
                let message = format!("chain {}, number {}: does not match its own hash", link.id, link.seq);
                self.report.add(ProblemKind::Changed, Some(at.lines()), message);
            }
            Check::UnknownKey(key) => lines.unverified(at, Some(key)),
            Check::NotKeyed => lines.unverified(at, None),
        }
        self.runs += usize::from(lines.add(at, link));
        self.compare_with_record(at, link);
    }

    /// Checks the hash of a line. A keyed line needs its key. If keys are given, each line must be keyed.
    fn check(&self, covered: &[u8], link: &ChainLink) -> Check {
        let key = match link.key {
            None if self.keys.is_empty() => None,
            None => return Check::NotKeyed,
            Some(id) => match self.keys.iter().find(|key| key.id == id) {
                Some(key) => Some(key),
                None => return Check::UnknownKey(id),
            },
        };
        let is_same = crate::crypto::constant_time_eq(&link::hash(covered, key), &link.hash);
        if is_same { Check::Good } else { Check::Changed }
    }

    /// Reports a line, or the beginning of a line, that has no link.
    fn report_unchained(&mut self, at: LineAt<'_>, line: &[u8]) {
        let message = match serde_json::from_slice::<IgnoredAny>(line) {
            Err(error) if error.is_eof() && line.starts_with(b"{") => return self.report.add_torn(at.lines()),
            Ok(_) if line.starts_with(b"{") => "in no chain",
            _ => "not an audit line",
        };
        self.report.add(ProblemKind::Unchained, Some(at.lines()), message.to_owned());
    }

    /// Compares a line with the record.
    fn compare_with_record(&mut self, at: LineAt<'_>, link: &ChainLink) {
        let place = (link.id, link.seq);
        let Some(hash) = self.record.0.get(&place) else { return };
        self.found.insert(place);
        if *hash != link.hash {
            let message = format!("chain {}, number {}: has another hash in the record", link.id, link.seq);
            self.report.add(ProblemKind::Record, Some(at.lines()), message);
        }
    }

    /// Reports lines that are in the record but not in the files.
    fn report_record(&mut self) {
        for (id, seq) in self.record.0.keys().filter(|place| !self.found.contains(place)) {
            let message = match self.chains.get(id).and_then(LinkedLines::last) {
                None => format!("chain {id}: completely missing; the record has it up to number {seq}"),
                Some(LineRun { last, file, last_line, .. }) if last < seq => {
                    let end = Lines { file: Arc::clone(file), first: *last_line, last: *last_line };
                    format!(
                        "chain {id}: its end is missing; the last line has number {last}, at {end}, the record has number {seq}"
                    )
                }
                // Lines before the first line, or in a gap, are already reported.
                Some(_) => continue,
            };
            self.report.add(ProblemKind::Record, None, message);
        }
    }
}

/// Splits a line at the last beginning of an audit line. The part before it is a torn line that has no newline.
fn split_torn(covered: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = covered.windows(LINE_START.len()).rposition(|window| window == LINE_START).filter(|at| *at > 0)?;
    covered.split_at_checked(at)
}
