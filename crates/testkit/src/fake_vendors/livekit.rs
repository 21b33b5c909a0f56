//! A fake of LiveKit's interface.

use serde_json::{Value, json};

use super::{APP_ID, Held, bearer, seconds_left, text, verified_claims};
use crate::fake_server::Seen;

impl Held {
    pub(super) fn livekit(&mut self, seen: &Seen, method: &str, body: &Value) -> Result<(u16, Value), String> {
        let claims = verified_claims(bearer(seen)?)?;
        if claims["iss"] != APP_ID || !(1..=61).contains(&seconds_left(&claims)) || seen.method != "POST" {
            return Err(format!("not a token for now: {claims}"));
        }
        if method == "ListRooms" {
            // The number of participants may be too small, and does not include hidden participants.
            let rooms: Vec<Value> =
                self.rooms.keys().rev().map(|name| json!({ "name": name, "num_participants": 0 })).collect();
            return if claims["video"] == json!({ "roomList": true }) {
                Ok((200, json!({ "rooms": rooms })))
            } else {
                Err(format!("a token that cannot list rooms: {claims}"))
            };
        }
        let (room, identity) = (text(body, "room")?, text(body, "identity")?);
        if claims["video"] != json!({ "roomAdmin": true, "room": room }) {
            return Err(format!("a token for another room: {claims}"));
        }
        let gone = Ok((404, json!({ "code": "not_found", "msg": "participant does not exist" })));
        let Some(participants) = self.rooms.get_mut(room) else { return gone };
        let Some(permission) = participants.get_mut(identity) else { return gone };
        let rejoined = self.rejoined.get(&(room.to_owned(), identity.to_owned())).copied().unwrap_or_default();
        let sid = format!("PA_{rejoined}");
        match method {
            "GetParticipant" => Ok((200, json!({ "sid": sid, "identity": identity, "permission": permission }))),
            "UpdateParticipant" => {
                *permission = body["permission"].clone();
                Ok((200, json!({ "sid": sid, "identity": identity, "permission": permission })))
            }
            "RemoveParticipant" => {
                participants.remove(identity);
                Ok((200, json!({})))
            }
            _ => Err("no such method at LiveKit".to_owned()),
        }
    }
}
