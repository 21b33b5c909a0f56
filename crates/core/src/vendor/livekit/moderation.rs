//! Bans and mutes at LiveKit. A banned participant is removed from the room. A muted participant can no longer publish
//! audio, video and data.
//!
//! <https://docs.livekit.io/reference/server/server-apis/>: Twirp calls of the service `RoomService` with a bearer token
//! of the same key. The token for a room has `roomAdmin` and this room. Names in the answers are in snake case or in camel
//! case, because both are JSON of Protocol Buffers.

use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::message::admin_token;
use crate::crypto::mac::HmacSha256;
use crate::model::{Millis, Vendor};
use crate::secret::Secret;
use crate::vendor::moderation::{
    ConversationList, ListedConversation, ModerationPlan, ModerationPlanner, ModerationReach, ModerationTarget,
    PermanentFailure, VendorCall, VendorModeration, authorization, idle_planner, query_planner,
};

/// The lifetime of a token for a request, in seconds.
const TOKEN_SECONDS: u64 = 60;

/// The credentials of an app.
#[derive(Debug)]
pub struct ModerationApi {
    api_key: String,
    secret: HmacSha256,
}

/// The permissions that a mute takes away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PublishPermissions {
    media: bool,
    data: bool,
}

/// The permissions of a participant before a mute. A participant who joins again has the permissions of another token, so
/// they are only for this session.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Checkpoint {
    /// The id of the session.
    sid: String,
    permissions: PublishPermissions,
}

impl ModerationApi {
    /// How many requests a second an app makes, and how many at once after a quiet time. LiveKit documents no limit.
    const RATE: (u32, u32) = (10, 50);

    /// Uses the API key and its secret.
    pub fn new(api_key: String, secret: &Secret) -> ModerationApi {
        ModerationApi { api_key, secret: HmacSha256::new(secret.expose()) }
    }
}

impl VendorModeration for ModerationApi {
    fn vendor(&self) -> Vendor {
        Vendor::LiveKit
    }

    fn rate(&self) -> (u32, u32) {
        ModerationApi::RATE
    }

    fn authentication(&self, call: &VendorCall, now: Millis) -> Result<HeaderMap, PermanentFailure> {
        let expires_at = now.seconds().saturating_add(TOKEN_SECONDS);
        let input = admin_token(&self.api_key, call.conversation.as_deref(), now.seconds(), expires_at);
        authorization("Bearer", &input.token(&self.secret.mac(input.as_str().as_bytes())))
    }

    fn reach(&self) -> ModerationReach<'_> {
        ModerationReach::ListedConversations(self)
    }

    fn conversation_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        if target.is_idle() {
            return idle_planner();
        }
        query_planner(Ok(Some(get_participant(&target))), move |participant, _| plan(&target, participant))
    }
}

impl ConversationList for ModerationApi {
    fn page_size(&self) -> Option<usize> {
        None
    }

    fn page_query(&self, _: &str, _: Option<&str>) -> Result<VendorCall, PermanentFailure> {
        Ok(call("ListRooms", &json!({})))
    }

    fn read_page(&self, _: &str, body: &[u8]) -> Result<Vec<ListedConversation>, &'static str> {
        #[derive(Deserialize)]
        struct RoomList {
            #[serde(default)]
            rooms: Vec<Room>,
        }
        #[derive(Deserialize)]
        struct Room {
            name: String,
        }
        let list: RoomList = serde_json::from_slice(body).map_err(|_| "its answer is not a list of rooms")?;
        let listed = |room: Room| ListedConversation { id: room.name, has_access: true, participation: Value::Null };
        Ok(list.rooms.into_iter().map(listed).collect())
    }

    /// The list names no participants. Their number may be too small and leaves out hidden participants (livekit/livekit
    /// issue 991), so each listed room needs a question, also an empty one.
    fn plan(
        &self,
        target: &ModerationTarget<'_>,
        listed: Option<&ListedConversation>,
    ) -> Result<ModerationPlan, PermanentFailure> {
        let calls = listed.map(|_| get_participant(target)).into_iter().collect();
        Ok(ModerationPlan { calls, ..ModerationPlan::default() })
    }
}

/// Plans the requests for a participant in a room, if the participant is there. Everything that was changed ends when
/// the participant leaves, or joins again.
fn plan(
    target: &ModerationTarget<'_>,
    participant: Option<&Map<String, Value>>,
) -> Result<ModerationPlan, PermanentFailure> {
    let Some(participant) = participant else {
        return Ok(ModerationPlan {
            checkpoint_before: target.checkpoint.map(str::to_owned),
            ..ModerationPlan::default()
        });
    };
    let sid = participant.get("sid").and_then(Value::as_str).unwrap_or_default();
    let saved: Checkpoint = target.read_checkpoint()?;
    let before = if saved.sid == sid { saved.permissions } else { PublishPermissions::default() };
    let permission = participant.get("permission").and_then(Value::as_object).cloned().unwrap_or_default();
    let now = PublishPermissions::read(&permission);
    let (after, calls) = if target.desired.banned.is_some() {
        (PublishPermissions::default(), vec![room_call("RemoveParticipant", target, json!({}))])
    } else if target.desired.muted.is_some() {
        let call =
            (now != PublishPermissions::default()).then(|| update(target, permission, PublishPermissions::default()));
        (before.or(now), call.into_iter().collect())
    } else {
        let former = before.or(now);
        (
            PublishPermissions::default(),
            (former != now).then(|| update(target, permission, former)).into_iter().collect(),
        )
    };
    Ok(ModerationPlan {
        checkpoint_before: before.or(after).checkpoint(sid),
        calls,
        checkpoint_after: after.checkpoint(sid),
        ..ModerationPlan::default()
    })
}

impl PublishPermissions {
    fn read(permission: &Map<String, Value>) -> PublishPermissions {
        let is_set = |names: [&str; 2]| names.iter().any(|name| permission.get(*name) == Some(&Value::Bool(true)));
        PublishPermissions { media: is_set(MEDIA), data: is_set(DATA) }
    }

    fn or(self, other: PublishPermissions) -> PublishPermissions {
        PublishPermissions { media: self.media || other.media, data: self.data || other.data }
    }

    /// Returns the checkpoint if a mute takes these permissions from this session.
    fn checkpoint(self, sid: &str) -> Option<String> {
        let checkpoint = Checkpoint { sid: sid.to_owned(), permissions: self };
        (self != PublishPermissions::default()).then(|| json!(checkpoint).to_string())
    }
}

/// The names of the permissions, in snake case and in camel case.
const MEDIA: [&str; 2] = ["can_publish", "canPublish"];
const DATA: [&str; 2] = ["can_publish_data", "canPublishData"];

/// Changes the permissions to publish. The request replaces all permissions, so it repeats the others.
fn update(
    target: &ModerationTarget<'_>,
    mut permission: Map<String, Value>,
    PublishPermissions { media, data }: PublishPermissions,
) -> VendorCall {
    for ([name, other], value) in [(MEDIA, media), (DATA, data)] {
        permission.remove(other);
        permission.insert(name.to_owned(), Value::Bool(value));
    }
    room_call("UpdateParticipant", target, json!({ "permission": permission }))
}

fn get_participant(target: &ModerationTarget<'_>) -> VendorCall {
    room_call("GetParticipant", target, json!({}))
}

/// Returns a request about the participant in the room.
fn room_call(method: &str, target: &ModerationTarget<'_>, mut body: Value) -> VendorCall {
    (body["room"], body["identity"]) = (json!(target.conversation), json!(target.user));
    VendorCall { conversation: Some(target.conversation.to_owned()), ..call(method, &body) }
}

fn call(method: &str, body: &Value) -> VendorCall {
    VendorCall::new(Method::POST, format!("/twirp/livekit.RoomService/{method}")).json(body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::vendor::moderation::{DesiredState, SanctionEnd};

    fn next(desired: &DesiredState, checkpoint: Option<&str>, permission: &str) -> (Option<Value>, Option<String>) {
        next_in("PA_1", desired, checkpoint, permission)
    }

    fn next_in(
        sid: &str,
        desired: &DesiredState,
        checkpoint: Option<&str>,
        permission: &str,
    ) -> (Option<Value>, Option<String>) {
        let participant = serde_json::from_str(&format!(r#"{{"sid":"{sid}","permission":{permission}}}"#)).unwrap();
        let target =
            ModerationTarget { user: "tom", conversation: "r", revision: 1, is_final: true, desired, checkpoint };
        let plan = plan(&target, Some(&participant)).unwrap();
        let body = plan.calls.first().and_then(|call| call.body.as_deref());
        (body.map(|body| serde_json::from_str::<Value>(body).unwrap()["permission"].take()), plan.checkpoint_after)
    }

    #[test]
    fn a_mute_takes_two_permissions_and_gives_them_back() {
        let muted = DesiredState { muted: Some(SanctionEnd::Forever), ..DesiredState::default() };
        let all = r#"{"canSubscribe":true,"canPublish":true,"can_publish_data":false,"hidden":true}"#;
        let none = json!({ "canSubscribe": true, "can_publish": false, "can_publish_data": false, "hidden": true });
        let (sent, checkpoint) = next(&muted, None, all);
        assert_eq!(sent, Some(none.clone()));
        let checkpoint = checkpoint.unwrap();
        let saved = json!({ "sid": "PA_1", "permissions": { "media": true, "data": false } });
        assert_eq!(serde_json::from_str::<Value>(&checkpoint).unwrap(), saved);
        assert_eq!(next(&muted, Some(&checkpoint), &none.to_string()), (None, Some(checkpoint.clone())));
        let restored = json!({ "canSubscribe": true, "can_publish": true, "can_publish_data": false, "hidden": true });
        assert_eq!(next(&DesiredState::default(), Some(&checkpoint), &none.to_string()), (Some(restored), None));
        assert_eq!(next(&DesiredState::default(), Some(&checkpoint), all), (None, None));
    }

    #[test]
    fn another_session_gets_nothing_back() {
        let muted = DesiredState { muted: Some(SanctionEnd::Forever), ..DesiredState::default() };
        let (_, checkpoint) = next(&muted, None, r#"{"canPublish":true,"canPublishData":true}"#);
        let none = r#"{"canPublish":false}"#;
        assert_eq!(next_in("PA_2", &DesiredState::default(), checkpoint.as_deref(), none), (None, None));
        assert_eq!(next_in("PA_2", &muted, checkpoint.as_deref(), none), (None, None));
    }
}
