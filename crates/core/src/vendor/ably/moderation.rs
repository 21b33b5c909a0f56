//! Bans and mutes at Ably. The client's tokens are revoked. The new token that the client requests allows only what it
//! may still do.
//!
//! <https://ably.com/docs/auth/revocation>: a key revokes only tokens that it signed itself, and only if it has the
//! attribute `revocableTokens`. A revocation is not a ban, so there is nothing to undo.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::AblyKey;
use crate::crypto::base64;
use crate::model::{Millis, Vendor};
use crate::secret::Secret;
use crate::vendor::moderation::{
    DesiredState, ModerationPlan, ModerationPlanner, ModerationReach, ModerationTarget, PermanentFailure,
    ResponseClass, VendorCall, VendorModeration, authorization, direct_planner,
};
use crate::vendor::path_segment::encode_segment;

/// The version of Ably's API that this code is written for. The answers of this version count successes and failures.
const VERSION: (HeaderName, HeaderValue) = (HeaderName::from_static("x-ably-version"), HeaderValue::from_static("3"));

/// The API keys of an app: all keys with tokens that may still be in use.
#[derive(Debug)]
pub struct ModerationApi {
    keys: Vec<(String, Secret)>,
}

impl VendorModeration for ModerationApi {
    fn vendor(&self) -> Vendor {
        Vendor::Ably
    }

    fn rate(&self) -> (u32, u32) {
        ModerationApi::RATE
    }

    fn authentication(&self, call: &VendorCall, _: Millis) -> Result<HeaderMap, PermanentFailure> {
        self.credentials(call.key)
    }

    fn classify(&self, by_status: ResponseClass, body: &[u8]) -> ResponseClass {
        match by_status {
            ResponseClass::Done => classify_revocation(body),
            ResponseClass::NotFound => ResponseClass::Permanent("it does not know the API key".to_owned()),
            ResponseClass::Retry(..) | ResponseClass::Permanent(_) => by_status,
        }
    }

    fn reach(&self) -> ModerationReach<'_> {
        ModerationReach::User
    }

    fn everywhere_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        direct_planner(move |_| self.plan(target.user, target.desired))
    }

    fn conversation_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        self.everywhere_planner(target)
    }
}

impl ModerationApi {
    /// How many requests a second an app makes, and how many at once after a quiet time. Ably agrees its limits with
    /// each customer.
    const RATE: (u32, u32) = (5, 20);

    /// Uses these API keys, each `appId.keyId:secret`. Malformed keys are left out.
    pub fn new(keys: &[Secret]) -> ModerationApi {
        let named = |key: &Secret| Some((AblyKey::parse(key).ok()?.name().to_owned(), key.clone()));
        ModerationApi { keys: keys.iter().filter_map(named).collect() }
    }

    /// The headers that authenticate a call to the vendor.
    ///
    /// # Errors
    /// Returns an error if a credential cannot stand in a header.
    fn credentials(&self, key: usize) -> Result<HeaderMap, PermanentFailure> {
        let (_, key) = self.keys.get(key).ok_or_else(|| PermanentFailure("the app has no such key".to_owned()))?;
        let mut headers = authorization("Basic", &base64(key.expose()))?;
        headers.extend([VERSION]);
        Ok(headers)
    }

    /// Plans the requests for a user. A mute revokes tokens just as a ban does, because tokens carry the right to
    /// publish.
    ///
    /// # Errors
    /// Returns an error if the name of a key cannot be a segment of a path.
    fn plan(&self, user: &str, want: &DesiredState) -> Result<ModerationPlan, PermanentFailure> {
        if !want.has_sanction() {
            return Ok(ModerationPlan::default());
        }
        let body = json!({ "targets": [format!("clientId:{user}")] });
        let revoke = |(at, (name, _)): (usize, &(String, Secret))| {
            let call =
                VendorCall::new(Method::POST, format!("/keys/{}/revokeTokens", encode_segment(name)?)).json(&body);
            Ok(VendorCall { key: at, is_optional: at > 0, ..call })
        };
        let calls = self.keys.iter().enumerate().map(revoke).collect::<Result<_, _>>()?;
        Ok(ModerationPlan { calls, ..ModerationPlan::default() })
    }
}

/// Classifies an answer with a 2xx status. It can still report a failed revocation.
fn classify_revocation(body: &[u8]) -> ResponseClass {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let results = answer.get("results").unwrap_or(&answer).as_array();
    let Some(results) = results.filter(|results| !results.is_empty()) else {
        return ResponseClass::Retry("its answer has no results".to_owned(), None);
    };
    let Some(error) = results.iter().find_map(|result| result.get("error")) else { return ResponseClass::Done };
    let number = |name| error.get(name).and_then(Value::as_u64).unwrap_or_default();
    let flaw = format!("it did not revoke the tokens: error {}", number("code"));
    if matches!(number("statusCode"), 400..=428 | 430..=499) {
        ResponseClass::Permanent(flaw)
    } else {
        ResponseClass::Retry(flaw, None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::vendor::moderation::SanctionEnd;

    fn moderator() -> ModerationApi {
        ModerationApi::new(&[b"app.new:fake-1", b"app.old:fake-2"].map(|key| Secret::new(key.to_vec())))
    }

    #[test]
    fn tokens_of_every_key_are_revoked() {
        let moderator = moderator();
        let muted = DesiredState { muted: Some(SanctionEnd::Forever), ..DesiredState::default() };
        let plan = moderator.plan("al\"ice", &muted).unwrap();
        let calls: Vec<_> = plan.calls.iter().map(|call| (call.path.as_str(), call.key, call.is_optional)).collect();
        assert_eq!(calls, [("/keys/app.new/revokeTokens", 0, false), ("/keys/app.old/revokeTokens", 1, true)]);
        assert_eq!(plan.calls[0].body.as_deref(), Some(r#"{"targets":["clientId:al\"ice"]}"#));
        assert_eq!(plan.checkpoint_after, None);
        assert_eq!(moderator.plan("alice", &DesiredState::default()).unwrap(), ModerationPlan::default());
    }

    #[test]
    fn the_key_is_shown_as_basic_authentication() {
        let headers = moderator().credentials(0).unwrap();
        assert_eq!(headers["authorization"], "Basic YXBwLm5ldzpmYWtlLTE=");
        assert!(headers["authorization"].is_sensitive());
        assert_eq!(headers["x-ably-version"], "3");
        assert!(!format!("{:?}", moderator()).contains("fake-1"));
    }

    #[test]
    fn failures_are_found_in_good_answers() {
        assert_eq!(
            classify_revocation(br#"{"successCount":1,"failureCount":0,"results":[{"target":"clientId:a"}]}"#),
            ResponseClass::Done
        );
        assert_eq!(classify_revocation(br#"[{"target":"clientId:a","appliesAt":1}]"#), ResponseClass::Done);
        let failed = |status: u16| {
            classify_revocation(
                format!(r#"{{"results":[{{"error":{{"code":40000,"statusCode":{status}}}}}]}}"#).as_bytes(),
            )
        };
        assert!(matches!(failed(400), ResponseClass::Permanent(_)));
        assert!(matches!(failed(429), ResponseClass::Retry(..)));
        assert!(matches!(failed(500), ResponseClass::Retry(..)));
        assert!(matches!(classify_revocation(b""), ResponseClass::Retry(..)));
    }
}
