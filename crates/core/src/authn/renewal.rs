//! The state that is kept when a new configuration replaces the old one.

use std::sync::Arc;

use super::{Authenticator, Authenticators, Introspection, Jwt, KeySet, KeySource};

impl Authenticators {
    /// Reuses the state of authenticators that are configured the same way: the fetched keys of key sets, and the
    /// cached answers of other servers.
    pub fn reuse_state_from(&mut self, before: &Authenticators) {
        for authenticator in &mut self.all {
            match authenticator {
                Authenticator::Jwt(Jwt { keys: KeySource::Fetched(set), .. }) => {
                    let same = before.key_sets().find(|known| known.has_same_config(set));
                    *set = Arc::clone(same.unwrap_or(set));
                }
                Authenticator::Introspection(one) => {
                    let same = before.introspections().find(|known| known == &one);
                    *one = Arc::clone(same.unwrap_or(one));
                }
                _ => {}
            }
        }
    }

    /// Returns the key sets that are fetched.
    pub fn key_sets(&self) -> impl Iterator<Item = &Arc<KeySet>> {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::Jwt(Jwt { keys: KeySource::Fetched(set), .. }) => Some(set),
            _ => None,
        })
    }

    /// Returns the authenticators that ask other servers.
    pub fn introspections(&self) -> impl Iterator<Item = &Arc<Introspection>> {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::Introspection(introspection) => Some(introspection),
            _ => None,
        })
    }
}
