//! What goes on when a configuration is replaced by another.

use std::sync::Arc;

use super::{Authenticator, Authenticators, Introspection, Jwt, KeySet, KeySource};

impl Authenticators {
    /// Takes over from those before what is configured the same way here: key sets with the keys that were fetched, and other servers
    /// with what they are remembered to have said.
    pub fn take_over(&mut self, before: &Authenticators) {
        for authenticator in &mut self.all {
            match authenticator {
                Authenticator::Jwt(Jwt { keys: KeySource::Fetched(set), .. }) => {
                    let same = before.key_sets().find(|known| known.is_configured_like(set));
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

    /// The key sets that are fetched.
    pub fn key_sets(&self) -> impl Iterator<Item = &Arc<KeySet>> {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::Jwt(Jwt { keys: KeySource::Fetched(set), .. }) => Some(set),
            _ => None,
        })
    }

    /// Those that ask other servers.
    pub fn introspections(&self) -> impl Iterator<Item = &Arc<Introspection>> {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::Introspection(introspection) => Some(introspection),
            _ => None,
        })
    }
}
