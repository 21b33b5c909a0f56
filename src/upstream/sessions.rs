//! Asks introspection servers which caller a credential belongs to, and caches the answers.

use std::sync::Arc;

use super::query_client::{ExchangeCounter, ExchangeOutcome, MAX_PENDING, QueryClient, UpstreamError};
use super::response_cache::{CacheLimits, ResponseCache};
use crate::authn::{AuthnError, Introspection, IntrospectionAnswer, IntrospectionQuery, TokenCaller};
use crate::clock;
use crate::model::json;
use crate::telemetry::trace::TraceContext;

/// The longest answer, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// How many answers are cached, and how many bytes they may take in total. These limits are needed because a caller can
/// cause any number of answers: it can change the headers that are forwarded with its session.
const MAX_ANSWERS: u64 = 10_000;
const MAX_CACHE_BYTES: u64 = 64 << 20;

/// The introspection servers and the cached answers.
pub(super) struct SessionServers {
    servers: Vec<Arc<SessionServer>>,
    answers: Arc<ResponseCache<IntrospectionAnswer>>,
}

/// An introspection server.
struct SessionServer {
    by: Arc<Introspection>,
    client: QueryClient,
}

impl SessionServers {
    /// Sets up the servers of these authenticators. Servers that already exist in `before` are kept, with their cached
    /// answers.
    pub(super) fn new<'a>(
        introspections: impl Iterator<Item = &'a Arc<Introspection>>,
        before: Option<&SessionServers>,
    ) -> Result<SessionServers, UpstreamError> {
        let servers = introspections.map(|by| match before.and_then(|before| before.server_of(by)) {
            Some(known) => Ok(Arc::clone(known)),
            None => SessionServer::new(by).map(Arc::new),
        });
        Ok(SessionServers {
            servers: servers.collect::<Result<_, _>>()?,
            answers: before.map_or_else(new_cache, |before| Arc::clone(&before.answers)),
        })
    }

    /// Returns the caller that the introspection server reports.
    pub(super) async fn ask(
        &self,
        query: &IntrospectionQuery,
        trace: Option<&TraceContext>,
    ) -> Result<TokenCaller, AuthnError> {
        let Some(server) = self.server_of(&query.introspection) else {
            let detail = "the configuration changed during the request".to_owned();
            return query.introspection.failed_answer(detail).caller;
        };
        let key = server.client.cache_key(&query.cache_key());
        if let Some(answer) = self.answers.get(&key) {
            return answer.caller;
        }
        let Some(_permit) = server.client.admit() else {
            let detail = format!("{MAX_PENDING} requests already wait for an answer");
            return query.introspection.failed_answer(detail).caller;
        };
        let signing_request = async || {
            let answer = server.fetch(query, trace).await;
            let lifetime = answer.lifetime;
            (answer, lifetime)
        };
        self.answers.get_or_fetch(key, signing_request).await.caller
    }

    /// Returns the number of requests so far by outcome, for each authenticator name.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&Arc<str>, [(ExchangeOutcome, u64); 3])> {
        let counts = |server: &'_ Arc<SessionServer>| {
            server.client.count.counts([ExchangeOutcome::Ok, ExchangeOutcome::Refused, ExchangeOutcome::Failed])
        };
        self.servers.iter().map(move |server| (&server.by.common.name, counts(server)))
    }

    fn server_of(&self, by: &Arc<Introspection>) -> Option<&Arc<SessionServer>> {
        self.servers.iter().find(|server| Arc::ptr_eq(&server.by, by))
    }
}

impl SessionServer {
    fn new(by: &Arc<Introspection>) -> Result<SessionServer, UpstreamError> {
        let client = QueryClient::new(&by.endpoint, Arc::new(ExchangeCounter::default()))?;
        Ok(SessionServer { by: Arc::clone(by), client })
    }

    async fn fetch(&self, query: &IntrospectionQuery, trace: Option<&TraceContext>) -> IntrospectionAnswer {
        let asker = &query.introspection;
        let answer = match self.send(query, trace).await {
            Ok(answer) => answer,
            Err(reason) => asker.failed_answer(reason),
        };
        self.client.count.add(match &answer.caller {
            Ok(_) => ExchangeOutcome::Ok,
            Err(refusal) if refusal.is_unavailable() => {
                tracing::warn!("{}: {}: {}", asker.common.name, asker.endpoint, refusal.log_message());
                ExchangeOutcome::Failed
            }
            Err(_) => ExchangeOutcome::Refused,
        });
        answer
    }

    async fn send(
        &self,
        query: &IntrospectionQuery,
        trace: Option<&TraceContext>,
    ) -> Result<IntrospectionAnswer, String> {
        let request = query.request(clock::now()).map_err(|refusal| refusal.log_message())?;
        let answer = self.client.send(request, trace, MAX_ANSWER_BYTES).await?;
        Ok(self.by.parse_answer(answer.status(), answer.body(), clock::now()))
    }
}

fn new_cache() -> Arc<ResponseCache<IntrospectionAnswer>> {
    Arc::new(ResponseCache::new(CacheLimits {
        max_answers: MAX_ANSWERS,
        max_bytes: MAX_CACHE_BYTES,
        size: answer_bytes,
    }))
}

/// Returns the approximate size of an answer in bytes.
fn answer_bytes(answer: &IntrospectionAnswer) -> usize {
    answer.caller.as_ref().map_or(0, |caller| json::memory_size(caller.claims()))
}
