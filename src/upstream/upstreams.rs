//! All servers that the program asks for data.

use std::sync::Arc;

use super::facts::{FactsServer, FactsUnavailable};
use super::keys::{KeySetRefresh, KeySetStatus};
use super::query_client::{ExchangeOutcome, UpstreamError};
use super::sessions::SessionServers;
use crate::authn::{KeySet, LookupResult, PendingLookup};
use crate::engine::{Engine, FactsQuery};
use crate::policy::ConversationFacts;
use crate::telemetry::trace::TraceContext;

/// The connections to other servers and the cached answers. Dropping this value ends its background tasks, except tasks
/// that a successor shares.
pub struct Upstreams {
    keys: Vec<Arc<KeySetRefresh>>,
    sessions: SessionServers,
    facts: Option<Arc<FactsServer>>,
    /// Whether requests can be served before all keys are loaded.
    has_started: bool,
}

impl Upstreams {
    /// Starts to fetch the data that this engine's authenticators need, without waiting for it.
    ///
    /// # Errors
    /// Returns an error if the certificate authorities of a server cannot be used, or if the operating system gives no
    /// random bytes.
    pub fn start(engine: &Engine) -> Result<Upstreams, UpstreamError> {
        Upstreams::build(engine, None)
    }

    /// Continues with another engine. Key sets that its authenticators
    /// [reuse](crate::authn::Authenticators::reuse_state_from) are not fetched again, and their cached data stays. Facts are requested again, because they are expressed in the roles of a single policy.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`start`](Self::start).
    pub fn with_engine(&self, engine: &Engine) -> Result<Upstreams, UpstreamError> {
        Upstreams::build(engine, Some(self))
    }

    fn build(engine: &Engine, before: Option<&Upstreams>) -> Result<Upstreams, UpstreamError> {
        let authenticators = &engine.authenticators;
        let fetching = |set| match before.and_then(|before| before.refresh_task_of(set)) {
            Some(known) => Ok(Arc::clone(known)),
            None => KeySetRefresh::start(set).map(Arc::new),
        };
        let known = before.and_then(|before| before.facts.as_deref());
        let facts = engine.facts.as_ref().map(|source| FactsServer::new(source, known));
        Ok(Upstreams {
            sessions: SessionServers::new(authenticators.introspections(), before.map(|before| &before.sessions))?,
            keys: authenticators.key_sets().map(fetching).collect::<Result<_, _>>()?,
            facts: facts.transpose()?.map(Arc::new),
            has_started: before.is_some_and(Upstreams::has_started),
        })
    }

    /// Looks up the data that identifies the caller, for a request of this trace.
    pub async fn look_up(&self, lookup: PendingLookup, trace: Option<&Arc<TraceContext>>) -> LookupResult {
        match lookup {
            PendingLookup::Keys(set) => {
                if let Some(fetching) = self.refresh_task_of(&set) {
                    fetching.refresh().await;
                }
                LookupResult::Keys
            }
            PendingLookup::Session(query) => {
                LookupResult::Caller(self.sessions.ask(&query, trace.map(Arc::as_ref)).await)
            }
        }
    }

    /// Returns the facts that the facts server reports for these queries, for a request of this trace.
    ///
    /// # Errors
    /// Returns an error if the facts server cannot be asked or its answer cannot be used.
    pub async fn fetch_facts(
        &self,
        inquiries: Vec<FactsQuery>,
        trace: Option<&Arc<TraceContext>>,
    ) -> Result<Vec<ConversationFacts>, FactsUnavailable> {
        match &self.facts {
            Some(facts) if !inquiries.is_empty() => facts.ask(inquiries, trace).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Returns the status of each key set.
    pub fn key_sets(&self) -> impl Iterator<Item = KeySetStatus> {
        self.keys.iter().map(|fetching| fetching.status())
    }

    /// Returns the number of introspection requests by outcome, for each authenticator name.
    pub fn lookup_counts(&self) -> impl Iterator<Item = (&Arc<str>, [(ExchangeOutcome, u64); 3])> {
        self.sessions.counts()
    }

    /// Returns the number of facts requests by outcome, with the protocol of the facts server.
    pub fn facts_counts(&self) -> Option<(&'static str, [(ExchangeOutcome, u64); 3])> {
        self.facts.as_deref().map(FactsServer::counts)
    }

    /// Returns whether there are keys to wait for.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Returns whether all keys have been loaded at least once. Keys added by a later configuration do not stop the
    /// service, because many requests do not need them.
    pub fn has_started(&self) -> bool {
        self.has_started || self.keys.iter().all(|fetching| fetching.has_started())
    }

    fn refresh_task_of(&self, set: &Arc<KeySet>) -> Option<&Arc<KeySetRefresh>> {
        self.keys.iter().find(|fetching| fetching.is_for(set))
    }
}
