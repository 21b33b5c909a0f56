//! Explains a MAC of an Ably token request by the usual mistakes.

use super::finding::VerifyResult;
use super::keys::CandidateKeys;
use super::search::{FoundSignature, MacAlgorithm, MacEncoding, SignatureStyle, messages, other_units, search};
use crate::vendor::ably::{TokenParams, TokenRequestText};

const STYLE: SignatureStyle = SignatureStyle {
    algorithm: MacAlgorithm::HmacSha256,
    encoding: MacEncoding::Base64,
    tried: "the capability as given; fields left out; seconds instead of milliseconds; no newline at the end; other \
            encodings and hashes; every key of this configuration, also if misread; and any two of these at once, in \
            any encoding and hash",
};

/// The signed fields, and whether the last line ends with a newline. A correct text ends with one.
#[derive(Clone)]
struct TokenRequestFields {
    params: TokenParams,
    ends_with_newline: bool,
}

/// Finds out how the MAC of a token request was made. It tries each key of the app with the name of that key. `asked`
/// is the capability as given, which may differ from the canonical form.
pub(super) fn find(params: &TokenParams, asked: Option<&str>, mac: &str, keys: &CandidateKeys) -> VerifyResult {
    let mut expected = String::new();
    let mut best = None;
    for (key_name, keys) in keys.each() {
        let right = TokenRequestFields { params: TokenParams { key_name, ..params.clone() }, ends_with_newline: true };
        if expected.is_empty() {
            expected = right.text();
        }
        let messages = messages(&right, TokenRequestFields::text, |fields| fields.changes(asked));
        let found = search(mac, STYLE, &messages, &keys);
        best = [best, found].into_iter().flatten().min_by_key(|found: &FoundSignature| found.changes.len());
    }
    VerifyResult::new(mac, STYLE, expected, best)
}

impl TokenRequestFields {
    /// Returns the six lines to sign. The text is empty if the fields cannot be signed.
    fn text(&self) -> String {
        let text = TokenRequestText::new(&self.params).map(|text| text.to_string()).unwrap_or_default();
        if self.ends_with_newline { text } else { text.trim_end_matches('\n').to_owned() }
    }

    fn changes(&self, asked: Option<&str>) -> Vec<(String, TokenRequestFields)> {
        let params = || self.params.clone();
        let as_given = asked.map(|asked| {
            let capability = Some(asked.to_owned());
            ("the capability was signed as given, not in canonical form", TokenParams { capability, ..params() })
        });
        let left_out = [
            ("the ttl was left out", TokenParams { ttl: None, ..params() }),
            (
                "the capability was left out, so the token can do everything that the key can do",
                TokenParams { capability: None, ..params() },
            ),
            ("the clientId was left out", TokenParams { client_id: None, ..params() }),
            (
                "the ttl is in seconds, not milliseconds",
                TokenParams { ttl: self.params.ttl.map(|ttl| ttl / 1000), ..params() },
            ),
            ("the keyName was left out", TokenParams { key_name: String::new(), ..params() }),
        ];
        let changed = as_given.into_iter().chain(left_out).map(|(change, params)| (change.to_owned(), params));
        let times = other_units(self.params.timestamp);
        let times = times.map(|(change, timestamp)| (change, TokenParams { timestamp, ..params() }));
        let unended = (
            "the newline at the end was left out".to_owned(),
            TokenRequestFields { ends_with_newline: false, ..self.clone() },
        );
        let ended = self.ends_with_newline;
        changed
            .chain(times)
            .map(|(change, params)| (change, TokenRequestFields { params, ends_with_newline: ended }))
            .chain([unended])
            .collect()
    }
}
