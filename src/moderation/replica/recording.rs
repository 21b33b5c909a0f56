//! The record of the version that the index has reached, for the next start.
//!
//! A change is in the record before it is acknowledged, so the record loses no change if the process ends. The record
//! is synchronized with the disk while the next change is made, so a power failure can lose the last change from the
//! record.

use std::fs::File;
use std::io;
use std::sync::OnceLock;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::model::Millis;
use crate::moderation::store::{HighWaterMark, RecordFile, RecordUpdate, Store, StoreHead, StoreUnavailable};

/// A record, and its pending synchronization.
pub(super) struct Recording {
    file: RecordFile,
    /// The content of the record.
    last: ArcSwapOption<HighWaterMark>,
    /// The task that synchronizes the record with the disk.
    sync: Mutex<Option<JoinHandle<io::Result<()>>>>,
    /// Set when the store knows that it has a record.
    is_announced: OnceLock<()>,
}

impl Recording {
    pub(super) fn new(file: RecordFile, mark: Option<HighWaterMark>) -> Recording {
        Recording {
            file,
            last: ArcSwapOption::from_pointee(mark),
            sync: Mutex::default(),
            is_announced: OnceLock::new(),
        }
    }

    /// Records the version that the index has reached, if it is not recorded yet.
    pub(super) async fn update(&self, store: &Store, known: &StoreHead) -> Result<(), StoreUnavailable> {
        if !self.last.load().as_ref().is_some_and(|last| last.matches(known)) {
            self.write(HighWaterMark::from_head(known, store.now().await?)).await?;
        }
        if self.is_announced.get().is_none() {
            store.set_has_record().await?;
            _ = self.is_announced.set(());
        }
        Ok(())
    }

    /// Checks that a change could be recorded. Returns the error if not.
    pub(super) async fn probe(&self) -> Result<(), StoreUnavailable> {
        let file = self.file.clone();
        let probed = spawn_blocking(move || file.probe()).await;
        probed.map_err(|error| self.file.write_error(&error.into()))?
    }

    /// Returns the time of the last record, according to the clock of the store.
    pub(super) fn recorded_at(&self) -> Millis {
        self.last.load().as_ref().map_or(Millis(0), |last| last.at)
    }

    /// Writes the record, once the previous write is on the disk.
    async fn write(&self, mark: HighWaterMark) -> Result<(), StoreUnavailable> {
        let mut sync = self.sync.lock().await;
        if let Some(before) = sync.take() {
            before.await.unwrap_or_else(|error| Err(error.into())).map_err(|error| self.file.write_error(&error))?;
        }
        let (file, written) = (self.file.clone(), mark.clone());
        let written = spawn_blocking(move || file.write(&written))
            .await
            .map_err(|error| self.file.write_error(&error.into()))??;
        match written {
            RecordUpdate::Updated(file) => *sync = Some(spawn_blocking(move || File::sync_data(&file))),
            RecordUpdate::Created => self.log_begun(&mark),
            RecordUpdate::Unchanged => {}
        }
        self.last.store(Some(mark.into()));
        Ok(())
    }

    fn log_begun(&self, HighWaterMark { version, .. }: &HighWaterMark) {
        let path = self.file.path().display();
        tracing::warn!(
            "created a record of the store in {path}, at change {version}; if there was a record before, stop the \
             server and restore it"
        );
    }
}
