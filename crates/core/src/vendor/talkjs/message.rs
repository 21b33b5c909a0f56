//! The strings that TalkJS has signed.

use std::fmt;

use super::lookalike::looks_like_jwt;
use crate::vendor::object::JsonObject;
use crate::vendor::{InvalidRequest, SigningInput};

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// What a signature is computed over: the bare user id. The key is that of the tokens too, so it must not look like the start of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserId<'a>(&'a str);

impl<'a> UserId<'a> {
    /// # Errors
    /// If the id could be read as a token without its signature: the answer would complete a forged one.
    pub fn new(id: &'a str) -> Result<UserId<'a>, InvalidRequest> {
        if looks_like_jwt(id) {
            let message = "must not look like a JSON Web Token, which its signature would complete; ask for a token";
            return Err(InvalidRequest::new("user_id", message));
        }
        Ok(UserId(id))
    }

    /// The text to sign.
    pub fn as_str(&self) -> &'a str {
        self.0
    }
}

impl fmt::Display for UserId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A user's token, until `expires_at` in Unix seconds.
pub fn user_token(app_id: &str, user: &str, expires_at: u64) -> SigningInput {
    let payload = JsonObject::new()
        .string("tokenType", "user")
        .string("iss", app_id)
        .string("sub", user)
        .number("exp", expires_at)
        .finish();
    SigningInput::new(HEADER, &payload)
}

/// A server's token, until `expires_at` in Unix seconds.
pub fn app_token(app_id: &str, expires_at: u64) -> SigningInput {
    let payload = JsonObject::new().string("tokenType", "app").string("iss", app_id).number("exp", expires_at).finish();
    SigningInput::new(HEADER, &payload)
}
