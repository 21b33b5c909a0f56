//! Formats an audit line: JSON that cannot break a line, change the text direction or hide characters. `serde_json` does
//! not escape these characters.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

use crate::model::{Action, Millis, Pattern, RequestedGrant, escape_json, needs_escape};

/// Formats a line of the audit log, with its newline.
///
/// # Errors
/// Returns an error if the value cannot be written as JSON.
pub(super) fn line(of: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = Vec::with_capacity(512);
    to_json(&mut line, of)?;
    line.push(b'\n');
    Ok(line)
}

/// Writes a value as compact JSON in one line. Escapes every [character that needs it](needs_escape).
///
/// # Errors
/// Returns an error if the value cannot be written as JSON.
fn to_json(to: &mut Vec<u8>, value: &impl Serialize) -> Result<(), serde_json::Error> {
    value.serialize(&mut serde_json::Serializer::with_formatter(to, EscapingFormatter))
}

/// Writes the members of a JSON object, exactly as [`line()`] writes them, but faster.
pub(super) struct LineBuilder<'l>(&'l mut Vec<u8>);

impl<'l> LineBuilder<'l> {
    /// Begins an object.
    pub(super) fn new(to: &'l mut Vec<u8>) -> LineBuilder<'l> {
        to.push(b'{');
        LineBuilder(to)
    }

    /// Writes the name of a member. It must need no escapes.
    pub(super) fn name(&mut self, name: &'static str) {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        push_text(self.0, text);
    }

    pub(super) fn optional_text(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    pub(super) fn optional_pattern(&mut self, name: &'static str, pattern: Option<&Pattern>) {
        match pattern {
            Some(Pattern::Exact(exact)) => self.text(name, exact),
            Some(pattern) => self.text(name, &pattern.to_string()),
            None => {}
        }
    }

    pub(super) fn time(&mut self, name: &'static str, time: Millis) {
        self.name(name);
        self.0.push(b'"');
        time.push_text(self.0);
        self.0.push(b'"');
    }

    pub(super) fn number(&mut self, name: &'static str, number: u64) {
        self.name(name);
        // Writing to memory does not fail.
        let _ = write!(self.0, "{number}");
    }

    pub(super) fn optional_number(&mut self, name: &'static str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(name, number);
        }
    }

    /// Writes a member only if it is true.
    pub(super) fn flag(&mut self, name: &'static str, is_set: bool) {
        if is_set {
            self.name(name);
            self.0.extend_from_slice(b"true");
        }
    }

    /// Writes a list, if it is not empty.
    pub(super) fn texts<T: AsRef<str>>(&mut self, name: &'static str, texts: &[T]) {
        if texts.is_empty() {
            return;
        }
        self.name(name);
        for (place, text) in texts.iter().enumerate() {
            self.0.push(if place == 0 { b'[' } else { b',' });
            push_text(self.0, text.as_ref());
        }
        self.0.push(b']');
    }

    /// Writes grants, if there are any.
    pub(super) fn grants(&mut self, name: &'static str, grants: &[RequestedGrant]) {
        if grants.is_empty() {
            return;
        }
        self.name(name);
        for (place, grant) in grants.iter().enumerate() {
            self.0.push(if place == 0 { b'{' } else { b',' });
            push_text(self.0, &grant.resource.to_string());
            self.0.extend_from_slice(b":[");
            for (place, operation) in grant.operations.iter().enumerate() {
                if place > 0 {
                    self.0.push(b',');
                }
                push_text(self.0, operation.as_str());
            }
            self.0.push(b']');
        }
        self.0.push(b'}');
    }

    /// Begins an object as a member. [`end`](Self::end) ends it.
    pub(super) fn object(&mut self, name: &'static str) {
        self.name(name);
        self.0.push(b'{');
    }

    pub(super) fn end(&mut self) {
        self.0.push(b'}');
    }
}

/// Appends a text as a JSON string. Most texts need no escapes.
fn push_text(to: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        to.push(b'"');
        to.extend_from_slice(text.as_bytes());
        to.push(b'"');
    } else {
        // Writing a text to memory does not fail.
        let _ = to_json(to, &text);
    }
}

/// Formats compact JSON. `serde_json` itself escapes only `"`, `\` and characters below U+0020.
struct EscapingFormatter;

impl Formatter for EscapingFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, to: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((place, character)) = rest.char_indices().find(|(_, character)| needs_escape(*character)) {
            let (plain, from) = rest.split_at(place);
            to.write_all(plain.as_bytes())?;
            to.write_all(escape_json(character).as_bytes())?;
            rest = from.strip_prefix(character).unwrap_or_default();
        }
        to.write_all(rest.as_bytes())
    }
}

pub(super) fn serialize_display<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn serialize_display_option<T: Display, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

pub(super) fn serialize_grants<S: Serializer>(grants: &[RequestedGrant], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(grants.iter().map(|grant| {
        let operations: Vec<_> = grant.operations.iter().map(Action::as_str).collect();
        (grant.resource.to_string(), operations)
    }))
}

pub(super) fn serialize_names<S: Serializer>(names: &[Arc<str>], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(names.iter().map(|name| &**name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_escaped_reads_back_as_it_was() {
        for (text, written) in [
            ("plain é 汤 🙂", r#""plain é 汤 🙂""#),
            ("x\u{2028}y\u{2029}", r#""x\u2028y\u2029""#),
            ("\u{feff}a\u{200b}b\u{200d}c\u{202e}d\u{2066}", r#""\ufeffa\u200bb\u200dc\u202ed\u2066""#),
            ("\u{7f}\u{85}\n\"\\", r#""\u007f\u0085\n\"\\""#),
            ("\u{e0041}", r#""\udb40\udc41""#),
            ("", r#""""#),
        ] {
            let mut line = Vec::new();
            to_json(&mut line, &text).unwrap();
            assert_eq!(String::from_utf8(line.clone()).unwrap(), written);
            assert_eq!(serde_json::from_slice::<Value>(&line).unwrap(), json!(text));
        }
    }

    #[test]
    fn names_are_escaped_like_values() {
        let mut line = Vec::new();
        to_json(&mut line, &json!({"chat:\u{202e}x": ["publish"]})).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), r#"{"chat:\u202ex":["publish"]}"#);
    }
}
