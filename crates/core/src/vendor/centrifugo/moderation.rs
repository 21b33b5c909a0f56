//! Bans and mutes at Centrifugo. A user who is banned everywhere is disconnected. A user who is banned in a channel is
//! unsubscribed. A mute needs the publish proxy, which asks for each message.
//!
//! <https://centrifugal.dev/docs/server/server_api>. Errors have the status 200 and a member `error`. There is nothing to
//! undo.

use http::{HeaderMap, HeaderName, Method};
use serde_json::{Map, Value, json};

use crate::model::{Millis, Vendor};
use crate::secret::Secret;
use crate::vendor::moderation::{
    ModerationPlan, ModerationPlanner, ModerationReach, ModerationTarget, PermanentFailure, ResponseClass, VendorCall,
    VendorModeration, direct_planner, secret_header_value, single_header,
};

/// The credentials of a server.
#[derive(Debug)]
pub struct ModerationApi {
    api_key: Secret,
    has_proxy: bool,
}

impl ModerationApi {
    /// How many requests a second an app makes, and how many at once after a quiet time. The server is the operator's.
    const RATE: (u32, u32) = (50, 100);

    /// Uses the key of the server's interface. `has_proxy` means that Centrifugo asks this program about messages.
    pub fn new(api_key: Secret, has_proxy: bool) -> ModerationApi {
        ModerationApi { api_key, has_proxy }
    }

    fn plan(&self, target: &ModerationTarget<'_>, ban: VendorCall) -> ModerationPlan {
        const UNSUPPORTED: &str = "Centrifugo can mute a user only if it asks chat-signer about messages: set proxy_key \
            for the app, and turn on the publish proxy";
        let desired = target.desired;
        let cannot_mute = desired.banned.is_none() && desired.muted.is_some() && !self.has_proxy;
        ModerationPlan {
            calls: desired.banned.is_some().then_some(ban).into_iter().collect(),
            unsupported: cannot_mute.then_some(UNSUPPORTED),
            ..ModerationPlan::default()
        }
    }
}

impl VendorModeration for ModerationApi {
    fn vendor(&self) -> Vendor {
        Vendor::Centrifugo
    }

    fn rate(&self) -> (u32, u32) {
        ModerationApi::RATE
    }

    fn authentication(&self, _: &VendorCall, _: Millis) -> Result<HeaderMap, PermanentFailure> {
        Ok(single_header(HeaderName::from_static("x-api-key"), secret_header_value(self.api_key.expose())?))
    }

    fn classify(&self, by_status: ResponseClass, body: &[u8]) -> ResponseClass {
        if by_status == ResponseClass::Done { classify_body(body) } else { by_status }
    }

    fn reach(&self) -> ModerationReach<'_> {
        ModerationReach::Conversation
    }

    fn everywhere_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        let body = json!({ "user": target.user });
        direct_planner(move |_| Ok(self.plan(&target, post("/api/disconnect", &body))))
    }

    fn conversation_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        let body = json!({ "user": target.user, "channel": target.conversation });
        direct_planner(move |_| Ok(self.plan(&target, post("/api/unsubscribe", &body))))
    }
}

fn post(path: &str, body: &Value) -> VendorCall {
    VendorCall::new(Method::POST, path.to_owned()).json(body)
}

/// Classifies the body of an answer with the status 200.
fn classify_body(body: &[u8]) -> ResponseClass {
    const INTERNAL: u64 = 100;
    const UNKNOWN_CHANNEL: u64 = 102;
    const TOO_MANY_REQUESTS: u64 = 111;
    let Ok(answer) = serde_json::from_slice::<Map<String, Value>>(body) else {
        return ResponseClass::Permanent("it answers without JSON: is the address right?".to_owned());
    };
    let Some(error) = answer.get("error") else { return ResponseClass::Done };
    match error.get("code").and_then(Value::as_u64).unwrap_or_default() {
        UNKNOWN_CHANNEL => ResponseClass::NotFound,
        INTERNAL => ResponseClass::Retry("it answers with an internal error".to_owned(), None),
        TOO_MANY_REQUESTS => ResponseClass::Retry("it answers that there are too many requests".to_owned(), None),
        code => ResponseClass::Permanent(format!("it answers with the error {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_found_in_good_answers() {
        assert_eq!(classify_body(br#"{"result":{}}"#), ResponseClass::Done);
        assert_eq!(classify_body(br#"{"error":{"code":102,"message":"x"}}"#), ResponseClass::NotFound);
        assert!(matches!(classify_body(br#"{"error":{"code":100}}"#), ResponseClass::Retry(..)));
        assert!(matches!(classify_body(br#"{"error":{"code":111}}"#), ResponseClass::Retry(..)));
        assert!(matches!(classify_body(br#"{"error":{"code":107}}"#), ResponseClass::Permanent(_)));
        assert!(matches!(classify_body(b"<html>"), ResponseClass::Permanent(_)));
    }
}
