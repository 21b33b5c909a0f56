//! The first syntax error of a file, and the bracket or quote that it comes from.
//!
//! The parser notices a missing bracket only where the text no longer makes sense, which may be many lines later. So
//! the tokens are searched for the bracket that was left open.

use toml_parser::Source;
use toml_parser::lexer::{Token, TokenKind};

use super::report::ByteRange;

/// The help text of an error that the parser describes itself.
const SYNTAX_HELP: &str = "see https://toml.io for the syntax";

/// A syntax error. The message contains no part of the file.
pub(super) struct SyntaxError {
    pub(super) span: ByteRange,
    pub(super) message: String,
    pub(super) help: String,
}

impl SyntaxError {
    /// Returns the first error. If a bracket or quote before it was left open, the error is about that.
    pub(super) fn first(text: &str, errors: &[toml::de::Error]) -> Option<SyntaxError> {
        let span = |error: &toml::de::Error| error.span().unwrap_or_default();
        let first = errors.iter().min_by_key(|error| span(error).start)?;
        let at = span(first);
        let unclosed = find_unclosed(text).filter(|unclosed| unclosed.span.start <= at.start);
        Some(unclosed.map_or_else(
            || SyntaxError { help: help(text, &at), message: first.message().to_owned(), span: at },
            |unclosed| unclosed.error(text),
        ))
    }
}

/// Returns the help text for an error at this place. A second table of the same name is often a list of tables.
fn help(text: &str, at: &ByteRange) -> String {
    let (before, rest) = text.split_at_checked(at.start).unwrap_or((text, ""));
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let header = text.get(start..).and_then(|line| line.lines().next()).unwrap_or(rest).trim();
    let is_table = header.starts_with('[') && !header.starts_with("[[");
    let is_repeated = is_table && text.get(..start).unwrap_or_default().lines().any(|line| line.trim() == header);
    if is_repeated {
        "this table is already above: join the two, or write [[…]] above each table of a list".to_owned()
    } else {
        SYNTAX_HELP.to_owned()
    }
}

/// A bracket or quote that was left open.
#[derive(Debug, PartialEq, Eq)]
struct Unclosed {
    span: ByteRange,
    opening: &'static str,
    closing: &'static str,
    /// Where the text shows that it was left open.
    noticed_at: usize,
}

impl Unclosed {
    fn error(self, text: &str) -> SyntaxError {
        let Unclosed { span, opening, closing, noticed_at } = self;
        let line = |at: usize| text.get(..at).map_or(0, |before| before.matches('\n').count()) + 1;
        let by = match (line(span.start), line(noticed_at)) {
            (own, noticed) if noticed == own => format!("write the missing {closing} in this line"),
            _ if noticed_at >= text.trim_end().len() => {
                format!("write the missing {closing} before the end of the file")
            }
            (_, noticed) => format!("write the missing {closing} before line {noticed}"),
        };
        SyntaxError { span, message: format!("this {opening} is not closed"), help: by }
    }
}

/// An open bracket.
struct OpenBracket {
    at: usize,
    is_list: bool,
    /// Whether a value of an inline table has begun: there was `=`, and no comma after it.
    in_value: bool,
}

impl OpenBracket {
    fn unclosed(&self, noticed_at: usize) -> Unclosed {
        let (opening, closing) = if self.is_list { ("`[`", "`]`") } else { ("`{`", "`}`") };
        Unclosed { span: self.at..self.at + 1, opening, closing, noticed_at }
    }
}

/// Finds the first bracket or quote that was left open. Inside a list, nothing has `=`. Inside an inline table, a comma
/// follows each value.
fn find_unclosed(text: &str) -> Option<Unclosed> {
    let mut open: Vec<OpenBracket> = Vec::new();
    for token in Source::new(text).lex() {
        if let Some(unclosed) = unclosed_quote(text, token) {
            return Some(unclosed);
        }
        let at = token.span().start();
        match (token.kind(), open.last_mut()) {
            (TokenKind::Equals, Some(top)) if top.is_list || top.in_value => return Some(top.unclosed(at)),
            (TokenKind::Equals, Some(top)) => top.in_value = true,
            (TokenKind::Comma, Some(top)) => top.in_value = false,
            (TokenKind::LeftSquareBracket, Some(top)) if !top.is_list && !top.in_value => {
                return Some(top.unclosed(at));
            }
            (TokenKind::LeftSquareBracket, _) => open.push(OpenBracket { at, is_list: true, in_value: false }),
            (TokenKind::LeftCurlyBracket, _) => open.push(OpenBracket { at, is_list: false, in_value: false }),
            (TokenKind::RightSquareBracket, Some(top)) if !top.is_list => return Some(top.unclosed(at)),
            (TokenKind::RightCurlyBracket, Some(top)) if top.is_list => return Some(top.unclosed(at)),
            (TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket, Some(_)) => _ = open.pop(),
            (TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket, None) => return None,
            (TokenKind::Eof, Some(top)) => return Some(top.unclosed(at)),
            // Other tokens open and close nothing.
            _ => {}
        }
    }
    None
}

/// The kinds of strings: the quote, the quote for messages, and whether a backslash escapes a quote.
const QUOTES: [(TokenKind, &str, &str, bool); 4] = [
    (TokenKind::BasicString, "\"", "`\"`", true),
    (TokenKind::LiteralString, "'", "`'`", false),
    (TokenKind::MlBasicString, "\"\"\"", "`\"\"\"`", true),
    (TokenKind::MlLiteralString, "'''", "`'''`", false),
];

/// Returns the opening quote of a string that has no closing quote.
fn unclosed_quote(text: &str, token: Token) -> Option<Unclosed> {
    let (_, quote, shown, has_escapes) = QUOTES.into_iter().find(|(kind, ..)| *kind == token.kind())?;
    let (start, end) = (token.span().start(), token.span().end());
    let inside = text.get(start + quote.len()..end).unwrap_or_default();
    let is_closed = inside.strip_suffix(quote).is_some_and(|inside| {
        let backslashes = inside.chars().rev().take_while(|c| *c == '\\').count();
        !has_escapes || backslashes.is_multiple_of(2)
    });
    (!is_closed).then(|| Unclosed { span: start..start + quote.len(), opening: shown, closing: shown, noticed_at: end })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line and a column.
    type Place = (usize, usize);

    /// The opening bracket or quote, its place, and the place where the text shows that it was left open.
    fn unclosed(text: &str) -> Option<(&'static str, Place, Place)> {
        let place = |at: usize| {
            let before = text.get(..at).unwrap_or_default();
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            (before.matches('\n').count() + 1, column)
        };
        find_unclosed(text).map(|one| (one.opening, place(one.span.start), place(one.noticed_at)))
    }

    #[test]
    fn what_was_left_open_is_found() {
        for (text, expected) in [
            ("a = [1, 2\nb = 3\n", Some(("`[`", (1, 5), (2, 3)))),
            ("a = [[1, 2], [3]\n[b]\nc = 3\n", Some(("`[`", (1, 5), (3, 3)))),
            ("a = [1,\n\n[[rules]]\nid = 3\n", Some(("`[`", (1, 5), (4, 4)))),
            ("[[rules]\nid = 3\n", Some(("`[`", (1, 1), (2, 4)))),
            ("[server\nid = 3\n", Some(("`[`", (1, 1), (2, 4)))),
            ("a = { b = 1\nc = 3\n", Some(("`{`", (1, 5), (2, 3)))),
            ("a = { b = 1,\n[c]\nd = 3\n", Some(("`{`", (1, 5), (2, 1)))),
            ("a = { b = [1, 2 }\n", Some(("`[`", (1, 11), (1, 17)))),
            ("a = [{ b = 1 ]\n", Some(("`{`", (1, 6), (1, 14)))),
            ("a = [1\n", Some(("`[`", (1, 5), (2, 1)))),
            ("a = \"b\nc = 1\n", Some(("`\"`", (1, 5), (1, 7)))),
            ("a = \"b\\\"\nc = 1\n", Some(("`\"`", (1, 5), (1, 9)))),
            ("a = 'b\nc = 1\n", Some(("`'`", (1, 5), (1, 7)))),
            ("a = \"\"\"b\nc = 1\n", Some(("`\"\"\"`", (1, 5), (3, 1)))),
            ("a = [\"]\", '[', \"\\\\\", \"\"] # [\n[[b]]\nc = { d.e = [1, 2], f = { g = 1 } }\n", None),
            ("a = \"\"\"b\\\"\"\"\"\nb = 1\n", None),
            ("a = 1]\nb = [\n", None),
        ] {
            assert_eq!(unclosed(text), expected, "{text}");
        }
    }
}
