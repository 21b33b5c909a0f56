//! A reader of JSON Web Tokens more forgiving than any that is in use.

use serde_json::{Map, Value};

/// Whether a text, with its MAC behind a `.`, would pass as a token somewhere.
///
/// The header may end at the first `.` or at the last. It may be Base64 in either alphabet or a mixture, padded or not, with white space
/// and stray bits, and be any JSON object; or be mixed with any other characters, if it names the algorithm, as all who skip such
/// characters want it to.
pub(crate) fn passes(text: &str) -> bool {
    let Some((first, _)) = text.split_once('.') else { return false };
    let headers = [Some(first), text.rsplit_once('.').map(|(before_last, _)| before_last)];
    headers.into_iter().flatten().any(|header| {
        let clean = header.chars().all(|c| c.is_whitespace() || c == '=' || sextet(c).is_some());
        let object = object(&decode(header));
        object.is_some_and(|object| clean || names_algorithm(&object))
    })
}

fn names_algorithm(header: &Map<String, Value>) -> bool {
    header.get("alg").and_then(Value::as_str).is_some_and(|name| name.eq_ignore_ascii_case("HS256"))
}

/// The object that these bytes say, in UTF-8 or in UTF-16, behind a byte order mark or none.
fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let narrow: Vec<u8> =
        bytes.iter().copied().filter(|byte| ![0, 0xef, 0xbb, 0xbf, 0xfe, 0xff].contains(byte)).collect();
    [bytes, &narrow].iter().find_map(|bytes| serde_json::from_str(String::from_utf8_lossy(bytes).trim()).ok())
}

/// Bit by bit: slow, and one hopes obviously right.
fn decode(text: &str) -> Vec<u8> {
    let bits: Vec<u8> =
        text.chars().filter_map(sextet).flat_map(|six| (0..6).rev().map(move |bit| six >> bit & 1)).collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | bit)).collect()
}

fn sextet(c: char) -> Option<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let c = match c {
        '-' => '+',
        '_' => '/',
        c => c,
    };
    ALPHABET.find(c).and_then(|place| u8::try_from(place).ok())
}

#[test]
fn reads_tokens_and_nothing_else() {
    // {"alg":"HS256"}, plainly; {}, padded; and the first again with a character strewn in.
    for token in ["eyJhbGciOiJIUzI1NiJ9.e30", "e30=.e30", "e30.", "e y@JhbGciOiJIUzI1NiJ9.e30"] {
        assert!(passes(token), "{token}");
    }
    for other in ["alice", "alice.smith", "e30", "e@30.e30", "eyJhbGciOiJIUzI1NiJ9"] {
        assert!(!passes(other), "{other}");
    }
}
