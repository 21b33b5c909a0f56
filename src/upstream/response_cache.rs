//! Caches answers for a limited time, with limits for their number and total size. At most one request runs per
//! question at a time.

use std::convert::Infallible;
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use tokio::time::Instant;

/// The key of a question. Outsiders must not be able to choose it.
pub(super) type CacheKey = [u8; 32];

/// Answers by the keys of their questions.
pub(super) struct ResponseCache<T: Clone> {
    answers: Cache<CacheKey, CachedAnswer<T>, CacheLimits<T>>,
}

/// The limits of a cache.
#[derive(Clone)]
pub(super) struct CacheLimits<T> {
    /// The maximum number of answers.
    pub(super) max_answers: u64,
    /// The maximum total size of the answers, in bytes.
    pub(super) max_bytes: u64,
    /// Returns the approximate size of an answer, in bytes.
    pub(super) size: fn(&T) -> usize,
}

#[derive(Clone)]
struct CachedAnswer<T> {
    answer: T,
    end: Instant,
}

impl<T: Clone> ResponseCache<T> {
    /// Creates a cache within these limits.
    #[expect(clippy::expect_used, reason = "`build` needs the two capacities, which are set here")]
    pub(super) fn new(limits: CacheLimits<T>) -> ResponseCache<T> {
        /// The share of answers that were used again. New answers have the rest, so that each of them stays for a while.
        const USED_AGAIN: f64 = 0.5;
        // In several shards, each shard would have its own small part of the capacity.
        let options = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity(usize::try_from(limits.max_answers).unwrap_or(usize::MAX))
            .weight_capacity(limits.max_bytes)
            .hot_allocation(USED_AGAIN)
            .build();
        let options = options.expect("both capacities are set");
        ResponseCache {
            answers: Cache::with_options(options, limits, DefaultHashBuilder::default(), DefaultLifecycle::default()),
        }
    }

    /// Returns the cached answer for this key, if there is one.
    pub(super) fn get(&self, key: &CacheKey) -> Option<T> {
        self.answers.get(key).filter(CachedAnswer::is_valid).map(|cached| cached.answer)
    }

    /// Returns the cached answer for this key, or the answer from `ask`. `ask` also returns how long its answer is
    /// valid. Tasks that wait for the answer of another task get this answer, even if it may not be used again.
    pub(super) async fn get_or_fetch(&self, key: CacheKey, ask: impl AsyncFnOnce() -> (T, Duration)) -> T {
        self.answers.remove_if(&key, |cached| !cached.is_valid());
        let fetch = async {
            let (answer, lifetime) = ask().await;
            Ok::<_, Infallible>(CachedAnswer { answer, end: Instant::now() + lifetime })
        };
        let Ok(cached) = self.answers.get_or_insert_async(&key, fetch).await;
        cached.answer
    }
}

impl<T> CachedAnswer<T> {
    fn is_valid(&self) -> bool {
        Instant::now() < self.end
    }
}

impl<T> Weighter<CacheKey, CachedAnswer<T>> for CacheLimits<T> {
    /// Returns the size of the answer, or its share of the capacity if all answers had the same size. So the limit for
    /// the total size also limits the number of answers.
    fn weight(&self, _: &CacheKey, cached: &CachedAnswer<T>) -> u64 {
        let size = u64::try_from((self.size)(&cached.answer)).unwrap_or(u64::MAX);
        size.max(self.max_bytes / self.max_answers)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use tokio::sync::Notify;
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(number: u8) -> CacheKey {
        [number; 32]
    }

    /// Returns a cache for up to `most` answers with up to 100 bytes in total. The size of an answer is its length.
    fn memory(most: u64) -> ResponseCache<&'static str> {
        ResponseCache::new(CacheLimits { max_answers: most, max_bytes: 100, size: |answer| answer.len() })
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
            Arc::new(ResponseCache::new(CacheLimits { max_answers: 10, max_bytes: 100, size: |_| 0 })),
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
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        assert_eq!(answers, [answers[0]; 19]);
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
            assert!(memory.answers.len() <= 3 && memory.answers.weight() <= 100);
        }
        for _ in 0..100 {
            asked(&memory, 1, "answer").await;
            advance(SECOND).await;
        }
        assert_eq!(asked(&memory, 1, "last").await, "last");
        assert!(memory.answers.len() <= 3);
    }

    #[tokio::test(start_paused = true)]
    async fn heavy_answers_share_the_room() {
        const HEAVY: &str = "forty bytes, which is less than half of it";
        let memory = memory(10);
        for number in 0..100 {
            asked(&memory, number, HEAVY).await;
            assert_eq!(memory.get(&key(number)), Some(HEAVY), "the newest answer is cached");
            assert!(memory.answers.len() <= 2 && memory.answers.weight() <= 100);
        }
        // An answer that is larger than the whole cache removes no other answer.
        let endless = Box::leak("x".repeat(101).into_boxed_str());
        assert_eq!(asked(&memory, 101, endless).await, endless);
        assert_eq!((memory.get(&key(101)), memory.get(&key(99))), (None, Some(HEAVY)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_ended_is_replaced() {
        let memory = memory(10);
        for number in 0..100 {
            assert_eq!(asked(&memory, 1, "one").await, "one", "{number}");
            assert_eq!((memory.answers.len(), memory.answers.weight()), (1, 10));
            advance(SECOND).await;
            assert_eq!(memory.get(&key(1)), None);
        }
    }
}
