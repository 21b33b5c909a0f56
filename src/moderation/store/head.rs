//! The head of a store: its identity and its last change.

use super::failure::StoreUnavailable;
use crate::model::Millis;
use crate::random;

/// The error message of a store that has lost changes.
pub const ROLLED_BACK_MESSAGE: &str = "the moderation store has lost changes that it had acknowledged. To use it as it is, run `chat-signer store \
                               accept`";

/// The identity of a store and its last change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHead {
    /// The id of the store: its first epoch. It stays the same when an operator accepts the store. So it distinguishes
    /// an older state of this store from another store.
    pub id: String,
    /// A random value. It is set when the store is initialized, and set again when an operator accepts the store. Empty:
    /// the store was never initialized.
    pub epoch: String,
    /// The number of the last change; 0 before the first.
    pub version: u64,
    /// The random id of the last change. If two stores have the same version but different ids, their histories differ.
    pub change: String,
    /// The time at which an operator accepted this epoch, by the store's clock. Processes that knew another epoch before
    /// this time can use the store again. `None`: no operator has accepted the store.
    pub accepted_at: Option<Millis>,
    /// The entry count drift: the number of entries that are missing or in excess, compared with the changes. It is
    /// above 0 if another program deleted or wrote entries.
    pub entry_count_drift: u64,
    /// The last change that a process knew before it found that the store had lost changes and marked the store. No
    /// process uses the store until an operator accepts it.
    pub rolled_back: Option<RollbackMark>,
}

/// The mark of a store that has lost changes, in the form in which the store has it: the number and the id of the last
/// change that the process knew, with a space between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackMark(pub String);

impl RollbackMark {
    /// Returns the number and the id of the lost change. If another program damaged the mark, returns a number that no
    /// store reaches. So only an acceptance ends the refusal.
    pub fn lost_change(&self) -> (u64, &str) {
        let (version, id) = self.0.split_once(' ').unwrap_or((&self.0, ""));
        (version.parse().unwrap_or(u64::MAX), id)
    }
}

/// The number of entries in one part. It is small so that other clients of a server do not wait long.
pub(super) const PART_SIZE: usize = 2000;

/// Some entries, as key and value.
pub type EntryPart = Vec<(String, String)>;

/// All entries of a store, read at the time of the head or later. They can include changes after the head. Applying
/// these changes again does no harm.
#[derive(Clone, Debug)]
pub struct StoreContents {
    /// The head when the read began.
    pub head: StoreHead,
    /// Every entry, as key and value.
    pub entries: Vec<(String, String)>,
}

impl StoreHead {
    /// Returns the label of this store in metrics: the beginning of its epoch. `None`: the store was never initialized.
    pub fn metrics_label(&self) -> Option<&str> {
        let label = self.epoch.get(..8).unwrap_or(&self.epoch);
        (!label.is_empty()).then_some(label)
    }

    /// Returns why this store must not be used and what to do, if the store is marked as rolled back or its entry count
    /// drifted.
    pub fn unusable_reason(&self) -> Option<String> {
        if let Some(RollbackMark(mark)) = &self.rolled_back {
            let version = mark.split(' ').next().unwrap_or_default();
            return Some(format!("{ROLLED_BACK_MESSAGE} (a process that knew change {version} has marked it)"));
        }
        let astray = self.entry_count_drift;
        (astray > 0).then(|| {
            format!(
                "the entries of the moderation store do not match its changes ({astray} too few or too many): \
                 another program evicts, deletes or writes its keys. Restore the store, or accept it as it is with \
                 `chat-signer store accept`"
            )
        })
    }
}

/// Returns a unique random id.
pub(super) fn random_id() -> Result<String, StoreUnavailable> {
    Ok(hex::encode(random::bytes::<16>()?))
}
