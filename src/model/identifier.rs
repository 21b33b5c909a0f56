//! What every identifier must be, whatever the vendor.

/// What is wrong with an identifier, in words that complete "client_id …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It has no characters.
    #[error("must not be empty")]
    Empty,
    /// It is longer than allowed.
    #[error("must have at most {max} characters, not {found}")]
    TooLong {
        /// How many characters are allowed.
        max: usize,
        /// How many there are.
        found: usize,
    },
    /// It holds a control character: a newline or NUL, say.
    #[error("must not hold control characters (found U+{:04X} at character {})", *.character as u32, .position + 1)]
    Control {
        /// The offending character.
        character: char,
        /// Its place, counted from 0.
        position: usize,
    },
    /// It begins or ends with white space.
    #[error("must not begin or end with white space")]
    Padded,
}

/// Checks what holds for identifiers of all vendors: not empty, at most `max` characters, no control characters, no white space at
/// either end.
pub fn check_identifier(id: &str, max: usize) -> Result<(), Flaw> {
    if id.is_empty() {
        return Err(Flaw::Empty);
    }
    let found = id.chars().count();
    if found > max {
        return Err(Flaw::TooLong { max, found });
    }
    if let Some((position, character)) = id.chars().enumerate().find(|(_, c)| c.is_control()) {
        return Err(Flaw::Control { character, position });
    }
    if id.trim() != id {
        return Err(Flaw::Padded);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(check_identifier("tom", 64), Ok(()));
        assert_eq!(check_identifier("Alice Smith", 64), Ok(()));
        assert_eq!(check_identifier("", 64), Err(Flaw::Empty));
        assert_eq!(check_identifier(&"汤".repeat(64), 64), Ok(()));
        assert_eq!(check_identifier(&"a".repeat(65), 64), Err(Flaw::TooLong { max: 64, found: 65 }));
        assert_eq!(check_identifier(" tom", 64), Err(Flaw::Padded));
        let newline = check_identifier("to\nm", 64).unwrap_err();
        assert_eq!(newline.to_string(), "must not hold control characters (found U+000A at character 3)");
    }
}
