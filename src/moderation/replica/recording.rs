//! The record of how far the index has come, for the next start.
//!
//! A change is in the record before it is acknowledged, so the end of the process loses none. The record's way to the disk goes on while the next change
//! is made, so a power failure can lose the last one from the record.

use std::fs::File;
use std::io;
use std::sync::OnceLock;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};

use super::ModerationReplica;
use crate::model::Millis;
use crate::store::{HighWaterMark, RecordFile, RecordUpdate, Store, StoreHead, StoreUnavailable};

/// A record, and what of it is on its way.
pub(super) struct Recording {
    file: RecordFile,
    /// What it says.
    last: ArcSwapOption<HighWaterMark>,
    /// What synchronizes it with the disk.
    sync: Mutex<Option<JoinHandle<io::Result<()>>>>,
    /// Whether the store says that it has a record.
    is_noted: OnceLock<()>,
}

impl Recording {
    pub(super) fn new(file: RecordFile, mark: Option<HighWaterMark>) -> Recording {
        Recording { file, last: ArcSwapOption::from_pointee(mark), sync: Mutex::default(), is_noted: OnceLock::new() }
    }

    /// Writes what is to be recorded, once what was written before is on the disk.
    async fn write(&self, mark: HighWaterMark) -> Result<(), StoreUnavailable> {
        let mut sync = self.sync.lock().await;
        if let Some(before) = sync.take() {
            before.await.unwrap_or_else(|error| Err(error.into())).map_err(|error| self.file.unwritten(&error))?;
        }
        let (file, written) = (self.file.clone(), mark.clone());
        let written = spawn_blocking(move || file.write(&written))
            .await
            .map_err(|error| self.file.unwritten(&error.into()))??;
        match written {
            RecordUpdate::Updated(file) => *sync = Some(spawn_blocking(move || File::sync_data(&file))),
            RecordUpdate::Begun => self.tell_begun(&mark),
            RecordUpdate::Unchanged => {}
        }
        self.last.store(Some(mark.into()));
        Ok(())
    }

    fn tell_begun(&self, HighWaterMark { version, .. }: &HighWaterMark) {
        let path = self.file.path().display();
        tracing::warn!(
            "began a record of the store in {path}, at change {version}; if there should have been one, stop and bring it back"
        );
    }
}

impl ModerationReplica {
    /// Records how far the index has come, if that is not recorded yet.
    pub(super) async fn record(&self, store: &Store, known: &StoreHead) -> Result<(), StoreUnavailable> {
        let Some(recording) = &self.recording else { return Ok(()) };
        if !recording.last.load().as_ref().is_some_and(|last| last.is_at(known)) {
            recording.write(HighWaterMark::of(known, store.now().await?)).await?;
        }
        if recording.is_noted.get().is_none() {
            store.note_record().await?;
            _ = recording.is_noted.set(());
        }
        Ok(())
    }

    /// Why a change could not be recorded, if so.
    pub(super) async fn probe_record(&self) -> Result<(), StoreUnavailable> {
        let Some(recording) = &self.recording else { return Ok(()) };
        let file = recording.file.clone();
        let probed = spawn_blocking(move || file.probe()).await;
        probed.map_err(|error| recording.file.unwritten(&error.into()))?
    }

    /// When the store was last recorded, by its clock.
    pub(super) fn recorded_at(&self) -> Millis {
        let last = self.recording.as_ref().and_then(|recording| recording.last.load_full());
        last.map_or(Millis(0), |last| last.at)
    }
}
