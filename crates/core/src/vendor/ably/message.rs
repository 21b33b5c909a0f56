//! The texts that are signed for Ably.

use std::fmt;

use serde_json::Value;

use super::capability::Capability;
use crate::model::Pattern;
use crate::vendor::InvalidRequest;
use crate::vendor::signing_input::{JsonObject, SigningInput};

/// The families of user claims that are made from the client's roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserClaims {
    /// Whether to make claims `ably.channel.…`, which Ably copies to the client's messages.
    pub channel: bool,
    /// Whether to make claims `ably.room.…`, which Ably Chat reads.
    pub room: bool,
}

/// The contents of a token.
#[derive(Clone, Copy, Debug)]
pub struct AblyClaims<'a> {
    /// The time of issue, in Unix seconds.
    pub issued_at: u64,
    /// The expiry time, in Unix seconds.
    pub expires_at: u64,
    /// The capability of the client.
    pub capability: &'a Capability,
    /// The name of the client. `*` allows any name.
    pub client: &'a str,
    /// The client's role words, each with its scope.
    pub roles: &'a [(Pattern, String)],
    /// The families of claims that carry the roles.
    pub user_claims: UserClaims,
    /// The claims copied from the caller's own token.
    pub forwarded_claims: &'a [(String, Value)],
}

impl AblyClaims<'_> {
    /// Returns the text to sign for a token of the key `key_name`. The order of the claims is: times, capability,
    /// client, user claims, copied claims.
    pub fn signing_input(&self, key_name: &str) -> SigningInput {
        let header = JsonObject::new().string("typ", "JWT").string("alg", "HS256").string("kid", key_name).finish();
        let mut payload = JsonObject::new()
            .number("iat", self.issued_at)
            .number("exp", self.expires_at)
            .string("x-ably-capability", self.capability.as_str())
            .string("x-ably-clientId", self.client);
        for (scope, role) in self.roles.iter().filter(|_| self.user_claims.channel) {
            payload = payload.string(&format!("ably.channel.{scope}"), role);
        }
        // The channels of a room are not rooms.
        for (scope, role) in self.roles.iter().filter(|(scope, _)| self.user_claims.room && scope.room().is_none()) {
            let role = scope.exact().and_then(|room| self.role_in_channels(room)).unwrap_or(role);
            payload = payload.string(&format!("ably.room.{scope}"), role);
        }
        for (name, value) in self.forwarded_claims {
            payload = payload.value(name, value);
        }
        SigningInput::new(&header, &payload.finish())
    }

    /// Returns the role in the channels of the room. It comes from scopes that cover these channels but not the room
    /// itself.
    fn role_in_channels(&self, room: &str) -> Option<&str> {
        let around = [format!("{room}{}", Pattern::CHAT_SUFFIX), format!("{room}::*"), format!("{room}:*")];
        let mut said = around.iter().map(|text| self.roles.iter().find(|(scope, _)| scope.to_string() == *text));
        said.find_map(|found| found).map(|(_, role)| role.as_str())
    }
}

/// Returns whether a claim of this name may be copied. Ably's own claims and the registered claims about the subject
/// and the lifetime of a token must not be copied.
pub(super) fn may_forward(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let registered = ["iat", "exp", "nbf", "iss", "sub", "aud", "jti"];
    !name.starts_with("x-ably-") && !name.starts_with("ably.") && !registered.contains(&name.as_str())
}

/// The contents of a token request, with the names of Ably's `TokenParams`. If a field is absent, Ably takes the value
/// of the key. Thus an absent capability means everything that the key can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenParams {
    /// The key's name, `appId.keyId`.
    pub key_name: String,
    /// The lifetime of the later token, in milliseconds.
    pub ttl: Option<u64>,
    /// The capability's JSON, byte for byte as it is sent.
    pub capability: Option<String>,
    /// The name of the client.
    pub client_id: Option<String>,
    /// The time of the request, in milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// The nonce: at least 16 characters, used once.
    pub nonce: String,
}

/// The text under the MAC of a token request. It has six lines, each with its newline: `keyName`, `ttl`, `capability`,
/// `clientId`, `timestamp` and `nonce`. If a field is absent, its line is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenRequestText(String);

impl TokenRequestText {
    /// Builds the text.
    ///
    /// # Errors
    /// Returns an error if a field holds a newline, which would shift the lines.
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

    /// Returns the text to sign.
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
    /// The contents of the request.
    pub params: TokenParams,
    /// The HMAC-SHA256 of the request's text, in Base64.
    pub mac: String,
}

impl TokenRequest {
    /// Returns the JSON that Ably accepts. Absent fields are left out.
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

    /// Returns the user claims that are made from these roles.
    fn user_claims_of(roles: &[(&str, &str)], channel: bool, room: bool) -> Vec<String> {
        let roles = roles.iter().map(|(scope, word)| (Pattern::parse(scope).unwrap(), (*word).to_owned()));
        let roles: Vec<_> = roles.collect();
        let (families, capability, roles, passed) =
            (UserClaims { channel, room }, &Capability::from_grants(&[]), roles.as_slice(), &[][..]);
        let claims = AblyClaims {
            issued_at: 1,
            expires_at: 2,
            capability,
            client: "tom",
            roles,
            user_claims: families,
            forwarded_claims: passed,
        };
        let input = claims.signing_input("app.key");
        let payload = base64url_decode(input.as_str().split('.').nth(1).unwrap()).unwrap();
        let payload: serde_json::Map<String, Value> = serde_json::from_slice(&payload).unwrap();
        let claims = payload.iter().filter(|(name, _)| name.starts_with("ably."));
        claims.map(|(name, word)| format!("{name}={}", word.as_str().unwrap())).collect()
    }

    #[test]
    fn a_rooms_channels_are_no_rooms() {
        let roles = [("lobby", "guest"), ("lobby::$chat", "guest"), ("lobby::$chat:*", "guest"), ("*", "guest")];
        assert_eq!(user_claims_of(&roles, true, false).len(), 4);
        let rooms = ["ably.room.*=guest", "ably.room.lobby=guest"];
        assert_eq!(user_claims_of(&roles, false, true), rooms);
        assert_eq!(user_claims_of(&roles, true, true).len(), 6);
    }

    #[test]
    fn a_claim_for_a_room_tells_the_role_in_the_rooms_channels() {
        let in_room = |roles: &[(&str, &str)]| user_claims_of(roles, false, true).pop();
        let around = [("lobby", "owner"), ("lobby:*", "guest")];
        assert_eq!(user_claims_of(&around, false, true), ["ably.room.lobby=guest", "ably.room.lobby:*=guest"]);
        let own = [("lobby", "owner"), ("lobby::$chat", "owner"), ("lobby:*", "guest")];
        assert_eq!(user_claims_of(&own, false, true), ["ably.room.lobby=owner", "ably.room.lobby:*=guest"]);
        assert_eq!(in_room(&[("*", "guest"), ("lobby", "owner")]).as_deref(), Some("ably.room.lobby=owner"));
    }
}
