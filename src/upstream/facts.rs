//! Asks the facts server about conversations, and caches the answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::query_client::{ExchangeOutcome, MAX_PENDING, QueryClient, UpstreamError};
use super::response_cache::{CacheLimits, ResponseCache};
use crate::engine::{FactsProvider, FactsQuery};
use crate::policy::ConversationFacts;
use crate::telemetry::trace::TraceContext;

/// The longest answer, in bytes.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// How many answers are cached.
const MAX_ANSWERS: u64 = 10_000;

/// How many bytes the cached answers may take in total, approximately.
const MAX_CACHE_BYTES: u64 = 16 << 20;

/// How many conversations of a request are queried at the same time.
const MAX_CONCURRENT_PER_REQUEST: usize = 8;

/// The time limit for the facts about a single conversation.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// The time limit for all the facts that a request needs.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a failed query is not repeated.
const FAILURE_TTL: Duration = Duration::from_secs(1);

/// How long further failures are not logged after a logged failure.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The reason why there are no facts about a conversation at the moment, in words for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the facts about {conversation} are not available: {reason}")]
pub struct FactsUnavailable {
    conversation: String,
    reason: String,
}

/// The facts server and the cached answers.
pub(super) struct FactsServer {
    source: Arc<FactsProvider>,
    client: QueryClient,
    answers: ResponseCache<Result<ConversationFacts, FactsUnavailable>>,
    /// The time until which failures are not logged.
    quiet_until: Mutex<Option<Instant>>,
}

impl FactsServer {
    /// Sets up the server. Continues the counters of `before`.
    pub(super) fn new(source: &Arc<FactsProvider>, before: Option<&FactsServer>) -> Result<FactsServer, UpstreamError> {
        let count = before.map(|before| Arc::clone(&before.client.count)).unwrap_or_default();
        Ok(FactsServer {
            source: Arc::clone(source),
            client: QueryClient::new(&source.endpoint, count)?,
            answers: ResponseCache::new(CacheLimits {
                max_answers: MAX_ANSWERS,
                max_bytes: MAX_CACHE_BYTES,
                size: answer_bytes,
            }),
            quiet_until: Mutex::new(None),
        })
    }

    /// Returns the protocol of the server, and the number of queries so far by outcome.
    pub(super) fn counts(&self) -> (&'static str, [(ExchangeOutcome, u64); 3]) {
        let outcomes = [ExchangeOutcome::Ok, ExchangeOutcome::Unknown, ExchangeOutcome::Failed];
        (self.source.protocol.as_str(), self.client.count.counts(outcomes))
    }

    /// Returns the facts about all these conversations, ordered by conversation.
    pub(super) async fn ask(
        self: &Arc<Self>,
        inquiries: Vec<FactsQuery>,
        trace: Option<&Arc<TraceContext>>,
    ) -> Result<Vec<ConversationFacts>, FactsUnavailable> {
        let first = inquiries.first().map(|inquiry| inquiry.conversation().to_owned()).unwrap_or_default();
        let all = timeout(REQUEST_TIMEOUT, self.ask_all(inquiries, trace)).await;
        all.unwrap_or_else(|_| Err(FactsUnavailable { conversation: first, reason: timeout_message(REQUEST_TIMEOUT) }))
    }

    async fn ask_all(
        self: &Arc<Self>,
        inquiries: Vec<FactsQuery>,
        trace: Option<&Arc<TraceContext>>,
    ) -> Result<Vec<ConversationFacts>, FactsUnavailable> {
        let (mut running, mut told) = (JoinSet::new(), Vec::with_capacity(inquiries.len()));
        for inquiry in inquiries {
            if running.len() >= MAX_CONCURRENT_PER_REQUEST {
                told.extend(next_result(&mut running).await.transpose()?);
            }
            let (facts, trace) = (Arc::clone(self), trace.cloned());
            running.spawn(async move { facts.cached_or_fetched(&inquiry, trace.as_deref()).await });
        }
        while let Some(one) = next_result(&mut running).await {
            told.push(one?);
        }
        told.sort_unstable_by(|one, other| one.conversation().cmp(other.conversation()));
        Ok(told)
    }

    /// Returns the cached facts. If there are none, asks the server.
    async fn cached_or_fetched(
        &self,
        inquiry: &FactsQuery,
        trace: Option<&TraceContext>,
    ) -> Result<ConversationFacts, FactsUnavailable> {
        // The roles in an answer are ranks in the role list of a single policy. They have no meaning under another
        // policy.
        if !Arc::ptr_eq(&inquiry.source, &self.source) {
            return Err(self.unavailable(inquiry, "the configuration changed during the request".to_owned()));
        }
        if let Some(told) = inquiry.begin().known() {
            return Ok(told);
        }
        let key = self.client.cache_key(&inquiry.identity());
        if let Some(answer) = self.answers.get(&key) {
            return answer;
        }
        let Some(_permit) = self.client.admit() else {
            return Err(self.unavailable(inquiry, format!("{MAX_PENDING} queries already wait for an answer")));
        };
        let signing_request = async || {
            let read = timeout(QUERY_TIMEOUT, self.read(inquiry, trace))
                .await
                .unwrap_or_else(|_| Err(timeout_message(QUERY_TIMEOUT)));
            self.client.count.add(match &read {
                Ok(told) if told.exists() => ExchangeOutcome::Ok,
                Ok(_) => ExchangeOutcome::Unknown,
                Err(_) => ExchangeOutcome::Failed,
            });
            match read {
                Ok(told) => (Ok(told), self.source.ttl),
                Err(reason) => (Err(self.unavailable(inquiry, reason)), FAILURE_TTL),
            }
        };
        self.answers.get_or_fetch(key, signing_request).await
    }

    async fn read(&self, inquiry: &FactsQuery, trace: Option<&TraceContext>) -> Result<ConversationFacts, String> {
        let mut reading = inquiry.begin();
        loop {
            let answer = self.client.send(reading.request()?, trace, MAX_ANSWER_BYTES).await?;
            if let Some(told) = reading.read(answer.status(), answer.headers(), answer.body())? {
                return Ok(told);
            }
        }
    }

    /// Logs only a part of the failures, because a server that is down must not flood the log.
    fn unavailable(&self, inquiry: &FactsQuery, reason: String) -> FactsUnavailable {
        let unavailable = FactsUnavailable { conversation: inquiry.conversation().to_owned(), reason };
        let mut quiet_until = self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if quiet_until.is_none_or(|until| until <= now) {
            *quiet_until = Some(now + LOG_INTERVAL);
            tracing::warn!("{}: {unavailable}", self.source.endpoint);
        }
        unavailable
    }
}

/// Returns the approximate size of an answer in bytes.
fn answer_bytes(answer: &Result<ConversationFacts, FactsUnavailable>) -> usize {
    match answer {
        Ok(told) => told.memory_size(),
        Err(unavailable) => unavailable.conversation.len() + unavailable.reason.len(),
    }
}

fn timeout_message(patience: Duration) -> String {
    format!("no answer within {} s", patience.as_secs())
}

/// Returns the result of the next task that ends, or `None` if no task runs.
async fn next_result(
    running: &mut JoinSet<Result<ConversationFacts, FactsUnavailable>>,
) -> Option<Result<ConversationFacts, FactsUnavailable>> {
    let ended = running.join_next().await?;
    Some(ended.unwrap_or_else(|_| {
        Err(FactsUnavailable {
            conversation: "a conversation".to_owned(),
            reason: "the query was interrupted".to_owned(),
        })
    }))
}
