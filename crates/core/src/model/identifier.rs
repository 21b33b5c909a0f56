//! The checks of identifiers that all vendors share.

use super::text::{is_disruptive, is_invisible};

/// The error of an invalid identifier. The message completes "client_id …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// The identifier is empty.
    #[error("must not be empty")]
    Empty,
    /// The identifier is longer than allowed.
    #[error("must have at most {max} characters, not {found}")]
    TooLong {
        /// The allowed number of characters.
        max: usize,
        /// The number of characters found.
        found: usize,
    },
    /// The identifier contains a control character, for example a newline or NUL.
    #[error("must not hold control characters (found U+{:04X} at character {})", *.character as u32, .position + 1)]
    Control {
        /// The control character.
        character: char,
        /// Its position, counted from 0.
        position: usize,
    },
    /// The identifier begins or ends with white space.
    #[error("must not begin or end with white space")]
    Padded,
    /// The identifier begins or ends with a character that is invisible, breaks a line or changes the writing
    /// direction.
    #[error("must not begin or end with an invisible character or one that changes the writing direction (found U+{:04X})", *.0 as u32)]
    Hidden(char),
}

/// Checks the requirements of identifiers for all vendors: not empty, at most `max` characters, no control characters,
/// and neither white space nor invisible characters at the beginning or the end.
///
/// # Errors
/// Returns the first requirement that the identifier does not meet.
pub fn check_identifier(id: &str, max: usize) -> Result<(), IdentifierError> {
    // Most identifiers have only visible ASCII characters, which meet all requirements.
    if (1..=max).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    if id.is_empty() {
        return Err(IdentifierError::Empty);
    }
    let found = id.chars().count();
    if found > max {
        return Err(IdentifierError::TooLong { max, found });
    }
    if let Some((position, character)) = id.chars().enumerate().find(|(_, c)| c.is_control()) {
        return Err(IdentifierError::Control { character, position });
    }
    if id.trim() != id {
        return Err(IdentifierError::Padded);
    }
    let hidden = |character: &char| is_disruptive(*character) || is_invisible(*character);
    let first = id.chars().next().filter(hidden);
    let last = id.chars().next_back().filter(hidden).filter(|last| !ends_emoji(*last));
    first.or(last).map_or(Ok(()), |character| Err(IdentifierError::Hidden(character)))
}

/// Returns whether an emoji can end with this character: a presentation selector, as in U+2764 U+FE0F, or the last tag
/// of a flag.
fn ends_emoji(character: char) -> bool {
    matches!(character, '\u{fe0e}' | '\u{fe0f}' | '\u{e007f}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(check_identifier("tom", 64), Ok(()));
        assert_eq!(check_identifier("Alice Smith", 64), Ok(()));
        assert_eq!(check_identifier("", 64), Err(IdentifierError::Empty));
        assert_eq!(check_identifier(&"汤".repeat(64), 64), Ok(()));
        assert_eq!(check_identifier(&"a".repeat(65), 64), Err(IdentifierError::TooLong { max: 64, found: 65 }));
        assert_eq!(check_identifier(" tom", 64), Err(IdentifierError::Padded));
        for fine in ["tom\u{2764}\u{fe0f}", "a\u{200d}b", "م\u{200c}ن", "\u{1f3f4}\u{e0067}\u{e0062}\u{e007f}"] {
            assert_eq!(check_identifier(fine, 64), Ok(()), "{fine:?}");
        }
        for code in [0x61c, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x202a, 0x202e, 0x2060, 0x2066, 0x2069, 0xfeff] {
            let hidden = char::from_u32(code).unwrap();
            assert_eq!(
                check_identifier(&format!("{hidden}tom"), 64),
                Err(IdentifierError::Hidden(hidden)),
                "U+{code:04X}"
            );
            assert_eq!(
                check_identifier(&format!("tom{hidden}"), 64),
                Err(IdentifierError::Hidden(hidden)),
                "U+{code:04X}"
            );
        }
        for line in ["\u{2028}tom", "tom\u{2029}"] {
            assert_eq!(check_identifier(line, 64), Err(IdentifierError::Padded), "{line:?}");
        }
        let newline = check_identifier("to\nm", 64).unwrap_err();
        assert_eq!(newline.to_string(), "must not hold control characters (found U+000A at character 3)");
    }
}
