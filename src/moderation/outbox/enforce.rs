//! Enforcement: brings a vendor to the desired state of a user in a conversation, or everywhere.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::checkpoint::{OwnCheckpoints, ScopeCheckpoint, UserCheckpoint, touched};
use super::job::{JobError, ReconcileResult, RunningJob};
use super::observe::VendorUser;
use crate::clock;
use crate::crypto::percent_encoded;
use crate::model::Millis;
use crate::moderation::store::JobState;
use crate::vendor::leancloud;
use crate::vendor::moderation::{DesiredState, ModerationApi, ModerationPlan};

/// The number of jobs in a read from the store.
const PAGE: usize = 200;

/// Names of places that are not conversations: everywhere, and the list of conversations in which something was
/// changed.
const EVERYWHERE: &str = "*";
pub(super) const LIST: &str = "";

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
    pub(super) made: BTreeMap<Option<String>, DesiredState>,
    pub(super) did: ReconcileResult,
}

impl EnforcementJob {
    /// Reads the body of a job.
    pub(super) fn read(body: &str) -> Result<EnforcementJob, JobError> {
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
            self.renew_doubts(&subject, order.conversation.as_deref(), &mut own).await?;
        }
        self.catch_up().await?;
        loop {
            let delivered = match &order.conversation {
                Some(conversation) => self.in_one(&subject, conversation, &mut own).await?,
                None => self.everywhere(&subject, &mut own).await?,
            };
            self.catch_up().await?;
            if self.still_holds(&subject, &delivered)? {
                return Ok(self.once_more(delivered));
            }
        }
    }

    /// Counts unanswered requests of the previous holder of the job as sent now, because they may still arrive.
    async fn renew_doubts(
        &self,
        subject: &VendorUser<'_>,
        place: Option<&str>,
        own: &mut OwnCheckpoints,
    ) -> Result<(), JobError> {
        let places = match place {
            Some(conversation) => BTreeSet::from([conversation.to_owned()]),
            None => self.known(subject, own).await?,
        };
        for place in &places {
            let key = key(subject, place);
            let memo = self.stored(&key).await?;
            if memo.sent.is_some() && !self.keep(&key, &memo.sent_at(clock::now()), own).await? {
                return Err(JobError::Lost);
            }
        }
        Ok(())
    }

    /// If a sanction was enforced, schedules a repetition for the time when every process knows it.
    fn once_more(&self, EnforcementResult { made, mut did }: EnforcementResult) -> ReconcileResult {
        if made.values().any(|made| *made != DesiredState::default()) {
            did.doubtful_until = earlier(did.doubtful_until, self.once_more);
        }
        did
    }

    fn still_holds(&self, subject: &VendorUser<'_>, delivered: &EnforcementResult) -> Result<bool, JobError> {
        for (place, made) in &delivered.made {
            if self.wanted(subject, place.as_deref())? != *made {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the desired state in a place. Ably tokens are valid in many places at once, so the strictest state
    /// applies to them.
    pub(super) fn wanted(&self, subject: &VendorUser<'_>, place: Option<&str>) -> Result<DesiredState, JobError> {
        match (&subject.target.what.moderation_api, place) {
            (ModerationApi::Ably(_), None) => self.worst(subject.app, subject.user),
            _ => self.desired(subject.app, subject.user, place),
        }
    }

    async fn in_one(
        &self,
        subject: &VendorUser<'_>,
        conversation: &str,
        own: &mut OwnCheckpoints,
    ) -> Result<EnforcementResult, JobError> {
        let mut delivered = EnforcementResult::default();
        if self.wanted(subject, Some(conversation))? != DesiredState::default() {
            self.list(subject, [conversation], own).await?;
        }
        self.reconcile(subject, conversation, own, &mut delivered).await?;
        self.unlist(subject, |listed| listed == conversation, own).await?;
        Ok(delivered)
    }

    /// Enforces the desired state in all conversations that the user is in, or in which something was changed before.
    /// Also makes the calls that concern all conversations at once.
    async fn everywhere(
        &self,
        subject: &VendorUser<'_>,
        own: &mut OwnCheckpoints,
    ) -> Result<EnforcementResult, JobError> {
        let mut delivered = EnforcementResult::default();
        let want = self.wanted(subject, None)?;
        delivered.made.insert(None, want.clone());
        delivered.did.again = self.ends(subject.app, subject.user, None)?;
        match &subject.target.what.moderation_api {
            ModerationApi::Ably(moderator) => {
                let plan = moderator.plan(subject.user, &want)?;
                self.carry_out(subject, EVERYWHERE, ScopeCheckpoint::default(), plan, own, &mut delivered).await?;
            }
            ModerationApi::LeanCloud(_) => {
                self.kick(subject, &want, own, &mut delivered).await?;
                let known = self.known(subject, own).await?;
                for conversation in self.with_notes(subject, known, own).await? {
                    self.reconcile(subject, &conversation, own, &mut delivered).await?;
                }
                self.unlist(subject, |_| true, own).await?;
            }
            ModerationApi::TalkJs(moderator) => self.in_each(moderator, subject, own, &mut delivered).await?,
        }
        Ok(delivered)
    }

    async fn kick(
        &self,
        subject: &VendorUser<'_>,
        want: &DesiredState,
        own: &mut OwnCheckpoints,
        delivered: &mut EnforcementResult,
    ) -> Result<(), JobError> {
        let stored = self.stored(&key(subject, EVERYWHERE)).await?;
        let (user, revision, noted) = (subject.user, self.job.revision, stored.note.as_deref());
        let is_last = self.once_more.is_none();
        let place = leancloud::ModerationTarget { user, conversation: EVERYWHERE, revision, is_last, want, noted };
        let plan = place.plan_everywhere()?;
        self.carry_out(subject, EVERYWHERE, stored, plan, own, delivered).await
    }

    /// Returns the conversations in which something is changed for the user, or was changed recently.
    pub(super) async fn known(
        &self,
        subject: &VendorUser<'_>,
        own: &OwnCheckpoints,
    ) -> Result<BTreeSet<String>, JobError> {
        let noted = self.noted(&key(subject, LIST), own).await?;
        let mut known = touched(noted.as_deref())?.conversations;
        known.extend(self.conversations_of_jobs(subject).await?);
        Ok(known)
    }

    /// Records the conversations in which something is about to be changed for the user. This comes first, because the
    /// vendor no longer lists a conversation after the user was removed from it. Calls to Ably do not name
    /// conversations.
    pub(super) async fn list<'c>(
        &self,
        subject: &VendorUser<'_>,
        conversations: impl IntoIterator<Item = &'c str>,
        own: &mut OwnCheckpoints,
    ) -> Result<(), JobError> {
        if let ModerationApi::Ably(_) = &subject.target.what.moderation_api {
            return Ok(());
        }
        let key = key(subject, LIST);
        let noted = self.noted(&key, own).await?;
        let mut touched = touched(noted.as_deref())?;
        let before = touched.conversations.len();
        touched.conversations.extend(conversations.into_iter().map(str::to_owned));
        if touched.conversations.len() > before && !self.keep(&key, &touched.memo(), own).await? {
            return Err(JobError::Lost);
        }
        Ok(())
    }

    /// Deletes the selected conversations from the list if everything in them is as before.
    pub(super) async fn unlist(
        &self,
        subject: &VendorUser<'_>,
        of: impl Fn(&str) -> bool,
        own: &mut OwnCheckpoints,
    ) -> Result<(), JobError> {
        let key = key(subject, LIST);
        let Some(noted) = self.noted(&key, own).await? else { return Ok(()) };
        let touched = touched(Some(&noted))?;
        let (asked, mut conversations): (BTreeSet<_>, BTreeSet<_>) =
            touched.conversations.into_iter().partition(|listed| of(listed));
        conversations.extend(self.with_notes(subject, asked, own).await?);
        let memo = UserCheckpoint { conversations, ..touched }.memo();
        if memo.note.as_ref() != Some(&noted) {
            self.keep(&key, &memo, own).await?;
        }
        Ok(())
    }

    /// Returns the conversations that have a checkpoint of the user.
    async fn with_notes(
        &self,
        subject: &VendorUser<'_>,
        conversations: BTreeSet<String>,
        own: &OwnCheckpoints,
    ) -> Result<BTreeSet<String>, JobError> {
        let mut kept = BTreeSet::new();
        for conversation in conversations {
            if self.noted(&key(subject, &conversation), own).await?.is_some() {
                kept.insert(conversation);
            }
        }
        Ok(kept)
    }

    /// Returns the conversations of recent jobs. The store does not keep completed jobs forever.
    async fn conversations_of_jobs(&self, subject: &VendorUser<'_>) -> Result<BTreeSet<String>, JobError> {
        let prefix = key(subject, LIST);
        let mut found = BTreeSet::new();
        for state in [JobState::Pending, JobState::Done, JobState::DeadLetter] {
            let mut after = String::new();
            loop {
                let jobs = self.store()?.jobs(state, &prefix, &after, PAGE).await?;
                found.extend(jobs.iter().filter_map(|job| EnforcementJob::read(&job.body).ok()?.conversation));
                match jobs.last() {
                    Some(last) if jobs.len() == PAGE => after.clone_from(&last.key),
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
        let key = key(subject, conversation);
        let mut stored = self.stored(&key).await?;
        loop {
            let want = self.wanted(subject, Some(conversation))?;
            let noted = stored.note.as_ref().or(own.get(&key)).cloned();
            let plan = self.plan(subject, conversation, &want, noted.as_deref()).await?;
            let now = self.stored(&key).await?;
            if now == stored {
                delivered.made.insert(Some(conversation.to_owned()), want);
                let ends = self.ends(subject.app, subject.user, Some(conversation))?;
                delivered.did.again = earlier(delivered.did.again, ends);
                return self.carry_out(subject, conversation, stored, plan, own, delivered).await;
            }
            stored = now;
        }
    }

    /// Carries out a plan. If this process no longer holds the job, nothing more is taken from the user, because the
    /// old state could not be recorded. Rights that were taken away may still be given back.
    async fn carry_out(
        &self,
        subject: &VendorUser<'_>,
        conversation: &str,
        memo: ScopeCheckpoint,
        plan: ModerationPlan,
        own: &mut OwnCheckpoints,
        delivered: &mut EnforcementResult,
    ) -> Result<(), JobError> {
        let key = key(subject, conversation);
        let ModerationPlan { before, calls, after, again, lacking } = plan;
        let is_noted = before.is_some() || after.is_some() || memo != ScopeCheckpoint::default();
        let doubt = self.doubt(&memo);
        let sent = if calls.is_empty() { memo.sent } else { Some(clock::now().0) };
        let first = ScopeCheckpoint { sent, note: before };
        own.extend(first.note.clone().map(|note| (key.clone(), note)));
        if is_noted && first != memo && !self.keep(&key, &first, own).await? && after.is_some() {
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
            self.keep(&key, &last, own).await?;
        }
        delivered.did.doubtful_until = delivered.did.doubtful_until.max(doubt.map(|sent| self.arrived(sent)));
        delivered.did.again = earlier(delivered.did.again, again);
        delivered.did.lacking = delivered.did.lacking.take().or(lacking.map(Cow::Borrowed));
        Ok(())
    }
}

/// Returns the key of the checkpoint of a user in a place. With [`LIST`] it is also the prefix of the keys of all jobs
/// about the user.
pub(super) fn key(subject: &VendorUser<'_>, place: &str) -> String {
    let place = if place == EVERYWHERE { place.to_owned() } else { percent_encoded(place.as_bytes()) };
    let [app, user] = [subject.app, subject.user].map(|text| percent_encoded(text.as_bytes()));
    format!("enforce:{app}:{user}:{place}")
}

fn earlier(one: Option<Millis>, other: Option<Millis>) -> Option<Millis> {
    one.into_iter().chain(other).min()
}
