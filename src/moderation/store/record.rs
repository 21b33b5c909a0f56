//! The record file of a store: a small file outside the store with the last known version of the store. If the store is
//! behind its record file after a restart, the store was rolled back.
//!
//! The file has two slots, each in a separate disk sector. Writes alternate between them. If a write is interrupted,
//! the other slot is still intact.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::head::random_id;
use super::{FailureReason, Store, StoreHead, StoreUnavailable};
use crate::config::{StoreKind, StoreSettings};
use crate::crypto::{hex, sha256};
use crate::files::{directory, sync_directory, temporary_path};
use crate::model::Millis;

/// The size of a slot, in bytes. No disk has smaller sectors.
const SLOT_SIZE: usize = 512;

/// The length of the checksum in a slot, in characters.
const CHECKSUM_LENGTH: usize = 16;

/// The last recorded head of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighWaterMark {
    /// The id of the store.
    pub store: String,
    /// The epoch of the store.
    pub epoch: String,
    /// The number of the last change.
    pub version: u64,
    /// The id of the last change.
    pub change: String,
    /// The time of the record, by the store's clock.
    pub at: Millis,
}

/// The record file of a store. Several processes can share it.
#[derive(Clone, Debug)]
pub struct RecordFile {
    path: PathBuf,
}

/// The content of a slot.
#[derive(Serialize, Deserialize)]
struct Slot {
    /// The sequence number. The slot with the higher number was written later.
    sequence: u64,
    mark: HighWaterMark,
}

/// The result of a write to a record file.
#[derive(Debug)]
pub enum RecordUpdate {
    /// The file was updated. The update survives the end of the process. It is on the disk after this file is
    /// synchronized.
    Updated(File),
    /// The file was created and is on the disk.
    Created,
    /// The file already had this mark or a later mark.
    Unchanged,
}

impl Store {
    /// Opens the store for a server and checks it against the record file. Works like [`open`](Self::open), with two
    /// differences: it does not create a missing store file if the record file says that there was one, and it does not
    /// open a store file whose record file is missing. Returns the mark in the record file, if there is one.
    ///
    /// # Errors
    /// Returns an error if the store or its record file cannot be used.
    pub async fn open_recorded(settings: &StoreSettings) -> Result<(Store, Option<HighWaterMark>), StoreUnavailable> {
        let record = settings.record.clone().map(RecordFile::new);
        let mark = record.as_ref().map_or(Ok(None), RecordFile::read)?;
        if let (Some(record), Some(mark)) = (&record, &mark)
            && record.is_half_damaged().unwrap_or_default()
        {
            tracing::warn!(
                "one of the two marks in the record {} is damaged; the other has change {}. If an older state of the store \
                 was restored, chat-signer possibly cannot detect it: check that recent bans are there",
                record.path().display(),
                mark.version
            );
        }
        if let (StoreKind::Redb { path }, Some(record), Some(mark)) = (&settings.kind, &record, &mark)
            && !path.exists()
        {
            return Err(StoreUnavailable::new(FailureReason::Missing, missing_file_message(path, record, mark)));
        }
        let store = Store::open(settings).await?;
        if let (Store::Redb(redb), Some(record), None) = (&store, &record, &mark)
            && redb.is_recorded().await?
        {
            let path = record.path().display();
            let message = format!(
                "its record {path} is missing, so lost changes cannot be detected. Restore the record, or accept the store as it \
                 is with `chat-signer store accept`"
            );
            return Err(StoreUnavailable::new(FailureReason::Missing, message));
        }
        Ok((store, mark))
    }
}

/// Returns the message for a store file that is missing although its record file exists.
fn missing_file_message(path: &Path, record: &RecordFile, mark: &HighWaterMark) -> String {
    let (path, record, version) = (path.display(), record.path().display(), mark.version);
    format!(
        "{path} is missing, and its record {record} says that it was at change {version}. Restore the file, or accept the loss \
         of all its data with `chat-signer store accept --empty`"
    )
}

impl RecordUpdate {
    /// Waits until the update is on the disk.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub fn sync(self) -> io::Result<()> {
        match self {
            RecordUpdate::Updated(file) => file.sync_data(),
            RecordUpdate::Created | RecordUpdate::Unchanged => Ok(()),
        }
    }
}

impl HighWaterMark {
    /// Creates the mark of a store with this head. `at` is the time of the record, by the store's clock.
    pub fn from_head(head: &StoreHead, at: Millis) -> HighWaterMark {
        let StoreHead { id, epoch, version, change, .. } = head.clone();
        HighWaterMark { store: id, epoch, version, change, at }
    }

    /// Returns whether the mark has the version, epoch and change of this head.
    pub fn matches(&self, head: &StoreHead) -> bool {
        (&self.epoch, self.version, &self.change) == (&head.epoch, head.version, &head.change)
    }

    /// Returns the head that this mark describes.
    pub fn head(&self) -> StoreHead {
        let HighWaterMark { store, epoch, version, change, at: _ } = self.clone();
        StoreHead { id: store, epoch, version, change, ..StoreHead::default() }
    }

    /// Returns whether a store with this head has the change of the mark, or an operator accepted the store after the
    /// mark.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub async fn is_satisfied_by(&self, store: &Store, head: &StoreHead) -> Result<bool, StoreUnavailable> {
        if head.epoch != self.epoch && head.accepted_at.is_none_or(|at| at <= self.at) {
            return Ok(head.accepted_at.is_some() && store.has_change(self.version, &self.change).await? == Some(true));
        }
        Ok(head.epoch != self.epoch || store.has_change(self.version, &self.change).await? == Some(true))
    }

    /// Returns whether this mark is later than or equal to `other`, so `other` must not replace it.
    fn is_at_least(&self, other: &HighWaterMark) -> bool {
        if self.epoch == other.epoch { self.version >= other.version } else { self.at > other.at }
    }
}

impl RecordFile {
    /// Creates a record file at this path. The file does not need to exist.
    pub fn new(path: PathBuf) -> RecordFile {
        RecordFile { path }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the latest mark. `None`: the file does not exist.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is damaged.
    pub fn read(&self) -> Result<Option<HighWaterMark>, StoreUnavailable> {
        let read = File::open(&self.path).and_then(|mut file| read_slots(&mut file));
        match read {
            Ok([one, other]) => match newest_slot(one, other) {
                Some(slot) => Ok(Some(slot.mark)),
                None => Err(self.damaged_error()),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.io_error("read", &error)),
        }
    }

    /// Returns whether one of the two slots is damaged. Its mark can have been the latest: no disk tears a sector when
    /// the power fails, so the damage has another cause.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn is_half_damaged(&self) -> io::Result<bool> {
        let places = read_slot_bytes(&mut File::open(&self.path)?)?;
        Ok(places.iter().any(|bytes| !bytes.trim_ascii().is_empty() && parse_slot(bytes).is_none()))
    }

    /// Writes the mark, unless the file already has this mark or a later mark. Creates a missing file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written or is damaged.
    pub fn write(&self, mark: &HighWaterMark) -> Result<RecordUpdate, StoreUnavailable> {
        let opened = OpenOptions::new().read(true).write(true).open(&self.path);
        let opened = match opened {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match self.create(mark, |draft, path| fs::hard_link(draft, path)) {
                    // Another process created it first.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        OpenOptions::new().read(true).write(true).open(&self.path)
                    }
                    Ok(()) => return Ok(RecordUpdate::Created),
                    Err(error) => Err(error),
                }
            }
            opened => opened,
        };
        let mut file = opened.map_err(|error| self.write_error(&error))?;
        self.update(&mut file, mark)
            .map(|is_written| if is_written { RecordUpdate::Updated(file) } else { RecordUpdate::Unchanged })
    }

    /// Replaces the file even if it is damaged or has a later mark, because an operator accepted the store.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn replace(&self, mark: &HighWaterMark) -> Result<(), StoreUnavailable> {
        self.create(mark, |draft, path| fs::rename(draft, path)).map_err(|error| self.write_error(&error))
    }

    /// Overwrites the older slot, unless the newer slot has this mark or a later mark. Returns whether it was written.
    fn update(&self, file: &mut File, mark: &HighWaterMark) -> Result<bool, StoreUnavailable> {
        let flaw = |error: io::Error| self.write_error(&error);
        // Other processes can also write to the file. Closing the file releases the lock.
        file.lock().map_err(flaw)?;
        let [one, other] = read_slots(file).map_err(flaw)?;
        let place = usize::from(one.as_ref().map(|slot| slot.sequence) > other.as_ref().map(|slot| slot.sequence));
        let Some(last) = newest_slot(one, other) else { return Err(self.damaged_error()) };
        let is_behind = !last.mark.is_at_least(mark);
        if is_behind {
            let slot = Slot { sequence: last.sequence.saturating_add(1), mark: mark.clone() };
            let written = format_slot(&slot).and_then(|bytes| {
                file.seek(SeekFrom::Start((place * SLOT_SIZE) as u64))?;
                file.write_all(&bytes)
            });
            written.map_err(flaw)?;
        }
        file.unlock().map_err(flaw)?;
        Ok(is_behind)
    }

    /// Creates the file under a temporary name and moves it to its path. So the file is never there in part.
    fn create(&self, mark: &HighWaterMark, put: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        let draft = temporary_path(&self.path, &random_id().map_err(io::Error::other)?);
        let made = create_draft(&draft, mark).and_then(|()| put(&draft, &self.path));
        // After a rename, the temporary name no longer exists.
        _ = fs::remove_file(&draft);
        made.and_then(|()| sync_directory(&self.path))
    }

    /// Tests whether a mark could be written: opens the file for writing and checks that it is not damaged.
    ///
    /// # Errors
    /// Returns an error if a mark could not be written.
    pub fn probe(&self) -> Result<(), StoreUnavailable> {
        let opened = OpenOptions::new().read(true).write(true).open(&self.path);
        match opened.and_then(|mut file| read_slots(&mut file)) {
            Ok([None, None]) => Err(self.damaged_error()),
            Ok(_) => Ok(()),
            // The next change creates the file. Its directory must exist.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                directory(&self.path).metadata().map(drop).map_err(|error| self.write_error(&error))
            }
            Err(error) => Err(self.write_error(&error)),
        }
    }

    /// Returns the error for a record file that cannot be written.
    pub(crate) fn write_error(&self, error: &io::Error) -> StoreUnavailable {
        self.io_error("written", error)
    }

    fn io_error(&self, done: &str, error: &io::Error) -> StoreUnavailable {
        let message = format!("its record {} can't be {done}: {error}", self.path.display());
        StoreUnavailable::new(FailureReason::from_io_error(error), message)
    }

    fn damaged_error(&self) -> StoreUnavailable {
        let message = format!(
            "its record {} is damaged, so lost changes cannot be detected. Restore the record, or accept the store as it \
             is with `chat-signer store accept`",
            self.path.display()
        );
        StoreUnavailable::new(FailureReason::Damaged, message)
    }
}

fn create_draft(path: &Path, mark: &HighWaterMark) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&format_slot(&Slot { sequence: 1, mark: mark.clone() })?)?;
    file.write_all(&[b' '; SLOT_SIZE])?;
    file.sync_all()
}

/// Reads both slots. `None`: the slot was never written, or is damaged.
fn read_slots(file: &mut File) -> io::Result<[Option<Slot>; 2]> {
    Ok(read_slot_bytes(file)?.map(|bytes| parse_slot(&bytes)))
}

/// Reads the bytes of both slots.
fn read_slot_bytes(file: &mut File) -> io::Result<[Vec<u8>; 2]> {
    let mut one = Vec::with_capacity(2 * SLOT_SIZE);
    file.seek(SeekFrom::Start(0))?;
    file.take(2 * SLOT_SIZE as u64).read_to_end(&mut one)?;
    let other = one.split_off(SLOT_SIZE.min(one.len()));
    Ok([one, other])
}

fn newest_slot(one: Option<Slot>, other: Option<Slot>) -> Option<Slot> {
    [one, other].into_iter().flatten().max_by_key(|slot| slot.sequence)
}

/// Formats a slot as a line of text: a checksum, JSON, and spaces up to the size of the slot.
fn format_slot(slot: &Slot) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(slot)?;
    let line = format!("{} {json}", checksum(&json));
    if line.len() >= SLOT_SIZE {
        return Err(io::Error::other("the ids in the store are too long"));
    }
    Ok(format!("{line:<0$}\n", SLOT_SIZE - 1).into_bytes())
}

fn parse_slot(bytes: &[u8]) -> Option<Slot> {
    let (sum, json) = str::from_utf8(bytes).ok()?.trim_end().split_once(' ')?;
    if sum != checksum(json) {
        return None;
    }
    serde_json::from_str(json).ok()
}

fn checksum(json: &str) -> String {
    let mut sum = hex(&sha256(json.as_bytes()));
    sum.truncate(CHECKSUM_LENGTH);
    sum
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn mark(epoch: &str, version: u64, at: u64) -> HighWaterMark {
        let [store, change] = ["s", "c"].map(|id| id.repeat(32));
        HighWaterMark { store, epoch: epoch.repeat(32), version, change: format!("{change}{version}"), at: Millis(at) }
    }

    fn record(name: &str) -> RecordFile {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp/record");
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{name}-{}", std::process::id()));
        _ = fs::remove_file(&path);
        RecordFile::new(path)
    }

    #[test]
    fn a_record_holds_the_latest_mark() {
        let record = record("latest");
        assert_eq!(record.read().unwrap(), None);
        assert!(matches!(record.write(&mark("a", 1, 10)).unwrap(), RecordUpdate::Created));
        for version in 2..6 {
            assert!(matches!(record.write(&mark("a", version, 10)).unwrap(), RecordUpdate::Updated(_)));
            assert_eq!(record.read().unwrap(), Some(mark("a", version, 10)));
        }
        // Another process wrote an older version, or another epoch at an earlier time.
        for older in [mark("a", 4, 20), mark("b", 9, 9)] {
            assert!(matches!(record.write(&older).unwrap(), RecordUpdate::Unchanged));
        }
        assert!(matches!(record.write(&mark("b", 2, 11)).unwrap(), RecordUpdate::Updated(_)));
        assert_eq!(record.read().unwrap(), Some(mark("b", 2, 11)));
        record.replace(&mark("a", 1, 1)).unwrap();
        assert_eq!(record.read().unwrap(), Some(mark("a", 1, 1)));
        fs::remove_file(record.path()).unwrap();
    }

    /// If a write is interrupted at any byte, the previous mark is still readable.
    #[test]
    fn a_write_that_is_cut_off_leaves_the_mark_before() {
        let record = record("torn");
        for version in 1..4 {
            drop(record.write(&mark("a", version, 10)).unwrap());
        }
        let before = fs::read(record.path()).unwrap();
        drop(record.write(&mark("a", 4, 10)).unwrap());
        let after = fs::read(record.path()).unwrap();
        for cut in 0..=before.len() {
            let torn = [&after[..cut], &before[cut..]].concat();
            fs::write(record.path(), torn).unwrap();
            let version = record.read().unwrap().unwrap().version;
            assert!(version == 3 || version == 4, "{version} after {cut} bytes");
        }
        fs::write(record.path(), &before).unwrap();
        assert!(!record.is_half_damaged().unwrap());
        fs::write(record.path(), [&before[..100], b"#", &before[101..]].concat()).unwrap();
        assert!(record.is_half_damaged().unwrap() && record.read().unwrap().is_some());
        fs::write(record.path(), &after[..100]).unwrap();
        assert!(record.read().unwrap_err().message.contains("is damaged"));
        assert!(record.write(&mark("a", 5, 10)).unwrap_err().message.contains("is damaged"));
        record.replace(&mark("a", 5, 10)).unwrap();
        assert_eq!(record.read().unwrap(), Some(mark("a", 5, 10)));
        fs::remove_file(record.path()).unwrap();
    }
}
