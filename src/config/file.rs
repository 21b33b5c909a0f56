//! A file that is being read, and the problems found in it.

use std::cell::RefCell;
use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::DeTable;

use super::origin::MAIN_PART;
use super::report::{ByteRange, ConfigProblem, Severity, SourceLine};
use super::syntax::SyntaxError;

/// The place of a problem that concerns the whole file.
pub(super) const WHOLE_FILE: ByteRange = 0..0;

/// The name and text of a file, and the problems found in it so far.
///
/// Problems can be noted through a shared reference, so several sections of one file can be read at the same time.
pub(super) struct ConfigFile<'a> {
    /// The path as given to the program.
    pub(super) name: String,
    text: &'a str,
    /// Whether the file may contain a secret by mistake.
    may_hold_secrets: bool,
    /// The byte offset of the start of each line.
    lines: Vec<usize>,
    /// The parts whose sections are not from this text, so that warnings about them have no place in it.
    kept: BTreeSet<String>,
    notes: RefCell<FileNotes>,
}

#[derive(Default)]
struct FileNotes {
    problems: Vec<Note>,
    /// Ranges that may contain a secret. They and the rest of their last line must not be shown.
    hidden: Vec<ByteRange>,
    /// The line of the syntax error, if there is one. Everything from there on is not reliable.
    line_of_syntax_error: Option<usize>,
    /// The part that is being read.
    part: Option<String>,
    /// All parts that were read.
    parts: BTreeSet<String>,
    /// The ranges that name files or variables. Mistakes there come from outside this file.
    references: Vec<ByteRange>,
}

struct Note {
    severity: Severity,
    span: ByteRange,
    message: String,
    help: String,
    part: Option<String>,
}

/// The time in which a part is read.
pub(super) struct PartScope<'f> {
    notes: &'f RefCell<FileNotes>,
    outer: Option<String>,
}

impl Drop for PartScope<'_> {
    fn drop(&mut self) {
        self.notes.borrow_mut().part = self.outer.take();
    }
}

impl<'a> ConfigFile<'a> {
    /// Returns a file without problems. `guarded`: a secret may be in it by mistake.
    pub(super) fn new(name: String, text: &'a str, guarded: bool) -> ConfigFile<'a> {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        ConfigFile { name, text, may_hold_secrets: guarded, lines, kept: BTreeSet::new(), notes: RefCell::default() }
    }

    /// Returns the file as one part of the configuration.
    pub(super) fn with_part(self, part: &str) -> ConfigFile<'a> {
        self.notes.borrow_mut().part = Some(part.to_owned());
        self.note_reference(0..usize::MAX);
        self
    }

    /// Returns the file with these parts, whose sections are from an earlier text.
    pub(super) fn with_kept_parts(self, kept: BTreeSet<String>) -> ConfigFile<'a> {
        ConfigFile { kept, ..self }
    }

    /// Begins to read a part. It ends when the result is dropped.
    pub(super) fn enter(&self, part: &str) -> PartScope<'_> {
        let mut notes = self.notes.borrow_mut();
        notes.parts.insert(part.to_owned());
        PartScope { outer: notes.part.replace(part.to_owned()), notes: &self.notes }
    }

    /// Returns the name of the part that is being read.
    pub(super) fn part(&self) -> String {
        self.notes.borrow().part.clone().unwrap_or_else(|| MAIN_PART.to_owned())
    }

    /// Returns the names of all parts that were read.
    pub(super) fn parts(&self) -> BTreeSet<String> {
        self.notes.borrow().parts.clone()
    }

    /// Notes that this range names a file or variable, which is the cause of mistakes there.
    pub(super) fn note_reference(&self, range: ByteRange) {
        self.notes.borrow_mut().references.push(range);
    }

    /// Notes a mistake in the combination of several parts.
    pub(super) fn conflict(&self, span: &ByteRange, message: impl Into<String>, help: impl Into<String>) {
        let part = self.notes.borrow_mut().part.take();
        self.mistake(span, message, help);
        self.notes.borrow_mut().part = part;
    }

    /// The whole text of the file.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Parses the tables of the file. If there are syntax errors, notes the first, because it is often the cause of the
    /// others. The tables and problems before it are still reliable.
    pub(super) fn parse(&self) -> Spanned<DeTable<'a>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if let Some(error) = SyntaxError::first(self.text, &errors) {
            self.syntax_error(&error);
        }
        table
    }

    /// Notes a problem that makes the file unusable.
    pub(super) fn mistake(&self, span: &ByteRange, message: impl Into<String>, help: impl Into<String>) {
        self.note(Severity::Mistake, span, message.into(), help.into());
    }

    /// Notes a problem that is probably unintended but does not make the file unusable.
    pub(super) fn warning(&self, span: &ByteRange, message: impl Into<String>, help: impl Into<String>) {
        self.note(Severity::Warning, span, message.into(), help.into());
    }

    /// Notes that something is missing. Does nothing if the file has a syntax error, because it may be in the broken
    /// part.
    pub(super) fn missing(&self, span: &ByteRange, message: impl Into<String>, help: impl Into<String>) {
        if !self.has_syntax_error() {
            self.mistake(span, message, help);
        }
    }

    /// Returns whether the file has a syntax error. Then some of its tables and keys are unknown.
    pub(super) fn has_syntax_error(&self) -> bool {
        self.notes.borrow().line_of_syntax_error.is_some()
    }

    /// Notes a syntax error. Its message never contains a part of the file. But the text around the error may be a
    /// secret without its quotes, or the file itself may be a secret that was named by mistake. In these cases, no part
    /// of the file is shown.
    fn syntax_error(&self, SyntaxError { span, message, help }: &SyntaxError) {
        if self.may_hold_secrets || self.text.trim().lines().count() <= 1 {
            self.notes.borrow_mut().hidden.push(0..self.text.len());
        }
        self.mistake(span, format!("this is not TOML: {message}"), help.as_str());
        self.notes.borrow_mut().line_of_syntax_error = Some(self.line(span.start));
    }

    /// Hides a value that may be a secret in the wrong place. Returns whether this file can contain secrets.
    pub(super) fn hide_if_guarded(&self, span: &ByteRange) -> bool {
        if self.may_hold_secrets {
            self.notes.borrow_mut().hidden.push(span.clone());
        }
        self.may_hold_secrets
    }

    /// Returns whether the file has a problem that makes it unusable.
    pub(super) fn has_mistakes(&self) -> bool {
        self.notes.borrow().problems.iter().any(|note| note.severity == Severity::Mistake)
    }

    /// Returns all problems, in the order of the file.
    pub(super) fn into_problems(self) -> Vec<ConfigProblem> {
        let mut notes = self.notes.take();
        notes.problems.sort_by_key(|note| (note.span.start, note.severity == Severity::Warning));
        let problems = std::mem::take(&mut notes.problems);
        problems.into_iter().map(|note| self.problem(&notes, note)).collect()
    }

    fn note(&self, severity: Severity, span: &ByteRange, message: String, help: String) {
        let mut notes = self.notes.borrow_mut();
        let is_before = |error: usize| *span != WHOLE_FILE && self.line(span.start) < error;
        let part = notes.part.clone();
        let is_kept = part.as_ref().is_some_and(|part| self.kept.contains(part));
        if notes.line_of_syntax_error.is_none_or(is_before) && !(is_kept && severity == Severity::Warning) {
            notes.problems.push(Note { severity, span: span.clone(), message, help, part });
        }
    }

    fn problem(&self, notes: &FileNotes, note: Note) -> ConfigProblem {
        let Note { severity, span, message, help, part } = note;
        let is_inside = |range: &ByteRange| range.start <= span.start && span.end <= range.end;
        let part = part.filter(|_| notes.references.iter().any(is_inside));
        let line = self.line(span.start);
        let start = self.lines.get(line).copied().unwrap_or(0);
        let column = self.text.get(start..span.start).map_or(0, |before| before.chars().count());
        let shown = self.visible_line(&notes.hidden, line, &span);
        let piece = shown.as_ref().and_then(|shown| shown.line.get(shown.mark.clone())).map(str::to_owned);
        let place = Some((line + 1, column + 1));
        ConfigProblem { severity, file: self.name.clone(), place, piece, message, help, part, source_line: shown }
    }

    /// Returns the line up to the first part that must not be shown, and the part of it that `span` marks.
    fn visible_line(&self, hidden: &[ByteRange], line: usize, span: &ByteRange) -> Option<SourceLine> {
        if *span == WHOLE_FILE {
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

    /// Returns the line of a place, counted from 1.
    pub(super) fn line_of(&self, span: &ByteRange) -> usize {
        self.line(span.start) + 1
    }

    /// Returns the line of a byte, counted from 0.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// Returns the range of a line without its newline.
    fn line_span(&self, line: usize) -> ByteRange {
        let start = self.lines.get(line).copied().unwrap_or(0);
        let end = self.lines.get(line + 1).map_or(self.text.len(), |next| next - 1);
        start..end.max(start)
    }
}
