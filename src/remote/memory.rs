//! Remembers answers for a while, so many of them at most, and has each asked for once at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

/// What stands for a question. Nobody outside must be able to choose it.
pub(super) type Key = [u8; 32];

/// Answers by their questions' keys.
pub(super) struct Memory<T> {
    most: usize,
    entries: Mutex<Entries<T>>,
}

struct Entries<T> {
    known: HashMap<Key, Arc<Entry<T>>>,
    /// In the order in which they were made, also those that newer ones have replaced. Never more than `most`.
    order: VecDeque<(Key, Arc<Entry<T>>)>,
}

/// An answer and when it ends, once it is there. Whoever finds none asks, and all others wait for it.
type Entry<T> = OnceCell<(T, Instant)>;

impl<T: Clone> Memory<T> {
    /// Remembers this many answers at most, the newest.
    pub(super) fn new(most: usize) -> Memory<T> {
        Memory { most, entries: Mutex::new(Entries { known: HashMap::new(), order: VecDeque::new() }) }
    }

    /// The answer to the question that this key stands for: remembered, or got by `ask`, which also says for how long it is good.
    pub(super) async fn answer(&self, key: Key, ask: impl AsyncFnOnce() -> (T, Duration)) -> T {
        let entry = self.entry(key);
        let timed = async || {
            let (answer, lifetime) = ask().await;
            (answer, Instant::now() + lifetime)
        };
        entry.get_or_init(timed).await.0.clone()
    }

    /// The entry for this key: one whose answer is good, or still to come, or else a new one.
    fn entry(&self, key: Key) -> Arc<Entry<T>> {
        // What is done under the lock leaves the entries whole at every step.
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.known.get(&key).filter(|entry| is_good(entry)) {
            return Arc::clone(entry);
        }
        while entries.order.len() >= self.most {
            entries.forget_oldest();
        }
        let entry = Arc::new(OnceCell::new());
        entries.known.insert(key, Arc::clone(&entry));
        entries.order.push_back((key, Arc::clone(&entry)));
        entry
    }
}

impl<T> Entries<T> {
    fn forget_oldest(&mut self) {
        let Some((key, oldest)) = self.order.pop_front() else { return };
        if self.known.get(&key).is_some_and(|entry| Arc::ptr_eq(entry, &oldest)) {
            self.known.remove(&key);
        }
    }
}

fn is_good<T>(entry: &Entry<T>) -> bool {
    entry.get().is_none_or(|(_, end)| Instant::now() < *end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::sync::Notify;
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(number: u8) -> Key {
        [number; 32]
    }

    /// The answer for this key, which is the given one only if it has to be asked for.
    async fn asked(memory: &Memory<&'static str>, number: u8, answer: &'static str) -> &'static str {
        memory.answer(key(number), async || (answer, SECOND)).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_good_for_its_lifetime() {
        let memory = Memory::new(10);
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
        let (memory, go) = (Arc::new(Memory::new(10)), Arc::new(Notify::new()));
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
        let memory = Memory::new(3);
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
}
