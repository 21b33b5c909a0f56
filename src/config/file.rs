//! A file that is being read, and the notes taken about it.

use std::cell::RefCell;
use std::ops::Range;

use super::report::{ConfigProblem, Severity, SourceLine};

/// A range of bytes in a file.
pub(super) type ByteRange = Range<usize>;

/// The place of what is said of a file as a whole.
pub(super) const THE_FILE: ByteRange = 0..0;

/// A file's name and text, and what has been found in it so far.
///
/// Notes can be taken through a shared reference, so that many sections of one file can be read side by side.
pub(super) struct ConfigFile<'a> {
    /// As it was named to the program.
    pub(super) name: String,
    text: &'a str,
    /// Whether someone may have written a secret into it.
    guarded: bool,
    /// Where each line starts.
    lines: Vec<usize>,
    notes: RefCell<FileNotes>,
}

#[derive(Default)]
struct FileNotes {
    problems: Vec<(Severity, ByteRange, String, String)>,
    /// What must not be shown, nor the rest of its last line, as it may hold a secret.
    hidden: Vec<ByteRange>,
    /// The lines with errors in their syntax: what was made of them is not to be relied upon.
    broken: Vec<usize>,
}

impl<'a> ConfigFile<'a> {
    /// A file in which nothing has been found yet. `guarded` if a secret may stand in it by mistake.
    pub(super) fn new(name: String, text: &'a str, guarded: bool) -> ConfigFile<'a> {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        ConfigFile { name, text, guarded, lines, notes: RefCell::default() }
    }

    /// All that it holds.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Notes what keeps the file from being used.
    pub(super) fn mistake(&self, span: &ByteRange, message: impl Into<String>, help: impl Into<String>) {
        self.note(Severity::Mistake, span, message.into(), help.into());
    }

    /// Notes what is hardly meant.
    pub(super) fn warning(&self, span: &ByteRange, message: impl Into<String>, help: impl Into<String>) {
        self.note(Severity::Warning, span, message.into(), help.into());
    }

    /// Notes that something is not there. Not in a file with errors of syntax, where it may well be.
    pub(super) fn missing(&self, span: &ByteRange, message: impl Into<String>, help: impl Into<String>) {
        if self.notes.borrow().broken.is_empty() {
            self.mistake(span, message, help);
        }
    }

    /// Notes an error of syntax. The parser's messages never hold a part of the file, but what stands around the error may well be a
    /// secret that lost its quotes, or the file one with a secret, named by mistake: then nothing of the file is shown.
    pub(super) fn syntax(&self, error: &toml::de::Error) {
        let span = error.span().unwrap_or_default();
        if self.guarded || self.text.trim().lines().count() <= 1 {
            self.notes.borrow_mut().hidden.push(0..self.text.len());
        }
        self.mistake(
            &span,
            format!("this is not TOML: {}", error.message()),
            "see https://toml.io for how it is written",
        );
        self.notes.borrow_mut().broken.push(self.line(span.start));
    }

    /// Hides a value that may be a secret in the wrong place; whether this is a file in which one may be.
    pub(super) fn hide_if_guarded(&self, span: &ByteRange) -> bool {
        if self.guarded {
            self.notes.borrow_mut().hidden.push(span.clone());
        }
        self.guarded
    }

    /// Whether anything keeps the file from being used.
    pub(super) fn has_mistakes(&self) -> bool {
        self.notes.borrow().problems.iter().any(|(severity, ..)| *severity == Severity::Mistake)
    }

    /// All that was found, in the order of the file.
    pub(super) fn into_problems(self) -> Vec<ConfigProblem> {
        let mut notes = self.notes.take();
        notes.problems.sort_by_key(|(severity, span, ..)| (span.start, *severity == Severity::Warning));
        let problems = std::mem::take(&mut notes.problems);
        problems
            .into_iter()
            .map(|(severity, span, message, help)| self.problem(&notes.hidden, severity, &span, message, help))
            .collect()
    }

    fn note(&self, severity: Severity, span: &ByteRange, message: String, help: String) {
        let mut notes = self.notes.borrow_mut();
        if !notes.broken.contains(&self.line(span.start)) {
            notes.problems.push((severity, span.clone(), message, help));
        }
    }

    fn problem(
        &self,
        hidden: &[ByteRange],
        severity: Severity,
        span: &ByteRange,
        message: String,
        help: String,
    ) -> ConfigProblem {
        let line = self.line(span.start);
        let start = self.lines.get(line).copied().unwrap_or(0);
        let column = self.text.get(start..span.start).map_or(0, |before| before.chars().count());
        let shown = self.shown(hidden, line, span);
        let piece = shown.as_ref().and_then(|shown| shown.line.get(shown.mark.clone())).map(str::to_owned);
        let place = Some((line + 1, column + 1));
        ConfigProblem { severity, file: self.name.clone(), place, piece, message, help, shown }
    }

    /// The line up to the first thing in it that must not be shown, and the part of it that `span` marks.
    fn shown(&self, hidden: &[ByteRange], line: usize, span: &ByteRange) -> Option<SourceLine> {
        if *span == THE_FILE {
            return None;
        }
        let whole = self.line_span(line);
        let touching = hidden.iter().filter(|hidden| hidden.start < whole.end && hidden.end > whole.start);
        let end = touching.map(|hidden| hidden.start).min().unwrap_or(whole.end);
        if span.start > end || span.start == end && end < whole.end || end < whole.start {
            return None;
        }
        let cut = if end < whole.end { "…" } else { "" };
        let line = format!("{}{cut}", self.text.get(whole.start..end)?);
        Some(SourceLine { line, mark: span.start - whole.start..span.end.min(end) - whole.start })
    }

    /// The line, counted from 1, in which something stands.
    pub(super) fn line_of(&self, span: &ByteRange) -> usize {
        self.line(span.start) + 1
    }

    /// The line, counted from 0, that the byte is in.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// A line without its newline.
    fn line_span(&self, line: usize) -> ByteRange {
        let start = self.lines.get(line).copied().unwrap_or(0);
        let end = self.lines.get(line + 1).map_or(self.text.len(), |next| next - 1);
        start..end.max(start)
    }
}
