//! Centrifugo's proxy: Centrifugo asks before a user connects, subscribes, publishes or calls a method.
//!
//! <https://centrifugal.dev/docs/server/proxy>. The status of an answer is always 200: Centrifugo reads any other status
//! as a temporary error, so that SDKs ask again without end. The codes of errors and disconnects decide what an SDK does:
//!
//! | code | meaning for the SDK |
//! |---|---|
//! | disconnect 4000 to 4499 | connect again, with growing pauses |
//! | disconnect 4500 to 4999 | do not connect again |
//! | error without `temporary` | a subscription ends, and a message or call fails |
//! | error with `temporary` | subscribe again, with growing pauses |

use http::HeaderName;
use serde_json::{Map, Value, json};

use super::channel::parse_channel;
use crate::crypto::constant_time_eq;
use crate::model::{Action, Millis};
use crate::secret::Secret;
use crate::vendor::gate::{GateAnswer, GateQuestion, GateRoutes, VendorGate};

/// The routes of the proxy.
pub(super) static GATES: GateRoutes = GateRoutes { names: &CALL_NAMES, openapi: include_str!("proxy-openapi.json") };

/// The header with the key. No other header has it, so it never collides with a credential of the user.
const KEY_HEADER: HeaderName = HeaderName::from_static("x-centrifugo-proxy-key");

/// The longest reason of a disconnect, in bytes.
const MAX_REASON_BYTES: usize = 32;

/// The codes of this program. They are in the ranges that Centrifugo leaves to proxies.
const TRY_AGAIN: u32 = 4000;
const NOT_ALLOWED: u32 = 4501;
const NOT_AUTHENTICATED: u32 = 4502;
const WRONG_REQUEST: u32 = 4503;
const FORBIDDEN: u32 = 403;
const BAD_REQUEST: u32 = 400;
const UNAVAILABLE: u32 = 503;

/// A call of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProxyCall {
    Connect,
    Refresh,
    Subscribe,
    Publish,
    SubRefresh,
    Rpc,
}

const CALLS: [(&str, ProxyCall); 6] = [
    ("proxy/connect", ProxyCall::Connect),
    ("proxy/refresh", ProxyCall::Refresh),
    ("proxy/subscribe", ProxyCall::Subscribe),
    ("proxy/publish", ProxyCall::Publish),
    ("proxy/sub_refresh", ProxyCall::SubRefresh),
    ("proxy/rpc", ProxyCall::Rpc),
];

const CALL_NAMES: [&str; 6] = [CALLS[0].0, CALLS[1].0, CALLS[2].0, CALLS[3].0, CALLS[4].0, CALLS[5].0];

/// The settings of the proxy.
pub struct Proxy {
    /// The keys that Centrifugo can show.
    pub keys: Vec<Secret>,
    /// The member of a client's `data` with the token of the user, if clients put it there.
    pub token_member: Option<String>,
    /// The lifetime of connections and subscriptions until Centrifugo asks again, in seconds.
    pub ttl_seconds: u64,
    /// The claims of the user's token that other users see.
    pub info_claims: Vec<String>,
}

impl VendorGate for Proxy {
    fn key_header(&self) -> HeaderName {
        KEY_HEADER
    }

    fn accepts_key(&self, key: &[u8]) -> bool {
        // All keys are compared, so that the time does not say which one is right.
        self.keys.iter().fold(false, |found, own| found | constant_time_eq(own.expose(), key))
    }

    fn read(&self, name: &str, body: &Map<String, Value>) -> Result<GateQuestion, String> {
        let text = |name: &str| match body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("{name} must be a text")),
        };
        let call = find(name).ok_or("there is no such call")?;
        if call == ProxyCall::Connect {
            return Ok(GateQuestion::Login { token: self.token(body)? });
        }
        // A user without an id is anonymous.
        let user = text("user")?.filter(|user| !user.is_empty()).ok_or("user must be given")?;
        let channel = || checked_channel(text("channel")?.ok_or("channel must be given")?).map(Some);
        let (action, conversation) = match call {
            ProxyCall::Connect | ProxyCall::Refresh => (Action::Login.as_str().to_owned(), None),
            ProxyCall::Subscribe | ProxyCall::SubRefresh => (Action::Subscribe.as_str().to_owned(), channel()?),
            ProxyCall::Publish => (Action::Publish.as_str().to_owned(), channel()?),
            ProxyCall::Rpc => {
                let channel = data_text(body, "channel")?.map(checked_channel).transpose()?;
                (text("method")?.ok_or("method must be given")?, channel)
            }
        };
        Ok(GateQuestion::Action { user, action, conversation })
    }

    fn answer(&self, name: &str, answer: &GateAnswer<'_>, now: Millis) -> Value {
        let expire_at = now.seconds().saturating_add(self.ttl_seconds);
        match (find(name), answer) {
            (Some(ProxyCall::Connect), GateAnswer::Allowed { user, claims }) => {
                json!({ "result": self.connection(user, *claims, expire_at) })
            }
            (Some(ProxyCall::Refresh | ProxyCall::Subscribe | ProxyCall::SubRefresh), GateAnswer::Allowed { .. }) => {
                json!({ "result": { "expire_at": expire_at } })
            }
            (Some(ProxyCall::Rpc), GateAnswer::Allowed { .. }) => json!({ "result": { "data": { "allowed": true } } }),
            (_, GateAnswer::Allowed { .. }) => json!({ "result": {} }),
            (Some(ProxyCall::Connect), refusal) => json!({ "disconnect": disconnect(refusal) }),
            // A Centrifugo that does not know `disconnect` here lets the connection expire. Without both, an empty
            // result would mean that it never expires.
            (Some(ProxyCall::Refresh), refusal) => {
                json!({ "disconnect": disconnect(refusal), "result": { "expired": true } })
            }
            (Some(ProxyCall::SubRefresh), _) => json!({ "result": { "expired": true } }),
            (Some(ProxyCall::Subscribe | ProxyCall::Publish | ProxyCall::Rpc) | None, refusal) => {
                json!({ "error": error(refusal) })
            }
        }
    }
}

impl Proxy {
    /// Returns the token in the `data` of a client, if the app has it there.
    fn token(&self, body: &Map<String, Value>) -> Result<Option<String>, String> {
        self.token_member.as_deref().map_or(Ok(None), |member| data_text(body, member))
    }

    fn connection(&self, user: &str, claims: Option<&Map<String, Value>>, expire_at: u64) -> Value {
        let claim = |name: &String| Some((name.clone(), claims?.get(name)?.clone()));
        let info: Map<String, Value> = self.info_claims.iter().filter_map(claim).collect();
        let mut result = json!({ "user": user, "expire_at": expire_at });
        if !info.is_empty() {
            result["info"] = Value::Object(info);
        }
        result
    }
}

/// Returns a text in the `data` of a client.
fn data_text(body: &Map<String, Value>, member: &str) -> Result<Option<String>, String> {
    match body.get("data").and_then(|data| data.get(member)) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("data.{member} must be a text")),
    }
}

/// Returns the name of a channel, if it is one. Otherwise the policy would read `chat:*` as a pattern.
fn checked_channel(name: String) -> Result<String, String> {
    parse_channel(&name).map_err(|flaw| format!("channel {flaw}"))?;
    Ok(name)
}

fn find(name: &str) -> Option<ProxyCall> {
    CALLS.iter().find(|(known, _)| *known == name).map(|(_, call)| *call)
}

/// Returns the disconnect for a refusal.
fn disconnect(refusal: &GateAnswer<'_>) -> Value {
    let (code, reason) = match refusal {
        GateAnswer::Allowed { .. } | GateAnswer::Unavailable => (TRY_AGAIN, "try again"),
        GateAnswer::Denied(reason) => (NOT_ALLOWED, *reason),
        GateAnswer::Unauthenticated => (NOT_AUTHENTICATED, "not authenticated"),
        GateAnswer::Invalid(reason) => (WRONG_REQUEST, *reason),
    };
    let end = (0..=reason.len().min(MAX_REASON_BYTES)).rev().find(|end| reason.is_char_boundary(*end));
    json!({ "code": code, "reason": &reason[..end.unwrap_or(0)] })
}

/// Returns the error for a refusal.
fn error(refusal: &GateAnswer<'_>) -> Value {
    match refusal {
        GateAnswer::Allowed { .. } | GateAnswer::Unavailable => {
            json!({ "code": UNAVAILABLE, "message": "try again", "temporary": true })
        }
        GateAnswer::Denied(reason) => json!({ "code": FORBIDDEN, "message": reason }),
        GateAnswer::Unauthenticated => json!({ "code": FORBIDDEN, "message": "not authenticated" }),
        GateAnswer::Invalid(reason) => json!({ "code": BAD_REQUEST, "message": reason }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn proxy() -> Proxy {
        let keys = ["fake-new-key", "fake-old-key"].map(|key| Secret::new(key.as_bytes().to_vec())).to_vec();
        Proxy { keys, token_member: Some("token".to_owned()), ttl_seconds: 600, info_claims: vec!["name".to_owned()] }
    }

    fn read(name: &str, body: &Value) -> Result<GateQuestion, String> {
        proxy().read(name, body.as_object().unwrap())
    }

    #[test]
    fn only_the_whole_key_is_accepted() {
        let accepted = ["fake-new-key", "fake-old-key", "", "fake-new", "fake-new-key ", "fake-new-keyfake-old-key"]
            .map(|key| proxy().accepts_key(key.as_bytes()));
        assert_eq!(accepted, [true, true, false, false, false, false]);
    }

    #[test]
    fn each_call_asks_for_its_action() {
        let asks = |name: &str, body: Value| match read(name, &body).unwrap() {
            GateQuestion::Action { user, action, conversation } => (user, action, conversation.unwrap_or_default()),
            GateQuestion::Login { token } => ("login".to_owned(), token.unwrap_or_default(), String::new()),
        };
        let expected =
            |user: &str, action: &str, channel: &str| (user.to_owned(), action.to_owned(), channel.to_owned());
        let tom = json!({ "user": "tom", "channel": "chat:a", "data": { "channel": "chat:b", "user": "eve" } });
        assert_eq!(asks("proxy/refresh", tom.clone()), expected("tom", "login", ""));
        assert_eq!(asks("proxy/subscribe", tom.clone()), expected("tom", "subscribe", "chat:a"));
        assert_eq!(asks("proxy/sub_refresh", tom.clone()), expected("tom", "subscribe", "chat:a"));
        assert_eq!(asks("proxy/publish", tom.clone()), expected("tom", "publish", "chat:a"));
        let rpc = json!({ "user": "tom", "method": "history", "data": { "channel": "chat:b" } });
        assert_eq!(asks("proxy/rpc", rpc), expected("tom", "history", "chat:b"));
        assert_eq!(asks("proxy/connect", json!({ "data": { "token": "t" } })), expected("login", "t", ""));
        assert_eq!(asks("proxy/connect", json!({ "user": "eve", "data": "x" })), expected("login", "", ""));
    }

    #[test]
    fn nobody_is_anonymous() {
        for name in ["proxy/refresh", "proxy/subscribe", "proxy/publish", "proxy/sub_refresh", "proxy/rpc"] {
            for user in [json!({}), json!({ "user": "" }), json!({ "user": null })] {
                assert_eq!(read(name, &user).unwrap_err(), "user must be given", "{name}");
            }
            assert_eq!(read(name, &json!({ "user": 1 })).unwrap_err(), "user must be a text");
        }
        assert_eq!(read("proxy/publish", &json!({ "user": "tom" })).unwrap_err(), "channel must be given");
        for channel in ["", "*", "chat:*", "chat:#tom,mary", "&tom"] {
            for (name, member) in [("proxy/publish", "channel"), ("proxy/rpc", "data")] {
                let mut body = json!({ "user": "tom", "method": "history", "channel": channel });
                body[member] = if member == "data" { json!({ "channel": channel }) } else { channel.into() };
                assert!(read(name, &body).unwrap_err().starts_with("channel "), "{name} {channel}");
            }
        }
        assert!(read("proxy/connect", &json!({ "data": { "token": 1 } })).is_err());
        assert!(read("proxy/other", &json!({})).is_err());
    }

    #[test]
    fn an_answer_is_never_an_empty_result_unless_it_is_yes() {
        let long = "é".repeat(40);
        let refusals =
            [GateAnswer::Denied(&long), GateAnswer::Unauthenticated, GateAnswer::Invalid("x"), GateAnswer::Unavailable];
        for (name, _) in CALLS {
            for refusal in &refusals {
                let answer = proxy().answer(name, refusal, Millis(0));
                let is_refused = answer["error"]["code"].as_u64().is_some_and(|code| (400..2000).contains(&code))
                    || answer["disconnect"]["code"].as_u64().is_some_and(|code| (4000..5000).contains(&code))
                    || answer["result"]["expired"] == true;
                assert!(is_refused, "{name} {refusal:?}: {answer}");
                assert!(answer["disconnect"]["reason"].as_str().unwrap_or_default().len() <= 32, "{answer}");
            }
            let yes = GateAnswer::Allowed { user: "tom", claims: None };
            let answer = proxy().answer(name, &yes, Millis(1000));
            assert!(answer["result"].is_object() && answer.as_object().unwrap().len() == 1, "{answer}");
        }
        let claims = json!({ "name": "Tom", "email": "t@example.com" });
        let yes = GateAnswer::Allowed { user: "tom", claims: claims.as_object() };
        let expected = json!({ "result": { "user": "tom", "expire_at": 601, "info": { "name": "Tom" } } });
        assert_eq!(proxy().answer("proxy/connect", &yes, Millis(1000)), expected);
    }
}
