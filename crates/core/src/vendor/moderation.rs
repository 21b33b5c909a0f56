//! The requests that tell a vendor about bans and mutes. They bring the vendor's state into line with the moderation
//! entries, and they undo it.
//!
//! A vendor with a moderation API implements [`VendorModeration`]. It says what must be asked first. From the answers and
//! the last checkpoint it makes a [`ModerationPlan`]. This code sends nothing.

use std::fmt;

use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;

use crate::model::{Millis, Vendor};

/// The moderation API of a vendor, with the credentials of an app.
pub trait VendorModeration: fmt::Debug + Send + Sync {
    /// Returns the vendor.
    fn vendor(&self) -> Vendor;

    /// Returns how many requests a second the vendor accepts from an app, and how many at once after a quiet time.
    fn rate(&self) -> (u32, u32);

    /// Returns the headers that authenticate a request which is sent at the time `now`.
    ///
    /// # Errors
    /// Returns an error if a header cannot contain a configured id or key.
    fn authentication(&self, call: &VendorCall, now: Millis) -> Result<HeaderMap, PermanentFailure>;

    /// Returns the meaning of an answer, from the meaning of its status and from its body.
    fn classify(&self, by_status: ResponseClass, _body: &[u8]) -> ResponseClass {
        by_status
    }

    /// Returns where requests take effect.
    fn reach(&self) -> ModerationReach<'_>;

    /// Returns the plan of the requests that concern all conversations of a user at once.
    ///
    /// # Errors
    /// Returns an error if a request is impossible, or if the checkpoint cannot be read.
    fn plan_everywhere(&self, _target: &ModerationTarget<'_>) -> Result<ModerationPlan, PermanentFailure> {
        Ok(ModerationPlan::default())
    }

    /// Begins the plan of the changes for a user in one conversation.
    fn conversation_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ConversationPlanner + 'a>;

    /// Returns the headers of a request that is sent at the time `now`.
    ///
    /// # Errors
    /// Returns an error if a header cannot contain a configured id or key.
    fn headers(&self, call: &VendorCall, now: Millis) -> Result<HeaderMap, PermanentFailure> {
        let mut headers = self.authentication(call, now)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(headers)
    }

    /// Classifies an answer.
    fn classify_response(
        &self,
        call: &VendorCall,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> ResponseClass {
        let class = self.classify(classify_status(status, headers, body), body);
        if call.is_optional && matches!(class, ResponseClass::Permanent(_)) { ResponseClass::NotFound } else { class }
    }
}

/// Where the requests to a vendor take effect.
#[derive(Clone, Copy)]
pub enum ModerationReach<'a> {
    /// In all conversations of the user. So the strictest sanction of the user decides.
    User,
    /// In the conversation that the request names. The vendor does not list the conversations of a user.
    Conversation,
    /// In the conversation that the request names. The vendor lists the conversations of a user.
    ListedConversations(&'a dyn ConversationList),
}

/// Plans the changes for a user in one conversation. First it asks the vendor for the present state.
pub trait ConversationPlanner: Send {
    /// Returns the next request for the present state, if more must be known.
    ///
    /// # Errors
    /// Returns an error if an id cannot be a segment of a path, or if the checkpoint cannot be read.
    fn next_query(&mut self) -> Result<Option<VendorCall>, PermanentFailure>;

    /// Reads the answer to the last query. `None` means that the vendor has nothing of that name.
    ///
    /// # Errors
    /// Returns an error if the answer cannot be understood.
    fn read(&mut self, body: Option<&[u8]>) -> Result<(), &'static str>;

    /// Returns the plan, after [`next_query`](Self::next_query) has no more queries.
    ///
    /// # Errors
    /// Returns an error if an id cannot be a segment of a path, or if the checkpoint cannot be read.
    fn plan(&self, now: Millis) -> Result<ModerationPlan, PermanentFailure>;
}

/// The vendor's list of the conversations of a user, in pages.
pub trait ConversationList: Sync {
    /// Returns the number of conversations in a full page.
    fn page_size(&self) -> usize;

    /// Requests the page after the conversation `after`, or the first page.
    ///
    /// # Errors
    /// Returns an error if the user's id cannot be a segment of a path.
    fn page_query(&self, user: &str, after: Option<&str>) -> Result<VendorCall, PermanentFailure>;

    /// Reads a page.
    ///
    /// # Errors
    /// Returns an error if the answer cannot be understood.
    fn read_page(&self, user: &str, body: &[u8]) -> Result<Vec<ListedConversation>, &'static str>;

    /// Returns the plan that follows from the list alone. `None` means that the list lacks the conversation.
    ///
    /// # Errors
    /// Returns an error if an id cannot be a segment of a path, or if the checkpoint cannot be read.
    fn plan(
        &self,
        target: &ModerationTarget<'_>,
        listed: Option<&ListedConversation>,
    ) -> Result<ModerationPlan, PermanentFailure>;
}

/// A conversation in the vendor's list of the conversations of a user.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedConversation {
    /// The id.
    pub id: String,
    /// Whether the user can still read or write there.
    pub has_access: bool,
    /// The user's participation, in the vendor's format.
    pub participation: Value,
}

/// The subject of a moderation job: a user in a conversation, and the desired state.
#[derive(Clone, Copy, Debug)]
pub struct ModerationTarget<'a> {
    /// The user.
    pub user: &'a str,
    /// The conversation.
    pub conversation: &'a str,
    /// The revision of the change that caused the job.
    pub revision: u64,
    /// Whether every server knows of the change. If so, no more signatures are made without it, and a kick need not be
    /// repeated.
    pub is_final: bool,
    /// The desired state.
    pub desired: &'a DesiredState,
    /// The last saved checkpoint.
    pub checkpoint: Option<&'a str>,
}

/// The desired state of a user in one conversation or everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredState {
    /// The end of the ban, if the user is banned.
    pub banned: Option<SanctionEnd>,
    /// The end of the mute, if the user is muted.
    pub muted: Option<SanctionEnd>,
    /// The reason of the ban or mute.
    pub reason: Option<String>,
}

/// The end of a sanction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SanctionEnd {
    /// The sanction ends at this time.
    At(Millis),
    /// The sanction does not end by itself.
    Forever,
}

/// A request to a vendor, without the vendor's address and the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorCall {
    /// The HTTP method.
    pub method: Method,
    /// The path with its query, which follows the vendor's address.
    pub path: String,
    /// The JSON body.
    pub body: Option<String>,
    /// The index (from 0) of the app's key that the request uses.
    pub key: usize,
    /// Whether the request may fail permanently without harm, because the key may be out of use.
    pub is_optional: bool,
}

/// The steps of a moderation job, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModerationPlan {
    /// The checkpoint to save before anything is sent. `None` means that there is no checkpoint.
    pub checkpoint_before: Option<String>,
    /// The requests to send.
    pub calls: Vec<VendorCall>,
    /// The checkpoint to save after all requests were answered.
    pub checkpoint_after: Option<String>,
    /// The time of the next run, if something must be renewed.
    pub renew_at: Option<Millis>,
    /// What this vendor cannot do, if the plan is incomplete.
    pub unsupported: Option<&'static str>,
}

/// The reason why a request can never succeed: a sentence without secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PermanentFailure(pub String);

/// The meaning of a vendor's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseClass {
    /// The request succeeded, or the answer contains the requested data.
    Done,
    /// The vendor has nothing of that name.
    NotFound,
    /// The request failed for now: the reason, and the seconds to wait if the vendor named them.
    Retry(String, Option<u64>),
    /// The request can never succeed: the reason.
    Permanent(String),
}

impl VendorCall {
    pub(super) fn new(method: Method, path: String) -> VendorCall {
        VendorCall { method, path, body: None, key: 0, is_optional: false }
    }

    pub(super) fn json(self, body: &serde_json::Value) -> VendorCall {
        VendorCall { body: Some(body.to_string()), ..self }
    }
}

/// Classifies an answer by its status. A 404 with a JSON object means that the vendor does not have the thing. Any
/// other 404 comes from another server, so the address is wrong.
pub(super) fn classify_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ResponseClass {
    match status.as_u16() {
        200..=299 => ResponseClass::Done,
        404 if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_ok() => {
            ResponseClass::NotFound
        }
        404 => ResponseClass::Permanent("it answers 404 without JSON: is the address right?".to_owned()),
        408 | 425 | 429 | 500..=599 => {
            ResponseClass::Retry(format!("it answers {}", status.as_u16()), retry_after(headers))
        }
        _ => ResponseClass::Permanent(format!("it answers {}{}", status.as_u16(), error_code(body))),
    }
}

/// Returns the `Retry-After` time in seconds (RFC 9110, section 10.2.3). Dates are ignored.
pub fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// Returns the vendor's error number for the log. The vendor's error text may repeat sent data, so it is not used.
fn error_code(body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return String::new() };
    let code = body.get("code").or_else(|| body.get("error")?.get("code")).and_then(serde_json::Value::as_u64);
    code.map(|code| format!(" with the code {code}")).unwrap_or_default()
}

/// Makes a header value that is marked as sensitive.
pub(super) fn secret_header_value(value: &[u8]) -> Result<HeaderValue, PermanentFailure> {
    let flaw =
        || PermanentFailure("a configured id or key holds characters that an HTTP header cannot hold".to_owned());
    let mut value = HeaderValue::from_bytes(value).map_err(|_| flaw())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Makes a header map with one header.
pub(super) fn single_header(name: HeaderName, value: HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(name, value)])
}

/// Makes a header map with the `Authorization` header.
pub(super) fn authorization(scheme: &str, credentials: &str) -> Result<HeaderMap, PermanentFailure> {
    Ok(single_header(AUTHORIZATION, secret_header_value(format!("{scheme} {credentials}").as_bytes())?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let mut headers = HeaderMap::new();
        let hear = |status: u16, headers: &HeaderMap, body: &str| {
            classify_status(StatusCode::from_u16(status).unwrap(), headers, body.as_bytes())
        };
        assert_eq!(hear(204, &headers, ""), ResponseClass::Done);
        assert_eq!(hear(404, &headers, "{\"code\": 1}"), ResponseClass::NotFound);
        assert!(matches!(hear(404, &headers, "<html>"), ResponseClass::Permanent(_)));
        assert!(matches!(hear(301, &headers, ""), ResponseClass::Permanent(_)));
        assert_eq!(
            hear(401, &headers, "{\"code\":9,\"error\":\"k\"}"),
            ResponseClass::Permanent("it answers 401 with the code 9".into())
        );
        assert_eq!(hear(503, &headers, ""), ResponseClass::Retry("it answers 503".into(), None));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        assert_eq!(hear(429, &headers, ""), ResponseClass::Retry("it answers 429".into(), Some(7)));
    }
}
