//! Bans and mutes at Agora Chat.
//!
//! A user who is banned everywhere is deactivated and disconnected. A user who is banned in a group or room is put on its
//! block list, which ends the membership. A muted user cannot send, in a group or room or everywhere.
//!
//! Paths and bodies: <https://docs.agora.io/en/agora-chat/restful-api/user-system-registration>, `…/global-mute`,
//! `…/chat-group-management/`, `…/chatroom-management/`. A token of the app, which the same certificate signs, permits the
//! requests.

use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::message::{AccessToken, Service};
use super::request::check_user;
use super::{Operation, salt_of, seconds};
use crate::crypto::sha256;
use crate::model::{Millis, Vendor};
use crate::secret::Secret;
use crate::vendor::moderation::{
    ImposedSanctions, MissedUser, ModerationPlan, ModerationPlanner, ModerationReach, ModerationTarget,
    PermanentFailure, ResponseClass, SanctionEnd, SanctionStep, VendorCall, VendorModeration, authorization,
    checkpoint_text, direct_planner, idle_planner, missed_user_retry, query_planner,
};
use crate::vendor::path_segment::encode_segment;

/// The lifetime of the token of the app, in seconds.
const TOKEN_SECONDS: u32 = 120;

/// The collections of conversations. Groups and rooms have ids of the same form.
const COLLECTIONS: [&str; 2] = ["chatgroups", "chatrooms"];

/// The credentials of an app, and its place at Agora Chat.
#[derive(Debug)]
pub struct ModerationApi {
    app_id: String,
    certificate: Secret,
    org: String,
    app: String,
}

/// What was done to a user in a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct ConversationCheckpoint {
    /// Whether this program bans the user.
    banned: bool,
    /// Whether this program mutes the user.
    muted: bool,
    /// Whether Agora has put the user on the block list. Then the user is no longer there.
    blocked: bool,
}

impl ConversationCheckpoint {
    fn or(self, other: ConversationCheckpoint) -> ConversationCheckpoint {
        ConversationCheckpoint {
            banned: self.banned || other.banned,
            muted: self.muted || other.muted,
            blocked: self.blocked || other.blocked,
        }
    }
}

impl ModerationApi {
    /// How many requests a second an app makes, and how many at once after a quiet time. Agora accepts 100 requests a
    /// second of each kind.
    const RATE: (u32, u32) = (20, 50);

    /// Uses the app's id and certificate, and the names of the organization and of the app at Agora Chat.
    pub fn new(app_id: String, certificate: Secret, org: String, app: String) -> ModerationApi {
        ModerationApi { app_id, certificate, org, app }
    }

    fn call(&self, method: Method, path: &str) -> Result<VendorCall, PermanentFailure> {
        let (org, app) = (encode_segment(&self.org)?, encode_segment(&self.app)?);
        Ok(VendorCall::new(method, format!("/{org}/{app}/{path}")))
    }

    /// Plans the requests that concern all conversations. `user` is the user as Agora reports it.
    fn plan_everywhere(
        &self,
        target: &ModerationTarget<'_>,
        user: Option<&Map<String, Value>>,
        now: Millis,
    ) -> Result<ModerationPlan, PermanentFailure> {
        let Some(user) = user else {
            let checkpoint_before = target.checkpoint.map(str::to_owned);
            // A mute does not deny a login, so the user may get an account during the mute.
            let renew_at = target.desired.muted.map(|_| missed_user_retry(now));
            return Ok(ModerationPlan { checkpoint_before, renew_at, ..ModerationPlan::default() });
        };
        let before: ImposedSanctions = target.read_checkpoint()?;
        let path = format!("users/{}", encode_segment(target.user)?);
        let is_deactivated = user.get("activated").and_then(Value::as_bool) == Some(false);
        let ban = SanctionStep::new(target.desired.banned.is_some(), before.banned, is_deactivated);
        let mut calls = Vec::new();
        match ban {
            SanctionStep::Impose => {
                calls.push(self.call(Method::POST, &format!("{path}/deactivate"))?);
                calls.push(self.call(Method::GET, &format!("{path}/disconnect"))?);
            }
            SanctionStep::Undo => calls.push(self.call(Method::POST, &format!("{path}/activate"))?),
            SanctionStep::Leave => {}
        }
        let mute = SanctionStep::new(target.desired.muted.is_some(), before.muted, false);
        if let Some(seconds) = mute_time(mute, target.desired.muted, now, 1) {
            let body = json!({ "username": target.user, "chat": seconds, "groupchat": seconds, "chatroom": seconds });
            calls.push(self.call(Method::POST, "mutes")?.json(&body));
        }
        Ok(before.plan(ImposedSanctions { banned: ban.is_ours(), muted: mute.is_ours() }, calls))
    }

    /// Plans the requests for a user in one conversation. It can be a group or a room, and the other does not exist. Agora
    /// blocks and mutes only members, and anybody may join later. So it is tried again if the user is not there.
    fn plan_in_conversation(
        &self,
        target: &ModerationTarget<'_>,
        now: Millis,
    ) -> Result<ModerationPlan, PermanentFailure> {
        if target.conversation.is_empty() || !target.conversation.bytes().all(|byte| byte.is_ascii_digit()) {
            let unsupported = target.desired.has_sanction().then_some(
                "Agora can change only groups and rooms of Chat, whose ids are numbers, and no channel of RTC or Signaling",
            );
            return Ok(ModerationPlan { unsupported, ..ModerationPlan::default() });
        }
        let before: ConversationCheckpoint = target.read_checkpoint()?;
        let ban = SanctionStep::new(target.desired.banned.is_some(), before.banned, false);
        let mute = SanctionStep::new(target.desired.muted.is_some(), before.muted, false);
        let mut calls = Vec::new();
        for collection in COLLECTIONS {
            let path = format!("{collection}/{}", target.conversation);
            let block = self.block(ban, &path, target.user)?;
            calls.extend(block.map(|call| VendorCall { must_find: ban.is_ours() && !before.blocked, ..call }));
            let silence = self.mute(mute, &path, target, now)?;
            calls.extend(silence.map(|call| VendorCall { must_find: mute.is_ours() && !ban.is_ours(), ..call }));
        }
        let missed = ConversationCheckpoint {
            banned: ban.is_ours(),
            muted: mute.is_ours(),
            blocked: ban.is_ours() && before.blocked,
        };
        let after = ConversationCheckpoint { blocked: ban.is_ours(), ..missed };
        Ok(ModerationPlan {
            checkpoint_before: checkpoint_text(&before.or(missed)),
            calls,
            checkpoint_after: checkpoint_text(&after),
            if_missed: Some(MissedUser { retry_at: missed_user_retry(now), checkpoint: checkpoint_text(&missed) }),
            ..ModerationPlan::default()
        })
    }

    fn block(&self, step: SanctionStep, path: &str, user: &str) -> Result<Option<VendorCall>, PermanentFailure> {
        let method = match step {
            SanctionStep::Impose => Method::POST,
            SanctionStep::Undo => Method::DELETE,
            SanctionStep::Leave => return Ok(None),
        };
        self.call(method, &format!("{path}/blocks/users/{}", encode_segment(user)?)).map(Some)
    }

    fn mute(
        &self,
        step: SanctionStep,
        path: &str,
        target: &ModerationTarget<'_>,
        now: Millis,
    ) -> Result<Option<VendorCall>, PermanentFailure> {
        match step {
            SanctionStep::Impose => {
                let milliseconds = mute_time(step, target.desired.muted, now, 1000);
                let body = json!({ "usernames": [target.user], "mute_duration": milliseconds });
                Ok(Some(self.call(Method::POST, &format!("{path}/mute"))?.json(&body)))
            }
            SanctionStep::Undo => {
                self.call(Method::DELETE, &format!("{path}/mute/{}", encode_segment(target.user)?)).map(Some)
            }
            SanctionStep::Leave => Ok(None),
        }
    }
}

impl VendorModeration for ModerationApi {
    fn vendor(&self) -> Vendor {
        Vendor::Agora
    }

    fn rate(&self) -> (u32, u32) {
        ModerationApi::RATE
    }

    fn authentication(&self, call: &VendorCall, now: Millis) -> Result<HeaderMap, PermanentFailure> {
        let seed = sha256(format!("{} {}", now.0, call.path).as_bytes());
        let bytes = AccessToken {
            app_id: &self.app_id,
            issued_at: seconds(now.seconds()),
            ttl_seconds: TOKEN_SECONDS,
            salt: salt_of(&seed),
            service: Service::ChatAdministration,
        }
        .to_bytes();
        let mac = bytes.mac(self.certificate.expose());
        let mac = mac.ok_or_else(|| PermanentFailure("the app has no certificate".to_owned()))?;
        authorization("Bearer", &bytes.token(&mac))
    }

    /// A user who is not a member of a group cannot be blocked or muted there.
    fn classify(&self, by_status: ResponseClass, body: &[u8]) -> ResponseClass {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let is_about_members = answer.get("error").and_then(Value::as_str) == Some("forbidden_op");
        match by_status {
            ResponseClass::Permanent(_) if is_about_members => ResponseClass::NotFound,
            _ => by_status,
        }
    }

    fn reach(&self) -> ModerationReach<'_> {
        ModerationReach::Conversation
    }

    fn everywhere_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        if target.is_idle() || check_user(Operation::ChatToken, target.user).is_err() {
            return idle_planner();
        }
        let query = encode_segment(target.user).and_then(|user| self.call(Method::GET, &format!("users/{user}")));
        query_planner(query.map(Some), move |answer, now| {
            let user = answer.and_then(|answer| answer.get("entities")?.as_array()?.first()?.as_object());
            self.plan_everywhere(&target, user, now)
        })
    }

    fn conversation_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        if target.is_idle() || check_user(Operation::ChatToken, target.user).is_err() {
            return idle_planner();
        }
        direct_planner(move |now| self.plan_in_conversation(&target, now))
    }
}

/// Returns the time of a mute in units of which a second has `units`: -1 without an end, and 0 if the mute is undone.
fn mute_time(step: SanctionStep, end: Option<SanctionEnd>, now: Millis, units: i64) -> Option<i64> {
    match step {
        SanctionStep::Impose => Some(match end.and_then(|end| end.seconds_left(now)) {
            Some(seconds) => i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(units),
            None => -1,
        }),
        SanctionStep::Undo => Some(0),
        SanctionStep::Leave => None,
    }
}
