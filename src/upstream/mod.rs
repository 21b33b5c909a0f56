//! Everything that asks other servers while requests are served: issuers for their keys, whoever knows whose a session is, and whoever
//! knows conversations.

mod client;
mod facts;
mod freshness;
mod keys;
mod outcome;
mod response_cache;
mod sessions;
#[cfg(feature = "otlp")]
mod spans;
pub mod unix;

use std::sync::Arc;

pub use client::{ClientBuildError, ClientError, UpstreamClient, read, tls};
pub use facts::FactsUnavailable;
pub use keys::KeySetStatus;
pub use outcome::ExchangeOutcome;
#[cfg(feature = "otlp")]
pub use spans::{Span, SpanExporter};

use crate::authn::{KeySet, LookupResult, PendingLookup};
use crate::engine::{Engine, FactsQuery};
use crate::policy::ConversationFacts;
use crate::random::NoEntropy;
use crate::telemetry::trace::TraceContext;
use facts::FactsServer;
use keys::KeySetRefresh;
use sessions::SessionServers;

/// What is asked elsewhere, and what is known from there. Dropping it ends what it does in the background, but for what others have
/// taken over.
pub struct Upstreams {
    keys: Vec<Arc<KeySetRefresh>>,
    sessions: SessionServers,
    facts: Option<Arc<FactsServer>>,
    /// Whether requests can be served before all keys are there.
    has_started: bool,
}

/// Why other servers can't be asked.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum UpstreamError {
    /// There is no client for one of them.
    Client(#[from] ClientBuildError),
    /// There is no key to remember answers by.
    Entropy(#[from] NoEntropy),
}

impl Upstreams {
    /// Begins to fetch what this engine's authenticators need, without waiting for it.
    ///
    /// # Errors
    /// If a server's certificate authorities can't be used, or the operating system gives no random bytes.
    pub fn start(engine: &Engine) -> Result<Upstreams, UpstreamError> {
        Upstreams::build(engine, None)
    }

    /// Goes on with another engine. What its authenticators have [taken over](crate::authn::Authenticators::take_over) from those before
    /// is not fetched again, and what is remembered of it stays. Facts are asked for anew: they are told in the roles of one policy.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn renew(&self, engine: &Engine) -> Result<Upstreams, UpstreamError> {
        Upstreams::build(engine, Some(self))
    }

    fn build(engine: &Engine, before: Option<&Upstreams>) -> Result<Upstreams, UpstreamError> {
        let authenticators = &engine.authenticators;
        let fetching = |set| match before.and_then(|before| before.fetching(set)) {
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

    /// Looks up what is needed to tell who is calling, for a request of this trace.
    pub async fn look_up(&self, lookup: PendingLookup, trace: Option<&Arc<TraceContext>>) -> LookupResult {
        match lookup {
            PendingLookup::Keys(set) => {
                if let Some(fetching) = self.fetching(&set) {
                    fetching.refresh().await;
                }
                LookupResult::Keys
            }
            PendingLookup::Session(question) => LookupResult::Caller(self.sessions.ask(&question, trace).await),
        }
    }

    /// What another service tells of the conversations that these inquiries are about, for a request of this trace.
    ///
    /// # Errors
    /// If it can't be asked, or its answer can't be relied on.
    pub async fn inquire(
        &self,
        inquiries: Vec<FactsQuery>,
        trace: Option<&Arc<TraceContext>>,
    ) -> Result<Vec<ConversationFacts>, FactsUnavailable> {
        match &self.facts {
            Some(facts) if !inquiries.is_empty() => facts.ask(inquiries, trace).await,
            _ => Ok(Vec::new()),
        }
    }

    /// How each key set is.
    pub fn key_sets(&self) -> impl Iterator<Item = KeySetStatus> {
        self.keys.iter().map(|fetching| fetching.standing())
    }

    /// What came of the questions whose a credential is, by the authenticator's name.
    pub fn lookups(&self) -> impl Iterator<Item = (&Arc<str>, [(ExchangeOutcome, u64); 3])> {
        self.sessions.counts()
    }

    /// What came of the questions about conversations, by how they are asked.
    pub fn facts(&self) -> Option<(&'static str, [(ExchangeOutcome, u64); 3])> {
        self.facts.as_deref().map(FactsServer::counts)
    }

    /// Whether there is anything to wait for at all.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether all keys were there once. Those that came later are no reason to stop serving whoever needs none of them.
    pub fn has_started(&self) -> bool {
        self.has_started || self.keys.iter().all(|fetching| fetching.has_started())
    }

    fn fetching(&self, set: &Arc<KeySet>) -> Option<&Arc<KeySetRefresh>> {
        self.keys.iter().find(|fetching| fetching.is_for(set))
    }
}
