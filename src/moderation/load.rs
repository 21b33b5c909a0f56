//! Builds an index of all entries in a store.

use tokio::task::spawn_blocking;

use super::store::{ChangesSince, EntryPart, FailureReason, Store, StoreHead, StoreUnavailable, StoredChange};
use chat_signer_core::moderation::{
    EntryKey, MalformedEntry, ModerationEntry, ModerationIndex, ModerationIndexBuilder,
};

/// Why no index was built.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store cannot be read.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
    /// The content of the store cannot be used. Holds a sentence.
    #[error("{0}")]
    Flaw(String),
}

impl From<MalformedEntry> for LoadError {
    fn from(malformed: MalformedEntry) -> LoadError {
        LoadError::Flaw(malformed.to_string())
    }
}

/// Reads all entries of a store as of one version. `check` gets the head when the read began, and can refuse it.
///
/// # Errors
/// Returns an error if the store cannot be read, or if its content cannot be used.
pub async fn load_index(
    store: &Store,
    check: impl Fn(&StoreHead) -> Result<(), LoadError>,
) -> Result<(ModerationIndex, StoreHead), LoadError> {
    let mut reader = store.read_entries().await?;
    check(reader.head())?;
    let mut builder = ModerationIndexBuilder::with_capacity(reader.count());
    let (mut part, mut parsed) = (reader.next().await?, Vec::new());
    while !part.is_empty() || !parsed.is_empty() {
        let is_end = part.is_empty();
        // Three things happen at the same time: the next part is read, this part is parsed, and the part before it is added.
        // Blocking threads leave the runtime free for other work.
        let read = async { if is_end { Ok(EntryPart::new()) } else { reader.next().await } };
        let parse = spawn_blocking(move || parse_entries(&part));
        let (added, next_parsed, next) =
            tokio::join!(spawn_blocking(move || add_entries(builder, parsed)), parse, read);
        builder = added.map_err(|_| unavailable("it could not be indexed"))??;
        parsed = next_parsed.map_err(|_| unavailable("it could not be parsed"))??;
        part = next?;
    }
    let head = reader.finish().await?;
    check(&head)?;
    let index = spawn_blocking(|| builder.finish()).await.map_err(|_| unavailable("it could not be indexed"))?;
    apply_concurrent_changes(store, index, head).await
}

type ParsedEntries = Vec<(EntryKey, ModerationEntry)>;

fn parse_entries(part: &EntryPart) -> Result<ParsedEntries, MalformedEntry> {
    part.iter().map(|(key, value)| ModerationEntry::parse_with_key(key, value)).collect()
}

fn add_entries(
    mut builder: ModerationIndexBuilder,
    entries: ParsedEntries,
) -> Result<ModerationIndexBuilder, MalformedEntry> {
    entries.into_iter().try_for_each(|(key, entry)| builder.add(&key, entry)).map(|()| builder)
}

/// Updates an index to a single version. It holds only some of the changes that were made while it was read.
async fn apply_concurrent_changes(
    store: &Store,
    mut index: ModerationIndex,
    mut head: StoreHead,
) -> Result<(ModerationIndex, StoreHead), LoadError> {
    let goal = store.head().await?;
    if goal.epoch != head.epoch {
        return Err(unavailable("another store took its place while it was read").into());
    }
    while head.version < goal.version {
        let changes = read_next_changes(store, &head).await?;
        apply_in_order(&mut index, &mut head, &changes).map_err(LoadError::Flaw)?;
    }
    Ok((index, head))
}

/// Reads the next changes after a head that was read a moment ago. There is at least one change.
///
/// # Errors
/// Returns an error if the store cannot be read, or if it has changed too much.
pub(super) async fn read_next_changes(store: &Store, head: &StoreHead) -> Result<Vec<StoredChange>, StoreUnavailable> {
    match store.changes_since(head.version).await? {
        ChangesSince::Changes(changes) if !changes.is_empty() => Ok(changes),
        _ => Err(unavailable("it changes faster than it can be read")),
    }
}

/// Applies changes to an index. They must follow the head without a gap.
pub(super) fn apply_in_order(
    index: &mut ModerationIndex,
    head: &mut StoreHead,
    changes: &[StoredChange],
) -> Result<(), String> {
    for change in changes {
        if head.version.checked_add(1) != Some(change.version) {
            return Err(format!("the store has lost the change after {}", head.version));
        }
        let mut puts = change.puts.iter();
        puts.try_for_each(|(key, value)| index.apply(key, value.as_deref())).map_err(|flaw| flaw.to_string())?;
        head.version = change.version;
        head.change.clone_from(&change.id);
    }
    Ok(())
}

fn unavailable(message: &str) -> StoreUnavailable {
    StoreUnavailable::new(FailureReason::Other, message)
}
