//! Asks a vendor for the state of a user, and plans the changes.

use super::job::{JobError, RunningJob};
use super::targets::DeliveryTarget;
use crate::clock;
use crate::config::Enforcement;
use crate::vendor::ModerationApi;
use crate::vendor::leancloud;
use crate::vendor::moderation::{DesiredState, ModerationPlan};
use crate::vendor::talkjs;

/// A user of an app at its vendor.
pub(super) struct VendorUser<'a> {
    pub(super) target: &'a DeliveryTarget<Enforcement>,
    pub(super) app: &'a str,
    pub(super) user: &'a str,
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
        match &subject.target.settings.moderation_api {
            ModerationApi::TalkJs(moderator) => self.plan_talkjs(moderator, subject, conversation, want, noted).await,
            ModerationApi::LeanCloud(_) => self.plan_leancloud(subject, conversation, want, noted).await,
            ModerationApi::Ably(moderator) => Ok(moderator.plan(subject.user, want)?),
        }
    }

    async fn plan_talkjs(
        &self,
        moderator: &talkjs::ModerationApi,
        subject: &VendorUser<'_>,
        conversation: &str,
        want: &DesiredState,
        noted: Option<&str>,
    ) -> Result<ModerationPlan, JobError> {
        let VendorUser { target, user, .. } = *subject;
        let participant = (user, conversation);
        if *want == DesiredState::default() && noted.is_none() {
            return Ok(ModerationPlan::default());
        }
        let found = match self.send(target, &moderator.get_conversation(conversation)?).await? {
            Some(body) => talkjs::parse_participant(&body, user).map_err(malformed_answer)?,
            None => None,
        };
        Ok(moderator.plan(participant, want, noted, found.as_ref())?)
    }

    async fn plan_leancloud(
        &self,
        subject: &VendorUser<'_>,
        conversation: &str,
        want: &DesiredState,
        noted: Option<&str>,
    ) -> Result<ModerationPlan, JobError> {
        let (user, revision, is_last) = (subject.user, self.job.revision, self.repeat_at.is_none());
        let place = leancloud::ModerationTarget {
            user,
            conversation,
            revision,
            is_final: is_last,
            desired: want,
            checkpoint: noted,
        };
        let mut found = leancloud::ObservedState::default();
        while let Some((look, call)) = place.next_query(&found)? {
            match self.send(subject.target, &call).await? {
                Some(body) => found.read(look, &place, &body).map_err(malformed_answer)?,
                None => found.set_absent(),
            }
        }
        Ok(place.plan(&found, clock::now())?)
    }
}

pub(super) fn malformed_answer(flaw: &'static str) -> JobError {
    JobError::temporary(flaw.to_owned())
}
