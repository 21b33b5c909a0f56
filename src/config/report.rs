//! What is wrong with the configuration, each thing at its place and with what to write instead.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

/// Everything that was found in both files, in their order.
#[derive(Clone, Debug, Default)]
pub struct Report {
    problems: Vec<ConfigProblem>,
}

/// Whether the configuration can be used in spite of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It can't.
    Mistake,
    /// It can, but this is hardly meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct ConfigProblem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was named to the program.
    pub file: String,
    /// Line and column, both counted from 1, the column in characters. None if the file as a whole is meant.
    pub place: Option<(usize, usize)>,
    /// The offending piece of the file, unless it may hold a secret.
    pub piece: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to write instead; empty where the message says it.
    pub help: String,
    pub(super) shown: Option<SourceLine>,
}

/// The line that a problem is in, and where in it.
#[derive(Clone, Debug)]
pub(super) struct SourceLine {
    pub(super) line: String,
    pub(super) mark: Range<usize>,
}

impl Report {
    pub(super) fn new(problems: Vec<ConfigProblem>) -> Report {
        Report { problems }
    }

    /// Each problem, in the order of the files.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }

    /// Whether anything keeps the configuration from being used.
    pub fn has_mistakes(&self) -> bool {
        self.count(Severity::Mistake) > 0
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// How many there are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    /// For people: each problem with its line of the file, in colour if wanted. Ends with a newline unless it is empty.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let texts = self.problems.iter().map(|problem| renderer.render(&[problem.group()]) + "\n");
        texts.collect::<Vec<_>>().join("\n")
    }

    /// For programs: a list of objects with `severity`, `file`, `line`, `column`, `piece`, `message` and `help`.
    pub fn json(&self) -> Value {
        self.problems.iter().map(ConfigProblem::json).collect()
    }
}

impl ConfigProblem {
    fn group(&self) -> Group<'_> {
        let level = match self.severity {
            Severity::Mistake => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let group = Group::with_title(level.primary_title(self.message.as_str()));
        let group = match (&self.shown, self.place) {
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
