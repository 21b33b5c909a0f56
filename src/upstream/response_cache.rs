//! Caches answers for a limited time, with limits for their number and total size. At most one request runs per
//! question at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

/// The key of a question. Outsiders must not be able to choose it.
pub(super) type CacheKey = [u8; 32];

/// Answers by the keys of their questions.
pub(super) struct ResponseCache<T> {
    limits: CacheLimits<T>,
    entries: Mutex<CacheEntries<T>>,
}

/// The limits of a cache.
pub(super) struct CacheLimits<T> {
    /// The maximum number of answers.
    pub(super) max_answers: usize,
    /// The maximum total size of the answers, in bytes.
    pub(super) max_bytes: usize,
    /// Returns the approximate size of an answer, in bytes.
    pub(super) weigh: fn(&T) -> usize,
}

struct CacheEntries<T> {
    known: HashMap<CacheKey, Arc<CacheEntry<T>>>,
    /// The entries in the order of their creation, including replaced entries. Never more than `most`.
    order: VecDeque<(CacheKey, Arc<CacheEntry<T>>)>,
    /// The total size of the entries in `order`, in bytes.
    weight: usize,
}

struct CacheEntry<T> {
    /// The answer and its end, as soon as the answer is there. The first task that finds no answer asks, and the others
    /// wait for it.
    answer: OnceCell<(T, Instant)>,
    /// The size of the answer within the total. It changes only while the entries are locked.
    weight: AtomicUsize,
}

impl<T: Clone> ResponseCache<T> {
    /// Creates a cache that keeps the newest answers within these limits.
    pub(super) fn new(limits: CacheLimits<T>) -> ResponseCache<T> {
        ResponseCache {
            limits,
            entries: Mutex::new(CacheEntries { known: HashMap::new(), order: VecDeque::new(), weight: 0 }),
        }
    }

    /// Returns the cached answer for this key, if there is one.
    pub(super) fn get(&self, key: &CacheKey) -> Option<T> {
        let entry = self.entries().known.get(key).filter(|entry| entry.is_valid()).map(Arc::clone)?;
        entry.answer.get().map(|(answer, _)| answer.clone())
    }

    /// Returns the cached answer for this key, or the answer from `ask`. `ask` also returns how long its answer is
    /// valid.
    pub(super) async fn get_or_fetch(&self, key: CacheKey, ask: impl AsyncFnOnce() -> (T, Duration)) -> T {
        let entry = self.entry(key);
        if let Some((answer, _)) = entry.answer.get() {
            return answer.clone();
        }
        let mut is_new = false;
        let timed = async || {
            let (answer, lifetime) = ask().await;
            is_new = true;
            (answer, Instant::now() + lifetime)
        };
        let answer = entry.answer.get_or_init(timed).await.0.clone();
        if is_new {
            self.add_size(&key, &entry, &answer);
        }
        answer
    }

    /// Returns the entry for this key: an entry with a valid or pending answer, or else a new entry.
    fn entry(&self, key: CacheKey) -> Arc<CacheEntry<T>> {
        let mut entries = self.entries();
        if let Some(entry) = entries.known.get(&key).filter(|entry| entry.is_valid()) {
            return Arc::clone(entry);
        }
        while entries.order.len() >= self.limits.max_answers {
            entries.forget_oldest();
        }
        let entry = Arc::new(CacheEntry { answer: OnceCell::new(), weight: AtomicUsize::new(0) });
        entries.known.insert(key, Arc::clone(&entry));
        entries.order.push_back((key, Arc::clone(&entry)));
        entry
    }

    /// Adds the size of a new answer to the total, if it is still in the cache. Then removes old answers if the total
    /// is too large.
    fn add_size(&self, key: &CacheKey, entry: &Arc<CacheEntry<T>>, answer: &T) {
        let weight = (self.limits.weigh)(answer);
        let mut entries = self.entries();
        if entries.contains(key, entry) {
            entry.weight.store(weight, Ordering::Relaxed);
            entries.weight += weight;
        }
        while entries.weight > self.limits.max_bytes {
            entries.forget_oldest();
        }
    }

    fn entries(&self) -> MutexGuard<'_, CacheEntries<T>> {
        // Every step under the lock leaves the entries consistent.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> CacheEntries<T> {
    fn forget_oldest(&mut self) {
        let Some((key, oldest)) = self.order.pop_front() else { return };
        self.weight -= oldest.weight.load(Ordering::Relaxed);
        if self.contains(&key, &oldest) {
            self.known.remove(&key);
        }
    }

    fn contains(&self, key: &CacheKey, entry: &Arc<CacheEntry<T>>) -> bool {
        self.known.get(key).is_some_and(|known| Arc::ptr_eq(known, entry))
    }
}

impl<T> CacheEntry<T> {
    fn is_valid(&self) -> bool {
        self.answer.get().is_none_or(|(_, end)| Instant::now() < *end)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::sync::Notify;
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(number: u8) -> CacheKey {
        [number; 32]
    }

    /// Returns a cache for up to `most` answers with up to 100 bytes in total. The size of an answer is its length.
    fn memory(most: usize) -> ResponseCache<&'static str> {
        ResponseCache::new(CacheLimits { max_answers: most, max_bytes: 100, weigh: |answer| answer.len() })
    }

    /// Returns the answer for this key. `answer` is used only if nothing is cached.
    async fn asked(memory: &ResponseCache<&'static str>, number: u8, answer: &'static str) -> &'static str {
        memory.get_or_fetch(key(number), async || (answer, SECOND)).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_good_for_its_lifetime() {
        let memory = memory(10);
        assert_eq!(asked(&memory, 1, "one").await, "one");
        assert_eq!(asked(&memory, 2, "other").await, "other");
        advance(SECOND / 2).await;
        assert_eq!(asked(&memory, 1, "new").await, "one");
        advance(SECOND / 2).await;
        assert_eq!(asked(&memory, 1, "new").await, "new");
        assert_eq!(memory.get_or_fetch(key(3), async || ("never", Duration::ZERO)).await, "never");
        assert_eq!(asked(&memory, 3, "kept").await, "kept");
    }

    #[tokio::test]
    async fn a_question_is_asked_once_at_a_time() {
        let (memory, go) = (
            Arc::new(ResponseCache::new(CacheLimits { max_answers: 10, max_bytes: 0, weigh: |_| 0 })),
            Arc::new(Notify::new()),
        );
        let mut tasks = Vec::new();
        for number in 0..20 {
            let (memory, go) = (Arc::clone(&memory), Arc::clone(&go));
            tasks.push(tokio::spawn(async move {
                let ask = async || {
                    go.notified().await;
                    (number, Duration::ZERO)
                };
                memory.get_or_fetch(key(1), ask).await
            }));
            tokio::task::yield_now().await;
        }
        // If the asking task is cancelled, another task asks.
        tasks.remove(0).abort();
        tokio::task::yield_now().await;
        go.notify_one();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let memory = memory(3);
        for round in 0..100 {
            for number in 0..5 {
                asked(&memory, number, "answer").await;
            }
            if round % 3 == 0 {
                advance(SECOND).await;
            }
            let entries = memory.entries.lock().unwrap();
            assert!(entries.known.len() <= 3 && entries.order.len() <= 3);
        }
        for _ in 0..100 {
            asked(&memory, 1, "answer").await;
            advance(SECOND).await;
        }
        assert_eq!(asked(&memory, 1, "last").await, "last");
        assert!(memory.entries.lock().unwrap().order.len() <= 3);
    }
    #[tokio::test(start_paused = true)]
    async fn the_oldest_make_room_for_heavy_answers() {
        const HEAVY: &str = "forty bytes, which is less than half of it";
        let memory = memory(10);
        for number in 0..3 {
            asked(&memory, number, HEAVY).await;
        }
        assert_eq!(asked(&memory, 2, "new").await, HEAVY);
        assert_eq!(asked(&memory, 1, "new").await, HEAVY);
        assert_eq!(asked(&memory, 0, "new").await, "new");
        // An answer that is replaced, or that is larger than the whole cache, leaves nothing behind.
        advance(SECOND).await;
        for number in 0..100 {
            asked(&memory, number, HEAVY).await;
        }
        let endless = Box::leak("x".repeat(101).into_boxed_str());
        asked(&memory, 101, endless).await;
        let entries = memory.entries.lock().unwrap();
        assert_eq!((entries.weight, entries.known.len(), entries.order.len()), (0, 0, 0));
    }
}
