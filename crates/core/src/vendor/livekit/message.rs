//! The text that is signed for LiveKit.

use serde_json::{Map, Value, json};

use crate::model::{Action, ActionSet};
use crate::vendor::signing_input::{JsonObject, SigningInput};

const HEADER: &str = r#"{"alg":"HS256"}"#;

/// The claims of a participant's token. LiveKit reads an absent permission as granted, so each permission is written.
/// The same key signs requests to LiveKit's interface, whose tokens have `roomAdmin`, `roomCreate` or `roomList`. In the
/// token of a participant these are always false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParticipantClaims<'a> {
    /// The API key.
    pub api_key: &'a str,
    /// The participant.
    pub identity: &'a str,
    /// The room. LiveKit reads an absent room as any room.
    pub room: &'a str,
    /// The granted actions, out of `publish`, `publish-data` and `subscribe`.
    pub granted: ActionSet,
    /// The time of issue in Unix seconds.
    pub issued_at: u64,
    /// The expiry time in Unix seconds.
    pub expires_at: u64,
    /// What other participants see.
    pub profile: &'a Profile,
}

/// What other participants see of a participant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The name.
    pub name: Option<String>,
    /// The metadata: the text of a JSON object.
    pub metadata: Option<String>,
    /// The attributes, which are texts.
    pub attributes: Map<String, Value>,
}

impl ParticipantClaims<'_> {
    /// Returns the text to sign.
    pub fn signing_input(&self) -> SigningInput {
        let mut payload = JsonObject::new()
            .value("video", &self.video_grant())
            .string("iss", self.api_key)
            .number("exp", self.expires_at)
            .number("nbf", self.issued_at)
            .string("sub", self.identity);
        if let Some(name) = &self.profile.name {
            payload = payload.string("name", name);
        }
        if let Some(metadata) = &self.profile.metadata {
            payload = payload.string("metadata", metadata);
        }
        if !self.profile.attributes.is_empty() {
            payload = payload.object("attributes", &self.profile.attributes);
        }
        SigningInput::new(HEADER, &payload.finish())
    }

    fn video_grant(&self) -> Value {
        json!({
            "roomJoin": true,
            "room": self.room,
            "canPublish": self.granted.contains(Action::Publish),
            "canSubscribe": self.granted.contains(Action::Subscribe),
            "canPublishData": self.granted.contains(Action::PublishData),
            "canUpdateOwnMetadata": false,
            "roomCreate": false,
            "roomList": false,
            "roomRecord": false,
            "roomAdmin": false,
            "ingressAdmin": false,
            "hidden": false,
            "recorder": false,
            "agent": false,
        })
    }
}

/// Returns the text to sign for the token of a server that administrates this room, or that lists all rooms. It is only
/// for requests of this program to LiveKit.
pub(super) fn admin_token(api_key: &str, room: Option<&str>, now: u64, expires_at: u64) -> SigningInput {
    let grant = match room {
        Some(room) => json!({ "roomAdmin": true, "room": room }),
        None => json!({ "roomList": true }),
    };
    let payload =
        JsonObject::new().value("video", &grant).string("iss", api_key).number("nbf", now).number("exp", expires_at);
    SigningInput::new(HEADER, &payload.finish())
}
