//! Remembers answers for a while, so many and so much of them at most, and has each asked for once at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

/// What stands for a question. Nobody outside must be able to choose it.
pub(super) type CacheKey = [u8; 32];

/// Answers by their questions' keys.
pub(super) struct ResponseCache<T> {
    limits: CacheLimits<T>,
    entries: Mutex<CacheEntries<T>>,
}

/// How much is remembered at most.
pub(super) struct CacheLimits<T> {
    /// How many answers.
    pub(super) most: usize,
    /// How many bytes the answers take together.
    pub(super) heaviest: usize,
    /// How many bytes one takes, roughly.
    pub(super) weigh: fn(&T) -> usize,
}

struct CacheEntries<T> {
    known: HashMap<CacheKey, Arc<CacheEntry<T>>>,
    /// In the order in which they were made, also those that newer ones have replaced. Never more than `most`.
    order: VecDeque<(CacheKey, Arc<CacheEntry<T>>)>,
    /// What those in `order` weigh together.
    weight: usize,
}

struct CacheEntry<T> {
    /// An answer and when it ends, once it is there. Whoever finds none asks, and all others wait for it.
    answer: OnceCell<(T, Instant)>,
    /// What the answer adds to the weight of all. Changes only while the entries are locked.
    weight: AtomicUsize,
}

impl<T: Clone> ResponseCache<T> {
    /// Remembers the newest answers within these limits.
    pub(super) fn new(limits: CacheLimits<T>) -> ResponseCache<T> {
        ResponseCache {
            limits,
            entries: Mutex::new(CacheEntries { known: HashMap::new(), order: VecDeque::new(), weight: 0 }),
        }
    }

    /// The answer to the question that this key stands for, if it is remembered.
    pub(super) fn known(&self, key: &CacheKey) -> Option<T> {
        let entry = self.entries().known.get(key).filter(|entry| entry.is_good()).map(Arc::clone)?;
        entry.answer.get().map(|(answer, _)| answer.clone())
    }

    /// The answer to the question that this key stands for: remembered, or got by `ask`, which also says for how long it is good.
    pub(super) async fn answer(&self, key: CacheKey, ask: impl AsyncFnOnce() -> (T, Duration)) -> T {
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
            self.weigh(&key, &entry, &answer);
        }
        answer
    }

    /// The entry for this key: one whose answer is good, or still to come, or else a new one.
    fn entry(&self, key: CacheKey) -> Arc<CacheEntry<T>> {
        let mut entries = self.entries();
        if let Some(entry) = entries.known.get(&key).filter(|entry| entry.is_good()) {
            return Arc::clone(entry);
        }
        while entries.order.len() >= self.limits.most {
            entries.forget_oldest();
        }
        let entry = Arc::new(CacheEntry { answer: OnceCell::new(), weight: AtomicUsize::new(0) });
        entries.known.insert(key, Arc::clone(&entry));
        entries.order.push_back((key, Arc::clone(&entry)));
        entry
    }

    /// Counts what an answer that has come weighs, if it is still remembered, and makes room for it.
    fn weigh(&self, key: &CacheKey, entry: &Arc<CacheEntry<T>>, answer: &T) {
        let weight = (self.limits.weigh)(answer);
        let mut entries = self.entries();
        if entries.holds(key, entry) {
            entry.weight.store(weight, Ordering::Relaxed);
            entries.weight += weight;
        }
        while entries.weight > self.limits.heaviest {
            entries.forget_oldest();
        }
    }

    fn entries(&self) -> MutexGuard<'_, CacheEntries<T>> {
        // What is done under the lock leaves the entries whole at every step.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> CacheEntries<T> {
    fn forget_oldest(&mut self) {
        let Some((key, oldest)) = self.order.pop_front() else { return };
        self.weight -= oldest.weight.load(Ordering::Relaxed);
        if self.holds(&key, &oldest) {
            self.known.remove(&key);
        }
    }

    fn holds(&self, key: &CacheKey, entry: &Arc<CacheEntry<T>>) -> bool {
        self.known.get(key).is_some_and(|known| Arc::ptr_eq(known, entry))
    }
}

impl<T> CacheEntry<T> {
    fn is_good(&self) -> bool {
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

    /// This many answers, which weigh as much as they are long, with up to 100 bytes.
    fn memory(most: usize) -> ResponseCache<&'static str> {
        ResponseCache::new(CacheLimits { most, heaviest: 100, weigh: |answer| answer.len() })
    }

    /// The answer for this key, which is the given one only if it has to be asked for.
    async fn asked(memory: &ResponseCache<&'static str>, number: u8, answer: &'static str) -> &'static str {
        memory.answer(key(number), async || (answer, SECOND)).await
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
        assert_eq!(memory.answer(key(3), async || ("never", Duration::ZERO)).await, "never");
        assert_eq!(asked(&memory, 3, "kept").await, "kept");
    }

    #[tokio::test]
    async fn a_question_is_asked_once_at_a_time() {
        let (memory, go) = (
            Arc::new(ResponseCache::new(CacheLimits { most: 10, heaviest: 0, weigh: |_| 0 })),
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
                memory.answer(key(1), ask).await
            }));
            tokio::task::yield_now().await;
        }
        // Whoever asks may go away: another one asks then.
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
        // One that is replaced, or heavier than all may be together, leaves nothing behind.
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
