//! What is noted in the store while something is carried out, so that it can be undone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::job::{JobError, RunningJob};
use crate::clock;
use crate::model::Millis;

/// What is kept of a place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ScopeCheckpoint {
    /// When something was sent that may not have been answered, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sent: Option<u64>,
    /// What the vendor's part noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

/// What is noted of a user everywhere: where something was done because of that.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub(super) struct UserCheckpoint {
    pub(super) conversations: BTreeSet<String>,
    /// How far the vendor's list of the user's conversations has been dealt with, where that takes several attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) so_far: Option<ListProgress>,
}

/// How far a list has been dealt with.
#[derive(PartialEq, Serialize, Deserialize)]
pub(super) struct ListProgress {
    /// Because of this change.
    pub(super) revision: u64,
    /// Up to this conversation.
    pub(super) after: String,
    /// What could not be done until there, if something couldn't.
    pub(super) flaw: Option<String>,
}

/// Notes that this attempt has made, by key. They hold though another has forgotten them meanwhile: what was sent because of them may
/// have come later than what that one did.
pub(super) type OwnCheckpoints = BTreeMap<String, String>;

impl ScopeCheckpoint {
    pub(super) fn sent_at(self, now: Millis) -> ScopeCheckpoint {
        ScopeCheckpoint { sent: Some(now.0), ..self }
    }
}

impl UserCheckpoint {
    pub(super) fn memo(&self) -> ScopeCheckpoint {
        let note = (*self != UserCheckpoint::default()).then(|| json!(self).to_string());
        ScopeCheckpoint { sent: None, note }
    }
}

/// Reads what was noted of a user everywhere.
pub(super) fn touched(noted: Option<&str>) -> Result<UserCheckpoint, JobError> {
    let touched = noted.map(serde_json::from_str).transpose();
    let touched = touched.map_err(|_| JobError::Never("what was noted of it can't be read".to_owned()))?;
    Ok(touched.unwrap_or_default())
}

impl RunningJob<'_> {
    /// When something was sent at the latest that was never answered, if it may yet arrive. Of whom the job was taken over from nobody
    /// knows when that was: until now.
    pub(super) fn doubt(&self, memo: &ScopeCheckpoint) -> Option<u64> {
        let now = clock::now();
        let on_its_way = memo.sent.filter(|sent| now < self.arrived(*sent));
        self.job.taken_over.then_some(now.0).max(on_its_way)
    }

    /// When something that was sent then has arrived, if it ever does.
    pub(super) fn arrived(&self, sent: u64) -> Millis {
        Millis(sent).after(self.shared.terms.lease)
    }

    pub(super) async fn stored(&self, key: &str) -> Result<ScopeCheckpoint, JobError> {
        let memo = self.store()?.note(key).await?.as_deref().map(serde_json::from_str).transpose();
        Ok(memo.map_err(|_| JobError::Never("what was noted of it can't be read".to_owned()))?.unwrap_or_default())
    }

    pub(super) async fn noted(&self, key: &str, own: &OwnCheckpoints) -> Result<Option<String>, JobError> {
        Ok(self.stored(key).await?.note.or_else(|| own.get(key).cloned()))
    }

    /// Notes something, if the job is still this process's.
    pub(super) async fn keep(
        &self,
        key: &str,
        memo: &ScopeCheckpoint,
        own: &mut OwnCheckpoints,
    ) -> Result<bool, JobError> {
        let text = (*memo != ScopeCheckpoint::default()).then(|| json!(memo).to_string());
        let kept = self.store()?.set_note(&self.shared.name, self.job, key, text).await?;
        match memo.note.clone().filter(|_| kept) {
            Some(note) => _ = own.insert(key.to_owned(), note),
            None if kept => _ = own.remove(key),
            None => {}
        }
        Ok(kept)
    }
}
