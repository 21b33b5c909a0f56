//! The problems of the configuration, each with its place and the correction.

use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

/// A range of bytes in a file.
pub(super) type ByteRange = Range<usize>;

/// All problems in both files, in their order.
#[derive(Clone, Debug, Default)]
pub struct Report {
    problems: Vec<ConfigProblem>,
}

/// Whether the configuration can be used in spite of the problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Mistake,
    /// The configuration can be used, but the setting is probably unintended.
    Warning,
}

/// A problem in the configuration.
#[derive(Clone, Debug)]
pub struct ConfigProblem {
    /// The severity.
    pub severity: Severity,
    /// The path of the file, as given to the program.
    pub file: String,
    /// Line and column, both counted from 1. The column is in characters. `None` if the whole file is concerned.
    pub place: Option<(usize, usize)>,
    /// The part of the file with the problem, unless it may contain a secret.
    pub piece: Option<String>,
    /// The description of the problem.
    pub message: String,
    /// The correction. Empty if the message already includes it.
    pub help: String,
    /// The part of the configuration whose own files are the cause. `None` for any other cause.
    pub part: Option<String>,
    pub(super) source_line: Option<SourceLine>,
}

/// The line of a problem, and the marked part of it.
#[derive(Clone, Debug)]
pub(super) struct SourceLine {
    pub(super) line: String,
    pub(super) mark: ByteRange,
}

impl Report {
    pub(super) fn new(problems: Vec<ConfigProblem>) -> Report {
        Report { problems }
    }

    /// Returns all problems, in the order of the files.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }

    /// Returns whether a problem makes the configuration unusable.
    pub fn has_mistakes(&self) -> bool {
        self.count(Severity::Mistake) > 0
    }

    /// Returns whether there are no problems.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Returns the number of problems with this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    /// Returns the text for people: each problem with its line of the file, in color if `color` is set. The text ends
    /// with a newline unless it is empty.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let texts = self.problems.iter().map(|problem| renderer.render(&[problem.group()]) + "\n");
        texts.collect::<Vec<_>>().join("\n")
    }

    /// Returns the JSON for programs: a list of objects with `severity`, `file`, `line`, `column`, `piece`, `message`
    /// and `help`.
    pub fn json(&self) -> Value {
        self.problems.iter().map(ConfigProblem::json).collect()
    }
}

impl ConfigProblem {
    /// Returns a mistake that has no place in its file.
    pub fn of_file(file: &Path, message: impl Into<String>, help: &str) -> ConfigProblem {
        let (file, message, help) = (file.display().to_string(), message.into(), help.to_owned());
        let (severity, place, piece) = (Severity::Mistake, None, None);
        ConfigProblem { severity, file, place, piece, message, help, part: None, source_line: None }
    }

    /// Returns the problem with its own files of this part as the cause.
    #[must_use]
    pub fn of_part(self, part: &str) -> ConfigProblem {
        ConfigProblem { part: Some(part.to_owned()), ..self }
    }

    fn group(&self) -> Group<'_> {
        let level = match self.severity {
            Severity::Mistake => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let group = Group::with_title(level.primary_title(self.message.as_str()));
        let group = match (&self.source_line, self.place) {
            (Some(shown), Some((line, _))) => group.element(self.snippet(shown, line)),
            (None, Some((line, column))) => {
                group.element(Origin::path(self.file.as_str()).line(line).char_column(column))
            }
            (_, None) => group.element(Origin::path(self.file.as_str())),
        };
        if self.help.is_empty() { group } else { group.element(Level::HELP.message(self.help.as_str())) }
    }

    fn snippet<'a>(&'a self, shown: &'a SourceLine, line: usize) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let mark = AnnotationKind::Primary.span(shown.mark.clone());
        Snippet::source(shown.line.as_str()).line_start(line).path(self.file.as_str()).annotation(mark)
    }

    fn json(&self) -> Value {
        json!({
            "severity": match self.severity { Severity::Mistake => "mistake", Severity::Warning => "warning" },
            "file": self.file,
            "line": self.place.map(|(line, _)| line),
            "column": self.place.map(|(_, column)| column),
            "piece": self.piece,
            "message": self.message,
            "help": self.help,
        })
    }
}
