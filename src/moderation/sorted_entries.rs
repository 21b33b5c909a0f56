//! All entries of a store as of one version, sorted by key, without all of them in memory.
//!
//! Redis returns entries in no particular order. They are sorted in runs of some megabytes, which are written to unnamed
//! temporary files and then merged.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::binary_heap::{BinaryHeap, PeekMut};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::vec;

use super::load::read_next_changes;
use super::store::{EntryReader, FailureReason, Store, StoreHead, StoreUnavailable};
use crate::files::unnamed_file;

/// The size of a run, in bytes of keys and values.
const RUN_BYTES: usize = 8 << 20;

/// All entries of a store as of one version, sorted by key.
pub struct SortedEntries<'s> {
    head: StoreHead,
    source: SortedSource<'s>,
}

enum SortedSource<'s> {
    Snapshot { reader: EntryReader<'s>, part: vec::IntoIter<(String, String)> },
    Merged(MergedRuns),
}

/// Why the entries of a store could not be read in order.
#[derive(Debug, thiserror::Error)]
pub enum SortError {
    /// The store cannot be read.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
    /// The temporary files cannot be used.
    #[error("a temporary file can't be written: {0}")]
    Temporary(#[from] io::Error),
}

impl<'s> SortedEntries<'s> {
    /// Begins to read the entries of a store.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read, or if there is no room for temporary files.
    pub async fn read(store: &'s Store) -> Result<SortedEntries<'s>, SortError> {
        let mut reader = store.read_entries().await?;
        if reader.is_sorted_snapshot() {
            let (head, part) = (reader.head().clone(), Vec::new().into_iter());
            return Ok(SortedEntries { head, source: SortedSource::Snapshot { reader, part } });
        }
        let mut runs = MergedRuns::default();
        let (mut run, mut bytes) = (BTreeMap::new(), 0);
        loop {
            let part = reader.next().await?;
            bytes += part.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
            if bytes >= RUN_BYTES || part.is_empty() {
                runs.add(std::mem::take(&mut run))?;
                bytes = 0;
            }
            if part.is_empty() {
                break;
            }
            run.extend(part.into_iter().map(|(key, value)| (key, Some(value))));
        }
        let (head, changed) = concurrent_changes(store, reader.finish().await?).await?;
        runs.add(changed)?;
        Ok(SortedEntries { head, source: SortedSource::Merged(runs) })
    }

    /// Returns the head of the store at the version of the entries.
    pub fn head(&self) -> &StoreHead {
        &self.head
    }

    /// Returns the next entry, as key and value. `None`: there are no more entries.
    ///
    /// # Errors
    /// Returns an error if the store or a temporary file cannot be read.
    pub async fn next(&mut self) -> Result<Option<(String, String)>, SortError> {
        match &mut self.source {
            SortedSource::Merged(runs) => Ok(runs.next()?),
            SortedSource::Snapshot { reader, part } => {
                if part.len() == 0 {
                    *part = reader.next().await?.into_iter();
                }
                Ok(part.next())
            }
        }
    }
}

/// The last value of each key that was changed. `None`: the entry was deleted.
type ChangedEntries = BTreeMap<String, Option<String>>;

/// Returns the entries that were changed after this head, and the head at the last of these changes.
async fn concurrent_changes(
    store: &Store,
    mut head: StoreHead,
) -> Result<(StoreHead, ChangedEntries), StoreUnavailable> {
    let goal = store.head().await?;
    if goal.epoch != head.epoch {
        return Err(StoreUnavailable::new(FailureReason::Other, "another store took its place while it was read"));
    }
    let mut changed = ChangedEntries::new();
    while head.version < goal.version {
        for change in read_next_changes(store, &head).await? {
            (head.version, head.change) = (change.version, change.id);
            changed.extend(change.puts);
        }
    }
    Ok((head, changed))
}

/// Sorted runs of entries. Of equal keys, the last run has the valid entry.
#[derive(Default)]
struct MergedRuns {
    runs: Vec<BufReader<File>>,
    /// The next entry of each run, the smallest key first, and among equal keys the last run first.
    next: BinaryHeap<Reverse<NextEntry>>,
}

/// A key, the run in reverse order, and the value. `None`: the entry was deleted.
type NextEntry = (String, Reverse<usize>, Option<String>);

impl MergedRuns {
    fn add(&mut self, run: ChangedEntries) -> io::Result<()> {
        let mut to = BufWriter::new(unnamed_file()?);
        for entry in run {
            serde_json::to_writer(&mut to, &entry)?;
            to.write_all(b"\n")?;
        }
        let mut file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        self.runs.push(BufReader::new(file));
        let run = self.runs.len() - 1;
        let first = self.read(run)?;
        self.next.extend(first.map(Reverse));
        Ok(())
    }

    fn read(&mut self, run: usize) -> io::Result<Option<NextEntry>> {
        let mut line = String::new();
        if self.runs[run].read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let (key, value): (String, Option<String>) = serde_json::from_str(&line)?;
        Ok(Some((key, Reverse(run), value)))
    }

    /// Returns the next entry of a run, and puts the one after it in its place.
    fn take_first(&mut self) -> io::Result<Option<(String, Option<String>)>> {
        let Some(Reverse((_, Reverse(run), _))) = self.next.peek() else { return Ok(None) };
        let following = self.read(*run)?;
        let Some(mut first) = self.next.peek_mut() else { return Ok(None) };
        let Reverse((key, _, value)) = match following {
            Some(following) => std::mem::replace(&mut *first, Reverse(following)),
            None => PeekMut::pop(first),
        };
        Ok(Some((key, value)))
    }

    fn next(&mut self) -> io::Result<Option<(String, String)>> {
        while let Some((key, value)) = self.take_first()? {
            while self.next.peek().is_some_and(|Reverse((other, ..))| *other == key) {
                self.take_first()?;
            }
            if let Some(value) = value {
                return Ok(Some((key, value)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn merged_runs_have_the_last_value_of_each_key(
            runs in vec(btree_map("[a-d]{1,2}", option::of("[0-9\n\"]{0,3}"), 0..12), 0..6),
        ) {
            let mut merged = MergedRuns::default();
            let mut model = ChangedEntries::new();
            for run in runs {
                model.extend(run.clone());
                merged.add(run).unwrap();
            }
            let found: Vec<_> = std::iter::from_fn(|| merged.next().unwrap()).collect();
            let wanted: Vec<_> = model.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
