//! Identifiers as segments of a URL path.
//!
//! Some servers decode a path more often than it was encoded, or in an unusual way. Such a server may find `.` or `..`
//! in a segment and resolve it (RFC 3986, section 5.2.4). The request would then change something else. Therefore an
//! identifier is never sent in a path if any of these decodings turns it into a dot segment.

use super::moderation::PermanentFailure;
use crate::crypto::percent_encode;

/// Percent-encodes an identifier as a single segment of a path.
///
/// # Errors
/// Returns an error if the identifier is empty or if a server may read a part of it as `.` or `..`.
pub(super) fn encode_segment(id: &str) -> Result<String, PermanentFailure> {
    if id.is_empty() || has_dot_segment(id) {
        return Err(PermanentFailure(
            "its id cannot be part of a URL path: it is empty or can be read as `.` or `..`".to_owned(),
        ));
    }
    Ok(percent_encode(id.as_bytes()))
}

/// Returns whether a server may read a part of the identifier as `.` or `..`, before or after any number of decodings.
/// The decodings are percent-encoding, `%uXXXX`, overlong UTF-8, and Unicode characters that are compatible with an
/// ASCII character.
pub fn has_dot_segment(id: &str) -> bool {
    let mut text = id.as_bytes().to_vec();
    loop {
        let shown = to_ascii_equivalents(&decode_overlong(&text));
        if String::from_utf8_lossy(&shown).split(['/', '\\']).any(is_dot_segment) {
            return true;
        }
        let decoded = decode(&text);
        // Each step that changes something makes the text shorter. Therefore the loop ends.
        if decoded == text {
            return false;
        }
        text = decoded;
    }
}

/// Returns whether the part is `.` or `..` after a server removed what it may remove. A server may remove parameters
/// (RFC 3986, section 3.3), a query, a fragment, a NUL and everything after it, white space, control characters and
/// characters without a width.
fn is_dot_segment(part: &str) -> bool {
    let name = part.split([';', '?', '#']).next().unwrap_or_default();
    let before_nul = name.split('\0').next().unwrap_or_default();
    [name, before_nul].iter().any(|name| {
        let visible: String = name.chars().filter(|character| !is_ignored(*character)).collect();
        matches!(visible.as_str(), "." | "..")
    })
}

fn is_ignored(character: char) -> bool {
    let has_no_width = matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    // In a form, `+` means a space.
    has_no_width || character == '+' || character.is_whitespace() || character.is_control()
}

/// Decodes once. Decodes escapes if there are any, otherwise overlong UTF-8, which may hide more escapes.
fn decode(text: &[u8]) -> Vec<u8> {
    let unescaped = decode_escapes(&to_ascii_equivalents(text));
    if unescaped == text { decode_overlong(text) } else { unescaped }
}

/// Replaces characters that have an ASCII equivalent with a meaning in a path. The equivalents come from Unicode's
/// compatibility decomposition (NFKC) and from best-fit tables.
fn to_ascii_equivalents(text: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match ascii_equivalent(character) {
                Some(ascii) => replaced.extend_from_slice(ascii.as_bytes()),
                None => replaced.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        replaced.extend_from_slice(chunk.invalid());
    }
    replaced
}

fn ascii_equivalent(character: char) -> Option<String> {
    const FULL_WIDTH: u32 = 0xff01 - 0x21;
    let ascii = match character {
        '\u{ff01}'..='\u{ff5e}' => return char::from_u32(u32::from(character) - FULL_WIDTH).map(String::from),
        '\u{2024}' | '\u{fe52}' => ".",
        '\u{2025}' | '\u{fe30}' => "..",
        '\u{2044}' | '\u{2215}' => "/",
        '\u{2216}' | '\u{fe68}' => "\\",
        '\u{37e}' | '\u{fe14}' | '\u{fe54}' => ";",
        '\u{fe16}' | '\u{fe56}' => "?",
        '\u{fe5f}' => "#",
        '\u{fe6a}' => "%",
        _ => return None,
    };
    Some(ascii.to_owned())
}

/// Decodes `%XX` and `%uXXXX`, each once.
fn decode_escapes(text: &[u8]) -> Vec<u8> {
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match decode_escape(*first, tail) {
            Some((bytes, behind)) => {
                decoded.extend(bytes);
                rest = behind;
            }
            None => decoded.push(*first),
        }
    }
    decoded
}

/// Returns the bytes of an escape and the text after it.
fn decode_escape(first: u8, tail: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    if first != b'%' {
        return None;
    }
    if let [b'u' | b'U', digits @ ..] = tail {
        let (digits, behind) = digits.split_at_checked(4)?;
        let character = char::from_u32(hex_number(digits)?)?;
        return Some((character.to_string().into_bytes(), behind));
    }
    let (digits, behind) = tail.split_at_checked(2)?;
    Some((vec![u8::try_from(hex_number(digits)?).ok()?], behind))
}

fn hex_number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
}

/// Decodes ASCII characters that are written in more than one byte, which UTF-8 forbids (RFC 3629, section 3). Decoders
/// that accept such text read six bits of each following byte and ignore its other bits. This function does the same.
fn decode_overlong(text: &[u8]) -> Vec<u8> {
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((first, tail)) = rest.split_first() {
        let (byte, behind) = decode_overlong_character(*first, tail).unwrap_or((*first, tail));
        decoded.push(byte);
        rest = behind;
    }
    decoded
}

/// Returns the ASCII character that begins with this byte, and the text after it. In valid UTF-8, a character that
/// begins with one of these bytes is never ASCII.
fn decode_overlong_character(first: u8, tail: &[u8]) -> Option<(u8, &[u8])> {
    let (more, high) = match first {
        0xc0 | 0xc1 => (1, first & 1),
        0xe0 => (2, 0),
        0xf0 => (3, 0),
        0xf8 => (4, 0),
        0xfc => (5, 0),
        _ => return None,
    };
    let (bytes, behind) = tail.split_at_checked(more)?;
    let number = bytes.iter().fold(u32::from(high), |number, byte| number << 6 | u32::from(byte & 0x3f));
    u8::try_from(number).ok().filter(u8::is_ascii).map(|ascii| (ascii, behind))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_stay_in_their_segment() {
        for (id, written) in [
            ("alice", "alice"),
            ("a/b?c#d", "a%2Fb%3Fc%23d"),
            ("...", "..."),
            (".a", ".a"),
            ("a..b", "a..b"),
            ("..a;", "..a%3B"),
            ("a;..", "a%3B.."),
            ("100%", "100%25"),
            ("%zz", "%25zz"),
            ("%u00", "%25u00"),
            ("%c0", "%25c0"),
            ("\u{2026}", "%E2%80%A6"),
            ("é ", "%C3%A9%20"),
        ] {
            assert_eq!(encode_segment(id).unwrap(), written, "{id}");
        }
        assert!(encode_segment("").is_err());
    }

    #[test]
    fn an_id_that_any_decoding_turns_into_dots_is_refused() {
        for id in [
            ".",
            "..",
            "%2e",
            "%2E%2e",
            ".%2e",
            "%252e%252E",
            "%%32%65",
            "a/../b",
            "a\\..",
            "..%2fadmin",
            "..%5cadmin",
            "..;",
            "..;/x",
            ";/..;a=b",
            "..%3b",
            "%2e%2e%3Bv=1",
            "..?x",
            "..%23",
            "..%00.html",
            "%00..",
            "..%20",
            ". .",
            ".%09.",
            "..%2b",
            "\u{200b}..",
            ".%e2%80%8b.",
            "%c0%ae%c0%ae",
            "%c0%2e%c0%2e",
            "%e0%80%ae.",
            "%f0%80%80%ae%f0%80%80%ae",
            "%f8%80%80%80%ae",
            "%fc%80%80%80%80%ae",
            "%25c0%25ae",
            "%c0%25ae",
            "%c0%a52e",
            "a%c0%af..",
            "..%c1%9cx",
            "%u002e%u002e",
            "%U002E",
            "%25u002e.",
            "%uff0e%uff0e",
            "%u2025",
            "x%u2215..",
            "\u{2024}",
            "\u{2025}",
            "\u{fe30}",
            "\u{ff0e}\u{ff0e}",
            "\u{fe52}.",
            "a\u{ff0f}..",
            "..\u{ff1b}",
            "..\u{37e}x",
            "\u{ff05}2e.",
            "\u{fe6a}\u{ff12}\u{ff45}",
        ] {
            assert!(encode_segment(id).is_err(), "{id}");
        }
    }

    proptest! {
        /// Dots are found however often and in whatever way they are encoded.
        #[test]
        fn encoded_dots_are_found(ways in prop::collection::vec(0..6_u8, 1..=2), again in 0..4_u8, before in "([a-z]{1,3}[/\\\\])?", behind in "([;/\\\\?#][a-z.]{0,3})?") {
            let dots: String = ways.iter().map(|way| [".", "%2e", "%c0%ae", "%e0%80%AE", "%u002e", "\u{ff0e}"][usize::from(*way)]).collect();
            let mut id = format!("{before}{dots}{behind}");
            for _ in 0..again {
                id = id.replace('%', "%25");
            }
            prop_assert!(has_dot_segment(&id), "{}", id);
        }

        #[test]
        fn ordinary_ids_are_sent(id in "[\\PC&&[^./\\\\%\u{2024}\u{2025}\u{fe30}\u{fe52}\u{ff05}\u{ff0e}\u{fe6a}]]{1,20}") {
            prop_assert!(encode_segment(&id).is_ok(), "{}", id);
        }
    }
}
