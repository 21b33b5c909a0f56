//! Hashes, MACs and encodings. These are thin wrappers: the algorithms come from the `RustCrypto` project.

pub mod mac;
pub mod signing_key;

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use md5::Md5;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Returns the SHA-256 hash (FIPS 180-4).
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Returns the SHA-1 hash. Use it only as a name, because it is broken.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    sha1::Sha1::digest(bytes).into()
}

/// Returns the MD5 hash (RFC 1321) of the concatenated parts. MD5 is broken: use it only where a vendor's protocol
/// requires it.
pub fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Returns whether both are equal. The time depends only on the lengths.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Joins the parts, each after its length, so different lists of parts never give the same bytes.
pub fn join_with_lengths<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&part.len().to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Percent-encodes the bytes (RFC 3986, section 2.1), except for letters, digits, `-`, `.` and `_`. The result is valid
/// in a segment of a path and in a form.
pub fn percent_encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => text.push(char::from(*byte)),
            _ => _ = write!(text, "%{byte:02X}"),
        }
    }
    text
}

/// Decodes percent-encoding. Returns `None` if a `%` is not followed by two hex digits, or if the result is not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, coded)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        let (digits, tail) = coded.split_at_checked(2)?;
        let mut byte = [0];
        hex::decode_to_slice(digits, &mut byte).ok()?;
        bytes.extend(byte);
        rest = tail;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

/// Returns the bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    text
}

/// Appends the bytes in lower-case hex.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    text.reserve(2 * bytes.len());
    for block in bytes.chunks(32) {
        let mut digits = [0; 64];
        write_hex(&mut digits, block);
        text.push_str(str::from_utf8(&digits[..2 * block.len()]).unwrap_or_default());
    }
}

/// Writes the bytes in lower-case hex to the beginning of `to`, as far as there is room.
pub fn write_hex(to: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in to.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Encodes the bytes in Base64 with the standard alphabet and padding (RFC 4648, section 4).
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes the exact output of [`base64()`]. Returns `None` for any other text, for example if padding is missing or
/// unused bits are not zero.
pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Encodes the bytes in Base64 with the URL-safe alphabet and without padding (RFC 4648, section 5, as used by RFC
/// 7515).
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends the bytes in the form of [`base64url`].
pub fn push_base64url(text: &mut String, bytes: &[u8]) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Decodes the exact output of [`base64url`]. Returns `None` for any other text, for example if there is padding or
/// unused bits are not zero. So no two texts decode to the same bytes.
pub fn base64url_decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn md5_of_the_standards_example() {
        // RFC 1321, appendix A.5.
        assert_eq!(hex(&md5(&[b"message ", b"digest"])), "f96b697d7cb7938d525a2f31aaf161d0");
    }

    #[test]
    fn sha256_of_the_standards_example() {
        // FIPS 180-4, example "abc".
        assert_eq!(hex(&sha256(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn equal_compares_all_of_both() {
        assert!(constant_time_eq(b"", b""));
        assert!(constant_time_eq(b"abc", b"abc"));
        assert!(!constant_time_eq(b"abc", b"abd"));
        assert!(!constant_time_eq(b"abc", b"ab"));
    }

    #[test]
    fn different_parts_give_different_bytes() {
        let join = |parts: &[&str]| join_with_lengths(parts.iter().map(|part| part.as_bytes()));
        assert_ne!(join(&["a", "bc"]), join(&["ab", "c"]));
        assert_ne!(join(&["a"]), join(&["a", ""]));
        assert_eq!(join(&["a", "b"]), join(&["a", "b"]));
    }

    #[test]
    fn nothing_percent_encoded_leaves_its_segment() {
        assert_eq!(percent_encode("a/../b?c#d%2F é~".as_bytes()), "a%2F..%2Fb%3Fc%23d%252F%20%C3%A9%7E");
    }

    #[test]
    fn only_what_is_percent_encoded_properly_is_decoded() {
        for (text, decoded) in [("", ""), ("a+b", "a+b"), ("%2f%2F%25", "//%"), ("caf%C3%A9é", "caféé")] {
            assert_eq!(percent_decode(text).as_deref(), Some(decoded));
        }
        for text in ["%", "%2", "a%2", "%+5", "%-1", "%é", "%2é", "%ff", "%C3", "%%41"] {
            assert_eq!(percent_decode(text), None, "{text}");
        }
    }

    #[test]
    fn encodings_differ_in_alphabet_and_padding() {
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
        assert_eq!(hex(&[0xfb, 0x0f]), "fb0f");
    }

    #[test]
    fn only_the_canonical_spelling_is_read() {
        assert_eq!(base64url_decode("-_8").unwrap(), [0xfb, 0xff]);
        for text in ["-_8=", "-_9", "+/8", "-_8 ", "-_8\n", "-", "-_8-_"] {
            assert_eq!(base64url_decode(text), None, "{text:?}");
        }
        assert_eq!(base64_decode("+/8=").unwrap(), [0xfb, 0xff]);
        for text in ["+/8", "+/9=", "-_8=", "+/8=\n"] {
            assert_eq!(base64_decode(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back_the_same(text in "[A-Za-z0-9_-]{0,12}") {
            if let Some(bytes) = base64url_decode(&text) {
                prop_assert_eq!(base64url(&bytes), text);
            }
        }
    }
}
