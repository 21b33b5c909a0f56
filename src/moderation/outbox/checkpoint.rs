//! Checkpoints in the store during enforcement. With them a change at a vendor can be undone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::job::{JobError, RunningJob};
use crate::clock;
use crate::model::Millis;

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

/// The checkpoints that this attempt has written, by key. They remain valid if another process deletes them meanwhile:
/// the requests of this attempt may have arrived after the requests of that process.
pub(super) type OwnCheckpoints = BTreeMap<String, String>;

impl ScopeCheckpoint {
    pub(super) fn with_sent_at(self, now: Millis) -> ScopeCheckpoint {
        ScopeCheckpoint { sent: Some(now.0), ..self }
    }
}

impl UserCheckpoint {
    pub(super) fn to_checkpoint(&self) -> ScopeCheckpoint {
        let note = (*self != UserCheckpoint::default()).then(|| json!(self).to_string());
        ScopeCheckpoint { sent: None, note }
    }
}

/// Reads the checkpoint of a user for all conversations.
pub(super) fn parse_user_checkpoint(noted: Option<&str>) -> Result<UserCheckpoint, JobError> {
    let touched = noted.map(serde_json::from_str).transpose();
    let touched = touched.map_err(|_| JobError::Never("the checkpoint cannot be read".to_owned()))?;
    Ok(touched.unwrap_or_default())
}

impl RunningJob<'_> {
    /// Returns the time of the last request that was never answered, if it may still arrive. If the job was taken over
    /// from another process, the time of its last request is unknown, so the present time is returned.
    pub(super) fn last_unanswered_request(&self, memo: &ScopeCheckpoint) -> Option<u64> {
        let now = clock::now();
        let on_its_way = memo.sent.filter(|sent| now < self.arrival_deadline(*sent));
        self.job.taken_over.then_some(now.0).max(on_its_way)
    }

    /// Returns the time by which a request that was sent at `sent` has arrived, if it ever arrives.
    pub(super) fn arrival_deadline(&self, sent: u64) -> Millis {
        Millis(sent).after(self.shared.terms.lease)
    }

    pub(super) async fn read_checkpoint(&self, key: &str) -> Result<ScopeCheckpoint, JobError> {
        let memo = self.store()?.checkpoint(key).await?.as_deref().map(serde_json::from_str).transpose();
        Ok(memo.map_err(|_| JobError::Never("the checkpoint cannot be read".to_owned()))?.unwrap_or_default())
    }

    pub(super) async fn vendor_state_of(&self, key: &str, own: &OwnCheckpoints) -> Result<Option<String>, JobError> {
        Ok(self.read_checkpoint(key).await?.note.or_else(|| own.get(key).cloned()))
    }

    /// Writes a checkpoint if this process still holds the job. Returns whether it did.
    pub(super) async fn write_checkpoint(
        &self,
        key: &str,
        memo: &ScopeCheckpoint,
        own: &mut OwnCheckpoints,
    ) -> Result<bool, JobError> {
        let text = (*memo != ScopeCheckpoint::default()).then(|| json!(memo).to_string());
        let kept = self.store()?.set_checkpoint(&self.shared.name, self.job, key, text).await?;
        match memo.note.clone().filter(|_| kept) {
            Some(note) => _ = own.insert(key.to_owned(), note),
            None if kept => _ = own.remove(key),
            None => {}
        }
        Ok(kept)
    }
}
