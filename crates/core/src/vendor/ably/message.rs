//! The strings that Ably has signed.

use std::fmt;

use serde_json::Value;

use super::{Capability, UserClaims};
use crate::model::Pattern;
use crate::vendor::object::JsonObject;
use crate::vendor::{InvalidRequest, SigningInput};

/// What a token says.
#[derive(Clone, Copy, Debug)]
pub struct AblyClaims<'a> {
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

impl AblyClaims<'_> {
    /// What is signed for a token of the key `key_name`, in this order: times, capability, client, user claims, passed claims.
    pub fn signing_input(&self, key_name: &str) -> SigningInput {
        let header = JsonObject::new().string("typ", "JWT").string("alg", "HS256").string("kid", key_name).finish();
        let mut payload = JsonObject::new()
            .number("iat", self.issued_at)
            .number("exp", self.expires_at)
            .string("x-ably-capability", self.capability.as_str())
            .string("x-ably-clientId", self.client);
        for (scope, role) in self.roles.iter().filter(|_| self.families.channel) {
            payload = payload.string(&format!("ably.channel.{scope}"), role);
        }
        // A room's own channels are no rooms.
        for (scope, role) in self.roles.iter().filter(|(scope, _)| self.families.room && scope.room().is_none()) {
            let role = scope.exact().and_then(|room| self.role_in_channels(room)).unwrap_or(role);
            payload = payload.string(&format!("ably.room.{scope}"), role);
        }
        for (name, value) in self.passed {
            payload = payload.value(name, value);
        }
        SigningInput::new(&header, &payload.finish())
    }

    /// The role that is said in the room's channels, by scopes in which the room itself does not lie.
    fn role_in_channels(&self, room: &str) -> Option<&str> {
        let around = [format!("{room}{}", Pattern::CHAT), format!("{room}::*"), format!("{room}:*")];
        let mut said = around.iter().map(|text| self.roles.iter().find(|(scope, _)| scope.to_string() == *text));
        said.find_map(|found| found).map(|(_, role)| role.as_str())
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
    pub fn new(params: &TokenParams) -> Result<TokenRequestText, InvalidRequest> {
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
                return Err(InvalidRequest::new(name, "must not hold a newline"));
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
        let mut object = JsonObject::new().string("keyName", &params.key_name);
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

    /// The user claims that are made of these roles.
    fn said(roles: &[(&str, &str)], channel: bool, room: bool) -> Vec<String> {
        let roles = roles.iter().map(|(scope, word)| (Pattern::parse(scope).unwrap(), (*word).to_owned()));
        let roles: Vec<_> = roles.collect();
        let (families, capability, roles, passed) =
            (UserClaims { channel, room }, &Capability::of(&[]), roles.as_slice(), &[][..]);
        let claims = AblyClaims { issued_at: 1, expires_at: 2, capability, client: "tom", roles, families, passed };
        let input = claims.signing_input("app.key");
        let payload = base64url_decode(input.as_str().split('.').nth(1).unwrap()).unwrap();
        let payload: serde_json::Map<String, Value> = serde_json::from_slice(&payload).unwrap();
        let claims = payload.iter().filter(|(name, _)| name.starts_with("ably."));
        claims.map(|(name, word)| format!("{name}={}", word.as_str().unwrap())).collect()
    }

    #[test]
    fn a_rooms_channels_are_no_rooms() {
        let roles = [("lobby", "guest"), ("lobby::$chat", "guest"), ("lobby::$chat:*", "guest"), ("*", "guest")];
        assert_eq!(said(&roles, true, false).len(), 4);
        let rooms = ["ably.room.*=guest", "ably.room.lobby=guest"];
        assert_eq!(said(&roles, false, true), rooms);
        assert_eq!(said(&roles, true, true).len(), 6);
    }

    #[test]
    fn a_claim_for_a_room_tells_the_role_in_the_rooms_channels() {
        let in_room = |roles: &[(&str, &str)]| said(roles, false, true).pop();
        let around = [("lobby", "owner"), ("lobby:*", "guest")];
        assert_eq!(said(&around, false, true), ["ably.room.lobby=guest", "ably.room.lobby:*=guest"]);
        let own = [("lobby", "owner"), ("lobby::$chat", "owner"), ("lobby:*", "guest")];
        assert_eq!(said(&own, false, true), ["ably.room.lobby=owner", "ably.room.lobby:*=guest"]);
        assert_eq!(in_room(&[("*", "guest"), ("lobby", "owner")]).as_deref(), Some("ably.room.lobby=owner"));
    }
}
