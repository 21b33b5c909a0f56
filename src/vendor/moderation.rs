//! What vendors are told of users who are banned or muted: the requests that make true there what is true here, and that undo it.
//!
//! Each vendor's folder has its own in `moderation`: what must be asked first, and from that and from what was noted before, a [`Plan`].
//! Nothing here sends anything.

use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::{ably, leancloud, talkjs};
use crate::model::{Millis, Vendor};

/// What should be true of a user in a conversation, or everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Banned, until then.
    pub banned: Option<Until>,
    /// Muted, until then.
    pub muted: Option<Until>,
    /// Why.
    pub reason: Option<String>,
}

/// When something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Until {
    /// At that time.
    At(Millis),
    /// Not by itself.
    Forever,
}

/// A request to a vendor, without its address and credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
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
pub struct Plan {
    /// What is noted before anything is sent; `None`: there is no note.
    pub before: Option<String>,
    /// What is sent.
    pub calls: Vec<Call>,
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
pub struct Impossible(pub String);

/// What a vendor's answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
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
pub enum Moderator {
    /// At LeanCloud.
    LeanCloud(leancloud::Moderator),
    /// At TalkJS.
    TalkJs(talkjs::Moderator),
    /// At Ably.
    Ably(ably::Moderator),
}

impl Moderator {
    /// The vendor.
    pub fn vendor(&self) -> Vendor {
        match self {
            Moderator::LeanCloud(_) => Vendor::LeanCloud,
            Moderator::TalkJs(_) => Vendor::TalkJs,
            Moderator::Ably(_) => Vendor::Ably,
        }
    }

    /// How many requests a second the vendor takes from an app, and how many at once after a quiet time.
    pub fn rate(&self) -> (u32, u32) {
        match self {
            Moderator::LeanCloud(_) => leancloud::Moderator::RATE,
            Moderator::TalkJs(_) => talkjs::Moderator::RATE,
            Moderator::Ably(_) => ably::Moderator::RATE,
        }
    }

    /// The headers of a request that is sent now.
    ///
    /// # Errors
    /// If a configured id or key can't stand in a header.
    pub fn headers(&self, call: &Call, now: Millis) -> Result<HeaderMap, Impossible> {
        let mut headers = match self {
            Moderator::LeanCloud(moderator) => moderator.credentials()?,
            Moderator::TalkJs(moderator) => moderator.credentials(now)?,
            Moderator::Ably(moderator) => moderator.credentials(call.key)?,
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(headers)
    }

    /// What an answer means.
    pub fn hear(&self, call: &Call, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Heard {
        let heard = match (self, heard(status, headers, body)) {
            (Moderator::Ably(_), Heard::Done) => ably::hear(body),
            (Moderator::Ably(_), Heard::Absent) => Heard::Never("it doesn't know the API key".to_owned()),
            (_, heard) => heard,
        };
        if call.is_spare && matches!(heard, Heard::Never(_)) { Heard::Absent } else { heard }
    }
}

impl Call {
    pub(super) fn new(method: Method, path: String) -> Call {
        Call { method, path, body: None, key: 0, is_spare: false }
    }

    pub(super) fn json(self, body: &serde_json::Value) -> Call {
        Call { body: Some(body.to_string()), ..self }
    }
}

/// A 404 with JSON is the vendor's word that something isn't there. Any other comes from elsewhere: the address is wrong.
fn heard(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Heard {
    match status.as_u16() {
        200..=299 => Heard::Done,
        404 if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_ok() => Heard::Absent,
        404 => Heard::Never("it answers 404 without JSON: is the address right?".to_owned()),
        408 | 425 | 429 | 500..=599 => Heard::Later(format!("it answers {}", status.as_u16()), retry_after(headers)),
        _ => Heard::Never(format!("it answers {}{}", status.as_u16(), code(body))),
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
pub(super) fn secret(value: &[u8]) -> Result<HeaderValue, Impossible> {
    let flaw = || Impossible("a configured id or key can't stand in a header".to_owned());
    let mut value = HeaderValue::from_bytes(value).map_err(|_| flaw())?;
    value.set_sensitive(true);
    Ok(value)
}

/// One header.
pub(super) fn only(name: HeaderName, value: HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(name, value)])
}

/// The `Authorization` header.
pub(super) fn authorization(scheme: &str, credentials: &str) -> Result<HeaderMap, Impossible> {
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
        assert_eq!(hear(204, &headers, ""), Heard::Done);
        assert_eq!(hear(404, &headers, "{\"code\": 1}"), Heard::Absent);
        assert!(matches!(hear(404, &headers, "<html>"), Heard::Never(_)));
        assert!(matches!(hear(301, &headers, ""), Heard::Never(_)));
        assert_eq!(
            hear(401, &headers, "{\"code\":9,\"error\":\"k\"}"),
            Heard::Never("it answers 401 with the code 9".into())
        );
        assert_eq!(hear(503, &headers, ""), Heard::Later("it answers 503".into(), None));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        assert_eq!(hear(429, &headers, ""), Heard::Later("it answers 429".into(), Some(7)));
    }
}
