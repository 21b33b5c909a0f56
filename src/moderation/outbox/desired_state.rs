//! The desired state of a user at a vendor, according to the moderation entries and the policy file.

use super::job::{JobError, RunningJob};
use super::reconciler::Reconciler;
use crate::clock;
use crate::model::{Millis, Pattern};
use crate::policy::{Sanction, UserEntryKind};
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
            return Err(JobError::temporary("the moderation entries are older than the store"));
        }
        Ok(())
    }
}

impl Reconciler<'_> {
    /// Returns the desired state of the user in a conversation, or everywhere.
    pub(super) fn desired_state(&self, conversation: Option<&str>) -> Result<DesiredState, JobError> {
        Ok(to_desired_state(&self.desired_sanctions(conversation)?))
    }

    /// Returns the time at which a sanction of the policy file ends. No event reports this end.
    pub(super) fn policy_file_sanction_end(&self, conversation: Option<&str>) -> Result<Option<Millis>, JobError> {
        let DesiredSanctions { ban, mute } = self.desired_sanctions(conversation)?;
        let own = [ban, mute].into_iter().flatten().filter(|sanction| sanction.origin.author().is_none());
        Ok(own.filter_map(|sanction| sanction.until).min())
    }

    /// Returns the sanctions that the vendor should enforce now for the user in a conversation. If `conversation` is
    /// `None`, these are the sanctions that apply everywhere.
    fn desired_sanctions(&self, conversation: Option<&str>) -> Result<DesiredSanctions, JobError> {
        let place = conversation.map(|name| Pattern::Exact(name.to_owned()));
        let mut desired = DesiredSanctions::default();
        let end = |one: &Sanction| one.until.map_or(u64::MAX, |until| until.0);
        self.for_each_sanction(place.as_ref(), |sanction, is_ban| {
            let slot = if is_ban { &mut desired.ban } else { &mut desired.mute };
            if sanction.overlaps(place.as_ref()) && slot.as_ref().is_none_or(|best| end(best) < end(sanction)) {
                *slot = Some(sanction.clone());
            }
        })?;
        Ok(desired)
    }

    /// Returns the strictest state of the user in any conversation.
    pub(super) fn strictest_state(&self) -> Result<DesiredState, JobError> {
        let mut worst = DesiredState::default();
        self.for_each_sanction(Some(&Pattern::Everything), |sanction, is_ban| {
            let slot = if is_ban { &mut worst.banned } else { &mut worst.muted };
            *slot = (*slot).max(Some(sanction_end(sanction)));
        })?;
        Ok(worst)
    }

    /// Calls `visit` for each ban (`true`) and mute (`false`) of the user that is in force near a place, of the policy file
    /// and made at run time.
    fn for_each_sanction(
        &self,
        place: Option<&Pattern>,
        mut visit: impl FnMut(&Sanction, bool),
    ) -> Result<(), JobError> {
        let RunningJob { shared, targets, .. } = self.running;
        let index = shared.moderation.read().map_err(|stale| JobError::temporary(stale.to_string()))?;
        let now = clock::now();
        for entries in [targets.policy.entries(), index.entries()] {
            for entry in entries.entries_near(self.user, self.app, place) {
                let is_ban = entry.kind() == UserEntryKind::Ban;
                if let Some(sanction) = entry.to_entry().into_sanction().filter(|sanction| sanction.is_in_force(now)) {
                    visit(&sanction, is_ban);
                }
            }
        }
        Ok(())
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
