//! What vendors are told of users who are banned or muted: the requests that make true there what is true here, and that undo it.
//!
//! Each vendor's folder has its own in `moderation`: what must be asked first, and from that and from what was noted before, a [`ModerationPlan`].
//! Nothing here sends anything.

use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::{ably, leancloud, talkjs};
use crate::model::{Millis, Vendor};

/// What should be true of a user in a conversation, or everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredState {
    /// Banned, until then.
    pub banned: Option<SanctionEnd>,
    /// Muted, until then.
    pub muted: Option<SanctionEnd>,
    /// Why.
    pub reason: Option<String>,
}

/// When something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SanctionEnd {
    /// At that time.
    At(Millis),
    /// Not by itself.
    Forever,
}

/// A request to a vendor, without its address and credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorCall {
    /// How.
    pub method: Method,
    /// Where: a path with its query, to be put behind the vendor's address.
    pub path: String,
    /// What, as JSON.
    pub body: Option<String>,
    /// Which of the app's keys it is made with, counted from 0.
    pub key: usize,
    /// Whether it is no harm if this key doesn't count any more.
    pub is_spare: bool,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModerationPlan {
    /// What is noted before anything is sent; `None`: there is no note.
    pub before: Option<String>,
    /// What is sent.
    pub calls: Vec<VendorCall>,
    /// What is noted after all of it was answered.
    pub after: Option<String>,
    /// When there is more to do: something is to be renewed.
    pub again: Option<Millis>,
    /// What can't be had from this vendor.
    pub lacking: Option<&'static str>,
}

/// Why something will not succeed, however often it is tried: a sentence without secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PermanentFailure(pub String);

/// What a vendor's answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseClass {
    /// It is done, or here is what was asked.
    Done,
    /// There is nothing of that name.
    Absent,
    /// Not now; in so many seconds, if it said so.
    Later(String, Option<u64>),
    /// Not ever.
    Never(String),
}

/// What it takes to make an app's requests: its credentials.
#[derive(Debug)]
pub enum ModerationApi {
    /// At LeanCloud.
    LeanCloud(leancloud::ModerationApi),
    /// At TalkJS.
    TalkJs(talkjs::ModerationApi),
    /// At Ably.
    Ably(ably::ModerationApi),
}

impl ModerationApi {
    /// The vendor.
    pub fn vendor(&self) -> Vendor {
        match self {
            ModerationApi::LeanCloud(_) => Vendor::LeanCloud,
            ModerationApi::TalkJs(_) => Vendor::TalkJs,
            ModerationApi::Ably(_) => Vendor::Ably,
        }
    }

    /// How many requests a second the vendor takes from an app, and how many at once after a quiet time.
    pub fn rate(&self) -> (u32, u32) {
        match self {
            ModerationApi::LeanCloud(_) => leancloud::ModerationApi::RATE,
            ModerationApi::TalkJs(_) => talkjs::ModerationApi::RATE,
            ModerationApi::Ably(_) => ably::ModerationApi::RATE,
        }
    }

    /// The headers of a request that is sent now.
    ///
    /// # Errors
    /// If a configured id or key can't stand in a header.
    pub fn headers(&self, call: &VendorCall, now: Millis) -> Result<HeaderMap, PermanentFailure> {
        let mut headers = match self {
            ModerationApi::LeanCloud(moderator) => moderator.credentials()?,
            ModerationApi::TalkJs(moderator) => moderator.credentials(now)?,
            ModerationApi::Ably(moderator) => moderator.credentials(call.key)?,
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(headers)
    }

    /// What an answer means.
    pub fn hear(&self, call: &VendorCall, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ResponseClass {
        let heard = match (self, heard(status, headers, body)) {
            (ModerationApi::Ably(_), ResponseClass::Done) => ably::hear(body),
            (ModerationApi::Ably(_), ResponseClass::Absent) => {
                ResponseClass::Never("it doesn't know the API key".to_owned())
            }
            (_, heard) => heard,
        };
        if call.is_spare && matches!(heard, ResponseClass::Never(_)) { ResponseClass::Absent } else { heard }
    }
}

impl VendorCall {
    pub(super) fn new(method: Method, path: String) -> VendorCall {
        VendorCall { method, path, body: None, key: 0, is_spare: false }
    }

    pub(super) fn json(self, body: &serde_json::Value) -> VendorCall {
        VendorCall { body: Some(body.to_string()), ..self }
    }
}

/// A 404 with JSON is the vendor's word that something isn't there. Any other comes from elsewhere: the address is wrong.
fn heard(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ResponseClass {
    match status.as_u16() {
        200..=299 => ResponseClass::Done,
        404 if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_ok() => {
            ResponseClass::Absent
        }
        404 => ResponseClass::Never("it answers 404 without JSON: is the address right?".to_owned()),
        408 | 425 | 429 | 500..=599 => {
            ResponseClass::Later(format!("it answers {}", status.as_u16()), retry_after(headers))
        }
        _ => ResponseClass::Never(format!("it answers {}{}", status.as_u16(), code(body))),
    }
}

/// In how many seconds to come again (RFC 9110, section 10.2.3). Dates are not read.
pub fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// The number that vendors give their errors, for the log. Their texts may repeat what was sent.
fn code(body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return String::new() };
    let code = body.get("code").or_else(|| body.get("error")?.get("code")).and_then(serde_json::Value::as_u64);
    code.map(|code| format!(" with the code {code}")).unwrap_or_default()
}

/// A secret value of a header.
pub(super) fn secret(value: &[u8]) -> Result<HeaderValue, PermanentFailure> {
    let flaw = || PermanentFailure("a configured id or key can't stand in a header".to_owned());
    let mut value = HeaderValue::from_bytes(value).map_err(|_| flaw())?;
    value.set_sensitive(true);
    Ok(value)
}

/// One header.
pub(super) fn only(name: HeaderName, value: HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(name, value)])
}

/// The `Authorization` header.
pub(super) fn authorization(scheme: &str, credentials: &str) -> Result<HeaderMap, PermanentFailure> {
    Ok(only(AUTHORIZATION, secret(format!("{scheme} {credentials}").as_bytes())?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let mut headers = HeaderMap::new();
        let hear = |status: u16, headers: &HeaderMap, body: &str| {
            heard(StatusCode::from_u16(status).unwrap(), headers, body.as_bytes())
        };
        assert_eq!(hear(204, &headers, ""), ResponseClass::Done);
        assert_eq!(hear(404, &headers, "{\"code\": 1}"), ResponseClass::Absent);
        assert!(matches!(hear(404, &headers, "<html>"), ResponseClass::Never(_)));
        assert!(matches!(hear(301, &headers, ""), ResponseClass::Never(_)));
        assert_eq!(
            hear(401, &headers, "{\"code\":9,\"error\":\"k\"}"),
            ResponseClass::Never("it answers 401 with the code 9".into())
        );
        assert_eq!(hear(503, &headers, ""), ResponseClass::Later("it answers 503".into(), None));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        assert_eq!(hear(429, &headers, ""), ResponseClass::Later("it answers 429".into(), Some(7)));
    }
}
