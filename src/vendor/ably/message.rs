//! The strings that Ably has signed.

use std::fmt;

use serde_json::Value;

use super::{Capability, UserClaims};
use crate::model::Pattern;
use crate::vendor::object::Object;
use crate::vendor::{Invalid, SigningInput};

/// What a token says.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// In Unix seconds.
    pub issued_at: u64,
    /// In Unix seconds.
    pub expires_at: u64,
    /// What the client may do.
    pub capability: &'a Capability,
    /// Who the client is; `*` may be anyone.
    pub client: &'a str,
    /// The client's role words, each with its scope.
    pub roles: &'a [(Pattern, String)],
    /// As which claims the roles are said.
    pub families: UserClaims,
    /// Claims of the caller's own token.
    pub passed: &'a [(String, Value)],
}

impl Claims<'_> {
    /// What is signed for a token of the key `key_name`, in this order: times, capability, client, user claims, passed claims.
    pub fn signing_input(&self, key_name: &str) -> SigningInput {
        let header = Object::new().string("typ", "JWT").string("alg", "HS256").string("kid", key_name).finish();
        let mut payload = Object::new()
            .number("iat", self.issued_at)
            .number("exp", self.expires_at)
            .string("x-ably-capability", self.capability.as_str())
            .string("x-ably-clientId", self.client);
        for (scope, role) in self.roles.iter().filter(|_| self.families.channel) {
            payload = payload.string(&format!("ably.channel.{scope}"), role);
        }
        // A room's own channels are no rooms.
        for (scope, role) in self.roles.iter().filter(|(scope, _)| self.families.room && scope.room().is_none()) {
            payload = payload.string(&format!("ably.room.{scope}"), role);
        }
        for (name, value) in self.passed {
            payload = payload.value(name, value);
        }
        SigningInput::new(&header, &payload.finish())
    }
}

/// What a token request says, in the words of Ably's TokenParams. An absent field takes the key's own, so that an absent capability means
/// all that the key can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenParams {
    /// `appId.keyId`.
    pub key_name: String,
    /// How long the token will live, in milliseconds.
    pub ttl: Option<u64>,
    /// The capability's JSON, byte for byte as it will be sent.
    pub capability: Option<String>,
    /// Who the client is.
    pub client_id: Option<String>,
    /// In milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// At least 16 characters, used once.
    pub nonce: String,
}

/// What a token request's MAC is computed over: six lines, `keyName`, `ttl`, `capability`, `clientId`, `timestamp` and `nonce`, each with its
/// newline, and an empty one for an absent field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenRequestText(String);

impl TokenRequestText {
    /// # Errors
    /// If a field holds a newline, which would shift the lines.
    pub fn new(params: &TokenParams) -> Result<TokenRequestText, Invalid> {
        let ttl = params.ttl.map(|ttl| ttl.to_string()).unwrap_or_default();
        let timestamp = params.timestamp.to_string();
        let lines = [
            ("keyName", params.key_name.as_str()),
            ("ttl", &ttl),
            ("capability", params.capability.as_deref().unwrap_or_default()),
            ("clientId", params.client_id.as_deref().unwrap_or_default()),
            ("timestamp", &timestamp),
            ("nonce", &params.nonce),
        ];
        let mut text = String::with_capacity(lines.iter().map(|(_, line)| line.len() + 1).sum());
        for (name, line) in lines {
            if line.contains(['\n', '\r']) {
                return Err(Invalid::new(name, "must not hold a newline"));
            }
            text.push_str(line);
            text.push('\n');
        }
        Ok(TokenRequestText(text))
    }

    /// The text to sign.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenRequestText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A signed token request.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// What it says.
    pub params: TokenParams,
    /// HMAC-SHA256 of its text, in Base64.
    pub mac: String,
}

impl TokenRequest {
    /// As Ably takes it. Absent fields are left out.
    pub fn to_json(&self) -> String {
        let params = &self.params;
        let mut object = Object::new().string("keyName", &params.key_name);
        if let Some(ttl) = params.ttl {
            object = object.number("ttl", ttl);
        }
        if let Some(capability) = &params.capability {
            object = object.string("capability", capability);
        }
        if let Some(client) = &params.client_id {
            object = object.string("clientId", client);
        }
        object.number("timestamp", params.timestamp).string("nonce", &params.nonce).string("mac", &self.mac).finish()
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenRequest(…)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::crypto::base64url_decode;

    #[test]
    fn a_rooms_channels_are_no_rooms() {
        let scopes = ["lobby", "lobby::$chat", "lobby::$chat:*", "*"];
        let roles = scopes.map(|scope| (Pattern::parse(scope).unwrap(), "guest".to_owned()));
        let said = |channel: bool, room: bool| {
            let families = UserClaims { channel, room };
            let capability = Capability::of(&[]);
            let (roles, passed) = (roles.as_slice(), &[][..]);
            let claims =
                Claims { issued_at: 1, expires_at: 2, capability: &capability, client: "tom", roles, families, passed };
            let input = claims.signing_input("app.key");
            let payload = base64url_decode(input.as_str().split('.').nth(1).unwrap()).unwrap();
            let payload: serde_json::Map<String, Value> = serde_json::from_slice(&payload).unwrap();
            payload.keys().filter(|name| name.starts_with("ably.")).cloned().collect::<Vec<_>>()
        };
        assert_eq!(said(true, false).len(), 4);
        let rooms = ["ably.room.*", "ably.room.lobby"];
        assert_eq!(said(false, true), rooms);
        assert_eq!(said(true, true).len(), 6);
    }
}
