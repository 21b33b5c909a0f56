//! Formats an audit line: JSON that cannot break a line, change the text direction or hide characters. `serde_json` does
//! not escape these characters.

use std::fmt::Display;
use std::io::{self, Write};

use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

use crate::model::{Action, RequestedGrant, escape_json, needs_escape};

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
