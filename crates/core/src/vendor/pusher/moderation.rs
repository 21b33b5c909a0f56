//! Bans and mutes at Pusher Channels. The user's connections are terminated. When the client subscribes again, it needs
//! new authorizations.
//!
//! <https://pusher.com/docs/channels/server_api/terminating-user-connections/>: the request ends only connections that
//! have signed in as this user. There is nothing to undo. The app's secret signs the request:
//! <https://pusher.com/docs/channels/library_auth_reference/rest-api/>.

use http::{HeaderMap, Method};
use serde_json::json;

use super::message::is_name_byte;
use crate::crypto::mac::HmacSha256;
use crate::crypto::{hex, md5};
use crate::model::{Millis, Vendor};
use crate::secret::Secret;
use crate::vendor::has_dot_segment;
use crate::vendor::moderation::{
    ModerationPlan, ModerationPlanner, ModerationReach, ModerationTarget, PermanentFailure, VendorCall,
    VendorModeration, direct_planner, idle_planner,
};

/// The credentials of an app.
#[derive(Debug)]
pub struct ModerationApi {
    id: String,
    key: String,
    secret: HmacSha256,
    client_events: bool,
}

impl ModerationApi {
    /// How many requests a second an app makes, and how many at once after a quiet time. Pusher documents no limit.
    const RATE: (u32, u32) = (5, 20);

    /// Uses the app's id, key and secret. Without client events, users send nothing through Pusher, so a mute ends no
    /// connection.
    pub fn new(id: String, key: String, secret: &Secret, client_events: bool) -> ModerationApi {
        ModerationApi { id, key, secret: HmacSha256::new(secret.expose()), client_events }
    }

    /// Plans the requests for a user. A mute also ends connections, because a subscriber can send client events.
    fn plan(&self, target: &ModerationTarget<'_>) -> Result<ModerationPlan, PermanentFailure> {
        let desired = target.desired;
        if desired.banned.is_none() && (desired.muted.is_none() || !self.client_events) {
            return Ok(ModerationPlan::default());
        }
        if has_dot_segment(target.user) {
            return Err(PermanentFailure(
                "its id cannot be part of a URL path: it can be read as `.` or `..`".to_owned(),
            ));
        }
        // Pusher signs the path as it is sent. All characters of a user's id can be in a path.
        let path = format!("/apps/{}/users/{}/terminate_connections", self.id, target.user);
        let calls = vec![VendorCall::new(Method::POST, path).json(&json!({}))];
        Ok(ModerationPlan { calls, ..ModerationPlan::default() })
    }
}

impl VendorModeration for ModerationApi {
    fn vendor(&self) -> Vendor {
        Vendor::Pusher
    }

    fn rate(&self) -> (u32, u32) {
        ModerationApi::RATE
    }

    fn authentication(&self, _: &VendorCall, _: Millis) -> Result<HeaderMap, PermanentFailure> {
        Ok(HeaderMap::new())
    }

    fn query(&self, call: &VendorCall, now: Millis) -> Option<String> {
        let body = hex(&md5(&[call.body.as_deref().unwrap_or_default().as_bytes()]));
        let (key, time) = (&self.key, now.seconds());
        let query = format!("auth_key={key}&auth_timestamp={time}&auth_version=1.0&body_md5={body}");
        let signature = self.secret.mac(format!("{}\n{}\n{query}", call.method, call.path).as_bytes());
        Some(format!("{query}&auth_signature={}", hex(&signature)))
    }

    fn reach(&self) -> ModerationReach<'_> {
        ModerationReach::User
    }

    fn everywhere_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        if target.user.is_empty() || !target.user.bytes().all(is_name_byte) {
            return idle_planner();
        }
        direct_planner(move |_| self.plan(&target))
    }

    fn conversation_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        self.everywhere_planner(target)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::vendor::moderation::{DesiredState, SanctionEnd};

    fn plan(user: &str, client_events: bool, desired: &DesiredState) -> Result<ModerationPlan, PermanentFailure> {
        let secret = Secret::new(b"7ad3773142a6692b25b8".to_vec());
        let api = ModerationApi::new("4711".to_owned(), "278d425bdf160c739803".to_owned(), &secret, client_events);
        let target =
            ModerationTarget { user, conversation: "*", revision: 1, is_final: true, desired, checkpoint: None };
        api.everywhere_planner(target).plan(Millis(0))
    }

    #[test]
    fn a_mute_ends_connections_only_if_clients_can_send() {
        let banned = DesiredState { banned: Some(SanctionEnd::Forever), ..DesiredState::default() };
        let muted = DesiredState { muted: Some(SanctionEnd::Forever), ..DesiredState::default() };
        let calls = |client_events, desired: &DesiredState| plan("tom", client_events, desired).unwrap().calls.len();
        assert_eq!([calls(true, &banned), calls(false, &banned), calls(true, &muted)], [1, 1, 1]);
        assert_eq!([calls(false, &muted), calls(true, &DesiredState::default())], [0, 0]);
    }

    /// The expected query is from the library `pusher` 5.3.4 for Node.js.
    #[test]
    fn requests_are_signed_as_by_the_library() {
        let secret = Secret::new(b"7ad3773142a6692b25b8".to_vec());
        let api = ModerationApi::new("4711".to_owned(), "278d425bdf160c739803".to_owned(), &secret, true);
        let call = VendorCall::new(Method::POST, "/apps/4711/users/tom/terminate_connections".to_owned());
        let query = api.query(&call.json(&json!({})), Millis(1_800_000_000_999)).unwrap();
        let expected = "auth_key=278d425bdf160c739803&auth_timestamp=1800000000&auth_version=1.0\
            &body_md5=99914b932bd37a50b983c5e7c90ae93b\
            &auth_signature=94325a80aa58c1e405d945980a45c4aa415cbc419937c4c6c086efc4e48f3dfd";
        assert_eq!(query, expected);
    }

    #[test]
    fn ids_that_pusher_does_not_have_need_no_request() {
        let banned = DesiredState { banned: Some(SanctionEnd::Forever), ..DesiredState::default() };
        for user in ["", "a b", "é", "a/b", "a%2e", "a:b"] {
            assert_eq!(plan(user, true, &banned).unwrap(), ModerationPlan::default(), "{user:?}");
        }
        let path = &plan("a=b@c,d;e", true, &banned).unwrap().calls[0].path;
        assert_eq!(path, "/apps/4711/users/a=b@c,d;e/terminate_connections");
        assert!(plan("..", true, &banned).is_err() && plan("..;", true, &banned).is_err());
    }
}
