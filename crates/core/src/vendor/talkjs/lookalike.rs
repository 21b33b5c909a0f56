//! Recognizes user ids that can be read as the first two parts of a JSON Web Token.
//!
//! TalkJS's signature of a user id and its signature of a token are the same MAC with the same key. The signature of a
//! user id `base64url(header).base64url(payload)` would complete a valid token with any powers that the payload claims.
//! Two checks find such ids:
//!
//! - If the text before the first `.` is Base64 of valid text, the decoded text must not start like a JSON object. Both
//!   alphabets are accepted, also mixed, with or without padding.
//! - The text before the last `.` must not name the algorithm in any known decoding, because every header names it.
//!   Some decoders skip strange characters (PHP, Python, Node), reduce a character to its low byte (Node) or continue
//!   after padding. Some readers skip comments before the object (Gson) or accept UTF-16 (Python).

/// Returns whether this id can be read as a token without its signature.
pub(super) fn looks_like_jwt(id: &str) -> bool {
    let first = id.split('.').next().and_then(decode_plain);
    // Bytes that are not valid UTF-8 are not a header. Without this condition, one in twenty-five hexadecimal ids would
    // be rejected, because its decoded bytes start with `{`.
    let is_object = |bytes: Vec<u8>| std::str::from_utf8(&bytes).is_ok() && starts_object(&bytes);
    let before_last = id.rsplit_once('.').map(|(before_last, _)| before_last);
    first.is_some_and(is_object)
        || before_last.is_some_and(|text| possible_decodings(text).any(|bytes| names_algorithm(&bytes)))
}

/// Decodes a text that consists only of Base64 characters, padding and white space.
fn decode_plain(text: &str) -> Option<Vec<u8>> {
    let reading = DecoderRules { standard: true, url_safe: true, low_byte: false };
    let base64 = |c: char| c == '=' || c.is_whitespace() || reading.sextet(c).is_some();
    text.chars().all(base64).then(|| reading.decode(text))
}

/// Returns whether the bytes start with `{`, after white space, NULs and byte order marks.
fn starts_object(bytes: &[u8]) -> bool {
    let skipped = |byte: u8| byte.is_ascii_whitespace() || [0, 0x0b, 0xef, 0xbb, 0xbf, 0xfe, 0xff].contains(&byte);
    bytes.iter().find(|byte| !skipped(**byte)) == Some(&b'{')
}

/// Returns whether the bytes contain `HS256` in one-byte or two-byte characters, or an escape that can hide a part of
/// it.
fn names_algorithm(bytes: &[u8]) -> bool {
    let text: Vec<u8> = bytes.iter().filter(|byte| **byte != 0).map(u8::to_ascii_lowercase).collect();
    let says = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
    says(b"hs256") || says(b"\\u") || says(b"\\x")
}

/// The rules of a Base64 decoder: which alphabets it accepts, and whether it reduces characters beyond Latin-1 to their
/// low byte.
#[derive(Clone, Copy)]
struct DecoderRules {
    standard: bool,
    url_safe: bool,
    low_byte: bool,
}

/// Returns all possible decodings of a text. A decoder may skip padding in the middle, or start again after it.
fn possible_decodings(text: &str) -> impl Iterator<Item = Vec<u8>> {
    let anew = move |reading: DecoderRules| text.split('=').flat_map(|piece| reading.decode(piece)).collect();
    all_decoder_rules().flat_map(move |reading| [reading.decode(text), anew(reading)])
}

fn all_decoder_rules() -> impl Iterator<Item = DecoderRules> {
    (0..8).map(|bits| DecoderRules { standard: bits & 1 != 0, url_safe: bits & 2 != 0, low_byte: bits & 4 != 0 })
}

impl DecoderRules {
    /// Decodes the text. Ignores characters outside the alphabet, and the bits left over at the end.
    fn decode(self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(text.len());
        let (mut bits, mut held) = (0_u32, 0);
        for sextet in text.chars().filter_map(|c| self.sextet(c)) {
            bits = bits << 6 | sextet;
            held += 6;
            if held >= 8 {
                held -= 8;
                let [.., byte] = (bits >> held).to_be_bytes();
                bytes.push(byte);
            }
        }
        bytes
    }

    fn sextet(self, c: char) -> Option<u32> {
        let c = if self.low_byte { char::from_u32(c as u32 & 0xff)? } else { c };
        match c {
            'A'..='Z' => Some(c as u32 - 'A' as u32),
            'a'..='z' => Some(c as u32 - 'a' as u32 + 26),
            '0'..='9' => Some(c as u32 - '0' as u32 + 52),
            '+' if self.standard => Some(62),
            '/' if self.standard => Some(63),
            '-' if self.url_safe => Some(62),
            '_' if self.url_safe => Some(63),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use base64::Engine as _;
    use base64::alphabet;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::{base64, base64url};

    const HEADER: &[u8] = br#"{"alg":"HS256"}"#;
    const PAYLOAD: &[u8] = br#"{"tokenType":"app","iss":"appid","exp":99999999999}"#;

    fn utf16(mark: bool, bytes: fn(u16) -> [u8; 2]) -> String {
        let mark = mark.then_some('\u{feff}').into_iter();
        let text: String = mark.chain(HEADER.iter().map(|byte| char::from(*byte))).collect();
        base64url(&text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>())
    }

    fn token(header: &str) -> String {
        format!("{header}.{}", base64url(PAYLOAD))
    }

    #[test]
    fn ordinary_ids_are_no_tokens() {
        for id in [
            "alice",
            "ezra.pound",
            "123456",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "e2504e04-4f89-11d3-9a0c-0305e82c3301",
            "e9a1b2c3d4e5f60718293a4b",
            "bob+chat@example.com",
            "Alice Smith",
            "first.last@example.com",
            "用户1",
            "🚀user",
            "a/b?c=d&e#f%20",
            "ezra",
            "ewan@example.com",
            "ezra@example.com",
            "eve.e4-e5@example.com.au",
            "hs256.fan",
            "",
            ".",
            "...",
            "{",
        ] {
            assert!(!looks_like_jwt(id), "{id}");
        }
    }

    #[test]
    fn every_spelling_of_a_header_is_seen() {
        let padded = base64(br#"{"alg":"HS256" }"#);
        assert!(padded.ends_with('='));
        let plain = base64url(HEADER);
        let (start, rest) = plain.split_at(1);
        for header in [
            plain.clone(),
            padded,
            base64url(b" \t\r\n{\"alg\":\"HS256\"}"),
            base64url(b"\xef\xbb\xbf{\"alg\":\"HS256\"}"),
            utf16(true, u16::to_be_bytes),
            utf16(false, u16::to_be_bytes),
            utf16(true, u16::to_le_bytes),
            utf16(false, u16::to_le_bytes),
            base64url(b"{\"alg\":\"HS256\",\"x\":\"\xff\"}"),
            base64url(b"{alg:HS256}"),
            base64url(b"#\n{\"alg\":\"HS256\"}"),
            base64url(b"/**/{\"alg\":\"hs256\"}"),
            base64url(br#"/**/{"alg":"\u0048S256"}"#),
            // Characters that a decoder may skip.
            format!("{start}={rest}"),
            format!("{start} {rest}"),
            format!("{start}.{rest}"),
            format!("{start}é{rest}"),
            format!(".{plain}"),
            format!("+{plain}"),
            format!("-{start}_{rest}"),
            format!("{start}/{rest}"),
            // A decoder that continues after padding.
            format!("{}{plain}", base64(b" ")),
            format!("{}=={plain}", base64(b"\n")),
            // A character whose low byte is the letter.
            format!("\u{165}{rest}"),
        ] {
            assert!(looks_like_jwt(&token(&header)), "{header}");
            assert!(looks_like_jwt(&format!("{}.", token(&header))), "{header}");
            assert!(looks_like_jwt(&format!("{}.x.y", token(&header))), "{header}");
        }
    }

    #[test]
    fn bits_left_over_change_nothing() {
        // "ew", "ex", "ey" and "ez" differ only in bits that are not part of a byte.
        for header in ["ew", "ex", "ey", "ez", "ew==", "ez==", "e30", "e30=", "e w", " ew"] {
            assert!(looks_like_jwt(&token(header)), "{header}");
        }
    }

    #[test]
    fn without_a_dot_only_text_counts() {
        assert!(looks_like_jwt(&base64url(HEADER)));
        assert!(looks_like_jwt(&base64(br#" {"alg":"HS256" }"#)));
        assert!(!looks_like_jwt(&base64url(b"{\xff")));
    }

    /// Real decoders: both alphabets, with and without padding, with stray bits.
    fn real_decoders() -> impl Iterator<Item = GeneralPurpose> {
        let alphabets = [alphabet::STANDARD, alphabet::URL_SAFE];
        let paddings =
            [DecodePaddingMode::Indifferent, DecodePaddingMode::RequireCanonical, DecodePaddingMode::RequireNone];
        alphabets.into_iter().flat_map(move |alphabet| {
            paddings.into_iter().map(move |padding| {
                let config =
                    GeneralPurposeConfig::new().with_decode_padding_mode(padding).with_decode_allow_trailing_bits(true);
                GeneralPurpose::new(&alphabet, config)
            })
        })
    }

    proptest! {
        #[test]
        fn no_decoder_finds_an_object_that_we_miss(
            header in "e?[w-z0-9]?[A-Za-z0-9+/_-]{0,8}={0,2}",
            rest in "[A-Za-z0-9._-]{0,8}",
        ) {
            let mut decoded = real_decoders().filter_map(|decoder| decoder.decode(&header).ok());
            let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
            let found = decoded.any(|bytes| is_text(&bytes) && bytes.trim_ascii_start().starts_with(b"{"));
            let id = format!("{header}.{rest}");
            prop_assert!(!found || looks_like_jwt(&id));
        }

        #[test]
        fn every_header_is_seen_whatever_is_strewn_in(
            before in "[ \t\r\n]{0,4}",
            inner in "\\PC{0,12}",
            strewn in prop::collection::vec((0_usize..40, prop::sample::select(vec![' ', '.', '=', '@', 'é', '\n'])), 0..4),
        ) {
            let mut header = base64url(format!("{before}{{\"alg\":\"HS256\",{inner}").as_bytes());
            for (place, character) in strewn {
                header.insert(header.char_indices().map(|(at, _)| at).nth(place).unwrap_or(0), character);
            }
            prop_assert!(looks_like_jwt(&token(&header)));
        }
    }
}
