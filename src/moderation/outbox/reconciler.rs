//! The reconciler: its state, and its checkpoints in the store.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::job::{JobError, RunningJob};
use super::targets::DeliveryTarget;
use crate::clock;
use crate::config::Enforcement;
use crate::crypto::percent_encode;
use crate::model::Millis;
use crate::vendor::moderation::{DesiredState, ModerationTarget, VendorModeration};

/// Names of places that are not conversations: everywhere, and the list of conversations in which something was
/// changed.
pub(super) const EVERYWHERE: &str = "*";
pub(super) const CONVERSATION_LIST: &str = "";

/// The checkpoint of a user in a conversation, or everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ScopeCheckpoint {
    /// The time of the last request that possibly was not answered, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sent: Option<u64>,
    /// The part of the vendor's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

/// The checkpoint of a user for all conversations: the conversations in which something was changed.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub(super) struct UserCheckpoint {
    pub(super) conversations: BTreeSet<String>,
    /// How far the vendor's list of the user's conversations was processed, if this takes several attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) so_far: Option<ListProgress>,
}

/// The progress in a list.
#[derive(PartialEq, Serialize, Deserialize)]
pub(super) struct ListProgress {
    /// The change that caused the job.
    pub(super) revision: u64,
    /// The last conversation that was processed.
    pub(super) after: String,
    /// The last error up to this conversation, if there was an error.
    pub(super) flaw: Option<String>,
}

/// The vendor's parts of the checkpoints that this attempt has written, by place. They remain valid if another process
/// deletes them meanwhile: the requests of this attempt may have arrived after the requests of that process.
pub(super) type OwnCheckpoints = BTreeMap<String, String>;

/// An attempt to bring a vendor to the desired state of a user.
pub(super) struct Reconciler<'a> {
    pub(super) running: &'a RunningJob<'a>,
    pub(super) target: &'a DeliveryTarget<Enforcement>,
    pub(super) app: &'a str,
    pub(super) user: &'a str,
    pub(super) own: OwnCheckpoints,
    pub(super) progress: Progress,
}

/// The enforced sanctions of a pass, by place, and the remaining work.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) enforced_states: BTreeMap<Option<String>, DesiredState>,
    /// The time at which a state must be enforced anew.
    pub(super) requeue_at: Option<Millis>,
    /// The time until which an earlier request may arrive and undo the result.
    pub(super) uncertain_until: Option<Millis>,
    /// The part that this vendor cannot enforce: a sentence.
    pub(super) unsupported: Option<Cow<'static, str>>,
}

impl<'a> Reconciler<'a> {
    /// Returns the moderation API of the vendor.
    pub(super) fn moderation_api(&self) -> &'a dyn VendorModeration {
        &*self.target.settings.moderation_api
    }

    /// Returns the subject of this job in a conversation, or everywhere.
    pub(super) fn moderation_target<'t>(
        &self,
        conversation: &'t str,
        desired: &'t DesiredState,
        checkpoint: Option<&'t str>,
    ) -> ModerationTarget<'t>
    where
        'a: 't,
    {
        let (revision, is_final) = (self.running.job.revision, self.running.repeat_at.is_none());
        ModerationTarget { user: self.user, conversation, revision, is_final, desired, checkpoint }
    }
}

impl Reconciler<'_> {
    /// Returns the time of the last request that was never answered, if it may still arrive. If the job was taken over
    /// from another process, the time of its last request is unknown, so the present time is returned.
    pub(super) fn last_unanswered_request(&self, checkpoint: &ScopeCheckpoint) -> Option<u64> {
        let now = clock::now();
        let on_its_way = checkpoint.sent.filter(|sent| now < self.arrival_deadline(*sent));
        self.running.job.taken_over.then_some(now.0).max(on_its_way)
    }

    /// Returns the time by which a request that was sent at `sent` has arrived, if it ever arrives.
    pub(super) fn arrival_deadline(&self, sent: u64) -> Millis {
        Millis(sent).after(self.running.shared.terms.lease)
    }

    pub(super) async fn read_checkpoint(&self, place: &str) -> Result<ScopeCheckpoint, JobError> {
        let text = self.running.store()?.checkpoint(&self.checkpoint_key(place)).await?;
        Ok(text.map(|text| parse(&text)).transpose()?.unwrap_or_default())
    }

    /// Returns the vendor's part of a checkpoint.
    pub(super) async fn read_note(&self, place: &str) -> Result<Option<String>, JobError> {
        Ok(self.read_checkpoint(place).await?.note.or_else(|| self.own.get(place).cloned()))
    }

    pub(super) async fn read_user_checkpoint(&self) -> Result<UserCheckpoint, JobError> {
        Ok(self.read_note(CONVERSATION_LIST).await?.map(|text| parse(&text)).transpose()?.unwrap_or_default())
    }

    /// Writes a checkpoint if this process still holds the job. Returns whether it did.
    pub(super) async fn write_checkpoint(
        &mut self,
        place: &str,
        checkpoint: ScopeCheckpoint,
    ) -> Result<bool, JobError> {
        let text = (checkpoint != ScopeCheckpoint::default()).then(|| json!(checkpoint).to_string());
        let (running, key) = (self.running, self.checkpoint_key(place));
        let is_kept = running.store()?.set_checkpoint(&running.shared.name, running.job, &key, text).await?;
        match checkpoint.note.filter(|_| is_kept) {
            Some(note) => _ = self.own.insert(place.to_owned(), note),
            None if is_kept => _ = self.own.remove(place),
            None => {}
        }
        Ok(is_kept)
    }

    /// Writes the checkpoint for all conversations.
    pub(super) async fn write_user_checkpoint(&mut self, checkpoint: &UserCheckpoint) -> Result<bool, JobError> {
        let note = (*checkpoint != UserCheckpoint::default()).then(|| json!(checkpoint).to_string());
        self.write_checkpoint(CONVERSATION_LIST, ScopeCheckpoint { sent: None, note }).await
    }

    /// Returns the key of the checkpoint in a place. With [`CONVERSATION_LIST`] it is also the prefix of the keys of all
    /// jobs about the user.
    pub(super) fn checkpoint_key(&self, place: &str) -> String {
        let place = if place == EVERYWHERE { place.to_owned() } else { percent_encode(place.as_bytes()) };
        let [app, user] = [self.app, self.user].map(|text| percent_encode(text.as_bytes()));
        format!("enforce:{app}:{user}:{place}")
    }
}

fn parse<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, JobError> {
    serde_json::from_str(text).map_err(|_| JobError::impossible("the checkpoint cannot be read"))
}
