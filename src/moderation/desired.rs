//! The sanctions that a vendor should enforce for a user, according to the moderation entries and the policy file.

use super::replica::{ModerationReplica, ReplicaStale};
use crate::model::{Millis, Pattern};
use crate::policy::{Policy, Sanction, UserEntry};

/// The sanctions that a vendor should enforce for a user in a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredSanctions {
    /// The ban that lasts longest of the bans that apply.
    pub ban: Option<Sanction>,
    /// The mute that lasts longest of the mutes that apply.
    pub mute: Option<Sanction>,
}

impl ModerationReplica {
    /// Returns the sanctions that a vendor should enforce now for a user in a conversation of an app. If `conversation`
    /// is `None`, these are the sanctions that apply everywhere. Entries of the policy file and entries made at run
    /// time both count.
    ///
    /// # Errors
    /// Returns an error if the moderation entries in memory are too old, or if their store is not trusted.
    pub fn desired_sanctions(
        &self,
        policy: &Policy,
        app: &str,
        user: &str,
        conversation: Option<&str>,
        now: Millis,
    ) -> Result<DesiredSanctions, ReplicaStale> {
        let index = self.read()?;
        let place = conversation.map_or(Pattern::Everything, |name| Pattern::Exact(name.to_owned()));
        let registers = [policy.entries(), index.entries()];
        let mut desired = DesiredSanctions::default();
        for entry in registers.into_iter().flat_map(|register| register.entries_near(user, app, Some(&place))) {
            let (sanction, slot) = match entry {
                UserEntry::Ban(ban) => (ban, &mut desired.ban),
                UserEntry::Mute(mute) => (mute, &mut desired.mute),
                UserEntry::Block(_) | UserEntry::Role(_) => continue,
            };
            let here = if conversation.is_some() {
                sanction.scope.overlaps(&place)
            } else {
                sanction.scope == Pattern::Everything
            };
            let end = |one: &Sanction| one.until.map_or(u64::MAX, |until| until.0);
            if here
                && sanction.until.is_none_or(|until| now < until)
                && slot.as_ref().is_none_or(|best| end(best) < end(sanction))
            {
                *slot = Some(sanction.clone());
            }
        }
        Ok(desired)
    }
}
