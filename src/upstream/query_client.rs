//! The requests to a server whose answers are cached: how many may wait, how they are sent, and how they are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::client::{ClientBuildError, UpstreamClient};
use super::response_cache::CacheKey;
use crate::authn::Endpoint;
use crate::crypto::mac::HmacSha256;
use crate::random::{self, EntropyError};
use crate::telemetry::trace::TraceContext;

/// How many queries may wait at once for the answer of a server, over all requests. Queries that wait for the request of
/// another query count too, because strangers can send any number of requests, even with the same credential. If a server
/// answers slowly, each query holds a place for requests in progress.
pub(super) const MAX_PENDING: usize = 256;

/// The reason why the requests to other servers cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum UpstreamError {
    /// A server has no usable client.
    Client(#[from] ClientBuildError),
    /// There is no random key for the cache of answers.
    Entropy(#[from] EntropyError),
    /// The certificates for the moderation store cannot be used.
    Certificates(#[from] rustls::Error),
}

/// A server that answers queries.
pub(super) struct QueryClient {
    client: UpstreamClient,
    room: Semaphore,
    key: HmacSha256,
    /// Counts the queries by outcome.
    pub(super) count: Arc<ExchangeCounter>,
}

impl QueryClient {
    /// Sets up the client, with a new random key for the cache.
    pub(super) fn new(endpoint: &Endpoint, count: Arc<ExchangeCounter>) -> Result<QueryClient, UpstreamError> {
        Ok(QueryClient {
            client: UpstreamClient::new(endpoint)?,
            room: Semaphore::new(MAX_PENDING),
            key: HmacSha256::new(&random::bytes::<32>()?),
            count,
        })
    }

    /// Turns a query, which can contain credentials, into a cache key. The key reveals nothing about the query, and
    /// nobody can predict it. Each configuration has its own keys, so no cached answer outlives the configuration
    /// under which it was read.
    pub(super) fn cache_key(&self, query: &[u8]) -> CacheKey {
        self.key.mac(query)
    }

    /// Lets a query wait for an answer. If too many wait already, counts a failure and returns `None`.
    pub(super) fn admit(&self) -> Option<SemaphorePermit<'_>> {
        let permit = self.room.try_acquire().ok();
        if permit.is_none() {
            self.count.add(ExchangeOutcome::Failed);
        }
        permit
    }

    /// Sends a request of this trace and reads the answer, if it has at most `longest` bytes.
    pub(super) async fn send(
        &self,
        request: Request<Vec<u8>>,
        trace: Option<&TraceContext>,
        longest: usize,
    ) -> Result<Response<Bytes>, String> {
        let mut request = request.map(|body| Full::new(Bytes::from(body)));
        if let Some(trace) = trace {
            trace.add_headers(request.headers_mut());
        }
        self.client.send(request, longest).await.map_err(|error| error.to_string())
    }
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeOutcome {
    /// The server returned the requested data.
    Ok,
    /// The server rejected the credential.
    Refused,
    /// The server does not know the conversation.
    Unknown,
    /// The request failed, or its answer cannot be used.
    Failed,
}

impl ExchangeOutcome {
    /// Returns the outcome's name in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ExchangeOutcome::Ok => "ok",
            ExchangeOutcome::Refused => "refused",
            ExchangeOutcome::Unknown => "unknown",
            ExchangeOutcome::Failed => "failed",
        }
    }
}

/// The number of requests for each outcome.
#[derive(Debug, Default)]
pub(super) struct ExchangeCounter([AtomicU64; 4]);

impl ExchangeCounter {
    /// Counts a request.
    pub(super) fn add(&self, outcome: ExchangeOutcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the numbers for these outcomes.
    pub(super) fn counts<const N: usize>(&self, outcomes: [ExchangeOutcome; N]) -> [(ExchangeOutcome, u64); N] {
        outcomes.map(|outcome| (outcome, self.0[outcome as usize].load(Ordering::Relaxed)))
    }
}
