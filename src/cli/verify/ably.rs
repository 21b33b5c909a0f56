//! The usual mistakes in the MACs of Ably's token requests.

use super::finding::VerifyResult;
use super::keys::CandidateKeys;
use super::search::{MacAlgorithm, MacEncoding, SignatureStyle, messages, search};
use super::timestamps;
use crate::vendor::ably::{TokenParams, TokenRequestText};

const STYLE: SignatureStyle = SignatureStyle {
    algorithm: MacAlgorithm::HmacSha256,
    form: MacEncoding::Base64,
    tried: "the capability as it was given; fields left out; seconds for milliseconds; no newline at the end; other forms and hashes; \
            every key of this configuration, misread too; and any two of these at once, in any form and hash",
};

/// What is signed, and whether the last line ends with a newline, as it must.
#[derive(Clone)]
struct TokenRequestFields {
    params: TokenParams,
    ended: bool,
}

/// Finds out how the MAC of this token request was made, by any of the app's keys, each of which has its own name. `asked` is the
/// capability as it was given, which need not be as we would write it.
pub(super) fn find(params: &TokenParams, asked: Option<&str>, mac: &str, keys: &CandidateKeys) -> VerifyResult {
    let mut expected = String::new();
    let mut best = None;
    for (key_name, keys) in keys.each() {
        let right = TokenRequestFields { params: TokenParams { key_name, ..params.clone() }, ended: true };
        if expected.is_empty() {
            expected = right.text();
        }
        let messages = messages(&right, TokenRequestFields::text, |fields| fields.changes(asked));
        let found = search(mac, STYLE, &messages, &keys);
        best =
            [best, found].into_iter().flatten().min_by_key(|found: &super::search::FoundSignature| found.changes.len());
    }
    VerifyResult::new(mac, STYLE, expected, best)
}

impl TokenRequestFields {
    /// The six lines; nothing for what can't be signed.
    fn text(&self) -> String {
        let text = TokenRequestText::new(&self.params).map(|text| text.to_string()).unwrap_or_default();
        if self.ended { text } else { text.trim_end_matches('\n').to_owned() }
    }

    fn changes(&self, asked: Option<&str>) -> Vec<(String, TokenRequestFields)> {
        let params = || self.params.clone();
        let as_given = asked.map(|asked| {
            let capability = Some(asked.to_owned());
            ("the capability is signed as it was given, not in canonical form", TokenParams { capability, ..params() })
        });
        let left_out = [
            ("the ttl was left out", TokenParams { ttl: None, ..params() }),
            (
                "the capability was left out, which asks for all that the key can do",
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
        let times = timestamps(self.params.timestamp);
        let times = times.map(|(change, timestamp)| (change, TokenParams { timestamp, ..params() }));
        let unended =
            ("the newline at the end was left out".to_owned(), TokenRequestFields { ended: false, ..self.clone() });
        let ended = self.ended;
        changed
            .chain(times)
            .map(|(change, params)| (change, TokenRequestFields { params, ended }))
            .chain([unended])
            .collect()
    }
}
