//! The record of a store: a small file outside the store that says how far the store had come. A restart that finds the store behind its record knows that
//! the store was rolled back.
//!
//! The file has two slots, each in a disk sector of its own, and they are written in turn. A write that is cut off leaves the other slot whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::redb::file::{beside, directory, sync_directory};
use super::redb::probe::reason;
use super::{FailureReason, Store, StoreHead, StoreUnavailable, fresh};
use crate::config::{StoreKind, StoreSettings};
use crate::crypto::{hex, sha256};
use crate::model::Millis;

/// The size of a slot in bytes: no disk has smaller sectors.
const SLOT: usize = 512;

/// How many characters of the checksum a slot has.
const CHECKSUM: usize = 16;

/// How far a store had come when it was last recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighWaterMark {
    /// The id of the store.
    pub store: String,
    /// Its epoch.
    pub epoch: String,
    /// The number of its last change.
    pub version: u64,
    /// The id of that change.
    pub change: String,
    /// When it was recorded, by the store's clock.
    pub at: Millis,
}

/// The file with a store's record. Several processes may share it.
#[derive(Clone, Debug)]
pub struct RecordFile {
    path: PathBuf,
}

/// What a slot holds.
#[derive(Serialize, Deserialize)]
struct Slot {
    /// The slot with the higher number was written later.
    sequence: u64,
    mark: HighWaterMark,
}

/// What was done to a record.
#[derive(Debug)]
pub enum RecordUpdate {
    /// It was there. What it says now survives the end of the process, and is on the disk once this file is synchronized.
    Updated(File),
    /// It was made, and is on the disk.
    Begun,
    /// It says this, or more, already.
    Unchanged,
}

impl Store {
    /// Opens the store for a server, which obeys the store's record: as [`open`](Self::open), but a file that is missing is not begun where a record says that
    /// there was one, and neither may lack the other. Returns what the record says, if there is one.
    ///
    /// # Errors
    /// If the store or its record can't be used.
    pub async fn open_recorded(settings: &StoreSettings) -> Result<(Store, Option<HighWaterMark>), StoreUnavailable> {
        let record = settings.record.clone().map(RecordFile::new);
        let mark = record.as_ref().map_or(Ok(None), RecordFile::read)?;
        if let (Some(record), Some(mark)) = (&record, &mark)
            && record.is_half_damaged().unwrap_or_default()
        {
            tracing::warn!(
                "one of the two marks in the record {} is damaged; the other says that the store was at change {}. If the store was taken back \
                 to an earlier state, that may go unnoticed: check that recent bans are there",
                record.path().display(),
                mark.version
            );
        }
        if let (StoreKind::Redb { path }, Some(record), Some(mark)) = (&settings.kind, &record, &mark)
            && !path.exists()
        {
            return Err(StoreUnavailable::new(FailureReason::Missing, missing(path, record, mark)));
        }
        let store = Store::open(settings).await?;
        if let (Store::Redb(redb), Some(record), None) = (&store, &record, &mark)
            && redb.is_recorded().await?
        {
            let path = record.path().display();
            let message = format!(
                "its record {path} is missing, so nobody knows how far the store had come. Bring the record back; if the store is to \
                 count as it is, say `chat-signer store accept`"
            );
            return Err(StoreUnavailable::new(FailureReason::Missing, message));
        }
        Ok((store, mark))
    }
}

/// What to say of a file that is not there, though its record says that it was.
fn missing(path: &Path, record: &RecordFile, mark: &HighWaterMark) -> String {
    let (path, record, version) = (path.display(), record.path().display(), mark.version);
    format!(
        "{path} is missing, and its record {record} says that it was at change {version}. Bring the file back; if all that it held is to be \
         given up, say `chat-signer store accept --empty`"
    )
}

impl RecordUpdate {
    /// Has what was written on the disk.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn sync(self) -> io::Result<()> {
        match self {
            RecordUpdate::Updated(file) => file.sync_data(),
            RecordUpdate::Begun | RecordUpdate::Unchanged => Ok(()),
        }
    }
}

impl HighWaterMark {
    /// That of a store with this head, recorded `at` this time by the store's clock.
    pub fn of(head: &StoreHead, at: Millis) -> HighWaterMark {
        let StoreHead { id, epoch, version, change, .. } = head.clone();
        HighWaterMark { store: id, epoch, version, change, at }
    }

    /// Whether it says that a store has come to this head.
    pub fn is_at(&self, head: &StoreHead) -> bool {
        (&self.epoch, self.version, &self.change) == (&head.epoch, head.version, &head.change)
    }

    /// What a process knows that knows nothing but this.
    pub fn head(&self) -> StoreHead {
        let HighWaterMark { store, epoch, version, change, at: _ } = self.clone();
        StoreHead { id: store, epoch, version, change, ..StoreHead::default() }
    }

    /// Whether a store with this head has come at least so far: it has the change, or an operator has accepted it since.
    ///
    /// # Errors
    /// If the store can't be read.
    pub async fn is_kept_by(&self, store: &Store, head: &StoreHead) -> Result<bool, StoreUnavailable> {
        if head.epoch != self.epoch && head.accepted.is_none_or(|at| at <= self.at) {
            return Ok(head.accepted.is_some() && store.has(self.version, &self.change).await? == Some(true));
        }
        Ok(head.epoch != self.epoch || store.has(self.version, &self.change).await? == Some(true))
    }

    /// Whether it is later than another, which it must not be replaced by then.
    fn is_beyond(&self, other: &HighWaterMark) -> bool {
        if self.epoch == other.epoch { self.version >= other.version } else { self.at > other.at }
    }
}

impl RecordFile {
    /// The record in this file, which need not be there yet.
    pub fn new(path: PathBuf) -> RecordFile {
        RecordFile { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the record says. `None`: there is no file.
    ///
    /// # Errors
    /// If it can't be read, or is damaged.
    pub fn read(&self) -> Result<Option<HighWaterMark>, StoreUnavailable> {
        let read = File::open(&self.path).and_then(|mut file| slots(&mut file));
        match read {
            Ok([one, other]) => match newest(one, other) {
                Some(slot) => Ok(Some(slot.mark)),
                None => Err(self.damaged()),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.flaw("read", &error)),
        }
    }

    /// Whether one of the two slots is damaged. It may have held the latest mark, as no disk tears a sector when the power fails.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn is_half_damaged(&self) -> io::Result<bool> {
        let places = places(&mut File::open(&self.path)?)?;
        Ok(places.iter().any(|bytes| !bytes.trim_ascii().is_empty() && parse(bytes).is_none()))
    }

    /// Records how far the store has come, unless the record says more already. Begins the file where there is none.
    ///
    /// # Errors
    /// If it can't be written, or is damaged.
    pub fn write(&self, mark: &HighWaterMark) -> Result<RecordUpdate, StoreUnavailable> {
        let opened = OpenOptions::new().read(true).write(true).open(&self.path);
        let opened = match opened {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match self.begin(mark, |draft, path| fs::hard_link(draft, path)) {
                    // Another process was faster.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        OpenOptions::new().read(true).write(true).open(&self.path)
                    }
                    Ok(()) => return Ok(RecordUpdate::Begun),
                    Err(error) => Err(error),
                }
            }
            opened => opened,
        };
        let mut file = opened.map_err(|error| self.unwritten(&error))?;
        self.update(&mut file, mark)
            .map(|is_written| if is_written { RecordUpdate::Updated(file) } else { RecordUpdate::Unchanged })
    }

    /// Replaces the record, whatever it says and even if it is damaged: an operator has accepted the store.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn replace(&self, mark: &HighWaterMark) -> Result<(), StoreUnavailable> {
        self.begin(mark, |draft, path| fs::rename(draft, path)).map_err(|error| self.unwritten(&error))
    }

    /// Writes the slot that is not the newest, if the newest does not say as much. Returns whether it was written.
    fn update(&self, file: &mut File, mark: &HighWaterMark) -> Result<bool, StoreUnavailable> {
        let flaw = |error: io::Error| self.unwritten(&error);
        // Other processes may write to it, too. The lock ends with the file.
        file.lock().map_err(flaw)?;
        let [one, other] = slots(file).map_err(flaw)?;
        let place = usize::from(one.as_ref().map(|slot| slot.sequence) > other.as_ref().map(|slot| slot.sequence));
        let Some(last) = newest(one, other) else { return Err(self.damaged()) };
        let is_behind = !last.mark.is_beyond(mark);
        if is_behind {
            let slot = Slot { sequence: last.sequence.saturating_add(1), mark: mark.clone() };
            let written = bytes(&slot).and_then(|bytes| {
                file.seek(SeekFrom::Start((place * SLOT) as u64))?;
                file.write_all(&bytes)
            });
            written.map_err(flaw)?;
        }
        file.unlock().map_err(flaw)?;
        Ok(is_behind)
    }

    /// Makes the file under another name and puts it in its place, so that it is never there by halves.
    fn begin(&self, mark: &HighWaterMark, put: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        let draft = beside(&self.path, &fresh().map_err(io::Error::other)?);
        let made = make(&draft, mark).and_then(|()| put(&draft, &self.path));
        // After a rename it is not there any more.
        _ = fs::remove_file(&draft);
        made.and_then(|()| sync_directory(&self.path))
    }

    /// Why a change could not be recorded, if so: the file can't be opened to be written, or is damaged.
    ///
    /// # Errors
    /// If a change could not be recorded.
    pub fn probe(&self) -> Result<(), StoreUnavailable> {
        let opened = OpenOptions::new().read(true).write(true).open(&self.path);
        match opened.and_then(|mut file| slots(&mut file)) {
            Ok([None, None]) => Err(self.damaged()),
            Ok(_) => Ok(()),
            // The next change begins it, in a directory that is there.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                directory(&self.path).metadata().map(drop).map_err(|error| self.unwritten(&error))
            }
            Err(error) => Err(self.unwritten(&error)),
        }
    }

    /// What to say of a record that can't be written.
    pub(crate) fn unwritten(&self, error: &io::Error) -> StoreUnavailable {
        self.flaw("written", error)
    }

    fn flaw(&self, done: &str, error: &io::Error) -> StoreUnavailable {
        let message = format!("its record {} can't be {done}: {error}", self.path.display());
        StoreUnavailable::new(reason(error), message)
    }

    fn damaged(&self) -> StoreUnavailable {
        let message = format!(
            "its record {} is damaged, so nobody knows how far the store had come. Bring the record back; if the store is to \
             count as it is, say `chat-signer store accept`",
            self.path.display()
        );
        StoreUnavailable::new(FailureReason::Damaged, message)
    }
}

fn make(path: &Path, mark: &HighWaterMark) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&bytes(&Slot { sequence: 1, mark: mark.clone() })?)?;
    file.write_all(&[b' '; SLOT])?;
    file.sync_all()
}

/// Both slots. `None`: one was never written, or is torn.
fn slots(file: &mut File) -> io::Result<[Option<Slot>; 2]> {
    Ok(places(file)?.map(|bytes| parse(&bytes)))
}

/// What stands in the places of both slots.
fn places(file: &mut File) -> io::Result<[Vec<u8>; 2]> {
    let mut one = Vec::with_capacity(2 * SLOT);
    file.seek(SeekFrom::Start(0))?;
    file.take(2 * SLOT as u64).read_to_end(&mut one)?;
    let other = one.split_off(SLOT.min(one.len()));
    Ok([one, other])
}

fn newest(one: Option<Slot>, other: Option<Slot>) -> Option<Slot> {
    [one, other].into_iter().flatten().max_by_key(|slot| slot.sequence)
}

/// A slot as a line of text: a checksum, JSON, and spaces up to its size.
fn bytes(slot: &Slot) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(slot)?;
    let line = format!("{} {json}", checksum(&json));
    if line.len() >= SLOT {
        return Err(io::Error::other("the ids in the store are too long"));
    }
    Ok(format!("{line:<0$}\n", SLOT - 1).into_bytes())
}

fn parse(bytes: &[u8]) -> Option<Slot> {
    let (sum, json) = str::from_utf8(bytes).ok()?.trim_end().split_once(' ')?;
    if sum != checksum(json) {
        return None;
    }
    serde_json::from_str(json).ok()
}

fn checksum(json: &str) -> String {
    let mut sum = hex(&sha256(json.as_bytes()));
    sum.truncate(CHECKSUM);
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
        assert!(matches!(record.write(&mark("a", 1, 10)).unwrap(), RecordUpdate::Begun));
        for version in 2..6 {
            assert!(matches!(record.write(&mark("a", version, 10)).unwrap(), RecordUpdate::Updated(_)));
            assert_eq!(record.read().unwrap(), Some(mark("a", version, 10)));
        }
        // Another process has seen less, or another epoch that came before.
        for older in [mark("a", 4, 20), mark("b", 9, 9)] {
            assert!(matches!(record.write(&older).unwrap(), RecordUpdate::Unchanged));
        }
        assert!(matches!(record.write(&mark("b", 2, 11)).unwrap(), RecordUpdate::Updated(_)));
        assert_eq!(record.read().unwrap(), Some(mark("b", 2, 11)));
        record.replace(&mark("a", 1, 1)).unwrap();
        assert_eq!(record.read().unwrap(), Some(mark("a", 1, 1)));
        fs::remove_file(record.path()).unwrap();
    }

    /// Whatever a write that is cut off leaves in its slot, the mark before is there.
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
        fs::write(record.path(), [&before[..100], &[b'#'], &before[101..]].concat()).unwrap();
        assert!(record.is_half_damaged().unwrap() && record.read().unwrap().is_some());
        fs::write(record.path(), &after[..100]).unwrap();
        assert!(record.read().unwrap_err().message.contains("is damaged"));
        assert!(record.write(&mark("a", 5, 10)).unwrap_err().message.contains("is damaged"));
        record.replace(&mark("a", 5, 10)).unwrap();
        assert_eq!(record.read().unwrap(), Some(mark("a", 5, 10)));
        fs::remove_file(record.path()).unwrap();
    }
}
