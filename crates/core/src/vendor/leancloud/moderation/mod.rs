//! Bans and mutes at LeanCloud. A banned client is put on the conversation's black list and kicked. A muted client is
//! silenced in the conversation.
//!
//! Paths and bodies follow the REST API for instant messaging, version 1.2, with the master key. The black list also
//! removes the client from the conversation. A kick ends the client's session and invalidates the signature of its
//! login. If a ban or mute ends, a client that was on a list before stays on it, and a client that was a member before
//! becomes a member again.

mod observed;
#[cfg(test)]
mod tests;

use http::{HeaderMap, HeaderName, Method};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::crypto::percent_encoded;
use crate::model::{ConversationKind, Millis};
use crate::secret::Secret;
use crate::vendor::moderation::{DesiredState, ModerationPlan, PermanentFailure, SanctionEnd, VendorCall, secret};
use crate::vendor::path_segment::segment;
pub use observed::{Observation, ObservedState};

/// The longest silence, and how long before its end it is renewed. Both are in milliseconds.
const LONGEST_SILENCE: u64 = 24 * 3_600_000;
const RENEWED_BEFORE: u64 = 2 * 3_600_000;

/// The longest reason of a kick, in characters.
const LONGEST_REASON: usize = 20;

/// The credentials of an app.
#[derive(Debug)]
pub struct ModerationApi {
    id: String,
    key: Secret,
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
    pub is_last: bool,
    /// The desired state.
    pub want: &'a DesiredState,
    /// The last saved checkpoint.
    pub noted: Option<&'a str>,
}

/// The state of a user that this program put on a black list, which ends a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct BlacklistState {
    was_member: bool,
}

/// What was done. It is stored to make it possible to undo it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct LeanCloudCheckpoint {
    /// The user's entry on the black list, if this program made it.
    blacklisted: Option<BlacklistState>,
    /// Whether the user was silenced for a limited time.
    silenced: bool,
    /// Whether the user was silenced permanently.
    silenced_for_good: bool,
    /// The revision of the change for which the user was kicked.
    kicked: Option<u64>,
    /// Whether that kick was the last for this change.
    kicked_last: bool,
}

impl ModerationApi {
    /// How many requests a second an app makes, and how many at once after a quiet time. LeanCloud documents a limit
    /// only for messages: 30 a second, or 2 a second for apps in development.
    pub const RATE: (u32, u32) = (10, 30);

    /// Uses the app's id and master key.
    pub fn new(id: String, key: Secret) -> ModerationApi {
        ModerationApi { id, key }
    }

    /// The headers that authenticate a call to the vendor.
    ///
    /// # Errors
    /// Returns an error if a credential cannot stand in a header.
    pub fn credentials(&self) -> Result<HeaderMap, PermanentFailure> {
        let key = secret(&[self.key.expose(), b",master"].concat())?;
        let id = secret(self.id.as_bytes())?;
        Ok(HeaderMap::from_iter([(HeaderName::from_static("x-lc-id"), id), (HeaderName::from_static("x-lc-key"), key)]))
    }
}

impl ModerationTarget<'_> {
    /// Returns the next question to ask before a plan is possible, if there is one.
    ///
    /// # Errors
    /// Returns an error if an id cannot be a segment of a path, or if the checkpoint cannot be read.
    pub fn look(&self, found: &ObservedState) -> Result<Option<(Observation, VendorCall)>, PermanentFailure> {
        let Some(look) = found.missing(self, self.note()?) else { return Ok(None) };
        let path = match (look, found.kind(self.conversation)) {
            (Observation::Blacklist, Some(kind)) => self.path(kind, &found.list("blacklists"))?,
            (Observation::Silences, Some(kind)) => self.path(kind, &found.list("permanent-silenceds"))?,
            (Observation::Members, Some(kind)) => self.path(kind, "members")?,
            (_, _) => {
                let filter = json!({ "objectId": self.conversation }).to_string();
                format!("/1.2/rtm/all-conversations?limit=2&where={}", percent_encoded(filter.as_bytes()))
            }
        };
        Ok(Some((look, VendorCall::new(Method::GET, path))))
    }

    /// Returns the plan, after [`look`](Self::look) has no more questions.
    ///
    /// # Errors
    /// Returns an error if an id cannot be a segment of a path, or if the checkpoint cannot be read.
    pub fn plan(&self, found: &ObservedState, now: Millis) -> Result<ModerationPlan, PermanentFailure> {
        let note = self.note()?;
        let Some(kind) = found.kind(self.conversation) else {
            return Ok(ModerationPlan { before: self.noted.map(str::to_owned), ..ModerationPlan::default() });
        };
        let mut draft = PlanDraft { place: self, kind, note, calls: Vec::new(), again: None, lacking: None };
        if self.want.banned.is_some() {
            draft.ban(found)?;
        } else {
            draft.unban()?;
            draft.mute(found, now)?;
        }
        Ok(draft.plan(note))
    }

    /// Returns the plan for all conversations. LeanCloud has no list that bans a client everywhere. But a banned client
    /// gets no more signatures, so a kick is enough.
    ///
    /// # Errors
    /// Returns an error if an id cannot be a segment of a path, or if the checkpoint cannot be read.
    pub fn plan_everywhere(&self) -> Result<ModerationPlan, PermanentFailure> {
        let note = self.note()?;
        let kind = ConversationKind::Group;
        let mut draft = PlanDraft { place: self, kind, note, calls: Vec::new(), again: None, lacking: None };
        if self.want.banned.is_some() {
            draft.kick(self.revision)?;
        } else {
            (draft.note.kicked, draft.note.kicked_last) = (None, false);
        }
        if self.want.muted.is_some() {
            draft.lacking = Some("LeanCloud can mute a user in single conversations, but not everywhere");
        }
        Ok(draft.plan(note))
    }

    fn note(&self) -> Result<LeanCloudCheckpoint, PermanentFailure> {
        let note = self.noted.map(serde_json::from_str).transpose();
        Ok(note.map_err(|_| PermanentFailure("the saved checkpoint cannot be read".to_owned()))?.unwrap_or_default())
    }

    fn path(&self, kind: ConversationKind, tail: &str) -> Result<String, PermanentFailure> {
        let folder = match kind {
            ConversationKind::Chatroom => "chatrooms",
            ConversationKind::System => "service-conversations",
            ConversationKind::Group | ConversationKind::Temporary => "conversations",
        };
        Ok(format!("/1.2/rtm/{folder}/{}/{tail}", segment(self.conversation)?))
    }
}

/// A plan under construction.
struct PlanDraft<'a> {
    place: &'a ModerationTarget<'a>,
    kind: ConversationKind,
    note: LeanCloudCheckpoint,
    calls: Vec<VendorCall>,
    again: Option<Millis>,
    lacking: Option<&'static str>,
}

impl PlanDraft<'_> {
    fn ban(&mut self, found: &ObservedState) -> Result<(), PermanentFailure> {
        if self.kind == ConversationKind::Temporary {
            self.lacking = Some("LeanCloud has no black list for temporary conversations: the client was only kicked");
        } else if self.note.blacklisted.is_none() && found.is_blacklisted == Some(false) {
            self.note.blacklisted = Some(BlacklistState { was_member: found.is_member == Some(true) });
        }
        if self.note.blacklisted.is_some() {
            self.listed(Method::POST, "blacklists")?;
        }
        // A kick ends sessions that also serve other conversations. If the user is already on the black list, another
        // ban must not kick the user again.
        let is_listed = self.note.blacklisted.is_some() || found.is_blacklisted == Some(true);
        self.kick(self.note.kicked.filter(|_| is_listed).unwrap_or(self.place.revision))
    }

    /// Kicks the user once for this change, and once more when all servers know of the change. A job that is repeated
    /// after a partial failure must not end sessions again.
    fn kick(&mut self, because: u64) -> Result<(), PermanentFailure> {
        let ModerationTarget { user, is_last, want, .. } = *self.place;
        let was_kicked = self.note.kicked == Some(because) && (self.note.kicked_last || !is_last);
        if !was_kicked {
            let reason = want.reason.as_deref().filter(|reason| reason.chars().count() <= LONGEST_REASON);
            let path = format!("/1.2/rtm/clients/{}/kick", segment(user)?);
            let body = json!({ "reason": reason.unwrap_or("banned") });
            self.calls.push(VendorCall::new(Method::POST, path).json(&body));
            (self.note.kicked, self.note.kicked_last) = (Some(because), is_last);
        }
        Ok(())
    }

    fn unban(&mut self) -> Result<(), PermanentFailure> {
        (self.note.kicked, self.note.kicked_last) = (None, false);
        if let Some(BlacklistState { was_member }) = self.note.blacklisted.take() {
            self.listed(Method::DELETE, "blacklists")?;
            if was_member {
                self.listed(Method::POST, "members")?;
            }
        }
        Ok(())
    }

    fn mute(&mut self, found: &ObservedState, now: Millis) -> Result<(), PermanentFailure> {
        let is_others = found.is_silenced == Some(true) && !self.note.silenced_for_good;
        let before = self.note;
        (self.note.silenced, self.note.silenced_for_good) = (false, false);
        match self.place.want.muted {
            Some(_) if matches!(self.kind, ConversationKind::System | ConversationKind::Temporary) => {
                self.lacking = Some("LeanCloud cannot mute users in a conversation of this kind");
            }
            Some(_) if is_others => {}
            Some(SanctionEnd::Forever) => {
                self.listed(Method::POST, "permanent-silenceds")?;
                self.note.silenced_for_good = true;
            }
            Some(SanctionEnd::At(until)) => {
                self.silence(until, now)?;
                self.note.silenced = true;
            }
            None => {}
        }
        self.unmute(before)
    }

    fn silence(&mut self, until: Millis, now: Millis) -> Result<(), PermanentFailure> {
        let left = until.0.saturating_sub(now.0);
        if left > LONGEST_SILENCE {
            self.again = Some(Millis(now.0.saturating_add(LONGEST_SILENCE - RENEWED_BEFORE)));
        }
        let seconds = left.min(LONGEST_SILENCE).div_ceil(1000).max(1);
        let path = self.place.path(self.kind, "temporary-silenceds")?;
        let body = json!({ "client_id": self.place.user, "ttl": seconds });
        self.calls.push(VendorCall::new(Method::POST, path).json(&body));
        Ok(())
    }

    /// Removes the silences that are no longer desired.
    fn unmute(&mut self, before: LeanCloudCheckpoint) -> Result<(), PermanentFailure> {
        if before.silenced && !self.note.silenced {
            let client = percent_encoded(self.place.user.as_bytes());
            let path = self.place.path(self.kind, &format!("temporary-silenceds?client_id={client}"))?;
            self.calls.push(VendorCall::new(Method::DELETE, path));
        }
        if before.silenced_for_good && !self.note.silenced_for_good {
            self.listed(Method::DELETE, "permanent-silenceds")?;
        }
        Ok(())
    }

    /// Puts the user on a list of the conversation, or removes the user from it.
    fn listed(&mut self, method: Method, list: &str) -> Result<(), PermanentFailure> {
        let path = self.place.path(self.kind, list)?;
        self.calls.push(VendorCall::new(method, path).json(&json!({ "client_ids": [self.place.user] })));
        Ok(())
    }

    /// Finishes the plan. The checkpoint `before` is enough to undo both the earlier requests and the new ones.
    fn plan(self, old: LeanCloudCheckpoint) -> ModerationPlan {
        let new = self.note;
        let before = LeanCloudCheckpoint {
            blacklisted: old.blacklisted.or(new.blacklisted),
            silenced: old.silenced || new.silenced,
            silenced_for_good: old.silenced_for_good || new.silenced_for_good,
            kicked: old.kicked,
            kicked_last: old.kicked_last,
        };
        let text =
            |note: LeanCloudCheckpoint| (note != LeanCloudCheckpoint::default()).then(|| json!(note).to_string());
        ModerationPlan {
            before: text(before),
            calls: self.calls,
            after: text(new),
            again: self.again,
            lacking: self.lacking,
        }
    }
}
