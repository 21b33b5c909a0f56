//! Explains a TalkJS signature of a user id by the usual mistakes.

use serde_json::Value;

use super::finding::VerifyResult;
use super::keys::CandidateKeys;
use super::search::{MacAlgorithm, MacEncoding, SignatureStyle, messages, search};

const STYLE: SignatureStyle = SignatureStyle {
    algorithm: MacAlgorithm::HmacSha256,
    encoding: MacEncoding::Hex,
    tried: "the user id in quotes, in another case, or with a newline; every key of this configuration, also if \
            misread; and any two of these at once, in any encoding and hash",
};

/// Finds out how the signature of a user id was made.
pub(super) fn find(user: &str, signature: &str, keys: &CandidateKeys) -> VerifyResult {
    let messages = messages(&user.to_owned(), String::clone, changes);
    let found = search(signature, STYLE, &messages, &keys.all());
    VerifyResult::new(signature, STYLE, user.to_owned(), found)
}

fn changes(user: &String) -> Vec<(String, String)> {
    [
        ("the user id was signed in quotes", Value::from(user.as_str()).to_string()),
        ("the user id was signed in lower case", user.to_lowercase()),
        ("the user id was signed in upper case", user.to_uppercase()),
        ("the user id was signed with a newline at its end", format!("{user}\n")),
    ]
    .map(|(change, text)| (change.to_owned(), text))
    .into()
}
