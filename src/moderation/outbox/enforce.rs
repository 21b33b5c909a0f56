//! Enforcement: brings a vendor to the desired state of a user in a conversation, or everywhere.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::checkpoint::{OwnCheckpoints, ScopeCheckpoint, UserCheckpoint, parse_user_checkpoint};
use super::job::{JobError, ReconcileResult, RunningJob};
use super::observe::VendorUser;
use crate::clock;
use crate::crypto::percent_encode;
use crate::model::Millis;
use crate::moderation::store::JobState;
use crate::vendor::moderation::{DesiredState, ModerationPlan, ModerationReach};

/// The number of jobs in a read from the store.
const JOBS_PER_READ: usize = 200;

/// Names of places that are not conversations: everywhere, and the list of conversations in which something was
/// changed.
const EVERYWHERE: &str = "*";
pub(super) const CONVERSATION_LIST: &str = "";

/// The content of an enforcement job.
#[derive(Debug, Deserialize)]
pub(super) struct EnforcementJob {
    pub(super) app: String,
    pub(super) user: String,
    /// The conversation. `None`: everywhere.
    conversation: Option<String>,
}

/// The states that were enforced, by place, and the result of the job.
#[derive(Default)]
pub(super) struct EnforcementResult {
    pub(super) enforced_states: BTreeMap<Option<String>, DesiredState>,
    pub(super) result: ReconcileResult,
}

impl EnforcementJob {
    /// Reads the body of a job.
    pub(super) fn parse(body: &str) -> Result<EnforcementJob, JobError> {
        serde_json::from_str(body).map_err(|_| JobError::Never("the job cannot be read".to_owned()))
    }
}

impl RunningJob<'_> {
    /// Enforces the desired state until it is still the desired state afterwards.
    pub(super) async fn enforce(&self, order: &EnforcementJob) -> Result<ReconcileResult, JobError> {
        let unknown = || JobError::Never(format!("[apps.{}.enforcement] is not configured", order.app));
        let target = self.targets.apps.get(order.app.as_str()).ok_or_else(unknown)?;
        let subject = VendorUser { target, app: &order.app, user: &order.user };
        let mut own = OwnCheckpoints::new();
        if self.job.taken_over {
            self.renew_unanswered_requests(&subject, order.conversation.as_deref(), &mut own).await?;
        }
        self.sync_replica().await?;
        loop {
            let delivered = match &order.conversation {
                Some(conversation) => self.enforce_in_conversation(&subject, conversation, &mut own).await?,
                None => self.enforce_everywhere(&subject, &mut own).await?,
            };
            self.sync_replica().await?;
            if self.is_still_desired(&subject, &delivered)? {
                return Ok(self.schedule_repetition(delivered));
            }
        }
    }

    /// Counts unanswered requests of the previous holder of the job as sent now, because they may still arrive.
    async fn renew_unanswered_requests(
        &self,
        subject: &VendorUser<'_>,
        place: Option<&str>,
        own: &mut OwnCheckpoints,
    ) -> Result<(), JobError> {
        let places = match place {
            Some(conversation) => BTreeSet::from([conversation.to_owned()]),
            None => self.known_conversations(subject, own).await?,
        };
        for place in &places {
            let key = checkpoint_key(subject, place);
            let memo = self.read_checkpoint(&key).await?;
            if memo.sent.is_some() && !self.write_checkpoint(&key, &memo.with_sent_at(clock::now()), own).await? {
                return Err(JobError::Lost);
            }
        }
        Ok(())
    }

    /// If a sanction was enforced, schedules a repetition for the time when every process knows it.
    fn schedule_repetition(
        &self,
        EnforcementResult { enforced_states: made, result: mut did }: EnforcementResult,
    ) -> ReconcileResult {
        if made.values().any(|made| *made != DesiredState::default()) {
            did.uncertain_until = earliest(did.uncertain_until, self.repeat_at);
        }
        did
    }

    fn is_still_desired(&self, subject: &VendorUser<'_>, delivered: &EnforcementResult) -> Result<bool, JobError> {
        for (place, made) in &delivered.enforced_states {
            if self.desired_in_place(subject, place.as_deref())? != *made {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the desired state in a place. If the vendor's requests take effect in all conversations, the strictest
    /// state applies everywhere.
    pub(super) fn desired_in_place(
        &self,
        subject: &VendorUser<'_>,
        place: Option<&str>,
    ) -> Result<DesiredState, JobError> {
        match (subject.moderation_api().reach(), place) {
            (ModerationReach::User, None) => self.strictest_state(subject.app, subject.user),
            _ => self.desired_state(subject.app, subject.user, place),
        }
    }

    async fn enforce_in_conversation(
        &self,
        subject: &VendorUser<'_>,
        conversation: &str,
        own: &mut OwnCheckpoints,
    ) -> Result<EnforcementResult, JobError> {
        let mut delivered = EnforcementResult::default();
        if self.desired_in_place(subject, Some(conversation))? != DesiredState::default() {
            self.add_to_conversation_list(subject, [conversation], own).await?;
        }
        self.reconcile(subject, conversation, own, &mut delivered).await?;
        self.remove_restored_from_list(subject, |listed| listed == conversation, own).await?;
        Ok(delivered)
    }

    /// Enforces the desired state in all conversations that the user is in, or in which something was changed before.
    /// Also makes the calls that concern all conversations at once.
    async fn enforce_everywhere(
        &self,
        subject: &VendorUser<'_>,
        own: &mut OwnCheckpoints,
    ) -> Result<EnforcementResult, JobError> {
        let mut delivered = EnforcementResult::default();
        let want = self.desired_in_place(subject, None)?;
        delivered.enforced_states.insert(None, want.clone());
        delivered.result.requeue_at = self.policy_file_sanction_end(subject.app, subject.user, None)?;
        self.enforce_at_once(subject, &want, own, &mut delivered).await?;
        match subject.moderation_api().reach() {
            ModerationReach::User => {}
            ModerationReach::Conversation => {
                let known = self.known_conversations(subject, own).await?;
                for conversation in self.with_checkpoints(subject, known, own).await? {
                    self.reconcile(subject, &conversation, own, &mut delivered).await?;
                }
                self.remove_restored_from_list(subject, |_| true, own).await?;
            }
            ModerationReach::ListedConversations(list) => {
                self.enforce_in_all_conversations(list, subject, own, &mut delivered).await?;
            }
        }
        Ok(delivered)
    }

    /// Makes the requests that concern all conversations at once.
    async fn enforce_at_once(
        &self,
        subject: &VendorUser<'_>,
        want: &DesiredState,
        own: &mut OwnCheckpoints,
        delivered: &mut EnforcementResult,
    ) -> Result<(), JobError> {
        let stored = self.read_checkpoint(&checkpoint_key(subject, EVERYWHERE)).await?;
        let target = self.moderation_target(subject.user, EVERYWHERE, want, stored.note.as_deref());
        let plan = subject.moderation_api().plan_everywhere(&target)?;
        self.execute_plan(subject, EVERYWHERE, stored, plan, own, delivered).await
    }

    /// Returns the conversations in which something is changed for the user, or was changed recently.
    pub(super) async fn known_conversations(
        &self,
        subject: &VendorUser<'_>,
        own: &OwnCheckpoints,
    ) -> Result<BTreeSet<String>, JobError> {
        let noted = self.vendor_state_of(&checkpoint_key(subject, CONVERSATION_LIST), own).await?;
        let mut known = parse_user_checkpoint(noted.as_deref())?.conversations;
        known.extend(self.recent_job_conversations(subject).await?);
        Ok(known)
    }

    /// Records the conversations in which something is about to be changed for the user. This comes first, because the
    /// vendor no longer lists a conversation after the user was removed from it.
    pub(super) async fn add_to_conversation_list<'c>(
        &self,
        subject: &VendorUser<'_>,
        conversations: impl IntoIterator<Item = &'c str>,
        own: &mut OwnCheckpoints,
    ) -> Result<(), JobError> {
        if let ModerationReach::User = subject.moderation_api().reach() {
            return Ok(());
        }
        let key = checkpoint_key(subject, CONVERSATION_LIST);
        let noted = self.vendor_state_of(&key, own).await?;
        let mut touched = parse_user_checkpoint(noted.as_deref())?;
        let before = touched.conversations.len();
        touched.conversations.extend(conversations.into_iter().map(str::to_owned));
        if touched.conversations.len() > before && !self.write_checkpoint(&key, &touched.to_checkpoint(), own).await? {
            return Err(JobError::Lost);
        }
        Ok(())
    }

    /// Deletes the selected conversations from the list if everything in them is as before.
    pub(super) async fn remove_restored_from_list(
        &self,
        subject: &VendorUser<'_>,
        of: impl Fn(&str) -> bool,
        own: &mut OwnCheckpoints,
    ) -> Result<(), JobError> {
        let key = checkpoint_key(subject, CONVERSATION_LIST);
        let Some(noted) = self.vendor_state_of(&key, own).await? else { return Ok(()) };
        let touched = parse_user_checkpoint(Some(&noted))?;
        let (asked, mut conversations): (BTreeSet<_>, BTreeSet<_>) =
            touched.conversations.into_iter().partition(|listed| of(listed));
        conversations.extend(self.with_checkpoints(subject, asked, own).await?);
        let memo = UserCheckpoint { conversations, ..touched }.to_checkpoint();
        if memo.note.as_ref() != Some(&noted) {
            self.write_checkpoint(&key, &memo, own).await?;
        }
        Ok(())
    }

    /// Returns the conversations that have a checkpoint of the user.
    async fn with_checkpoints(
        &self,
        subject: &VendorUser<'_>,
        conversations: BTreeSet<String>,
        own: &OwnCheckpoints,
    ) -> Result<BTreeSet<String>, JobError> {
        let mut kept = BTreeSet::new();
        for conversation in conversations {
            if self.vendor_state_of(&checkpoint_key(subject, &conversation), own).await?.is_some() {
                kept.insert(conversation);
            }
        }
        Ok(kept)
    }

    /// Returns the conversations of recent jobs. The store does not keep completed jobs forever.
    async fn recent_job_conversations(&self, subject: &VendorUser<'_>) -> Result<BTreeSet<String>, JobError> {
        let prefix = checkpoint_key(subject, CONVERSATION_LIST);
        let mut found = BTreeSet::new();
        for state in [JobState::Pending, JobState::Done, JobState::DeadLetter] {
            let mut after = String::new();
            loop {
                let jobs = self.store()?.list_jobs(state, &prefix, &after, JOBS_PER_READ).await?;
                found.extend(jobs.iter().filter_map(|job| EnforcementJob::parse(&job.body).ok()?.conversation));
                match jobs.last() {
                    Some(last) if jobs.len() == JOBS_PER_READ => after.clone_from(&last.key),
                    _ => break,
                }
            }
        }
        Ok(found)
    }

    /// Enforces the desired state in a conversation. Reads the checkpoint before and after the vendor is asked. If
    /// another process has changed the checkpoint and the vendor meanwhile, the vendor's answer is not the original
    /// state.
    pub(super) async fn reconcile(
        &self,
        subject: &VendorUser<'_>,
        conversation: &str,
        own: &mut OwnCheckpoints,
        delivered: &mut EnforcementResult,
    ) -> Result<(), JobError> {
        let key = checkpoint_key(subject, conversation);
        let mut stored = self.read_checkpoint(&key).await?;
        loop {
            let want = self.desired_in_place(subject, Some(conversation))?;
            let noted = stored.note.as_ref().or(own.get(&key)).cloned();
            let plan = self.plan(subject, conversation, &want, noted.as_deref()).await?;
            let now = self.read_checkpoint(&key).await?;
            if now == stored {
                delivered.enforced_states.insert(Some(conversation.to_owned()), want);
                let ends = self.policy_file_sanction_end(subject.app, subject.user, Some(conversation))?;
                delivered.result.requeue_at = earliest(delivered.result.requeue_at, ends);
                return self.execute_plan(subject, conversation, stored, plan, own, delivered).await;
            }
            stored = now;
        }
    }

    /// Carries out a plan. If this process no longer holds the job, nothing more is taken from the user, because the
    /// old state could not be recorded. Rights that were taken away may still be given back.
    async fn execute_plan(
        &self,
        subject: &VendorUser<'_>,
        conversation: &str,
        memo: ScopeCheckpoint,
        plan: ModerationPlan,
        own: &mut OwnCheckpoints,
        delivered: &mut EnforcementResult,
    ) -> Result<(), JobError> {
        let key = checkpoint_key(subject, conversation);
        let ModerationPlan {
            checkpoint_before: before,
            calls,
            checkpoint_after: after,
            renew_at: again,
            unsupported: lacking,
        } = plan;
        let is_noted = before.is_some() || after.is_some() || memo != ScopeCheckpoint::default();
        let doubt = self.last_unanswered_request(&memo);
        let sent = if calls.is_empty() { memo.sent } else { Some(clock::now().0) };
        let first = ScopeCheckpoint { sent, note: before };
        own.extend(first.note.clone().map(|note| (key.clone(), note)));
        if is_noted && first != memo && !self.write_checkpoint(&key, &first, own).await? && after.is_some() {
            return Err(JobError::Lost);
        }
        for call in &calls {
            self.send(subject.target, call).await?;
        }
        // Earlier requests may arrive after these requests. Then all of them must be repeated. These requests were
        // answered.
        let note = if doubt.is_some() { first.note.clone() } else { after };
        let last = ScopeCheckpoint { sent: doubt, note };
        if is_noted && last != first {
            self.write_checkpoint(&key, &last, own).await?;
        }
        delivered.result.uncertain_until =
            delivered.result.uncertain_until.max(doubt.map(|sent| self.arrival_deadline(sent)));
        delivered.result.requeue_at = earliest(delivered.result.requeue_at, again);
        delivered.result.unsupported = delivered.result.unsupported.take().or(lacking.map(Cow::Borrowed));
        Ok(())
    }
}

/// Returns the key of the checkpoint of a user in a place. With [`CONVERSATION_LIST`] it is also the prefix of the keys of all jobs
/// about the user.
pub(super) fn checkpoint_key(subject: &VendorUser<'_>, place: &str) -> String {
    let place = if place == EVERYWHERE { place.to_owned() } else { percent_encode(place.as_bytes()) };
    let [app, user] = [subject.app, subject.user].map(|text| percent_encode(text.as_bytes()));
    format!("enforce:{app}:{user}:{place}")
}

fn earliest(one: Option<Millis>, other: Option<Millis>) -> Option<Millis> {
    one.into_iter().chain(other).min()
}
