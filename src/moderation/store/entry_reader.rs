//! Reads all entries of a store part by part, so that they are never all in memory.

use super::redb::RedbReader;
use super::redis::RedisReader;
use super::{EntryPart, StoreContents, StoreHead, StoreUnavailable};

/// A read of all entries of a store. They include every change up to the head, and possibly later changes. Applying
/// these changes again does no harm.
pub struct EntryReader<'s>(pub(super) ReaderKind<'s>);

/// The reader of a kind of store.
pub(super) enum ReaderKind<'s> {
    Redb(RedbReader<'s>),
    Redis(RedisReader<'s>),
}

impl EntryReader<'_> {
    /// Returns the head of the store when the read began.
    pub fn head(&self) -> &StoreHead {
        match &self.0 {
            ReaderKind::Redb(redb) => redb.head(),
            ReaderKind::Redis(redis) => redis.head(),
        }
    }

    /// Returns the approximate number of entries.
    pub fn count(&self) -> u64 {
        match &self.0 {
            ReaderKind::Redb(redb) => redb.count(),
            ReaderKind::Redis(redis) => redis.count(),
        }
    }

    /// Returns whether the entries are a snapshot at the head, sorted by key. Otherwise they come in no particular order,
    /// an entry can come twice, and they can include later changes.
    pub fn is_sorted_snapshot(&self) -> bool {
        match &self.0 {
            ReaderKind::Redb(_) => true,
            ReaderKind::Redis(_) => false,
        }
    }

    /// Reads the next entries. Empty: there are no more entries.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub async fn next(&mut self) -> Result<EntryPart, StoreUnavailable> {
        match &mut self.0 {
            ReaderKind::Redb(redb) => redb.next().await,
            ReaderKind::Redis(redis) => redis.next().await,
        }
    }

    /// Checks at the end that all entries are from the same store. Returns the head when the read began. It has the
    /// damage that was found meanwhile.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read, or if another store took its place.
    pub async fn finish(self) -> Result<StoreHead, StoreUnavailable> {
        match self.0 {
            ReaderKind::Redb(redb) => Ok(redb.head().clone()),
            ReaderKind::Redis(redis) => redis.finish().await,
        }
    }

    /// Reads all entries at once.
    pub(super) async fn contents(mut self) -> Result<StoreContents, StoreUnavailable> {
        let mut entries = std::collections::BTreeMap::new();
        loop {
            let part = self.next().await?;
            if part.is_empty() {
                break;
            }
            entries.extend(part);
        }
        Ok(StoreContents { head: self.finish().await?, entries: entries.into_iter().collect() })
    }
}
