//! The texts that are signed for TalkJS.

use std::fmt;

use super::lookalike::looks_like_jwt;
use crate::vendor::InvalidRequest;
use crate::vendor::signing_input::{JsonObject, SigningInput};

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// The text under a user signature: the bare user id. Tokens are signed with the same key, so the id must not look like
/// the start of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserId<'a>(&'a str);

impl<'a> UserId<'a> {
    /// Checks the id.
    ///
    /// # Errors
    /// Returns an error if the id can be read as a token without its signature. The signature of such an id would
    /// complete a forged token.
    pub fn new(id: &'a str) -> Result<UserId<'a>, InvalidRequest> {
        if looks_like_jwt(id) {
            let message = "must not look like a JSON Web Token, which its signature would complete; ask for a token";
            return Err(InvalidRequest::new("user_id", message));
        }
        Ok(UserId(id))
    }

    /// Returns the text to sign.
    pub fn as_str(&self) -> &'a str {
        self.0
    }
}

impl fmt::Display for UserId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Returns the text to sign for a user's token that expires at `expires_at`, in Unix seconds.
pub fn user_token(app_id: &str, user: &str, expires_at: u64) -> SigningInput {
    let payload = JsonObject::new()
        .string("tokenType", "user")
        .string("iss", app_id)
        .string("sub", user)
        .number("exp", expires_at)
        .finish();
    SigningInput::new(HEADER, &payload)
}

/// Returns the text to sign for a server's token that expires at `expires_at`, in Unix seconds.
pub fn app_token(app_id: &str, expires_at: u64) -> SigningInput {
    let payload = JsonObject::new().string("tokenType", "app").string("iss", app_id).number("exp", expires_at).finish();
    SigningInput::new(HEADER, &payload)
}
