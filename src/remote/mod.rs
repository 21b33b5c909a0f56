//! Everything that asks other servers while requests are served: issuers for their keys, whoever knows whose a session is, and whoever
//! knows conversations.

mod client;
mod facts;
mod freshness;
mod keys;
mod memory;
mod sessions;

use std::sync::Arc;

use tokio::task::JoinSet;

pub use client::{Client, NoClient, Trouble};
pub use facts::Unavailable;

use crate::authn::{Authenticator, Found, Introspection, KeySet, KeySource, Lookup};
use crate::engine::{Engine, Inquiry};
use crate::policy::Told;
use crate::random::{self, NoEntropy};
use facts::Facts;
use keys::Refresher;
use sessions::Sessions;

/// What is asked elsewhere, and what is known from there. Dropping it ends all that it does in the background.
pub struct Remote {
    refreshers: Vec<Arc<Refresher>>,
    sessions: Sessions,
    facts: Option<Arc<Facts>>,
    _tasks: JoinSet<()>,
}

/// Why other servers can't be asked.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum NoRemote {
    /// There is no client for one of them.
    Client(#[from] NoClient),
    /// There is no key to remember answers by.
    Entropy(#[from] NoEntropy),
}

impl Remote {
    /// Begins to fetch what this engine's authenticators need, without waiting for it.
    ///
    /// # Errors
    /// If a server's certificate authorities can't be used, or the operating system gives no random bytes.
    pub fn start(engine: &Engine) -> Result<Remote, NoRemote> {
        let all = engine.authenticators.all();
        let refreshers = all.iter().filter_map(key_set).map(|set| Refresher::new(set).map(Arc::new));
        let refreshers: Vec<_> = refreshers.collect::<Result<_, _>>()?;
        let sessions = Sessions::new(all.iter().filter_map(introspection), &random::bytes()?)?;
        let facts = match &engine.facts {
            Some(source) => Some(Arc::new(Facts::new(source, &random::bytes()?)?)),
            None => None,
        };
        let mut tasks = JoinSet::new();
        for refresher in &refreshers {
            tasks.spawn(Arc::clone(refresher).run());
        }
        Ok(Remote { refreshers, sessions, facts, _tasks: tasks })
    }

    /// Looks up what is needed to tell who is calling.
    pub async fn look_up(&self, lookup: Lookup) -> Found {
        match lookup {
            Lookup::Keys(set) => {
                if let Some(refresher) = self.refreshers.iter().find(|refresher| refresher.is_for(&set)) {
                    refresher.refresh().await;
                }
                Found::Keys
            }
            Lookup::Session(question) => Found::Caller(self.sessions.ask(&question).await),
        }
    }

    /// What another service tells of the conversations that these inquiries are about.
    ///
    /// # Errors
    /// If it can't be asked, or its answer can't be relied on.
    pub async fn inquire(&self, inquiries: Vec<Inquiry>) -> Result<Vec<Told>, Unavailable> {
        match &self.facts {
            Some(facts) if !inquiries.is_empty() => facts.ask(inquiries).await,
            _ => Ok(Vec::new()),
        }
    }

    /// What has to be there before requests can be served: nothing, or a sentence for each thing that isn't.
    pub fn waits_for(&self) -> Vec<String> {
        self.refreshers.iter().filter_map(|refresher| refresher.waits()).collect()
    }

    /// Whether there is anything to wait for at all.
    pub fn has_keys(&self) -> bool {
        !self.refreshers.is_empty()
    }
}

fn key_set(authenticator: &Authenticator) -> Option<&Arc<KeySet>> {
    match authenticator {
        Authenticator::Jwt(jwt) => match &jwt.keys {
            KeySource::Fetched(set) => Some(set),
            KeySource::Fixed(_) => None,
        },
        _ => None,
    }
}

fn introspection(authenticator: &Authenticator) -> Option<&Arc<Introspection>> {
    match authenticator {
        Authenticator::Introspection(introspection) => Some(introspection),
        _ => None,
    }
}
