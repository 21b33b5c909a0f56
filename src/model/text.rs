//! Free text, which goes out in answers, logs and dashboards beside what others say.

/// A character that free text must not hold, in words that complete "reason …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must not hold characters that break a line or turn the direction of writing (found U+{:04X} at character {})",
    *.character as u32,
    .position + 1
)]
pub struct Unruly {
    character: char,
    /// Its place, counted from 0.
    position: usize,
}

/// Whether a character would end a line, be obeyed by a terminal, or have what follows shown in another order than it is written in
/// (Unicode's `Bidi_Control`): so one text could look like another, or like the one after it.
pub fn is_unruly(character: char) -> bool {
    let hidden =
        matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    hidden || character.is_control()
}

/// Checks that free text holds no such character.
///
/// # Errors
/// With the first one that it holds.
pub fn check_text(text: &str) -> Result<(), Unruly> {
    match text.chars().enumerate().find(|(_, character)| is_unruly(*character)) {
        Some((position, character)) => Err(Unruly { character, position }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_would_be_read_otherwise_than_it_is_written_is_named() {
        for fine in ["", "spam", "é 汤 🙂", "سبام", "שלום", "a\u{200d}b"] {
            assert_eq!(check_text(fine), Ok(()), "{fine:?}");
        }
        for code in [0x7, 0xa, 0x7f, 0x85, 0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069] {
            let flaw = check_text(&format!("é{}", char::from_u32(code).unwrap())).unwrap_err().to_string();
            assert!(flaw.ends_with(&format!("(found U+{code:04X} at character 2)")), "{flaw}");
        }
    }
}
