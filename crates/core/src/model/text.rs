//! Checks of free text that appears in answers, logs and dashboards next to other texts.

use std::fmt::Write;

/// The error of free text with a forbidden character. The message completes "reason …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must not hold characters that break a line or change the writing direction (found U+{:04X} at character {})",
    *.character as u32,
    .position + 1
)]
pub struct ForbiddenCharacter {
    character: char,
    /// The position of the character, counted from 0.
    position: usize,
}

/// Returns whether a character breaks a line, controls a terminal, or changes the writing direction of the text after
/// it (Unicode's `Bidi_Control`). With such a character, a text could look like a different text, or like the text
/// after it.
pub fn is_disruptive(character: char) -> bool {
    let hidden =
        matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    hidden || character.is_control()
}

/// Returns whether a character is invisible, for example a byte order mark or a zero-width space. Two texts that differ
/// only in such characters look the same. These are Unicode's `Default_Ignorable_Code_Point` characters (Unicode 16,
/// `DerivedCoreProperties.txt`), the interlinear annotation marks, and the Braille pattern without dots.
pub(super) fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Returns whether a log must show a character as an escape. Unescaped, the character would break the line, change how
/// the line looks, or be invisible.
pub fn needs_escape(character: char) -> bool {
    is_disruptive(character) || is_invisible(character)
}

/// Returns a character as JSON's `\uXXXX`. A character above U+FFFF gives two of them.
pub fn escape_json(character: char) -> String {
    let mut escaped = String::with_capacity(12);
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(escaped, "\\u{unit:04x}");
    }
    escaped
}

/// Checks that free text contains no character that breaks lines or changes the writing direction. See [`is_disruptive`].
///
/// # Errors
/// Returns the first forbidden character and its position.
pub fn check_text(text: &str) -> Result<(), ForbiddenCharacter> {
    match text.chars().enumerate().find(|(_, character)| is_disruptive(*character)) {
        Some((position, character)) => Err(ForbiddenCharacter { character, position }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn logs_escape_what_breaks_turns_or_hides() {
        for code in [
            0x0, 0x1b, 0x85, 0xad, 0x61c, 0x200b, 0x200d, 0x2028, 0x2029, 0x202e, 0x2060, 0x2069, 0x2800, 0xfeff,
            0xe0041,
        ] {
            assert!(needs_escape(char::from_u32(code).unwrap()), "U+{code:04X}");
        }
        for shown in [' ', 'a', '"', '\u{a0}', 'é', '汤', '🙂', '\u{3000}', '\u{301}'] {
            assert!(!needs_escape(shown), "{shown:?}");
        }
    }

    #[test]
    fn check_text_names_the_forbidden_character() {
        for fine in ["", "spam", "é 汤 🙂", "سبام", "שלום", "a\u{200d}b"] {
            assert_eq!(check_text(fine), Ok(()), "{fine:?}");
        }
        for code in [0x7, 0xa, 0x7f, 0x85, 0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069] {
            let flaw = check_text(&format!("é{}", char::from_u32(code).unwrap())).unwrap_err().to_string();
            assert!(flaw.ends_with(&format!("(found U+{code:04X} at character 2)")), "{flaw}");
        }
    }
}
