//! Asks a vendor for the state of a user, and plans the changes.

use super::job::{JobError, RunningJob};
use super::targets::DeliveryTarget;
use crate::clock;
use crate::config::Enforcement;
use crate::vendor::moderation::{DesiredState, ModerationPlan, ModerationTarget, VendorModeration};

/// A user of an app at its vendor.
pub(super) struct VendorUser<'a> {
    pub(super) target: &'a DeliveryTarget<Enforcement>,
    pub(super) app: &'a str,
    pub(super) user: &'a str,
}

impl<'a> VendorUser<'a> {
    /// Returns the moderation API of the vendor.
    pub(super) fn moderation_api(&self) -> &'a dyn VendorModeration {
        &*self.target.settings.moderation_api
    }
}

impl RunningJob<'_> {
    /// Plans the changes in a conversation.
    pub(super) async fn plan(
        &self,
        subject: &VendorUser<'_>,
        conversation: &str,
        want: &DesiredState,
        noted: Option<&str>,
    ) -> Result<ModerationPlan, JobError> {
        let target = self.moderation_target(subject.user, conversation, want, noted);
        let mut planner = subject.moderation_api().conversation_planner(target);
        while let Some(call) = planner.next_query()? {
            let answer = self.send(subject.target, &call).await?;
            planner.read(answer.as_deref()).map_err(malformed_answer)?;
        }
        Ok(planner.plan(clock::now())?)
    }

    /// Returns the subject of this job in a conversation, or everywhere.
    pub(super) fn moderation_target<'a>(
        &self,
        user: &'a str,
        conversation: &'a str,
        desired: &'a DesiredState,
        checkpoint: Option<&'a str>,
    ) -> ModerationTarget<'a> {
        let (revision, is_final) = (self.job.revision, self.repeat_at.is_none());
        ModerationTarget { user, conversation, revision, is_final, desired, checkpoint }
    }
}

pub(super) fn malformed_answer(flaw: &'static str) -> JobError {
    JobError::temporary(flaw.to_owned())
}
