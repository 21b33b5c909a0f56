//! The roster as it is while the program serves: the index in memory, kept at what the store holds.
//!
//! Deciding looks at the index and never waits for the store. What it may not do is go by an index that is too old, or that follows a
//! store which lost what was acknowledged before: then it gets [`Stale`] and nothing is signed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

use super::entry::Malformed;
use super::index::Index;
use crate::clock;
use crate::store::{Change, Commit, Head, NotCommitted, Since, Store, Unavailable};

/// How often the store is asked how far it has come, where nothing hints at a change: this often within the time after which what is
/// known counts for too old.
const CHECKS: u32 = 4;

/// The longest time between two such checks.
const SELDOM: Duration = Duration::from_secs(2);

/// How long a change may take, with all that other processes change meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// The roster: an index, and the store that it follows.
pub struct Roster {
    store: Option<Store>,
    index: RwLock<Index>,
    max_staleness: Duration,
    /// How far the index has come. Whoever has it is alone in changing it.
    known: Mutex<Head>,
    began: Instant,
    /// When the store was last heard of, in milliseconds after the beginning, plus one; 0 before the first time.
    heard: AtomicU64,
    /// Why the store does not count, until an operator says so.
    refused: ArcSwapOption<String>,
    /// Why the store could not be asked the last time.
    trouble: ArcSwapOption<String>,
    version: watch::Sender<u64>,
}

/// What is known is too old to go by, or the store is not the one that was known: a sentence for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Stale(pub String);

/// Why a change was not made, or it isn't known whether it was.
#[derive(Debug, thiserror::Error)]
pub enum NotChanged {
    /// There is no store to change.
    #[error("there is no store: without [store] the policy file is all there is")]
    NoStore,
    /// What is known is no ground for changes.
    #[error(transparent)]
    Stale(#[from] Stale),
    /// The store can't be written.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Roster {
    /// That of a program without a store: empty, and never changed.
    pub fn none() -> Roster {
        Roster::following(None, Duration::MAX)
    }

    /// That of a store, of which nothing is known yet.
    pub fn of(store: Store, max_staleness: Duration) -> Roster {
        Roster::following(Some(store), max_staleness)
    }

    fn following(store: Option<Store>, max_staleness: Duration) -> Roster {
        let known = Head { epoch: String::new(), version: 0, change: String::new(), accepted: None };
        Roster {
            store,
            index: RwLock::default(),
            max_staleness,
            known: Mutex::new(known),
            began: Instant::now(),
            heard: AtomicU64::new(0),
            refused: ArcSwapOption::empty(),
            trouble: ArcSwapOption::empty(),
            version: watch::channel(0).0,
        }
    }

    /// The store, if there is one.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// For how long after a change another process may decide without knowing of it. `None`: no other has the store.
    pub fn lag(&self) -> Option<Duration> {
        self.store().filter(|store| store.is_shared()).map(|_| self.max_staleness)
    }

    /// What is known now, for one decision.
    ///
    /// # Errors
    /// If it is too old to go by, or its store is not to be relied upon.
    pub fn read(&self) -> Result<RwLockReadGuard<'_, Index>, Stale> {
        self.check()?;
        Ok(self.look())
    }

    /// What is known now, however old: for listing it, not for deciding.
    pub fn look(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is known may be gone by.
    ///
    /// # Errors
    /// If it may not: why.
    pub fn check(&self) -> Result<(), Stale> {
        if self.store.is_none() {
            return Ok(());
        }
        if let Some(refused) = &*self.refused.load() {
            return Err(Stale(String::clone(refused)));
        }
        let why = || self.trouble.load().as_deref().map_or_else(String::new, |trouble| format!(": {trouble}"));
        match self.age() {
            None => Err(Stale(format!("the roster has not been read yet{}", why()))),
            Some(age) if age > self.max_staleness => {
                Err(Stale(format!("the roster's store has not been heard of for {} s{}", age.as_secs(), why())))
            }
            Some(_) => Ok(()),
        }
    }

    /// How long ago the store was last heard of.
    pub fn age(&self) -> Option<Duration> {
        let heard = self.heard.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.began.elapsed().saturating_sub(Duration::from_millis(heard)))
    }

    /// The number of the last change that the index holds, as it changes.
    pub fn version(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// How far the index has come.
    pub async fn head(&self) -> Head {
        self.known.lock().await.clone()
    }

    /// Keeps the index at what the store holds, for ever.
    pub async fn follow(&self) {
        let Some(store) = &self.store else { return };
        let mut hints = store.hints();
        let pause = (self.max_staleness / CHECKS).min(SELDOM);
        loop {
            self.catch_up().await;
            tokio::select! {
                hint = hints.changed() => if hint.is_err() { sleep(pause).await },
                () = sleep(pause) => {}
            }
        }
    }

    /// Brings the index to what the store holds now. What goes wrong is noted and told by [`check`](Self::check).
    pub async fn catch_up(&self) {
        let Some(store) = &self.store else { return };
        let mut known = self.known.lock().await;
        _ = self.bring_up(store, &mut known).await;
    }

    /// Makes a change that is decided upon what is known: by `decide`, which is asked again where another process was faster. Returns
    /// what it says when the change is durable and the index has it. A change of nothing is none, but is said only of what the store holds.
    ///
    /// # Errors
    /// If it wasn't made, or it isn't known whether it was.
    pub async fn change<T>(&self, decide: impl FnMut(&Index, &Head) -> (Commit, T) + Send) -> Result<T, NotChanged> {
        let Some(store) = &self.store else { return Err(NotChanged::NoStore) };
        let slow = || Unavailable(format!("the change could not be made within {} s", PATIENCE.as_secs()));
        timeout(PATIENCE, self.change_in(store, decide)).await.unwrap_or_else(|_| Err(slow().into()))
    }

    async fn change_in<T>(
        &self,
        store: &Store,
        mut decide: impl FnMut(&Index, &Head) -> (Commit, T),
    ) -> Result<T, NotChanged> {
        let mut known = self.known.lock().await;
        loop {
            let (commit, answer) = decide(&*self.read()?, &known);
            let is_so = if commit.puts.is_empty() && commit.jobs.is_empty() {
                self.is_up(store, &mut known).await?
            } else {
                self.make(store, &mut known, commit).await?
            };
            if is_so {
                return Ok(answer);
            }
        }
    }

    /// Whether what is known was what the store holds; if not, it is now.
    async fn is_up(&self, store: &Store, known: &mut Head) -> Result<bool, Unavailable> {
        let before = known.clone();
        self.bring_up(store, known).await?;
        Ok(*known == before)
    }

    /// Makes a change, unless the store holds more than what is known: then it is known now.
    async fn make(&self, store: &Store, known: &mut Head, commit: Commit) -> Result<bool, Unavailable> {
        let asked = self.began.elapsed();
        let change = match store.commit(known, commit, clock::now()).await {
            Ok(change) => change,
            Err(NotCommitted::Behind) => return self.bring_up(store, known).await.map(|()| false),
            Err(NotCommitted::Unavailable(unavailable)) => return Err(unavailable),
        };
        self.hear(asked);
        self.take(known, std::slice::from_ref(&change)).map_err(|flaw| {
            self.refuse(&flaw);
            Unavailable(flaw)
        })?;
        Ok(true)
    }

    async fn bring_up(&self, store: &Store, known: &mut Head) -> Result<(), Unavailable> {
        let asked = self.began.elapsed();
        let done = self.compare(store, known).await;
        match &done {
            Ok(Ok(())) => {
                self.refused.store(None);
                self.trouble.store(None);
                self.hear(asked);
            }
            Ok(Err(refused)) => self.refuse(refused),
            Err(unavailable) => self.trouble.store(Some(Arc::new(unavailable.to_string()))),
        }
        match done {
            Ok(Err(refused)) => Err(Unavailable(refused)),
            Ok(Ok(())) => Ok(()),
            Err(unavailable) => Err(unavailable),
        }
    }

    /// Notes that what is known was what the store held, so long after the beginning.
    fn hear(&self, asked: Duration) {
        let asked = u64::try_from(asked.as_millis()).unwrap_or(u64::MAX);
        self.heard.store(asked.saturating_add(1), Ordering::Release);
    }

    fn refuse(&self, reason: &str) {
        if self.refused.load().as_deref().is_none_or(|before| before != reason) {
            tracing::error!("nothing is signed any more: {reason}");
            self.refused.store(Some(Arc::new(reason.to_owned())));
        }
    }

    /// Compares what is known with what the store holds and takes over what is new. The inner error says why the store doesn't count.
    async fn compare(&self, store: &Store, known: &mut Head) -> Result<Result<(), String>, Unavailable> {
        let mut head = store.head().await?;
        if head.epoch.is_empty() && known.epoch.is_empty() && store.begins_itself() {
            store.begin().await?;
            head = store.head().await?;
        }
        if head.epoch.is_empty() {
            return Ok(Err(EMPTY.to_owned()));
        }
        if head == *known {
            return Ok(Ok(()));
        }
        if known.epoch.is_empty() || head.epoch != known.epoch && self.is_accepted(store, &head, known).await? {
            return self.read_all(store, known).await;
        }
        if head.epoch != known.epoch {
            return Ok(Err(ANOTHER.to_owned()));
        }
        if head.version < known.version || head.version == known.version && head.change != known.change {
            return Ok(Err(format!("{OLDER} (it is at change {}, {} is known)", head.version, known.version)));
        }
        self.read_on(store, known).await
    }

    /// Whether a store of another epoch counts: an operator has accepted it since the one that is known was last heard of, or it has all
    /// that is known. That it was accepted at some time is not enough: so was every store before, and one of those may come back.
    async fn is_accepted(&self, store: &Store, head: &Head, known: &Head) -> Result<bool, Unavailable> {
        let Some(at) = head.accepted else { return Ok(false) };
        let is_since = self.age().is_none_or(|age| at > clock::now().before(age));
        Ok(is_since || matches!(go_on(store, known).await?, On::With(_)))
    }

    async fn read_on(&self, store: &Store, known: &mut Head) -> Result<Result<(), String>, Unavailable> {
        match go_on(store, known).await? {
            On::With(new) => Ok(self.take(known, &new)),
            On::Gone => self.read_all(store, known).await,
            On::Lost => Ok(Err(format!("{OLDER} (it does not have change {} as it is known)", known.version))),
        }
    }

    async fn read_all(&self, store: &Store, known: &mut Head) -> Result<Result<(), String>, Unavailable> {
        let contents = store.contents().await?;
        let entries = contents.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let index = match Index::new(entries) {
            Ok(index) => index,
            Err(malformed) => return Ok(Err(malformed.to_string())),
        };
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
        *known = contents.head;
        self.version.send_replace(known.version);
        match store.since(known.version).await? {
            Since::Gone => Err(Unavailable("it changes faster than it can be read".to_owned())),
            Since::Changes(changes) => Ok(self.take(known, &changes)),
        }
    }

    /// Takes over changes, which must follow what is known without a gap.
    fn take(&self, known: &mut Head, changes: &[Change]) -> Result<(), String> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            if change.version != known.version + 1 {
                return Err(format!("the store has lost change {}", known.version + 1));
            }
            apply(&mut index, change).map_err(|malformed| malformed.to_string())?;
            known.version = change.version;
            known.change.clone_from(&change.id);
        }
        drop(index);
        self.version.send_replace(known.version);
        Ok(())
    }
}

/// How a store goes on after what is known.
enum On {
    /// With these changes.
    With(Vec<Change>),
    /// Nobody knows: it no longer has the last known change in its log.
    Gone,
    /// It doesn't: it has lost the last known change.
    Lost,
}

/// Reads the changes since what is known, and the last known one again: where it isn't the same, the store has lost it.
async fn go_on(store: &Store, known: &Head) -> Result<On, Unavailable> {
    let before = known.version.saturating_sub(1);
    let Since::Changes(mut changes) = store.since(before).await? else { return Ok(On::Gone) };
    if known.version == before {
        return Ok(On::With(changes));
    }
    let is_there = changes.first().is_some_and(|first| (first.version, &first.id) == (known.version, &known.change));
    if !is_there {
        return Ok(On::Lost);
    }
    changes.remove(0);
    Ok(On::With(changes))
}

const EMPTY: &str = "the roster's store is empty. If it is new, or what was in it is to be given up, say `chat-signer store \
                     accept`; if not, bring back what it held";

const ANOTHER: &str = "the roster's store is another one than before, and nobody has accepted it since. If it is the right one now, say `chat-signer store accept`";

const OLDER: &str = "the roster's store has lost changes that it had acknowledged. If it is to count as it is, say `chat-signer \
                     store accept`";

fn apply(index: &mut Index, change: &Change) -> Result<(), Malformed> {
    change.puts.iter().try_for_each(|(key, value)| index.apply(key, value.as_deref()))
}
