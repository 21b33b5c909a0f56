//! What the moderation entries and the policy file say of a user in a place: what a vendor should know.

use super::replica::{ModerationReplica, ReplicaStale};
use crate::model::{Millis, Pattern};
use crate::policy::{Policy, Sanction, UserEntry};

/// What a vendor should know of a user in a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredSanctions {
    /// The ban that lasts longest, of those that count there.
    pub ban: Option<Sanction>,
    /// The mute that lasts longest.
    pub mute: Option<Sanction>,
}

impl ModerationReplica {
    /// What a vendor should know now of a user in a conversation of an app; everywhere, where there is none. The policy file's entries
    /// count with those made at run time.
    ///
    /// # Errors
    /// If what is known is too old to go by.
    pub fn desired(
        &self,
        policy: &Policy,
        app: &str,
        user: &str,
        conversation: Option<&str>,
        now: Millis,
    ) -> Result<DesiredSanctions, ReplicaStale> {
        let index = self.read()?;
        let place = conversation.map_or(Pattern::Everything, |name| Pattern::Exact(name.to_owned()));
        let registers = [policy.register(), index.register()];
        let mut desired = DesiredSanctions::default();
        for entry in registers.into_iter().flat_map(|register| register.about(user, app, Some(&place))) {
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
