//! The error of an invalid request, and the checks that several vendors share.

use crate::model::Action;
use crate::policy::Permit;

/// An invalid parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {message}")]
pub struct InvalidRequest {
    /// The name of the parameter, for example `client_id` or `members[2]`.
    pub field: String,
    /// What is wrong, in words that complete "client_id …".
    pub message: String,
}

impl InvalidRequest {
    /// Creates an error for this parameter.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> InvalidRequest {
        InvalidRequest { field: field.into(), message: message.into() }
    }
}

/// Checks that the permit covers the job: `action` must be the requested action and one of the decided actions.
pub(super) fn check_permit(permit: &Permit, action: Action) -> Result<(), InvalidRequest> {
    let signing_request = permit.request();
    if signing_request.action != action || !signing_request.required_actions.iter().any(|need| need.action == action) {
        return Err(wrong_permit_error(action.as_str()));
    }
    Ok(())
}

pub(super) fn wrong_permit_error(what: &str) -> InvalidRequest {
    InvalidRequest::new("action", format!("is not permitted: the permit is not for {what}"))
}

/// The error for an app that was set up without a key.
pub(super) fn missing_key_error() -> InvalidRequest {
    InvalidRequest::new("app", "has no key to sign with")
}

/// Formats `text` for an error message: in quotes, with control characters escaped, and cut after 64 characters.
pub(super) fn quote_for_error(text: &str) -> String {
    const MOST: usize = 64;
    let mut short: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

/// Returns whether the text can be a misspelt field name or operation name. Errors do not repeat any other text,
/// because it may be a secret in the wrong place.
pub(super) fn is_wordlike(text: &str) -> bool {
    text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'-')
}

/// Returns the entry of `words` that is most similar to the first 64 characters of `word`. `word` may be very long.
pub(super) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let start: String = word.chars().take(64).collect();
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&start, known);
    words.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}
