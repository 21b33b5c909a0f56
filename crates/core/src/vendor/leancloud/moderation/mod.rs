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
use serde_json::json;

use crate::crypto::percent_encode;
use crate::model::{ConversationKind, Millis, Vendor};
use crate::secret::Secret;
use crate::vendor::moderation::{
    ModerationPlan, ModerationPlanner, ModerationReach, ModerationTarget, PermanentFailure, SanctionEnd, VendorCall,
    VendorModeration, checkpoint_text, direct_planner, secret_header_value,
};
use crate::vendor::path_segment::encode_segment;
use observed::{BlacklistState, LeanCloudCheckpoint, Observation, ObservedState};

/// The longest silence, and how long before its end it is renewed. Both are in milliseconds.
const MAX_SILENCE_MS: u64 = 24 * 3_600_000;
const RENEWAL_MARGIN_MS: u64 = 2 * 3_600_000;

/// The longest reason of a kick, in characters.
const MAX_REASON_CHARS: usize = 20;

/// The credentials of an app.
#[derive(Debug)]
pub struct ModerationApi {
    id: String,
    key: Secret,
}

impl ModerationApi {
    /// How many requests a second an app makes, and how many at once after a quiet time. LeanCloud documents a limit
    /// only for messages: 30 a second, or 2 a second for apps in development.
    const RATE: (u32, u32) = (10, 30);

    /// Uses the app's id and master key.
    pub fn new(id: String, key: Secret) -> ModerationApi {
        ModerationApi { id, key }
    }

    /// The headers that authenticate a call to the vendor.
    ///
    /// # Errors
    /// Returns an error if a credential cannot stand in a header.
    fn credentials(&self) -> Result<HeaderMap, PermanentFailure> {
        let key = secret_header_value(&[self.key.expose(), b",master"].concat())?;
        let id = secret_header_value(self.id.as_bytes())?;
        Ok(HeaderMap::from_iter([(HeaderName::from_static("x-lc-id"), id), (HeaderName::from_static("x-lc-key"), key)]))
    }
}

impl VendorModeration for ModerationApi {
    fn vendor(&self) -> Vendor {
        Vendor::LeanCloud
    }

    fn rate(&self) -> (u32, u32) {
        ModerationApi::RATE
    }

    fn authentication(&self, _: &VendorCall, _: Millis) -> Result<HeaderMap, PermanentFailure> {
        self.credentials()
    }

    fn reach(&self) -> ModerationReach<'_> {
        ModerationReach::Conversation
    }

    fn everywhere_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        direct_planner(move |_| target.plan_everywhere())
    }

    fn conversation_planner<'a>(&'a self, target: ModerationTarget<'a>) -> Box<dyn ModerationPlanner + 'a> {
        Box::new(LeanCloudPlanner { target, found: ObservedState::default(), last: Observation::default() })
    }
}

/// The plan for a user in one conversation, while questions are open.
struct LeanCloudPlanner<'a> {
    target: ModerationTarget<'a>,
    found: ObservedState,
    /// The last question.
    last: Observation,
}

impl ModerationPlanner for LeanCloudPlanner<'_> {
    fn next_query(&mut self) -> Result<Option<VendorCall>, PermanentFailure> {
        let Some((observation, call)) = self.target.next_query(&self.found)? else { return Ok(None) };
        self.last = observation;
        Ok(Some(call))
    }

    fn read(&mut self, body: Option<&[u8]>) -> Result<(), &'static str> {
        let Some(body) = body else {
            self.found.set_absent();
            return Ok(());
        };
        self.found.read(self.last, &self.target, body)
    }

    fn plan(&self, now: Millis) -> Result<ModerationPlan, PermanentFailure> {
        self.target.plan(&self.found, now)
    }
}

impl ModerationTarget<'_> {
    /// Returns the next question to ask before a plan is possible, if there is one.
    ///
    /// # Errors
    /// Returns an error if an id cannot be a segment of a path, or if the checkpoint cannot be read.
    fn next_query(&self, found: &ObservedState) -> Result<Option<(Observation, VendorCall)>, PermanentFailure> {
        let Some(look) = found.next_observation(self, self.read_checkpoint()?) else { return Ok(None) };
        let path = match (look, found.kind(self.conversation)) {
            (Observation::Blacklist, Some(kind)) => self.path(kind, &found.list_page_path("blacklists"))?,
            (Observation::Silences, Some(kind)) => self.path(kind, &found.list_page_path("permanent-silenceds"))?,
            (Observation::Members, Some(kind)) => self.path(kind, "members")?,
            (_, _) => {
                let filter = json!({ "objectId": self.conversation }).to_string();
                format!("/1.2/rtm/all-conversations?limit=2&where={}", percent_encode(filter.as_bytes()))
            }
        };
        Ok(Some((look, VendorCall::new(Method::GET, path))))
    }

    /// Returns the plan, after [`next_query`](Self::next_query) has no more queries.
    ///
    /// # Errors
    /// Returns an error if an id cannot be a segment of a path, or if the checkpoint cannot be read.
    fn plan(&self, found: &ObservedState, now: Millis) -> Result<ModerationPlan, PermanentFailure> {
        let note: LeanCloudCheckpoint = self.read_checkpoint()?;
        let Some(kind) = found.kind(self.conversation) else {
            return Ok(ModerationPlan {
                checkpoint_before: self.checkpoint.map(str::to_owned),
                ..ModerationPlan::default()
            });
        };
        let mut draft =
            PlanDraft { place: self, kind, checkpoint: note, calls: Vec::new(), renew_at: None, unsupported: None };
        if self.desired.banned.is_some() {
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
    fn plan_everywhere(&self) -> Result<ModerationPlan, PermanentFailure> {
        let note: LeanCloudCheckpoint = self.read_checkpoint()?;
        let kind = ConversationKind::Group;
        let mut draft =
            PlanDraft { place: self, kind, checkpoint: note, calls: Vec::new(), renew_at: None, unsupported: None };
        if self.desired.banned.is_some() {
            draft.kick(self.revision)?;
        } else {
            (draft.checkpoint.kicked, draft.checkpoint.kicked_last) = (None, false);
        }
        if self.desired.muted.is_some() {
            draft.unsupported = Some("LeanCloud can mute a user in single conversations, but not everywhere");
        }
        Ok(draft.plan(note))
    }

    fn path(&self, kind: ConversationKind, tail: &str) -> Result<String, PermanentFailure> {
        let folder = match kind {
            ConversationKind::Chatroom => "chatrooms",
            ConversationKind::System => "service-conversations",
            ConversationKind::Group | ConversationKind::Temporary => "conversations",
        };
        Ok(format!("/1.2/rtm/{folder}/{}/{tail}", encode_segment(self.conversation)?))
    }
}

/// A plan under construction.
struct PlanDraft<'a> {
    place: &'a ModerationTarget<'a>,
    kind: ConversationKind,
    checkpoint: LeanCloudCheckpoint,
    calls: Vec<VendorCall>,
    renew_at: Option<Millis>,
    unsupported: Option<&'static str>,
}

impl PlanDraft<'_> {
    fn ban(&mut self, found: &ObservedState) -> Result<(), PermanentFailure> {
        if self.kind == ConversationKind::Temporary {
            self.unsupported =
                Some("LeanCloud has no black list for temporary conversations: the client was only kicked");
        } else if self.checkpoint.blacklisted.is_none() && found.is_blacklisted == Some(false) {
            self.checkpoint.blacklisted = Some(BlacklistState { was_member: found.is_member == Some(true) });
        }
        if self.checkpoint.blacklisted.is_some() {
            self.change_list(Method::POST, "blacklists")?;
        }
        // A kick ends sessions that also serve other conversations. If the user is already on the black list, another
        // ban must not kick the user again.
        let is_listed = self.checkpoint.blacklisted.is_some() || found.is_blacklisted == Some(true);
        self.kick(self.checkpoint.kicked.filter(|_| is_listed).unwrap_or(self.place.revision))
    }

    /// Kicks the user once for this change, and once more when all servers know of the change. A job that is repeated
    /// after a partial failure must not end sessions again.
    fn kick(&mut self, because: u64) -> Result<(), PermanentFailure> {
        let ModerationTarget { user, is_final: is_last, desired: want, .. } = *self.place;
        let was_kicked = self.checkpoint.kicked == Some(because) && (self.checkpoint.kicked_last || !is_last);
        if !was_kicked {
            let reason = want.reason.as_deref().filter(|reason| reason.chars().count() <= MAX_REASON_CHARS);
            let path = format!("/1.2/rtm/clients/{}/kick", encode_segment(user)?);
            let body = json!({ "reason": reason.unwrap_or("banned") });
            self.calls.push(VendorCall::new(Method::POST, path).json(&body));
            (self.checkpoint.kicked, self.checkpoint.kicked_last) = (Some(because), is_last);
        }
        Ok(())
    }

    fn unban(&mut self) -> Result<(), PermanentFailure> {
        (self.checkpoint.kicked, self.checkpoint.kicked_last) = (None, false);
        if let Some(BlacklistState { was_member }) = self.checkpoint.blacklisted.take() {
            self.change_list(Method::DELETE, "blacklists")?;
            if was_member {
                self.change_list(Method::POST, "members")?;
            }
        }
        Ok(())
    }

    fn mute(&mut self, found: &ObservedState, now: Millis) -> Result<(), PermanentFailure> {
        let is_others = found.is_silenced == Some(true) && !self.checkpoint.silenced_for_good;
        let before = self.checkpoint;
        (self.checkpoint.silenced, self.checkpoint.silenced_for_good) = (false, false);
        match self.place.desired.muted {
            Some(_) if matches!(self.kind, ConversationKind::System | ConversationKind::Temporary) => {
                self.unsupported = Some("LeanCloud cannot mute users in a conversation of this kind");
            }
            Some(_) if is_others => {}
            Some(SanctionEnd::Forever) => {
                self.change_list(Method::POST, "permanent-silenceds")?;
                self.checkpoint.silenced_for_good = true;
            }
            Some(SanctionEnd::At(until)) => {
                self.silence(until, now)?;
                self.checkpoint.silenced = true;
            }
            None => {}
        }
        self.unmute(before)
    }

    fn silence(&mut self, until: Millis, now: Millis) -> Result<(), PermanentFailure> {
        let left = until.0.saturating_sub(now.0);
        if left > MAX_SILENCE_MS {
            self.renew_at = Some(Millis(now.0.saturating_add(MAX_SILENCE_MS - RENEWAL_MARGIN_MS)));
        }
        let seconds = left.min(MAX_SILENCE_MS).div_ceil(1000).max(1);
        let path = self.place.path(self.kind, "temporary-silenceds")?;
        let body = json!({ "client_id": self.place.user, "ttl": seconds });
        self.calls.push(VendorCall::new(Method::POST, path).json(&body));
        Ok(())
    }

    /// Removes the silences that are no longer desired.
    fn unmute(&mut self, before: LeanCloudCheckpoint) -> Result<(), PermanentFailure> {
        if before.silenced && !self.checkpoint.silenced {
            let client = percent_encode(self.place.user.as_bytes());
            let path = self.place.path(self.kind, &format!("temporary-silenceds?client_id={client}"))?;
            self.calls.push(VendorCall::new(Method::DELETE, path));
        }
        if before.silenced_for_good && !self.checkpoint.silenced_for_good {
            self.change_list(Method::DELETE, "permanent-silenceds")?;
        }
        Ok(())
    }

    /// Puts the user on a list of the conversation, or removes the user from it.
    fn change_list(&mut self, method: Method, list: &str) -> Result<(), PermanentFailure> {
        let path = self.place.path(self.kind, list)?;
        self.calls.push(VendorCall::new(method, path).json(&json!({ "client_ids": [self.place.user] })));
        Ok(())
    }

    /// Finishes the plan. The checkpoint `before` is enough to undo both the earlier requests and the new ones.
    fn plan(self, old: LeanCloudCheckpoint) -> ModerationPlan {
        let new = self.checkpoint;
        let before = LeanCloudCheckpoint {
            blacklisted: old.blacklisted.or(new.blacklisted),
            silenced: old.silenced || new.silenced,
            silenced_for_good: old.silenced_for_good || new.silenced_for_good,
            kicked: old.kicked,
            kicked_last: old.kicked_last,
        };
        ModerationPlan {
            checkpoint_before: checkpoint_text(&before),
            calls: self.calls,
            checkpoint_after: checkpoint_text(&new),
            renew_at: self.renew_at,
            unsupported: self.unsupported,
            if_missed: None,
        }
    }
}
