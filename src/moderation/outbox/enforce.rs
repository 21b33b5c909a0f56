//! Enforcement: brings a vendor to the desired state of a user in a conversation, or everywhere.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;

use super::job::{JobError, ReconcileResult, RunningJob};
use super::reconciler::{
    CONVERSATION_LIST, EVERYWHERE, OwnCheckpoints, Progress, Reconciler, ScopeCheckpoint, UserCheckpoint,
};
use crate::clock;
use crate::model::Millis;
use crate::moderation::store::JobState;
use crate::vendor::moderation::{DesiredState, ModerationPlan, ModerationReach, VendorCall};

/// The number of jobs in a read from the store.
const JOBS_PER_READ: usize = 200;

/// The content of an enforcement job.
#[derive(Debug, Deserialize)]
pub(super) struct EnforcementJob {
    pub(super) app: String,
    user: String,
    /// The conversation. `None`: everywhere.
    conversation: Option<String>,
}

impl EnforcementJob {
    /// Reads the body of a job.
    pub(super) fn parse(body: &str) -> Result<EnforcementJob, JobError> {
        serde_json::from_str(body).map_err(|_| JobError::impossible("the job cannot be read"))
    }
}

impl RunningJob<'_> {
    /// Enforces the desired state until it is still the desired state afterwards.
    pub(super) async fn enforce(&self, order: &EnforcementJob) -> Result<ReconcileResult, JobError> {
        let EnforcementJob { app, user, conversation } = order;
        let unknown = || JobError::impossible(format!("[apps.{app}.enforcement] is not configured"));
        let target = self.targets.apps.get(app.as_str()).ok_or_else(unknown)?;
        let (own, progress) = (OwnCheckpoints::new(), Progress::default());
        let mut reconciler = Reconciler { running: self, target, app, user, own, progress };
        if self.job.taken_over {
            reconciler.renew_unanswered_requests(conversation.as_deref()).await?;
        }
        self.sync_replica().await?;
        loop {
            reconciler.progress = Progress::default();
            match conversation {
                Some(conversation) => reconciler.enforce_in_conversation(conversation).await?,
                None => reconciler.enforce_everywhere().await?,
            }
            self.sync_replica().await?;
            if reconciler.is_still_desired()? {
                return Ok(reconciler.conclude());
            }
        }
    }
}

impl Reconciler<'_> {
    /// Counts unanswered requests of the previous holder of the job as sent now, because they may still arrive.
    async fn renew_unanswered_requests(&mut self, place: Option<&str>) -> Result<(), JobError> {
        let places = match place {
            Some(conversation) => BTreeSet::from([conversation.to_owned()]),
            None => self.known_conversations().await?,
        };
        for place in &places {
            let ScopeCheckpoint { sent, note } = self.read_checkpoint(place).await?;
            let renewed = ScopeCheckpoint { sent: Some(clock::now().0), note };
            if sent.is_some() && !self.write_checkpoint(place, renewed).await? {
                return Err(JobError::Lost);
            }
        }
        Ok(())
    }

    /// Returns the result of the job. If a sanction was enforced, the job runs again when every process knows it. What is
    /// unsupported is decided in the last run.
    fn conclude(self) -> ReconcileResult {
        let Progress { enforced_states, requeue_at, uncertain_until, unsupported } = self.progress;
        let is_imposed = enforced_states.values().any(|state| *state != DesiredState::default());
        let uncertain_until = earliest(uncertain_until, self.running.repeat_at.filter(|_| is_imposed));
        let requeue_at = earliest(requeue_at, uncertain_until);
        ReconcileResult { requeue_at, unsupported: unsupported.filter(|_| uncertain_until.is_none()) }
    }

    fn is_still_desired(&self) -> Result<bool, JobError> {
        for (place, enforced) in &self.progress.enforced_states {
            if self.desired_in_place(place.as_deref())? != *enforced {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the desired state in a place. If the vendor's requests take effect in all conversations, the strictest
    /// state applies everywhere.
    pub(super) fn desired_in_place(&self, place: Option<&str>) -> Result<DesiredState, JobError> {
        match (self.moderation_api().reach(), place) {
            (ModerationReach::User, None) => self.strictest_state(),
            _ => self.desired_state(place),
        }
    }

    async fn enforce_in_conversation(&mut self, conversation: &str) -> Result<(), JobError> {
        if self.desired_in_place(Some(conversation))? != DesiredState::default() {
            self.add_to_conversation_list([conversation]).await?;
        }
        self.reconcile(Some(conversation)).await?;
        self.remove_restored_from_list(|listed| listed == conversation).await
    }

    /// Enforces the desired state in all conversations that the user is in, or in which something was changed before.
    /// Also makes the calls that concern all conversations at once.
    async fn enforce_everywhere(&mut self) -> Result<(), JobError> {
        self.reconcile(None).await?;
        match self.moderation_api().reach() {
            ModerationReach::User => Ok(()),
            ModerationReach::Conversation => {
                let known = self.known_conversations().await?;
                for conversation in self.with_checkpoints(known).await? {
                    self.reconcile(Some(&conversation)).await?;
                }
                self.remove_restored_from_list(|_| true).await
            }
            ModerationReach::ListedConversations(list) => self.enforce_in_all_conversations(list).await,
        }
    }

    /// Returns the conversations in which something is changed for the user, or was changed recently. The store does not
    /// keep completed jobs forever.
    pub(super) async fn known_conversations(&self) -> Result<BTreeSet<String>, JobError> {
        let mut known = self.read_user_checkpoint().await?.conversations;
        let prefix = self.checkpoint_key(CONVERSATION_LIST);
        for state in [JobState::Pending, JobState::Done, JobState::DeadLetter] {
            let mut after = String::new();
            loop {
                let jobs = self.running.store()?.list_jobs(state, &prefix, &after, JOBS_PER_READ).await?;
                known.extend(jobs.iter().filter_map(|job| EnforcementJob::parse(&job.body).ok()?.conversation));
                match jobs.last() {
                    Some(last) if jobs.len() == JOBS_PER_READ => after.clone_from(&last.key),
                    _ => break,
                }
            }
        }
        Ok(known)
    }

    /// Records the conversations in which something is about to be changed for the user. This comes first, because the
    /// vendor no longer lists a conversation after the user was removed from it.
    pub(super) async fn add_to_conversation_list<'c>(
        &mut self,
        conversations: impl IntoIterator<Item = &'c str>,
    ) -> Result<(), JobError> {
        if let ModerationReach::User = self.moderation_api().reach() {
            return Ok(());
        }
        let mut touched = self.read_user_checkpoint().await?;
        let before = touched.conversations.len();
        touched.conversations.extend(conversations.into_iter().map(str::to_owned));
        if touched.conversations.len() > before && !self.write_user_checkpoint(&touched).await? {
            return Err(JobError::Lost);
        }
        Ok(())
    }

    /// Deletes the selected conversations from the list if everything in them is as before.
    pub(super) async fn remove_restored_from_list(&mut self, selects: impl Fn(&str) -> bool) -> Result<(), JobError> {
        let UserCheckpoint { conversations: listed, so_far } = self.read_user_checkpoint().await?;
        let count = listed.len();
        let (selected, mut conversations): (BTreeSet<_>, BTreeSet<_>) =
            listed.into_iter().partition(|listed| selects(listed));
        conversations.extend(self.with_checkpoints(selected).await?);
        if conversations.len() < count {
            self.write_user_checkpoint(&UserCheckpoint { conversations, so_far }).await?;
        }
        Ok(())
    }

    /// Returns the conversations that have a checkpoint of the user.
    async fn with_checkpoints(&self, conversations: BTreeSet<String>) -> Result<BTreeSet<String>, JobError> {
        let mut kept = BTreeSet::new();
        for conversation in conversations {
            if self.read_note(&conversation).await?.is_some() {
                kept.insert(conversation);
            }
        }
        Ok(kept)
    }

    /// Enforces the desired state in a conversation, or the part that concerns all conversations. Reads the checkpoint
    /// before and after the vendor is asked. If another process has changed the checkpoint and the vendor meanwhile, the
    /// vendor's answer is not the original state.
    pub(super) async fn reconcile(&mut self, conversation: Option<&str>) -> Result<(), JobError> {
        let place = conversation.unwrap_or(EVERYWHERE);
        let mut stored = self.read_checkpoint(place).await?;
        loop {
            let desired = self.desired_in_place(conversation)?;
            let note = stored.note.as_ref().or(self.own.get(place)).cloned();
            let plan = self.plan(conversation, &desired, note.as_deref()).await?;
            let now = self.read_checkpoint(place).await?;
            if now == stored {
                self.progress.enforced_states.insert(conversation.map(str::to_owned), desired);
                let ends = self.policy_file_sanction_end(conversation)?;
                self.progress.requeue_at = earliest(self.progress.requeue_at, ends);
                return self.execute_plan(place, stored, plan).await;
            }
            stored = now;
        }
    }

    /// Asks the vendor for the state of the user in a conversation or everywhere, and plans the changes.
    async fn plan(
        &self,
        conversation: Option<&str>,
        desired: &DesiredState,
        note: Option<&str>,
    ) -> Result<ModerationPlan, JobError> {
        let target = self.moderation_target(conversation.unwrap_or(EVERYWHERE), desired, note);
        let mut planner = match conversation {
            Some(_) => self.moderation_api().conversation_planner(target),
            None => self.moderation_api().everywhere_planner(target),
        };
        while let Some(call) = planner.next_query()? {
            let answer = self.running.send(self.target, &call).await?;
            planner.read(answer.as_deref()).map_err(JobError::temporary)?;
        }
        Ok(planner.plan(clock::now())?)
    }

    /// Carries out a plan. If this process no longer holds the job, nothing more is taken from the user, because the
    /// old state could not be recorded. Rights that were taken away may still be given back.
    async fn execute_plan(
        &mut self,
        place: &str,
        stored: ScopeCheckpoint,
        plan: ModerationPlan,
    ) -> Result<(), JobError> {
        let ModerationPlan { checkpoint_before, calls, mut checkpoint_after, mut renew_at, unsupported, if_missed } =
            plan;
        let is_noted =
            checkpoint_before.is_some() || checkpoint_after.is_some() || stored != ScopeCheckpoint::default();
        let doubt = self.last_unanswered_request(&stored);
        let sent = if calls.is_empty() { stored.sent } else { Some(clock::now().0) };
        let first = ScopeCheckpoint { sent, note: checkpoint_before };
        self.own.extend(first.note.clone().map(|note| (place.to_owned(), note)));
        if is_noted
            && first != stored
            && !self.write_checkpoint(place, first.clone()).await?
            && checkpoint_after.is_some()
        {
            return Err(JobError::Lost);
        }
        let is_missed = self.send_all(&calls).await?;
        if let Some(missed) = if_missed.filter(|_| is_missed) {
            (checkpoint_after, renew_at) = (missed.checkpoint, earliest(renew_at, Some(missed.retry_at)));
        }
        // Earlier requests may arrive after these requests. Then all of them must be repeated. These requests were
        // answered.
        let note = if doubt.is_some() { first.note.clone() } else { checkpoint_after };
        let last = ScopeCheckpoint { sent: doubt, note };
        if is_noted && last != first {
            self.write_checkpoint(place, last).await?;
        }
        let arrival = doubt.map(|sent| self.arrival_deadline(sent));
        let progress = &mut self.progress;
        progress.uncertain_until = progress.uncertain_until.max(arrival);
        progress.requeue_at = earliest(progress.requeue_at, renew_at);
        progress.unsupported = progress.unsupported.take().or(unsupported.map(Cow::Borrowed));
        Ok(())
    }

    /// Sends requests. Returns whether some of them had to find the user, and none did.
    async fn send_all(&self, calls: &[VendorCall]) -> Result<bool, JobError> {
        let (mut must_find, mut has_found) = (false, false);
        for call in calls {
            let is_found = self.running.send(self.target, call).await?.is_some();
            must_find |= call.must_find;
            has_found |= call.must_find && is_found;
        }
        Ok(must_find && !has_found)
    }
}

fn earliest(one: Option<Millis>, other: Option<Millis>) -> Option<Millis> {
    one.into_iter().chain(other).min()
}
