//! The text that is signed for Stream.

use serde_json::Value;

use crate::vendor::signing_input::{JsonObject, SigningInput};

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// The claims of a user's token. Stream's secret also signs tokens with all rights (`"server": true`), so there are no
/// other claims than these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserClaims<'a> {
    /// The user.
    pub user_id: &'a str,
    /// The time of issue in Unix seconds. Stream revokes tokens by this time, so each token has it.
    pub issued_at: u64,
    /// The expiry time in Unix seconds. Without it, a token is valid forever.
    pub expires_at: u64,
    /// The calls that the token lets the user enter. If there are none, the token is not limited to calls.
    pub call_cids: &'a [&'a str],
}

impl UserClaims<'_> {
    /// Returns the text to sign.
    pub fn signing_input(&self) -> SigningInput {
        let mut payload = JsonObject::new()
            .string("user_id", self.user_id)
            .number("exp", self.expires_at)
            .number("iat", self.issued_at);
        if !self.call_cids.is_empty() {
            payload = payload.strings("call_cids", self.call_cids);
        }
        SigningInput::new(HEADER, &payload.finish())
    }
}

/// Returns the text to sign for the token of a server, which has all rights in the app until it expires. It is only for
/// requests of this program to Stream.
pub(super) fn server_token(expires_at: u64) -> SigningInput {
    let payload = JsonObject::new().value("server", &Value::Bool(true)).number("exp", expires_at);
    SigningInput::new(HEADER, &payload.finish())
}
