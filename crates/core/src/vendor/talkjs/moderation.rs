//! Bans and mutes at TalkJS. A banned participant is removed. A muted participant may only read.
//!
//! Paths and bodies: <https://talkjs.com/docs/Reference/REST_API/Participation/>, `…/Conversations/`, `…/Users/`. All
//! requests are idempotent.

use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{APP_TOKEN_SECONDS, app_token};
use crate::crypto::mac::HmacSha256;
use crate::crypto::percent_encode;
use crate::model::{Millis, Vendor};
use crate::secret::Secret;
use crate::vendor::moderation::{
    ConversationList, DesiredState, ListedConversation, ModerationPlan, ModerationPlanner, ModerationReach,
    ModerationTarget, PermanentFailure, VendorCall, VendorModeration, authorization,
};
use crate::vendor::path_segment::encode_segment;

/// How many conversations are listed at once. TalkJS allows no more.
const PAGE: usize = 30;

/// The credentials of an app.
#[derive(Debug)]
pub struct ModerationApi {
    id: String,
    key: HmacSha256,
}

/// The rights of a participant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Participant {
    /// Whether the participant may write, read, or neither.
    access: Access,
    /// The notifications that the participant gets: `true`, `false` or `"MentionsOnly"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notify: Option<Value>,
}

/// The access of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Access {
    /// The participant may read and write.
    ReadWrite,
    /// The participant may read.
    Read,
    /// The participant has no access.
    None,
}

/// What was done, and the state before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TalkjsCheckpoint {
    was: Participant,
    removed: bool,
}

impl VendorModeration for ModerationApi {
    fn vendor(&self) -> Vendor {
        Vendor::TalkJs
    }

    fn rate(&self) -> (u32, u32) {
        ModerationApi::RATE
    }

    fn authentication(&self, _: &VendorCall, now: Millis) -> Result<HeaderMap, PermanentFailure> {
        self.credentials(now)
    }

    fn reach(&self) -> ModerationReach<'_> {
        ModerationReach::ListedConversations(self)
    }

    fn conversation_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        Box::new(TalkJsPlanner { api: self, target, found: None, was_asked: false })
    }
}

/// The plan for a user in one conversation. `found` is the participant as TalkJS reports it, after TalkJS was asked.
struct TalkJsPlanner<'a> {
    api: &'a ModerationApi,
    target: ModerationTarget<'a>,
    found: Option<Participant>,
    was_asked: bool,
}

impl ModerationPlanner for TalkJsPlanner<'_> {
    fn next_query(&mut self) -> Result<Option<VendorCall>, PermanentFailure> {
        if self.target.is_idle() || self.was_asked {
            return Ok(None);
        }
        self.api.get_conversation(self.target.conversation).map(Some)
    }

    fn read(&mut self, body: Option<&[u8]>) -> Result<(), &'static str> {
        let found = body.map(|body| parse_participant(body, self.target.user)).transpose()?;
        (self.found, self.was_asked) = (found.flatten(), true);
        Ok(())
    }

    fn plan(&self, _: Millis) -> Result<ModerationPlan, PermanentFailure> {
        if self.target.is_idle() {
            return Ok(ModerationPlan::default());
        }
        let ModerationTarget { user, conversation, desired, checkpoint, .. } = self.target;
        self.api.plan((user, conversation), desired, checkpoint, self.found.as_ref())
    }
}

impl ConversationList for ModerationApi {
    fn page_size(&self) -> Option<usize> {
        Some(PAGE)
    }

    fn page_query(&self, user: &str, after: Option<&str>) -> Result<VendorCall, PermanentFailure> {
        self.list_conversations(user, after)
    }

    fn read_page(&self, user: &str, body: &[u8]) -> Result<Vec<ListedConversation>, &'static str> {
        let listed = |(id, participant): (String, Participant)| ListedConversation {
            id,
            has_access: participant.access != Access::None,
            participation: json!(participant),
        };
        Ok(parse_conversation_page(body, user)?.into_iter().map(listed).collect())
    }

    fn plan(
        &self,
        target: &ModerationTarget<'_>,
        listed: Option<&ListedConversation>,
    ) -> Result<ModerationPlan, PermanentFailure> {
        let found = listed.and_then(|listed| Participant::deserialize(&listed.participation).ok());
        self.plan((target.user, target.conversation), target.desired, target.checkpoint, found.as_ref())
    }
}

impl ModerationApi {
    /// How many requests a second an app makes, and how many at once after a quiet time. This is about half of TalkJS's
    /// limits of 9 and 600. All holders of the key share these limits, and there may be other processes and the app's
    /// own backend.
    const RATE: (u32, u32) = (4, 300);

    /// Uses the app's id and secret key.
    pub fn new(id: String, key: &Secret) -> ModerationApi {
        ModerationApi { id, key: HmacSha256::new(key.expose()) }
    }

    /// The headers that authenticate a call to the vendor.
    ///
    /// # Errors
    /// Returns an error if a credential cannot stand in a header.
    fn credentials(&self, now: Millis) -> Result<HeaderMap, PermanentFailure> {
        let input = app_token(&self.id, now.seconds().saturating_add(APP_TOKEN_SECONDS));
        authorization("Bearer", &input.token(&self.key.mac(input.as_str().as_bytes())))
    }

    /// Requests the participants of a conversation.
    ///
    /// # Errors
    /// Returns an error if the id cannot be a segment of a path.
    fn get_conversation(&self, conversation: &str) -> Result<VendorCall, PermanentFailure> {
        self.call(Method::GET, &format!("conversations/{}", encode_segment(conversation)?))
    }

    /// Requests a page of the conversations of a user, starting after `after`.
    ///
    /// # Errors
    /// Returns an error if the user's id cannot be a segment of a path.
    fn list_conversations(&self, user: &str, after: Option<&str>) -> Result<VendorCall, PermanentFailure> {
        let after = after.map(|after| format!("&startingAfter={}", percent_encode(after.as_bytes())));
        let after = after.unwrap_or_default();
        let user = encode_segment(user)?;
        self.call(Method::GET, &format!("users/{user}/conversations?limit={PAGE}&orderBy=createdAt{after}"))
    }

    /// Plans the requests for a user in a conversation. `found` is the participant as TalkJS reports it.
    ///
    /// # Errors
    /// Returns an error if an id cannot be a segment of a path, or if the checkpoint cannot be read.
    fn plan(
        &self,
        (user, conversation): (&str, &str),
        want: &DesiredState,
        noted: Option<&str>,
        found: Option<&Participant>,
    ) -> Result<ModerationPlan, PermanentFailure> {
        let path = format!("conversations/{}/participants/{}", encode_segment(conversation)?, encode_segment(user)?);
        let noted = noted.map(serde_json::from_str::<TalkjsCheckpoint>).transpose();
        let old = noted.map_err(|_| PermanentFailure("the saved checkpoint cannot be read".to_owned()))?;
        let (new, call) = match (want.banned, want.muted) {
            (Some(_), _) => plan_removal(old.clone(), found),
            (None, Some(_)) => plan_mute(old.clone(), found),
            (None, None) => (None, old.clone().and_then(|note| plan_restoration(note, found))),
        };
        let text = |note: TalkjsCheckpoint| json!(note).to_string();
        let after = new.clone().map(text);
        let before = merge_checkpoints(old, new).map(text);
        let calls = call.map(|change| self.participant_call(&path, change)).transpose()?;
        Ok(ModerationPlan {
            checkpoint_before: before,
            calls: calls.into_iter().collect(),
            checkpoint_after: after,
            ..ModerationPlan::default()
        })
    }

    fn participant_call(&self, path: &str, change: ParticipantChange) -> Result<VendorCall, PermanentFailure> {
        Ok(match change {
            ParticipantChange::Remove => self.call(Method::DELETE, path)?,
            ParticipantChange::Put(participant) => self.call(Method::PUT, path)?.json(&json!(participant)),
            ParticipantChange::Limit(access) => self.call(Method::PATCH, path)?.json(&json!({ "access": access })),
        })
    }

    fn call(&self, method: Method, path: &str) -> Result<VendorCall, PermanentFailure> {
        Ok(VendorCall::new(method, format!("/v1/{}/{path}", encode_segment(&self.id)?)))
    }
}

/// Combines two checkpoints into the checkpoint to keep until all requests are answered. If either says that the user
/// was removed, the result says so too: the user may then be absent without having left.
fn merge_checkpoints(old: Option<TalkjsCheckpoint>, new: Option<TalkjsCheckpoint>) -> Option<TalkjsCheckpoint> {
    match (old, new) {
        (Some(old), Some(new)) => Some(TalkjsCheckpoint { removed: old.removed || new.removed, ..new }),
        (old, new) => old.or(new),
    }
}

enum ParticipantChange {
    Remove,
    Put(Participant),
    Limit(Access),
}

/// Plans a removal. A participant without access is left alone.
fn plan_removal(
    note: Option<TalkjsCheckpoint>,
    found: Option<&Participant>,
) -> (Option<TalkjsCheckpoint>, Option<ParticipantChange>) {
    match (note, found) {
        (note, None) => (note, None),
        (None, Some(Participant { access: Access::None, .. })) => (None, None),
        (note, Some(found)) => {
            let was = note.map_or_else(|| found.clone(), |note| note.was);
            (Some(TalkjsCheckpoint { was, removed: true }), Some(ParticipantChange::Remove))
        }
    }
}

fn plan_mute(
    note: Option<TalkjsCheckpoint>,
    found: Option<&Participant>,
) -> (Option<TalkjsCheckpoint>, Option<ParticipantChange>) {
    match (note, found) {
        (Some(TalkjsCheckpoint { was, removed: true }), None) => {
            let muted = Participant { access: Access::Read, ..was.clone() };
            (Some(TalkjsCheckpoint { was, removed: false }), Some(ParticipantChange::Put(muted)))
        }
        (note, Some(found)) if found.access == Access::ReadWrite => {
            let was = note.map_or_else(|| found.clone(), |note| note.was);
            (Some(TalkjsCheckpoint { was, removed: false }), Some(ParticipantChange::Limit(Access::Read)))
        }
        (note, Some(_)) => (note.map(|note| TalkjsCheckpoint { removed: false, ..note }), None),
        (note, None) => (note, None),
    }
}

/// Restores the access that was taken away. Nothing is restored if the user has left since, or if somebody else changed
/// the access since. There is one limit: if the user is back during a ban, somebody else may have added the user, or
/// the ban may not have taken effect. These cases look the same, so the former access is restored in both.
fn plan_restoration(note: TalkjsCheckpoint, found: Option<&Participant>) -> Option<ParticipantChange> {
    match (note, found) {
        (TalkjsCheckpoint { was, removed: true }, found) => {
            (found != Some(&was)).then_some(ParticipantChange::Put(was))
        }
        (TalkjsCheckpoint { was, .. }, Some(found)) if found.access == Access::Read && was.access != Access::Read => {
            Some(ParticipantChange::Limit(was.access))
        }
        _ => None,
    }
}

/// Reads the user's rights from the description of a conversation.
///
/// # Errors
/// Returns an error if the body is not a description of a conversation.
fn parse_participant(body: &[u8], user: &str) -> Result<Option<Participant>, &'static str> {
    let conversation: Map<String, Value> = serde_json::from_slice(body).map_err(|_| "its answer is not JSON")?;
    find_participant(&conversation, user)
}

/// Reads a page of conversations, with the user's rights in each.
///
/// # Errors
/// Returns an error if the body is not such a page.
fn parse_conversation_page(body: &[u8], user: &str) -> Result<Vec<(String, Participant)>, &'static str> {
    #[derive(Deserialize)]
    struct ParticipantPage {
        data: Vec<Map<String, Value>>,
    }
    let page: ParticipantPage =
        serde_json::from_slice(body).map_err(|_| "its answer is not a list of conversations")?;
    let mut found = Vec::new();
    for conversation in &page.data {
        let id = conversation.get("id").and_then(Value::as_str).ok_or("its answer has a conversation without an id")?;
        let participant =
            find_participant(conversation, user)?.ok_or("its answer has a conversation without the user")?;
        found.push((id.to_owned(), participant));
    }
    Ok(found)
}

fn find_participant(conversation: &Map<String, Value>, user: &str) -> Result<Option<Participant>, &'static str> {
    let participants = conversation.get("participants").and_then(Value::as_object);
    let participants = participants.ok_or("its answer has a conversation without participants")?;
    let found = participants.get(user).map(Participant::deserialize).transpose();
    found.map_err(|_| "its answer has a participant without a known access")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::vendor::moderation::SanctionEnd;

    const RW: &str = r#"{"access":"ReadWrite","notify":"MentionsOnly"}"#;
    const R: &str = r#"{"access":"Read","notify":true}"#;
    const NONE: &str = r#"{"access":"None"}"#;

    fn moderator() -> ModerationApi {
        ModerationApi::new("app".to_owned(), &Secret::new(b"fake".to_vec()))
    }

    /// Returns the requests of the plan in short form, and the checkpoint after it.
    fn plan(want: &str, noted: Option<&str>, found: Option<&str>) -> (String, Option<String>) {
        let want = DesiredState {
            banned: want.contains("ban").then_some(SanctionEnd::Forever),
            muted: want.contains("mute").then_some(SanctionEnd::Forever),
            reason: None,
        };
        let found: Option<Participant> = found.map(|found| serde_json::from_str(found).unwrap());
        let plan = moderator().plan(("al/ice", "c:1"), &want, noted, found.as_ref()).unwrap();
        let calls: Vec<_> = plan
            .calls
            .iter()
            .map(|call| {
                assert_eq!(call.path, "/v1/app/conversations/c%3A1/participants/al%2Fice");
                format!("{} {}", call.method, call.body.as_deref().unwrap_or_default()).trim().to_owned()
            })
            .collect();
        match (noted, &plan.checkpoint_after) {
            (Some(noted), Some(_)) if noted.contains("\"removed\":true") => {
                assert_eq!(plan.checkpoint_before.as_deref(), Some(noted));
            }
            (_, Some(_)) => assert_eq!(plan.checkpoint_before, plan.checkpoint_after),
            (_, None) => assert_eq!(plan.checkpoint_before.as_deref(), noted),
        }
        (calls.join(", "), plan.checkpoint_after)
    }

    fn note(was: &str, removed: bool) -> String {
        format!("{{\"removed\":{removed},\"was\":{was}}}")
    }

    #[test]
    fn each_state_leads_to_what_is_wanted() {
        let read = r#"PATCH {"access":"Read"}"#;
        let some = |was: &str, removed| Some(note(was, removed));
        let cases = [
            ("ban", None, None, "", None),
            ("ban", None, Some(RW), "DELETE", some(RW, true)),
            ("ban", None, Some(R), "DELETE", some(R, true)),
            ("ban", None, Some(NONE), "", None),
            ("ban, mute", None, Some(RW), "DELETE", some(RW, true)),
            ("ban", some(RW, false), Some(R), "DELETE", some(RW, true)),
            ("ban", some(RW, true), None, "", some(RW, true)),
            ("ban", some(RW, true), Some(R), "DELETE", some(RW, true)),
            ("mute", None, None, "", None),
            ("mute", None, Some(RW), read, some(RW, false)),
            ("mute", None, Some(R), "", None),
            ("mute", None, Some(NONE), "", None),
            ("mute", some(RW, false), Some(R), "", some(RW, false)),
            ("mute", some(RW, false), Some(RW), read, some(RW, false)),
            ("mute", some(RW, true), None, r#"PUT {"access":"Read","notify":"MentionsOnly"}"#, some(RW, false)),
            ("mute", some(RW, true), Some(R), "", some(RW, false)),
            ("", None, None, "", None),
            ("", None, Some(R), "", None),
            ("", some(RW, true), None, r#"PUT {"access":"ReadWrite","notify":"MentionsOnly"}"#, None),
            ("", some(R, true), None, r#"PUT {"access":"Read","notify":true}"#, None),
            ("", some(RW, true), Some(RW), "", None),
            ("", some(RW, false), Some(R), r#"PATCH {"access":"ReadWrite"}"#, None),
            ("", some(RW, false), Some(RW), "", None),
            ("", some(RW, false), Some(NONE), "", None),
            ("", some(RW, false), None, "", None),
        ];
        for (want, noted, found, calls, after) in cases {
            let (made, left) = plan(want, noted.as_deref(), found);
            assert_eq!((made.as_str(), left), (calls, after), "{want}, noted {noted:?}, found {found:?}");
        }
    }

    #[test]
    fn pages_follow_each_other() {
        let moderator = moderator();
        let path = |after| moderator.list_conversations("a b", after).unwrap().path;
        assert_eq!(path(None), "/v1/app/users/a%20b/conversations?limit=30&orderBy=createdAt");
        assert_eq!(
            path(Some("c&d")),
            "/v1/app/users/a%20b/conversations?limit=30&orderBy=createdAt&startingAfter=c%26d"
        );
        assert!(moderator.get_conversation("..").is_err() && moderator.list_conversations(".", None).is_err());
    }

    #[test]
    fn answers_are_read_or_refused() {
        let one = format!(r#"{{"id":"c1","participants":{{"alice":{RW},"bob":{R}}}}}"#);
        assert_eq!(parse_participant(one.as_bytes(), "bob").unwrap().unwrap().access, Access::Read);
        assert_eq!(parse_participant(one.as_bytes(), "carol").unwrap(), None);
        let list = parse_conversation_page(format!("{{\"data\":[{one}]}}").as_bytes(), "alice").unwrap();
        assert_eq!(list[0].0, "c1");
        assert_eq!(list[0].1.notify, Some(json!("MentionsOnly")));
        for bad in ["", "[]", "{}", r#"{"participants":{"alice":{}}}"#, r#"{"participants":{"alice":{"access":"?"}}}"#]
        {
            assert!(parse_participant(bad.as_bytes(), "alice").is_err(), "{bad}");
        }
        assert!(parse_conversation_page(b"{\"data\":[{}]}", "alice").is_err());
    }

    #[test]
    fn its_token_is_a_servers_and_lives_briefly() {
        let headers = moderator().credentials(Millis(1_000_000)).unwrap();
        let value = headers["authorization"].to_str().unwrap();
        let payload = value.split('.').nth(1).and_then(crate::crypto::base64url_decode).unwrap();
        assert_eq!(String::from_utf8(payload).unwrap(), r#"{"tokenType":"app","iss":"app","exp":1030}"#);
        assert!(headers["authorization"].is_sensitive());
    }
}
