//! Makes true at a vendor what is true of a user in a conversation, or everywhere.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::checkpoint::{OwnCheckpoints, ScopeCheckpoint, UserCheckpoint, touched};
use super::job::{JobError, ReconcileResult, RunningJob};
use super::observe::VendorUser;
use crate::clock;
use crate::crypto::percent_encoded;
use crate::model::Millis;
use crate::store::JobState;
use crate::vendor::leancloud;
use crate::vendor::moderation::{DesiredState, ModerationApi, ModerationPlan};

/// How many jobs are read from the store at once.
const PAGE: usize = 200;

/// How places are called that are no conversations: everywhere, and where it is kept in which something is done.
const EVERYWHERE: &str = "*";
pub(super) const LIST: &str = "";

/// What a job of this kind says.
#[derive(Debug, Deserialize)]
pub(super) struct EnforcementJob {
    pub(super) app: String,
    pub(super) user: String,
    /// `None`: everywhere.
    conversation: Option<String>,
}

/// What was made true, place by place, and what is left.
#[derive(Default)]
pub(super) struct EnforcementResult {
    pub(super) made: BTreeMap<Option<String>, DesiredState>,
    pub(super) did: ReconcileResult,
}

impl EnforcementJob {
    /// Reads a job's body.
    pub(super) fn read(body: &str) -> Result<EnforcementJob, JobError> {
        serde_json::from_str(body).map_err(|_| JobError::Never("what is to be done can't be understood".to_owned()))
    }
}

impl RunningJob<'_> {
    /// Does what is true now, until it still is true after it was done.
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

    /// Whoever had the job before may yet be heard of: what they were about to send counts as sent now.
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

    /// Has what is imposed done again when no process can be without knowing of it any more.
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

    /// Ably's tokens are good in many places at once, so that what counts for them is the worst.
    pub(super) fn wanted(&self, subject: &VendorUser<'_>, place: Option<&str>) -> Result<DesiredState, JobError> {
        match (&subject.target.what.moderator, place) {
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

    /// In all conversations that the user is in or was dealt with in, as each of them wants; and what there is to do for all at once.
    async fn everywhere(
        &self,
        subject: &VendorUser<'_>,
        own: &mut OwnCheckpoints,
    ) -> Result<EnforcementResult, JobError> {
        let mut delivered = EnforcementResult::default();
        let want = self.wanted(subject, None)?;
        delivered.made.insert(None, want.clone());
        delivered.did.again = self.ends(subject.app, subject.user, None)?;
        match &subject.target.what.moderator {
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

    /// The conversations in which something is done about the user, or was not long ago.
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

    /// Notes that something is done about the user in these conversations, before it is: whoever is removed from one is not named as being
    /// in it again. Ably is not told of conversations.
    pub(super) async fn list<'c>(
        &self,
        subject: &VendorUser<'_>,
        conversations: impl IntoIterator<Item = &'c str>,
        own: &mut OwnCheckpoints,
    ) -> Result<(), JobError> {
        if let ModerationApi::Ably(_) = &subject.target.what.moderator {
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

    /// Takes back, of these, the conversations in which all is as it was before.
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

    /// Of these conversations those in which something is done about the user.
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

    /// The conversations in which something was done not long ago: jobs that are done are not kept for ever.
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

    /// Makes one conversation as it should be. What was noted is read before and after the vendor is asked: where another process has
    /// changed both meanwhile, what the vendor said is not what was there before anybody did anything.
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

    /// Without the claim nobody is to lose anything more, as it couldn't be noted what. What was taken away may be given back.
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
        // What was sent before may yet come after this, and then all of it must be done once more. What was sent now was answered.
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

/// The key of what is noted of a user in a place, and the start of the keys of all jobs about the user.
pub(super) fn key(subject: &VendorUser<'_>, place: &str) -> String {
    let place = if place == EVERYWHERE { place.to_owned() } else { percent_encoded(place.as_bytes()) };
    let [app, user] = [subject.app, subject.user].map(|text| percent_encoded(text.as_bytes()));
    format!("enforce:{app}:{user}:{place}")
}

fn earlier(one: Option<Millis>, other: Option<Millis>) -> Option<Millis> {
    one.into_iter().chain(other).min()
}
