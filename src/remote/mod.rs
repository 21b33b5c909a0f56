//! Everything that asks other servers while requests are served: the key sets of issuers.

mod client;
mod freshness;
mod keys;

use std::sync::Arc;

use tokio::task::JoinSet;

pub use client::{Client, NoClient, Trouble};

use crate::authn::{Authenticator, Authenticators, Found, KeySource, Lookup};
use keys::Refresher;

/// What is asked elsewhere, and what is known from there. Dropping it ends all that it does in the background.
pub struct Remote {
    refreshers: Vec<Arc<Refresher>>,
    _tasks: JoinSet<()>,
}

impl Remote {
    /// Begins to fetch what these authenticators need, without waiting for it.
    ///
    /// # Errors
    /// If a server's certificate authorities can't be used.
    pub fn start(authenticators: &Authenticators) -> Result<Remote, NoClient> {
        let sets = authenticators.all().iter().filter_map(|authenticator| match authenticator {
            Authenticator::Jwt(jwt) => match &jwt.keys {
                KeySource::Fetched(set) => Some(set),
                KeySource::Fixed(_) => None,
            },
            _ => None,
        });
        let refreshers: Vec<_> = sets.map(|set| Refresher::new(set).map(Arc::new)).collect::<Result<_, _>>()?;
        let mut tasks = JoinSet::new();
        for refresher in &refreshers {
            tasks.spawn(Arc::clone(refresher).run());
        }
        Ok(Remote { refreshers, _tasks: tasks })
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
