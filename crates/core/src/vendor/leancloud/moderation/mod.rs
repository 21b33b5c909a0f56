//! Bans and mutes at LeanCloud: the client is put on the conversation's black list and thrown out, or silenced there.
//!
//! Paths and bodies are those of the REST interface for instant messaging, version 1.2, with the master key. The black list takes the
//! client out of the conversation as well; a kick ends its session and voids the signature that it logged in with. Whoever was on a list
//! already stays on it, and whoever was a member becomes one again.

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

/// How long a silence lasts at most, in milliseconds, and how long before its end it is renewed.
const LONGEST_SILENCE: u64 = 24 * 3_600_000;
const RENEWED_BEFORE: u64 = 2 * 3_600_000;

/// The longest reason of a kick, in characters.
const LONGEST_REASON: usize = 20;

/// An app's credentials.
#[derive(Debug)]
pub struct ModerationApi {
    id: String,
    key: Secret,
}

/// Where something is to be done, and why.
#[derive(Clone, Copy, Debug)]
pub struct ModerationTarget<'a> {
    /// Who it is about.
    pub user: &'a str,
    /// The conversation.
    pub conversation: &'a str,
    /// The change that asked for it.
    pub revision: u64,
    /// Whether nobody signs any more without knowing of it, so that it needs not be done again.
    pub is_last: bool,
    /// What should be true.
    pub want: &'a DesiredState,
    /// What was noted before.
    pub noted: Option<&'a str>,
}

/// That the user was put on a black list, which ends a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct BlacklistState {
    was_member: bool,
}

/// What was done, so that it can be undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct LeanCloudCheckpoint {
    /// Put on the black list.
    blacklisted: Option<BlacklistState>,
    /// Silenced for a while.
    silenced: bool,
    /// Silenced for good.
    silenced_for_good: bool,
    /// Thrown out because of this change.
    kicked: Option<u64>,
    /// Thrown out for the last time because of it.
    kicked_last: bool,
}

impl ModerationApi {
    /// How many requests a second an app makes, and how many at once after a quiet time. LeanCloud names a limit for messages alone: 30
    /// a second, 2 for apps that are developed.
    pub const RATE: (u32, u32) = (10, 30);

    /// With the app's id and master key.
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
    /// What must be asked next before there can be a plan, if anything.
    ///
    /// # Errors
    /// If an id can't stand in a path, or the note can't be read.
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

    /// What to do, once nothing is left to ask.
    ///
    /// # Errors
    /// If an id can't stand in a path, or the note can't be read.
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

    /// What to do everywhere: LeanCloud has no list that shuts a client out for good, but then nobody signs for it any more.
    ///
    /// # Errors
    /// If an id can't stand in a path, or the note can't be read.
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
            draft.lacking = Some("LeanCloud silences in one conversation at a time, not everywhere");
        }
        Ok(draft.plan(note))
    }

    fn note(&self) -> Result<LeanCloudCheckpoint, PermanentFailure> {
        let note = self.noted.map(serde_json::from_str).transpose();
        Ok(note.map_err(|_| PermanentFailure("what was noted of it can't be read".to_owned()))?.unwrap_or_default())
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

/// A plan that is being made.
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
            self.lacking =
                Some("LeanCloud has no black list for temporary conversations: the client was only thrown out");
        } else if self.note.blacklisted.is_none() && found.is_blacklisted == Some(false) {
            self.note.blacklisted = Some(BlacklistState { was_member: found.is_member == Some(true) });
        }
        if self.note.blacklisted.is_some() {
            self.listed(Method::POST, "blacklists")?;
        }
        // Another ban of who is on the black list already is no reason to end sessions that are about other conversations.
        let is_listed = self.note.blacklisted.is_some() || found.is_blacklisted == Some(true);
        self.kick(self.note.kicked.filter(|_| is_listed).unwrap_or(self.place.revision))
    }

    /// Once because of this change, and once more for the last time: what is done again because it may have failed halfway should not end
    /// sessions again.
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
                self.lacking = Some("LeanCloud silences nobody in a conversation of this kind");
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

    /// Takes back those silences that are not wanted any more.
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

    /// Puts the user on one of the conversation's lists, or takes it off.
    fn listed(&mut self, method: Method, list: &str) -> Result<(), PermanentFailure> {
        let path = self.place.path(self.kind, list)?;
        self.calls.push(VendorCall::new(method, path).json(&json!({ "client_ids": [self.place.user] })));
        Ok(())
    }

    /// What is noted before allows to undo what was done before and what is done now.
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
