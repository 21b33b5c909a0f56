//! Bans and mutes at Tencent Cloud Chat.
//!
//! A user who is banned everywhere is kicked, which makes all earlier UserSigs of the user invalid. A user who is banned
//! in a group is removed from it and cannot send there. A muted user cannot send, in a group or everywhere.
//!
//! Paths and bodies: <https://www.tencentcloud.com/document/product/1047/34957> (kick), `…/34923` and `…/34924` (mute
//! everywhere), `…/34951` (mute in a group), `…/34949` (removal from a group). The status of an answer is always 200, and
//! its body has an `ErrorCode`.

use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

use super::message::{UserSigParts, check_user, encode};
use crate::crypto::mac::HmacSha256;
use crate::crypto::sha256;
use crate::model::{Millis, Vendor};
use crate::secret::Secret;
use crate::vendor::moderation::{
    ImposedSanctions, MissedUser, ModerationPlan, ModerationPlanner, ModerationReach, ModerationTarget,
    PermanentFailure, ResponseClass, SanctionEnd, SanctionStep, VendorCall, VendorModeration, direct_planner,
    idle_planner, missed_user_retry, query_planner,
};

/// The lifetime of the administrator's UserSig, in seconds.
const USER_SIG_SECONDS: u64 = 120;

/// A time without end, and the longest time in seconds.
const FOREVER: u64 = 0xffff_ffff;

/// The credentials of an app.
#[derive(Debug)]
pub struct ModerationApi {
    sdk_app_id: u32,
    secret: HmacSha256,
    administrator: String,
}

impl ModerationApi {
    /// How many requests a second an app makes, and how many at once after a quiet time. Tencent accepts 200 requests a
    /// second of each kind.
    const RATE: (u32, u32) = (20, 50);

    /// Uses the app's id and secret, and the account of an administrator.
    pub fn new(sdk_app_id: u32, secret: &Secret, administrator: String) -> ModerationApi {
        ModerationApi { sdk_app_id, secret: HmacSha256::new(secret.expose()), administrator }
    }

    fn user_sig(&self, now: Millis) -> String {
        let ModerationApi { sdk_app_id, secret, administrator } = self;
        let (user, issued_at) = (administrator.as_str(), now.seconds());
        let parts =
            UserSigParts { user, sdk_app_id: *sdk_app_id, issued_at, ttl_seconds: USER_SIG_SECONDS, ticket: None };
        encode(&parts.document(&secret.mac(parts.text().as_str().as_bytes())))
    }
}

impl VendorModeration for ModerationApi {
    fn vendor(&self) -> Vendor {
        Vendor::Tencent
    }

    fn rate(&self) -> (u32, u32) {
        ModerationApi::RATE
    }

    fn authentication(&self, _: &VendorCall, _: Millis) -> Result<HeaderMap, PermanentFailure> {
        Ok(HeaderMap::new())
    }

    fn query(&self, call: &VendorCall, now: Millis) -> Option<String> {
        let seed = format!("{} {} {}", now.0, call.path, call.body.as_deref().unwrap_or_default());
        let random = sha256(seed.as_bytes()).first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let (id, administrator, user_sig) = (self.sdk_app_id, &self.administrator, self.user_sig(now));
        Some(format!("sdkappid={id}&identifier={administrator}&usersig={user_sig}&random={random}&contenttype=json"))
    }

    fn classify(&self, by_status: ResponseClass, body: &[u8]) -> ResponseClass {
        if by_status == ResponseClass::Done { classify_body(body) } else { by_status }
    }

    fn reach(&self) -> ModerationReach<'_> {
        ModerationReach::Conversation
    }

    fn everywhere_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        if target.is_idle() || check_user(target.user).is_err() {
            return idle_planner();
        }
        let asks = target.desired.muted.is_some() || target.checkpoint.is_some();
        let query = asks.then(|| post("openconfigsvr/getnospeaking", &json!({ "Get_Account": target.user })));
        query_planner(Ok(query), move |answer, now| plan_everywhere(&target, answer, now))
    }

    fn conversation_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        if target.is_idle() || check_user(target.user).is_err() {
            return idle_planner();
        }
        direct_planner(move |now| plan_in_group(&target, now))
    }
}

/// Plans the requests that concern all conversations. `muted` has the times for which the user cannot send.
fn plan_everywhere(
    target: &ModerationTarget<'_>,
    muted: Option<&Map<String, Value>>,
    now: Millis,
) -> Result<ModerationPlan, PermanentFailure> {
    let before: ImposedSanctions = target.read_checkpoint()?;
    let mut calls = Vec::new();
    if target.desired.banned.is_some() {
        calls.push(post("im_open_login_svc/kick", &json!({ "UserID": target.user })));
    }
    let has_time = |name| muted.and_then(|times| times.get(name)?.as_u64()).unwrap_or(0) > 0;
    let is_muted = has_time("C2CmsgNospeakingTime") || has_time("GroupmsgNospeakingTime");
    let mute = SanctionStep::new(target.desired.muted.is_some(), before.muted, is_muted);
    if let Some(seconds) = seconds(mute, target.desired.muted, now) {
        let times = json!({
            "Set_Account": target.user, "C2CmsgNospeakingTime": seconds, "GroupmsgNospeakingTime": seconds,
        });
        let must_find = mute == SanctionStep::Impose;
        calls.push(VendorCall { must_find, ..post("openconfigsvr/setnospeaking", &times) });
    }
    let plan = before.plan(ImposedSanctions { muted: mute.is_ours(), banned: false }, calls);
    // A mute does not deny a login, so the user may get an account during the mute.
    let missed = MissedUser { retry_at: missed_user_retry(now), checkpoint: plan.checkpoint_after.clone() };
    Ok(ModerationPlan { if_missed: Some(missed), ..plan })
}

/// Plans the requests for a user in one group. A user who is banned there could join it again without a signature, so
/// the user is also muted there, which remains in force for a user who leaves.
fn plan_in_group(target: &ModerationTarget<'_>, now: Millis) -> Result<ModerationPlan, PermanentFailure> {
    let before: ImposedSanctions = target.read_checkpoint()?;
    let (group, user) = (target.conversation, target.user);
    let mut calls = Vec::new();
    let mute = SanctionStep::new(target.desired.has_sanction(), before.muted, false);
    if let Some(seconds) = seconds(mute, target.desired.banned.max(target.desired.muted), now) {
        let body = json!({ "GroupId": group, "Members_Account": [user], "MuteTime": seconds });
        calls.push(post("group_open_http_svc/forbid_send_msg", &body));
    }
    if target.desired.banned.is_some() {
        let body = json!({ "GroupId": group, "MemberToDel_Account": [user] });
        // Groups for live streams have no such function.
        let removal = post("group_open_http_svc/delete_group_member", &body);
        calls.push(VendorCall { is_optional: true, ..removal });
    }
    Ok(before.plan(ImposedSanctions { muted: mute.is_ours(), banned: false }, calls))
}

/// Returns the seconds for which the user cannot send, or 0 if the mute is undone.
fn seconds(step: SanctionStep, end: Option<SanctionEnd>, now: Millis) -> Option<u64> {
    match step {
        SanctionStep::Impose => {
            Some(end.and_then(|end| end.seconds_left(now)).map_or(FOREVER, |seconds| seconds.min(FOREVER)))
        }
        SanctionStep::Undo => Some(0),
        SanctionStep::Leave => None,
    }
}

fn post(path: &str, body: &Value) -> VendorCall {
    VendorCall::new(Method::POST, format!("/v4/{path}")).json(body)
}

/// Classifies the body of an answer with the status 200. The error codes are those of the pages above, and of
/// <https://www.tencentcloud.com/document/product/1047/34348>.
fn classify_body(body: &[u8]) -> ResponseClass {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    match answer.get("ErrorCode").and_then(Value::as_u64) {
        None => ResponseClass::Permanent("it answers without an `ErrorCode`: is `url` right?".to_owned()),
        Some(0) => ResponseClass::Done,
        // There is no such account, or no such group.
        Some(70_107 | 10_010 | 10_015) => ResponseClass::NotFound,
        // The limit of requests is reached, or an internal error or timeout happened.
        Some(code @ (60_007 | 60_008 | 60_011 | 60_018 | 60_019 | 70_169 | 70_500 | 10_002 | 130_014)) => {
            ResponseClass::Retry(format!("it answers with the error {code}"), None)
        }
        Some(code) => ResponseClass::Permanent(format!("it answers with the error {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_found_in_good_answers() {
        let class = |code: u64| classify_body(format!(r#"{{"ActionStatus":"FAIL","ErrorCode":{code}}}"#).as_bytes());
        assert_eq!(
            [class(0), class(70_107), class(10_010)],
            [ResponseClass::Done, ResponseClass::NotFound, ResponseClass::NotFound]
        );
        assert!(matches!(class(60_007), ResponseClass::Retry(..)));
        assert_eq!(class(70_009), ResponseClass::Permanent("it answers with the error 70009".to_owned()));
        assert!(matches!(classify_body(b"<html>"), ResponseClass::Permanent(_)));
    }
}
