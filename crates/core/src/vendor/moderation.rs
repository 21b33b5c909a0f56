//! The requests that tell a vendor about bans and mutes. They bring the vendor's state into line with the moderation
//! entries, and they undo it.
//!
//! A vendor with a moderation API implements [`VendorModeration`]. It says what must be asked first. From the answers and
//! the last checkpoint it makes a [`ModerationPlan`]. This code sends nothing.

use std::fmt;

use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

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

    /// Returns the query that authenticates a request which is sent at the time `now`, if the vendor reads credentials
    /// there. It follows the query that the path may have.
    fn query(&self, _call: &VendorCall, _now: Millis) -> Option<String> {
        None
    }

    /// Returns the meaning of an answer, from the meaning of its status and from its body.
    fn classify(&self, by_status: ResponseClass, _body: &[u8]) -> ResponseClass {
        by_status
    }

    /// Returns where requests take effect.
    fn reach(&self) -> ModerationReach<'_>;

    /// Begins the plan of the changes that concern all conversations of a user at once. By default, there are none.
    fn everywhere_planner<'a>(&'a self, _target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        idle_planner()
    }

    /// Begins the plan of the changes for a user in one conversation.
    fn conversation_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a>;

    /// Returns the path and the query of a request that is sent at the time `now`.
    fn path(&self, call: &VendorCall, now: Millis) -> String {
        let separator = if call.path.contains('?') { '&' } else { '?' };
        match self.query(call, now) {
            Some(query) => format!("{}{separator}{query}", call.path),
            None => call.path.clone(),
        }
    }

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

/// Plans the changes for a user in one conversation, or everywhere. First it asks the vendor for the present state.
pub trait ModerationPlanner: Send {
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
    /// Returns the number of conversations in a full page. `None` means that the first page has all conversations.
    fn page_size(&self) -> Option<usize>;

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
    /// Whether the request may fail permanently without harm, because the key may be out of use, or because not every
    /// conversation has this function.
    pub is_optional: bool,
    /// Whether the request has an effect only if the vendor finds the user. See [`ModerationPlan::if_missed`].
    pub must_find: bool,
    /// The conversation that the credentials of the request are limited to, if the vendor limits them.
    pub conversation: Option<String>,
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
    /// What follows if some requests must find the user, and the vendor has nothing of that name for any of them.
    pub if_missed: Option<MissedUser>,
}

/// The next step after requests without effect, because the user was not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissedUser {
    /// The time of the next run.
    pub retry_at: Millis,
    /// The checkpoint to save in the place of `checkpoint_after`.
    pub checkpoint: Option<String>,
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
        VendorCall { method, path, body: None, key: 0, is_optional: false, must_find: false, conversation: None }
    }

    pub(super) fn json(self, body: &Value) -> VendorCall {
        VendorCall { body: Some(body.to_string()), ..self }
    }
}

/// A planner that asks the vendor at most one question.
struct QueryPlanner<P> {
    query: Result<Option<VendorCall>, PermanentFailure>,
    answer: Option<Map<String, Value>>,
    plan: P,
}

impl<P> ModerationPlanner for QueryPlanner<P>
where
    P: Fn(Option<&Map<String, Value>>, Millis) -> Result<ModerationPlan, PermanentFailure> + Send,
{
    fn next_query(&mut self) -> Result<Option<VendorCall>, PermanentFailure> {
        std::mem::replace(&mut self.query, Ok(None))
    }

    fn read(&mut self, body: Option<&[u8]>) -> Result<(), &'static str> {
        self.answer = body.map(serde_json::from_slice).transpose().map_err(|_| "its answer is not a JSON object")?;
        Ok(())
    }

    fn plan(&self, now: Millis) -> Result<ModerationPlan, PermanentFailure> {
        (self.plan)(self.answer.as_ref(), now)
    }
}

/// Returns a planner that asks this question and makes the plan from the answer. The answer is `None` if there is no
/// question, or if the vendor has nothing of that name.
pub(super) fn query_planner<'a>(
    query: Result<Option<VendorCall>, PermanentFailure>,
    plan: impl Fn(Option<&Map<String, Value>>, Millis) -> Result<ModerationPlan, PermanentFailure> + Send + 'a,
) -> Box<dyn ModerationPlanner + 'a> {
    Box::new(QueryPlanner { query, answer: None, plan })
}

/// Returns a planner that asks nothing and makes this plan.
pub(super) fn direct_planner<'a>(
    plan: impl Fn(Millis) -> Result<ModerationPlan, PermanentFailure> + Send + 'a,
) -> Box<dyn ModerationPlanner + 'a> {
    query_planner(Ok(None), move |_, now| plan(now))
}

/// Returns a planner that changes nothing.
pub(super) fn idle_planner<'a>() -> Box<dyn ModerationPlanner + 'a> {
    direct_planner(|_| Ok(ModerationPlan::default()))
}

/// How long after a sanction without effect it is tried again. The user may have an account then, or be in the
/// conversation. In milliseconds.
const MISSED_USER_RETRY_MS: u64 = 3_600_000;

/// Returns the time at which a sanction is tried again that has no effect because the user is not there.
pub(super) fn missed_user_retry(now: Millis) -> Millis {
    Millis(now.0.saturating_add(MISSED_USER_RETRY_MS))
}

/// What must be done about one sanction at a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SanctionStep {
    /// The sanction is imposed, or imposed again. It is now a sanction of this program.
    Impose,
    /// The sanction of this program is undone.
    Undo,
    /// Nothing is changed: there is no sanction, or it is the sanction of somebody else.
    Leave,
}

impl SanctionStep {
    /// Returns the step for a sanction. `is_ours` means that this program imposed it, and `is_in_force` that the vendor
    /// reports it.
    pub(super) fn new(is_desired: bool, is_ours: bool, is_in_force: bool) -> SanctionStep {
        match (is_desired, is_ours) {
            (true, false) if is_in_force => SanctionStep::Leave,
            (true, _) => SanctionStep::Impose,
            (false, true) => SanctionStep::Undo,
            (false, false) => SanctionStep::Leave,
        }
    }

    /// Returns whether the sanction is a sanction of this program after the step.
    pub(super) fn is_ours(self) -> bool {
        self == SanctionStep::Impose
    }
}

/// The sanctions of a user that this program imposed at a vendor, so that it can undo them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ImposedSanctions {
    /// Whether the user is banned.
    pub(super) banned: bool,
    /// Whether the user is muted.
    pub(super) muted: bool,
}

impl ImposedSanctions {
    /// Returns the plan that leads from these sanctions to others. The first checkpoint is enough to undo both.
    pub(super) fn plan(self, after: ImposedSanctions, calls: Vec<VendorCall>) -> ModerationPlan {
        let both = ImposedSanctions { banned: self.banned || after.banned, muted: self.muted || after.muted };
        ModerationPlan {
            checkpoint_before: checkpoint_text(&both),
            calls,
            checkpoint_after: checkpoint_text(&after),
            ..ModerationPlan::default()
        }
    }
}

impl DesiredState {
    /// Returns whether a sanction is desired.
    pub(super) fn has_sanction(&self) -> bool {
        self.banned.is_some() || self.muted.is_some()
    }
}

impl ModerationTarget<'_> {
    /// Reads the last checkpoint.
    ///
    /// # Errors
    /// Returns an error if the checkpoint cannot be read.
    pub(super) fn read_checkpoint<T: DeserializeOwned + Default>(&self) -> Result<T, PermanentFailure> {
        let checkpoint = self.checkpoint.map(serde_json::from_str).transpose();
        let checkpoint = checkpoint.map_err(|_| PermanentFailure("the saved checkpoint cannot be read".to_owned()))?;
        Ok(checkpoint.unwrap_or_default())
    }

    /// Returns whether nothing is desired and nothing was done.
    pub(super) fn is_idle(&self) -> bool {
        !self.desired.has_sanction() && self.checkpoint.is_none()
    }
}

impl SanctionEnd {
    /// Returns the seconds from `now` to the end, at least 1. `None` means that there is no end.
    pub(super) fn seconds_left(self, now: Millis) -> Option<u64> {
        match self {
            SanctionEnd::At(end) => Some(end.0.saturating_sub(now.0).div_ceil(1000).max(1)),
            SanctionEnd::Forever => None,
        }
    }
}

/// Writes a checkpoint. `None` means that there is nothing to undo.
pub(super) fn checkpoint_text<T: Serialize + Default + PartialEq>(checkpoint: &T) -> Option<String> {
    (*checkpoint != T::default()).then(|| json!(checkpoint).to_string())
}

/// Classifies an answer by its status. A 404 with a JSON object means that the vendor does not have the thing. Any
/// other 404 comes from another server, so the address is wrong.
pub(super) fn classify_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ResponseClass {
    match status.as_u16() {
        200..=299 => ResponseClass::Done,
        404 if serde_json::from_slice::<Map<String, Value>>(body).is_ok() => ResponseClass::NotFound,
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
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let code = body.get("code").or_else(|| body.get("error")?.get("code")).and_then(Value::as_u64);
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
    fn the_sanctions_of_others_are_left() {
        use SanctionStep::{Impose, Leave, Undo};
        let steps = |desired| {
            [(false, false), (false, true), (true, false), (true, true)]
                .map(|(is_ours, is_in_force)| SanctionStep::new(desired, is_ours, is_in_force))
        };
        assert_eq!(steps(true), [Impose, Leave, Impose, Impose]);
        assert_eq!(steps(false), [Leave, Leave, Undo, Undo]);
    }

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
