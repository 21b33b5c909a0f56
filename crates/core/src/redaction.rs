//! Removes known secrets from texts that are written about requests. A caller may send a secret in place of an
//! identifier, for example as a token's issuer.
//!
//! Code that writes text which may repeat a request must pass it through [`KnownSecrets::redact`]. Answers to callers
//! repeat no part of a credential, so they do not need redaction. They must not be redacted either: if an answer
//! depends on a part of a secret, it helps to guess the secret.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use crate::crypto::{base64, base64url, hex, sha256};
use crate::model::{escape_json, needs_escape};
use crate::secret::Secret;

/// The number of consecutive bytes of a secret that must not be visible.
const PART_LENGTH: usize = 12;

/// The length of a probe, in bytes. A text is probed only at multiples of [`PROBE_STEP`]. Each part of a secret that occurs
/// in the text contains a complete probe at such a position.
const PROBE_LENGTH: usize = 8;
const PROBE_STEP: usize = PART_LENGTH - PROBE_LENGTH + 1;

/// Minimum length, in bytes, of a secret that is found inside a word. A shorter secret is found only if it is a
/// complete quoted text.
const MIN_LENGTH_INSIDE_WORD: usize = 8;

/// Minimum length, in bytes, of an API key. Each word of a text that has this length must be hashed.
const MIN_API_KEY_LENGTH: usize = 16;

/// The replacement for a secret.
const REDACTED: &str = "[redacted]";

/// The secrets of a configuration, prepared for search in texts: in plain form, in hex, and in Base64.
#[derive(Clone, Default)]
pub struct KnownSecrets {
    /// All parts of [`PART_LENGTH`] bytes, in all encodings.
    parts: HashSet<[u8; PART_LENGTH]>,
    /// All probes in these parts, as numbers.
    probes: HashSet<u64, BuildHasherDefault<ProbeHasher>>,
    /// Secrets that are shorter than a part.
    short: Vec<Secret>,
    /// The SHA-256 hashes of the API keys.
    api_keys: HashSet<[u8; 32]>,
}

impl KnownSecrets {
    /// Prepares the search for these secrets and for the API keys with these hashes.
    ///
    /// A part of a secret that also occurs in one of the `public` texts is not redacted, because it may be an ordinary
    /// word of the configuration file. But if a complete secret occurs in a `public` text, it is redacted.
    pub fn new(secrets: &[Secret], api_keys: HashSet<[u8; 32]>, public: &[&str]) -> KnownSecrets {
        let mut known = KnownSecrets { api_keys, ..KnownSecrets::default() };
        let is_public = |secret: &&Secret| public.iter().any(|text| contains(text.as_bytes(), secret.expose()));
        let (misplaced, others): (Vec<&Secret>, Vec<&Secret>) = secrets.iter().partition(is_public);
        for secret in others {
            known.add(secret);
        }
        for window in public.iter().flat_map(|text| text.as_bytes().windows(PART_LENGTH)) {
            known.parts.remove(window);
        }
        for secret in misplaced {
            known.add(secret);
        }
        known.probes = known.parts.iter().flat_map(|part| part.windows(PROBE_LENGTH)).filter_map(probe_value).collect();
        known
    }

    /// Returns the union of the secrets of both.
    #[must_use]
    pub fn union(&self, other: &KnownSecrets) -> KnownSecrets {
        KnownSecrets {
            parts: &self.parts | &other.parts,
            probes: &self.probes | &other.probes,
            short: self.short.iter().chain(&other.short).cloned().collect(),
            api_keys: &self.api_keys | &other.api_keys,
        }
    }

    /// Returns the text with `[redacted]` in place of each known secret, and of each part of a secret with 12 bytes or
    /// more.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let ranges = self.find_secrets(text);
        if ranges.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut redacted, mut end) = (String::with_capacity(text.len()), 0);
        for range in ranges {
            redacted.push_str(text.get(end..range.start).unwrap_or_default());
            redacted.push_str(REDACTED);
            end = range.end;
        }
        redacted.push_str(text.get(end..).unwrap_or_default());
        Cow::Owned(redacted)
    }

    /// Returns JSON with [redacted](Self::redact) strings. The input may be several values on separate lines. Only
    /// strings change.
    pub fn redact_json<'t>(&self, json: &'t str) -> Cow<'t, str> {
        // Most texts contain no escapes and no secrets. Then a search in the whole text finds nothing in its strings.
        if !json.contains('\\') && self.find_secrets(json).is_empty() {
            return Cow::Borrowed(json);
        }
        let (mut redacted, mut end) = (String::new(), 0);
        for literal in string_literals(json) {
            let Some(clean) = json.get(literal.clone()).and_then(|literal| self.redact_literal(literal)) else {
                continue;
            };
            redacted.push_str(json.get(end..literal.start).unwrap_or_default());
            redacted.push_str(&clean);
            end = literal.end;
        }
        if end == 0 {
            return Cow::Borrowed(json);
        }
        redacted.push_str(json.get(end..).unwrap_or_default());
        Cow::Owned(redacted)
    }

    /// Does the same as [`KnownSecrets::redact_json`] for JSON in bytes. Bytes that are not UTF-8 are replaced; valid
    /// JSON contains none.
    pub fn redact_json_bytes<'t>(&self, json: &'t [u8]) -> Cow<'t, [u8]> {
        match String::from_utf8_lossy(json) {
            Cow::Borrowed(text) => match self.redact_json(text) {
                Cow::Borrowed(_) => Cow::Borrowed(json),
                Cow::Owned(redacted) => Cow::Owned(redacted.into_bytes()),
            },
            Cow::Owned(text) => Cow::Owned(self.redact_json(&text).into_owned().into_bytes()),
        }
    }

    /// Returns the redacted form of a JSON string literal, or `None` if nothing changes.
    fn redact_literal(&self, literal: &str) -> Option<String> {
        let inner = literal.get(1..literal.len().saturating_sub(1))?;
        let text = if inner.contains('\\') {
            Cow::Owned(serde_json::from_str::<String>(literal).ok()?)
        } else {
            Cow::Borrowed(inner)
        };
        match self.redact(&text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(redacted) => Some(json_literal(&redacted)),
        }
    }

    fn add(&mut self, secret: &Secret) {
        let bytes = secret.expose();
        if bytes.len() < PART_LENGTH {
            self.short.push(secret.clone());
        }
        for encoded in encodings(bytes) {
            self.parts.extend(encoded.windows(PART_LENGTH).filter_map(|part| <[u8; PART_LENGTH]>::try_from(part).ok()));
        }
    }

    /// Returns the ranges of the text that contain secrets, in order and without overlaps.
    fn find_secrets(&self, text: &str) -> Vec<Range<usize>> {
        let mut ranges = self.find_parts(text.as_bytes());
        ranges.extend(self.find_short(text));
        ranges.extend(self.find_whole(text));
        merge_ranges(text, ranges)
    }

    fn find_parts(&self, text: &[u8]) -> Vec<Range<usize>> {
        let may_hold_one = |at: usize| {
            text.get(at..at + PROBE_LENGTH).and_then(probe_value).is_some_and(|probe| self.probes.contains(&probe))
        };
        if self.probes.is_empty() || !(0..text.len()).step_by(PROBE_STEP).any(may_hold_one) {
            return Vec::new();
        }
        let windows = text.windows(PART_LENGTH).enumerate().filter(|(_, window)| self.parts.contains(*window));
        windows.map(|(at, _)| at..at + PART_LENGTH).collect()
    }

    fn find_short(&self, text: &str) -> Vec<Range<usize>> {
        let inside = self.short.iter().filter(|secret| secret.expose().len() >= MIN_LENGTH_INSIDE_WORD);
        inside.flat_map(|secret| occurrences(text.as_bytes(), secret.expose())).collect()
    }

    /// Returns the short secrets that are a complete quoted text, and the words that are API keys. Only the hashes of
    /// API keys are known, so parts of an API key cannot be found.
    fn find_whole(&self, text: &str) -> Vec<Range<usize>> {
        let mut whole = Vec::new();
        if !self.short.is_empty() {
            let is_short = |piece: &[u8]| self.short.iter().any(|secret| secret.expose() == piece);
            whole.extend(split_ranges(text, |c| c == '"').filter(|range| is_short(&text.as_bytes()[range.clone()])));
        }
        if !self.api_keys.is_empty() {
            let is_key = |word: &[u8]| word.len() >= MIN_API_KEY_LENGTH && self.api_keys.contains(&sha256(word));
            let words = split_ranges(text, |c| c.is_whitespace() || c == '"' || c == '`');
            whole.extend(words.filter(|range| is_key(&text.as_bytes()[range.clone()])));
        }
        whole
    }
}

/// Returns the non-empty ranges of a text between separator characters.
fn split_ranges(text: &str, divides: impl Fn(char) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    let ends = text.char_indices().filter(move |(_, c)| divides(*c)).chain([(text.len(), ' ')]);
    let pieces = ends.map(move |(end, divider)| std::mem::replace(&mut start, end + divider.len_utf8())..end);
    pieces.filter(|piece| !piece.is_empty())
}

fn probe_value(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// A fast hasher for probes, with one multiplication. Each log line causes many lookups. A weak hash is safe here,
/// because only the operator chooses the contents of the set.
#[derive(Clone, Default)]
struct ProbeHasher(u64);

impl Hasher for ProbeHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownSecrets(…)")
    }
}

/// Returns the possible forms of a secret: plain, escaped in quotation marks, in hex, and in Base64 at any byte offset.
fn encodings(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut encodings = vec![secret.to_vec(), hex(secret).into_bytes(), hex(secret).to_uppercase().into_bytes()];
    for aligned in (0..3).filter_map(|offset| secret.get(offset..)) {
        let standard = base64(aligned);
        encodings.push(standard.trim_end_matches('=').as_bytes().to_vec());
        encodings.push(base64url(aligned).into_bytes());
    }
    if let Ok(text) = str::from_utf8(secret) {
        let quoted = [format!("{text:?}"), serde_json::Value::from(text).to_string()];
        encodings.extend(quoted.iter().filter_map(|quoted| Some(quoted.get(1..quoted.len() - 1)?.as_bytes().to_vec())));
    }
    encodings
}

/// Returns the text as a JSON string literal. Characters that logs escape are written as escapes.
fn json_literal(text: &str) -> String {
    let literal = serde_json::Value::from(text).to_string();
    literal.chars().map(|c| if needs_escape(c) { escape_json(c) } else { c.to_string() }).collect()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}

fn occurrences<'t>(text: &'t [u8], part: &'t [u8]) -> impl Iterator<Item = Range<usize>> {
    let windows = text.windows(part.len().max(1)).enumerate();
    windows.filter(move |(_, window)| *window == part).map(move |(at, _)| at..at + part.len())
}

/// Returns the ranges in order. Joins ranges that touch, and widens ranges that cut a character.
fn merge_ranges(text: &str, mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        let start = (0..=range.start).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let end = (range.end..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        match merged.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => merged.push(start..end),
        }
    }
    merged
}

/// Returns the ranges of the string literals in JSON, with their quotation marks.
fn string_literals(json: &str) -> impl Iterator<Item = Range<usize>> {
    let (mut start, mut is_escaped) = (None, false);
    json.bytes().enumerate().filter_map(move |(at, byte)| match (start, byte) {
        (Some(_), _) if is_escaped => {
            is_escaped = false;
            None
        }
        (Some(_), b'\\') => {
            is_escaped = true;
            None
        }
        (Some(begun), b'"') => {
            start = None;
            Some(begun..at + 1)
        }
        (None, b'"') => {
            start = Some(at);
            None
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "NotReal-Heron8Velvet1Capstan4Moss";
    const QUOTED: &str = "Not\"Real\\Osprey\n5Anvil\u{e9}2Thicket9Dune";
    const API_KEY: &str = "NotReal-Puffin7Cinder3Mandolin5Reed";

    fn known(secrets: &[&str], public: &[&str]) -> KnownSecrets {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(secret.as_bytes().to_vec())).collect();
        KnownSecrets::new(&secrets, HashSet::from([sha256(API_KEY.as_bytes())]), public)
    }

    #[test]
    fn a_secret_is_redacted_in_every_form_and_nothing_else_is() {
        let known = known(&[SECRET, QUOTED, "Tarn4Elk9", "Elk9"], &[]);
        let bytes = SECRET.as_bytes();
        for (text, redacted) in [
            (SECRET.to_owned(), "[redacted]"),
            (format!("kid \"app.key:{SECRET}\" twice {SECRET}"), "kid \"app.key:[redacted]\" twice [redacted]"),
            (format!("é{}é", &SECRET[3..15]), "é[redacted]é"),
            (format!("{SECRET}{SECRET}"), "[redacted]"),
            (hex(bytes), "[redacted]"),
            (hex(bytes).to_uppercase(), "[redacted]"),
            (base64(bytes), "[redacted]"),
            (format!("{:?}", format!("{QUOTED}!")), "\"[redacted]!\""),
            ("an Tarn4Elk9.".to_owned(), "an [redacted]."),
            ("is \"Elk9\"".to_owned(), "is \"[redacted]\""),
            (format!("is \"{API_KEY}\""), "is \"[redacted]\""),
            (API_KEY.to_owned(), "[redacted]"),
            (format!("no `{API_KEY}` \"shop {API_KEY}\""), "no `[redacted]` \"shop [redacted]\""),
        ] {
            assert_eq!(known.redact(&text), redacted, "{text}");
        }
        for offset in 1..4 {
            let text = known.redact(&base64(&[&vec![b'a'; offset], bytes].concat())).into_owned();
            assert!(text.contains(REDACTED) && text.len() < 20, "{text}");
        }
        for text in
            ["", "NotReal-Her", "an Elk9.", "the token's issuer (iss) is not known here: \"https://id.example.com\""]
        {
            assert!(matches!(known.redact(text), Cow::Borrowed(_)), "{text}");
        }
        assert_eq!(format!("{known:?}"), "KnownSecrets(…)");
    }

    #[test]
    fn public_text_is_not_redacted() {
        let known = known(&["example-forum-secret-Velvet1Capstan4", SECRET], &["name = \"example-forum\"", SECRET]);
        assert_eq!(known.redact("caller of example-forum"), "caller of example-forum");
        assert_eq!(known.redact("example-forum-secret-Velvet1Capstan4"), "ex[redacted]");
        assert_eq!(known.redact(SECRET), "[redacted]", "a complete secret in a public text is redacted");
    }

    #[test]
    fn escapes_are_kept() {
        let line = format!(r#"{{"reason":"\u2028\"{SECRET}\"\ud83d\ude42\ufeff","n":1}}"#);
        let redacted = r#"{"reason":"\u2028\"[redacted]\"🙂\ufeff","n":1}"#;
        assert_eq!(known(&[SECRET], &[]).redact_json(&line), redacted);
    }

    #[test]
    fn union_contains_the_secrets_of_both() {
        let both = known(&[SECRET], &[]).union(&known(&[QUOTED], &[]));
        assert_eq!(both.redact(&format!("{SECRET} {QUOTED}")), "[redacted] [redacted]");
    }

    fn strings() -> impl Strategy<Value = String> {
        let secrets = [SECRET, QUOTED, "Tarn4Elk9", API_KEY].map(|secret| Just(secret.to_owned())).to_vec();
        let part = prop_oneof!["\\PC{0,6}", "[\"\\\\\n\u{2028}é]{0,3}", proptest::strategy::Union::new(secrets)];
        proptest::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn no_part_of_a_secret_is_left(text in strings()) {
            let known = known(&[SECRET, QUOTED, "Tarn4Elk9"], &[]);
            let redacted = known.redact(&text).into_owned();
            for secret in [SECRET, QUOTED] {
                prop_assert!(secret.as_bytes().windows(PART_LENGTH).all(|part| !contains(redacted.as_bytes(), part)), "{}", redacted);
            }
            prop_assert!(!redacted.contains("Tarn4Elk9"));
            prop_assert_eq!(known.redact(&redacted), redacted.as_str());
        }

        #[test]
        fn json_stays_json_and_each_string_is_redacted(name in strings(), text in strings(), number in any::<i64>()) {
            let known = known(&[SECRET, QUOTED, "Tarn4Elk9"], &[]);
            let line = format!("{{{}:{},\"list\":[{number},null,{}]}}\n", json!(name), json!(text), json!(text));
            let redacted = known.redact_json(&line).into_owned();
            prop_assert!(redacted.ends_with("]}\n"), "{redacted}");
            let (name, text) = (known.redact(&name).into_owned(), known.redact(&text).into_owned());
            let expected = json!({ (name): text, "list": [number, null, text] });
            prop_assert_eq!(serde_json::from_str::<Value>(&redacted).unwrap(), expected);
        }
    }
}
