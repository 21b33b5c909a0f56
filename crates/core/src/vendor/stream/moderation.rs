//! Bans and mutes at Stream Chat.
//!
//! A user who is banned everywhere is deactivated, and the user's tokens are revoked. A user who is muted gets Stream's
//! ban, which forbids to send messages and permits to read. A user who is banned in a channel gets Stream's ban there
//! and is no longer a member.
//!
//! Paths and bodies: <https://getstream.io/chat/docs/node/moderation/>, `…/update_users/`, `…/tokens_and_authentication/`,
//! and the package `stream-chat` 9.53.0, `src/client.ts` and `src/channel.ts`.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::message::server_token;
use crate::crypto::mac::HmacSha256;
use crate::crypto::percent_encode;
use crate::model::{Millis, Vendor};
use crate::secret::Secret;
use crate::vendor::moderation::{
    ImposedSanctions, ModerationPlan, ModerationPlanner, ModerationReach, ModerationTarget, PermanentFailure,
    SanctionEnd, SanctionStep, VendorCall, VendorModeration, checkpoint_text, idle_planner, query_planner,
    secret_header_value, single_header,
};
use crate::vendor::path_segment::encode_segment;

/// The user that Stream records as the author of bans. A ban of a server needs one.
const MODERATOR: &str = "chat-signer";

/// The lifetime of a server's token, in seconds.
const SERVER_TOKEN_SECONDS: u64 = 60;

/// The credentials of an app.
#[derive(Debug)]
pub struct ModerationApi {
    api_key: String,
    key: HmacSha256,
}

/// What was done to a user in a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct ChannelCheckpoint {
    /// Whether Stream's ban in the channel is a ban of this program.
    banned: bool,
    /// Whether this program removed the user from the members.
    removed: bool,
}

/// A channel: its type and its id.
#[derive(Clone, Copy)]
struct Channel<'a> {
    kind: &'a str,
    id: &'a str,
}

impl ModerationApi {
    /// How many requests a second an app makes, and how many at once after a quiet time. Stream's limits depend on the
    /// plan of the customer.
    const RATE: (u32, u32) = (5, 20);

    /// Uses the app's key and secret.
    pub fn new(api_key: String, secret: &Secret) -> ModerationApi {
        ModerationApi { api_key, key: HmacSha256::new(secret.expose()) }
    }
}

impl VendorModeration for ModerationApi {
    fn vendor(&self) -> Vendor {
        Vendor::Stream
    }

    fn rate(&self) -> (u32, u32) {
        ModerationApi::RATE
    }

    fn authentication(&self, _: &VendorCall, now: Millis) -> Result<HeaderMap, PermanentFailure> {
        let input = server_token(now.seconds().saturating_add(SERVER_TOKEN_SECONDS));
        let token = input.token(&self.key.mac(input.as_str().as_bytes()));
        let mut headers = single_header(AUTHORIZATION, secret_header_value(token.as_bytes())?);
        headers.insert(HeaderName::from_static("stream-auth-type"), HeaderValue::from_static("jwt"));
        Ok(headers)
    }

    fn query(&self, _: &VendorCall, _: Millis) -> Option<String> {
        Some(format!("api_key={}", percent_encode(self.api_key.as_bytes())))
    }

    fn reach(&self) -> ModerationReach<'_> {
        ModerationReach::Conversation
    }

    fn everywhere_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        if target.is_idle() {
            return idle_planner();
        }
        let filter = json!({ "id": { "$in": [target.user] } });
        let payload = json!({ "filter_conditions": filter, "include_deactivated_users": true, "limit": 1 });
        let query = get("/users", &payload);
        query_planner(Ok(Some(query)), move |answer, now| plan_everywhere(&target, first(answer, "users"), now))
    }

    fn conversation_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        let Some(channel) = Channel::parse(target.conversation).filter(|_| !target.is_idle()) else {
            return idle_planner();
        };
        let filter = json!({ "id": target.user });
        let payload = json!({ "type": channel.kind, "id": channel.id, "filter_conditions": filter, "limit": 1 });
        let query = get("/members", &payload);
        query_planner(Ok(Some(query)), move |answer, now| match answer {
            Some(_) => channel.plan(&target, first(answer, "members"), now),
            None => Ok(nothing_there(&target)),
        })
    }
}

/// Plans the requests that concern all channels. `user` is the user as Stream reports it. A mute does not deny a login, so
/// a user who is not there yet is created with the mute.
fn plan_everywhere(
    target: &ModerationTarget<'_>,
    user: Option<&Map<String, Value>>,
    now: Millis,
) -> Result<ModerationPlan, PermanentFailure> {
    let is_only_muted = target.desired.banned.is_none() && target.desired.muted.is_some();
    if user.is_none() && !is_only_muted {
        return Ok(nothing_there(target));
    }
    let before: ImposedSanctions = target.read_checkpoint()?;
    let (mut after, mut calls) = (before, Vec::new());
    calls.extend(user.is_none().then(|| create_user(target.user)));
    let nobody = Map::new();
    let user = user.unwrap_or(&nobody);
    let is_deactivated = user.get("deactivated_at").is_some_and(|at| !at.is_null());
    let ban = SanctionStep::new(target.desired.banned.is_some(), before.banned, is_deactivated);
    let path = format!("/users/{}", encode_segment(target.user)?);
    match ban {
        SanctionStep::Impose if !is_deactivated => {
            calls.push(revocation(target.user, now));
            let body = json!({ "mark_messages_deleted": false });
            calls.push(VendorCall::new(Method::POST, format!("{path}/deactivate")).json(&body));
        }
        SanctionStep::Undo if is_deactivated => {
            let body = json!({ "restore_messages": false });
            calls.push(VendorCall::new(Method::POST, format!("{path}/reactivate")).json(&body));
        }
        SanctionStep::Impose | SanctionStep::Undo | SanctionStep::Leave => {}
    }
    after.banned = ban.is_ours();
    // A deactivated user cannot send. A mute is reconsidered when the ban ends.
    if target.desired.banned.is_none() {
        let is_banned = user.get("banned").and_then(Value::as_bool) == Some(true);
        let mute = SanctionStep::new(target.desired.muted.is_some(), before.muted, is_banned);
        calls.extend(ban_calls(mute, target, None, target.desired.muted, now));
        after.muted = mute.is_ours();
    }
    Ok(before.plan(after, calls))
}

impl<'a> Channel<'a> {
    /// Reads the name of a channel, `type:id`. Conversations with other names are not channels of Stream Chat.
    fn parse(name: &'a str) -> Option<Channel<'a>> {
        let (kind, id) = name.split_once(':')?;
        (!kind.is_empty() && !id.is_empty()).then_some(Channel { kind, id })
    }

    /// Plans the requests for a user in this channel. `member` is the member as Stream reports it, if the user is one.
    fn plan(
        self,
        target: &ModerationTarget<'_>,
        member: Option<&Map<String, Value>>,
        now: Millis,
    ) -> Result<ModerationPlan, PermanentFailure> {
        let before: ChannelCheckpoint = target.read_checkpoint()?;
        let is_banned = member.and_then(|member| member.get("banned")?.as_bool()) == Some(true);
        let ban = SanctionStep::new(target.desired.has_sanction(), before.banned, is_banned);
        let end = target.desired.banned.max(target.desired.muted);
        let mut calls = ban_calls(ban, target, Some(self), end, now);
        let removal = SanctionStep::new(target.desired.banned.is_some(), before.removed, member.is_none());
        let path = format!("/channels/{}/{}", encode_segment(self.kind)?, encode_segment(self.id)?);
        let change = |list: &str| VendorCall::new(Method::POST, path.clone()).json(&json!({ list: [target.user] }));
        match removal {
            SanctionStep::Impose if member.is_some() => calls.push(change("remove_members")),
            SanctionStep::Undo if member.is_none() => calls.push(change("add_members")),
            SanctionStep::Impose | SanctionStep::Undo | SanctionStep::Leave => {}
        }
        let after = ChannelCheckpoint { banned: ban.is_ours(), removed: removal.is_ours() };
        let both =
            ChannelCheckpoint { banned: before.banned || after.banned, removed: before.removed || after.removed };
        Ok(ModerationPlan {
            checkpoint_before: checkpoint_text(&both),
            calls,
            checkpoint_after: checkpoint_text(&after),
            ..ModerationPlan::default()
        })
    }
}

/// Returns the requests that impose or undo Stream's ban, in a channel or everywhere.
fn ban_calls(
    step: SanctionStep,
    target: &ModerationTarget<'_>,
    channel: Option<Channel<'_>>,
    end: Option<SanctionEnd>,
    now: Millis,
) -> Vec<VendorCall> {
    match step {
        SanctionStep::Impose => {
            let mut body = json!({ "target_user_id": target.user, "banned_by_id": MODERATOR });
            if let Some(Channel { kind, id }) = channel {
                (body["type"], body["id"]) = (json!(kind), json!(id));
            }
            if let Some(seconds) = end.and_then(|end| end.seconds_left(now)) {
                body["timeout"] = json!(seconds.div_ceil(60));
            }
            if let Some(reason) = &target.desired.reason {
                body["reason"] = json!(reason);
            }
            vec![create_user(MODERATOR), VendorCall::new(Method::POST, "/moderation/ban".to_owned()).json(&body)]
        }
        SanctionStep::Undo => {
            let place = channel.map(|Channel { kind, id }| {
                format!("&type={}&id={}", percent_encode(kind.as_bytes()), percent_encode(id.as_bytes()))
            });
            let user = percent_encode(target.user.as_bytes());
            let path = format!("/moderation/ban?target_user_id={user}{}", place.unwrap_or_default());
            vec![VendorCall::new(Method::DELETE, path)]
        }
        SanctionStep::Leave => Vec::new(),
    }
}

/// Creates a user who is not there yet.
fn create_user(user: &str) -> VendorCall {
    VendorCall::new(Method::POST, "/users".to_owned()).json(&json!({ "users": { user: { "id": user } } }))
}

/// Revokes the tokens of a user that were issued before now.
fn revocation(user: &str, now: Millis) -> VendorCall {
    let set = json!({ "revoke_tokens_issued_before": now.to_string() });
    let body = json!({ "users": [{ "id": user, "set": set }] });
    VendorCall::new(Method::PATCH, "/users".to_owned()).json(&body)
}

/// Returns a request with its parameters as JSON in the query.
fn get(path: &str, payload: &Value) -> VendorCall {
    let payload = percent_encode(payload.to_string().as_bytes());
    VendorCall::new(Method::GET, format!("{path}?payload={payload}"))
}

/// Returns the first object of a list in an answer.
fn first<'a>(answer: Option<&'a Map<String, Value>>, list: &str) -> Option<&'a Map<String, Value>> {
    answer?.get(list)?.as_array()?.first()?.as_object()
}

/// Returns the plan if Stream does not have the user or the channel: there is nothing to change or to undo.
fn nothing_there(target: &ModerationTarget<'_>) -> ModerationPlan {
    ModerationPlan { checkpoint_before: target.checkpoint.map(str::to_owned), ..ModerationPlan::default() }
}
