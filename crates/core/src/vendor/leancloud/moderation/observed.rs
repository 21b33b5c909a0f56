//! The known state of a LeanCloud conversation and of a user in it, and the questions that complete it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::crypto::percent_encode;
use crate::model::ConversationKind;
use crate::vendor::moderation::{DesiredState, ModerationTarget};

/// How many entries of a list are requested at once. The server may send fewer.
const PAGE: usize = 100;

/// How many requests may be used to read the lists of a conversation. The black list of a chat room may hold 10,000
/// clients.
const MAX_REQUESTS: usize = 150;

/// The state of a user that this program put on a black list, which ends a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BlacklistState {
    pub(super) was_member: bool,
}

/// What was done. It is stored to make it possible to undo it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LeanCloudCheckpoint {
    /// The user's entry on the black list, if this program made it.
    pub(super) blacklisted: Option<BlacklistState>,
    /// Whether the user was silenced for a limited time.
    pub(super) silenced: bool,
    /// Whether the user was silenced permanently.
    pub(super) silenced_for_good: bool,
    /// The revision of the change for which the user was kicked.
    pub(super) kicked: Option<u64>,
    /// Whether that kick was the last for this change.
    pub(super) kicked_last: bool,
}

/// A question about a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Observation {
    /// Whether the conversation exists, and its kind.
    #[default]
    Conversation,
    /// Whether the user is on the black list of the conversation.
    Blacklist,
    /// Whether the user is a member.
    Members,
    /// Whether the user is silenced permanently.
    Silences,
}

/// The known state of a conversation. At first, nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ObservedState {
    /// The kind of the conversation.
    kind: Option<ConversationKind>,
    /// Whether the conversation does not exist.
    is_absent: bool,
    pub(super) is_blacklisted: Option<bool>,
    pub(super) is_member: Option<bool>,
    pub(super) is_silenced: Option<bool>,
    /// The cursor of the next page of the list that is being read.
    next: Option<String>,
    requests: usize,
}

impl ObservedState {
    /// Reads the answer to a question.
    ///
    /// # Errors
    /// Returns an error if the answer cannot be understood.
    pub(super) fn read(
        &mut self,
        look: Observation,
        place: &ModerationTarget<'_>,
        body: &[u8],
    ) -> Result<(), &'static str> {
        let answer: Map<String, Value> = serde_json::from_slice(body).map_err(|_| "its answer is not JSON")?;
        self.requests += 1;
        match look {
            Observation::Conversation => {
                self.kind = parse_kind(&answer, place.conversation)?;
                self.is_absent = self.kind.is_none();
            }
            Observation::Members => self.is_member = Some(list_contains(&answer, "result", place.user)?),
            Observation::Blacklist => self.is_blacklisted = self.read_list_page(&answer, place.user)?,
            Observation::Silences => self.is_silenced = self.read_list_page(&answer, place.user)?,
        }
        Ok(())
    }

    /// Records that the conversation does not exist.
    pub(super) fn set_absent(&mut self) {
        (self.kind, self.is_absent) = (None, true);
    }

    /// Returns the kind of the conversation, if it is known.
    pub(super) fn kind(&self, conversation: &str) -> Option<ConversationKind> {
        let kind = ConversationKind::from_id(conversation);
        if kind == ConversationKind::Temporary { Some(kind) } else { self.kind }
    }

    /// Returns the next question, if there is one.
    pub(super) fn next_observation(
        &self,
        place: &ModerationTarget<'_>,
        note: LeanCloudCheckpoint,
    ) -> Option<Observation> {
        if *place.desired == DesiredState::default() && note == LeanCloudCheckpoint::default() {
            return None;
        }
        let kind = match self.kind(place.conversation) {
            Some(ConversationKind::Temporary) => return None,
            Some(kind) => kind,
            None => return (!self.is_absent).then_some(Observation::Conversation),
        };
        let unknown = |known: Option<bool>, look| known.is_none().then_some(look);
        match place.desired {
            DesiredState { banned: Some(_), .. } if note.blacklisted.is_some() => None,
            DesiredState { banned: Some(_), .. } => match self.is_blacklisted {
                None => Some(Observation::Blacklist),
                Some(false) if kind == ConversationKind::Group => unknown(self.is_member, Observation::Members),
                Some(_) => None,
            },
            DesiredState { muted: Some(_), .. } if kind != ConversationKind::System && !note.silenced_for_good => {
                unknown(self.is_silenced, Observation::Silences)
            }
            _ => None,
        }
    }

    /// Returns the end of a path that requests a page of this list.
    pub(super) fn list_page_path(&self, name: &str) -> String {
        let next = self.next.as_ref().map(|next| format!("&next={}", percent_encode(next.as_bytes())));
        format!("{name}?limit={PAGE}{}", next.unwrap_or_default())
    }

    /// Returns whether the user is on the list, if this is known after this page.
    fn read_list_page(&mut self, answer: &Map<String, Value>, user: &str) -> Result<Option<bool>, &'static str> {
        if list_contains(answer, "client_ids", user)? {
            self.next = None;
            return Ok(Some(true));
        }
        let next = answer.get("next").and_then(Value::as_str).filter(|next| !next.is_empty()).map(str::to_owned);
        if next.is_some() && (next == self.next || self.requests >= MAX_REQUESTS) {
            return Err("its list does not end");
        }
        let is_last = next.is_none();
        self.next = next;
        Ok(is_last.then_some(false))
    }
}

/// Returns the kind of the conversation, if it exists.
fn parse_kind(answer: &Map<String, Value>, id: &str) -> Result<Option<ConversationKind>, &'static str> {
    let results = answer.get("results").and_then(Value::as_array).ok_or("its answer is not a list of conversations")?;
    let Some(found) = results.iter().find(|one| one.get("objectId").and_then(Value::as_str) == Some(id)) else {
        return if results.is_empty() { Ok(None) } else { Err("its answer is about other conversations") };
    };
    let is = |field: &str| found.get(field).and_then(Value::as_bool).unwrap_or(false);
    Ok(Some(match (is("sys"), is("tr")) {
        (true, _) => ConversationKind::System,
        (false, true) => ConversationKind::Chatroom,
        (false, false) => ConversationKind::Group,
    }))
}

/// Returns whether the user is in the list of this name.
fn list_contains(answer: &Map<String, Value>, list: &str, user: &str) -> Result<bool, &'static str> {
    let list = answer.get(list).and_then(Value::as_array).ok_or("its answer has no list of clients")?;
    Ok(list.iter().any(|id| id.as_str() == Some(user)))
}
