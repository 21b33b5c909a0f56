//! The desired state of a user at a vendor, according to the moderation entries and the policy file.

use std::sync::RwLockReadGuard;

use super::job::{JobError, RunningJob};
use crate::clock;
use crate::model::{Millis, Pattern};
use crate::moderation::ModerationIndex;
use crate::policy::{Sanction, UserEntry};
use crate::vendor::moderation::{DesiredState, SanctionEnd};

/// The sanctions that a vendor should enforce for a user in a scope.
#[derive(Default)]
struct DesiredSanctions {
    /// The ban that lasts longest of the bans that apply.
    ban: Option<Sanction>,
    /// The mute that lasts longest of the mutes that apply.
    mute: Option<Sanction>,
}

impl RunningJob<'_> {
    /// Updates the moderation entries to the present state of the store. Then no change that was acknowledged before is
    /// missing.
    pub(super) async fn sync_replica(&self) -> Result<(), JobError> {
        let moderation = &self.shared.moderation;
        let head = self.store()?.head().await?;
        moderation.sync().await;
        let known = moderation.head();
        moderation.check_fresh().map_err(|stale| JobError::temporary(stale.to_string()))?;
        if known.epoch != head.epoch || known.version < head.version {
            return Err(JobError::temporary("the moderation entries are older than the store".to_owned()));
        }
        Ok(())
    }

    /// Returns the desired state of a user in a conversation, or everywhere.
    pub(super) fn desired_state(
        &self,
        app: &str,
        user: &str,
        conversation: Option<&str>,
    ) -> Result<DesiredState, JobError> {
        Ok(to_desired_state(&self.desired_sanctions(app, user, conversation)?))
    }

    /// Returns the time at which a sanction of the policy file ends. No event reports this end.
    pub(super) fn policy_file_sanction_end(
        &self,
        app: &str,
        user: &str,
        conversation: Option<&str>,
    ) -> Result<Option<Millis>, JobError> {
        let DesiredSanctions { ban, mute } = self.desired_sanctions(app, user, conversation)?;
        let own = [ban, mute].into_iter().flatten().filter(|sanction| sanction.origin.author().is_none());
        Ok(own.filter_map(|sanction| sanction.until).min())
    }

    /// Returns the sanctions that a vendor should enforce now for a user in a conversation of an app. If `conversation`
    /// is `None`, these are the sanctions that apply everywhere. Entries of the policy file and entries made at run
    /// time both count.
    fn desired_sanctions(
        &self,
        app: &str,
        user: &str,
        conversation: Option<&str>,
    ) -> Result<DesiredSanctions, JobError> {
        let (index, now) = (self.read_index()?, clock::now());
        let place = conversation.map(|name| Pattern::Exact(name.to_owned()));
        let registers = [self.targets.policy.entries(), index.entries()];
        let mut desired = DesiredSanctions::default();
        for entry in registers.into_iter().flat_map(|entry_index| entry_index.entries_near(user, app, place.as_ref())) {
            let (sanction, slot) = match entry {
                UserEntry::Ban(ban) => (ban, &mut desired.ban),
                UserEntry::Mute(mute) => (mute, &mut desired.mute),
                UserEntry::Block(_) | UserEntry::Role(_) => continue,
            };
            let end = |one: &Sanction| one.until.map_or(u64::MAX, |until| until.0);
            if sanction.overlaps(place.as_ref())
                && sanction.is_in_force(now)
                && slot.as_ref().is_none_or(|best| end(best) < end(sanction))
            {
                *slot = Some(sanction.clone());
            }
        }
        Ok(desired)
    }

    /// Returns the moderation entries, if they are not too old and their store is trusted.
    fn read_index(&self) -> Result<RwLockReadGuard<'_, ModerationIndex>, JobError> {
        self.shared.moderation.read().map_err(|stale| JobError::temporary(stale.to_string()))
    }

    /// Returns the strictest state of a user in any conversation.
    pub(super) fn strictest_state(&self, app: &str, user: &str) -> Result<DesiredState, JobError> {
        let now = clock::now();
        let index = self.read_index()?;
        let registers = [self.targets.policy.entries(), index.entries()];
        let mut worst = DesiredState::default();
        for entry in registers
            .into_iter()
            .flat_map(|entry_index| entry_index.entries_near(user, app, Some(&Pattern::Everything)))
        {
            let slot = match entry {
                UserEntry::Ban(_) => &mut worst.banned,
                UserEntry::Mute(_) => &mut worst.muted,
                UserEntry::Block(_) | UserEntry::Role(_) => continue,
            };
            if let UserEntry::Ban(sanction) | UserEntry::Mute(sanction) = entry
                && sanction.is_in_force(now)
            {
                *slot = (*slot).max(Some(sanction_end(sanction)));
            }
        }
        Ok(worst)
    }
}

fn to_desired_state(desired: &DesiredSanctions) -> DesiredState {
    let DesiredSanctions { ban, mute } = desired;
    let reason = ban.as_ref().or(mute.as_ref()).and_then(|sanction| sanction.reason.clone());
    DesiredState { banned: ban.as_ref().map(sanction_end), muted: mute.as_ref().map(sanction_end), reason }
}

fn sanction_end(sanction: &Sanction) -> SanctionEnd {
    sanction.until.map_or(SanctionEnd::Forever, SanctionEnd::At)
}
