//! All conversations that a user is in at TalkJS. They may be too many for one attempt.
//!
//! The conversations are processed page by page, as the vendor lists them, and the progress is recorded. A conversation
//! is no longer on the list after the user was removed from it. So the next page begins after the last conversation in
//! which the user still is.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::checkpoint::{ListProgress, OwnCheckpoints, ScopeCheckpoint, touched};
use super::enforce::{EnforcementResult, LIST, key};
use super::job::{JobError, RunningJob};
use super::observe::{VendorUser, malformed};
use crate::vendor::moderation::DesiredState;
use crate::vendor::talkjs::{Access, ModerationApi, PAGE, Participant, page};

/// A pass over the conversations of a user, and its results.
struct ParticipationPass<'a> {
    running: &'a RunningJob<'a>,
    moderator: &'a ModerationApi,
    subject: &'a VendorUser<'a>,
    own: &'a mut OwnCheckpoints,
    delivered: &'a mut EnforcementResult,
    seen: BTreeSet<String>,
    /// The conversations that failed permanently, and the last error. They do not stop the other conversations.
    flawed: BTreeSet<String>,
    flaw: Option<String>,
}

/// A conversation, and the user's participation in it as the vendor lists it.
type FoundParticipation = (String, Option<Participant>);

impl RunningJob<'_> {
    /// Enforces the desired state in each conversation that the vendor lists, and in each conversation that is known
    /// from before.
    pub(super) async fn in_each(
        &self,
        moderator: &ModerationApi,
        subject: &VendorUser<'_>,
        own: &mut OwnCheckpoints,
        delivered: &mut EnforcementResult,
    ) -> Result<(), JobError> {
        delivered.did.doubtful_until = self.doubt(&ScopeCheckpoint::default()).map(|sent| self.arrived(sent));
        let (seen, flawed) = (BTreeSet::new(), BTreeSet::new());
        let mut round =
            ParticipationPass { running: self, moderator, subject, own, delivered, seen, flawed, flaw: None };
        round.listed().await?;
        round.others().await?;
        round.note_so_far(None).await?;
        let flaw = round.flaw;
        delivered.did.lacking = flaw.map(Cow::Owned).or(delivered.did.lacking.take());
        self.unlist(subject, |_| true, own).await
    }
}

impl ParticipationPass<'_> {
    async fn listed(&mut self) -> Result<(), JobError> {
        let mut after = self.resume().await?;
        loop {
            let page = match self.page(after.as_deref()).await? {
                Some(page) if !page.is_empty() => page,
                // The page was to begin after a conversation that no longer exists.
                None if after.is_some() => {
                    self.note_so_far(None).await?;
                    return Err(malformed("its list of conversations broke off"));
                }
                _ => return Ok(()),
            };
            let length = self.seen.len();
            self.seen.extend(page.iter().map(|(conversation, _)| conversation.clone()));
            if self.seen.len() == length {
                return Err(malformed("its list of conversations has no end"));
            }
            self.deal_with(&page).await?;
            if let Some(last) = self.last_that_stays(&page)? {
                after = Some(last);
                if page.len() >= PAGE {
                    self.note_so_far(after.clone()).await?;
                }
            }
        }
    }

    /// Processes the conversations that the vendor did not list, because the user was removed from them.
    async fn others(&mut self) -> Result<(), JobError> {
        let mut known = self.running.known(self.subject, self.own).await?;
        known.retain(|conversation| !self.seen.contains(conversation));
        let known: Vec<FoundParticipation> = known.into_iter().map(|conversation| (conversation, None)).collect();
        self.deal_with(&known).await
    }

    async fn page(&self, after: Option<&str>) -> Result<Option<Vec<FoundParticipation>>, JobError> {
        let VendorUser { target, user, .. } = *self.subject;
        let Some(body) = self.running.send(target, &self.moderator.list(user, after)?).await? else { return Ok(None) };
        let found = page(&body, user).map_err(malformed)?.into_iter();
        Ok(Some(found.map(|(conversation, participant)| (conversation, Some(participant))).collect()))
    }

    async fn deal_with(&mut self, all: &[FoundParticipation]) -> Result<(), JobError> {
        let mut needy = Vec::new();
        for (conversation, found) in all {
            match self.needs_something(conversation, found.as_ref()).await {
                Err(JobError::Never(why)) => self.leave(conversation, why),
                is_needy => needy.extend(is_needy?.then_some(conversation.as_str())),
            }
        }
        self.running.list(self.subject, needy.iter().copied(), self.own).await?;
        for conversation in needy {
            match self.running.reconcile(self.subject, conversation, self.own, self.delivered).await {
                Err(JobError::Never(why)) => self.leave(conversation, why),
                done => done?,
            }
        }
        Ok(())
    }

    fn leave(&mut self, conversation: &str, why: String) {
        self.flawed.insert(conversation.to_owned());
        self.flaw = Some(why);
    }

    /// Returns whether a conversation needs a request. If the list shows that nothing must be changed, no request is
    /// made. With many conversations some are left for the next attempt, which must get further than this attempt.
    async fn needs_something(&mut self, conversation: &str, found: Option<&Participant>) -> Result<bool, JobError> {
        let ParticipationPass { running, moderator, subject, .. } = *self;
        let want = running.wanted(subject, Some(conversation))?;
        let key = key(subject, conversation);
        let memo = running.stored(&key).await?;
        let note = memo.note.as_ref().or(self.own.get(&key)).map(String::as_str);
        if want != DesiredState::default() || note.is_some() || memo.sent.is_some() {
            let plan = moderator.plan((subject.user, conversation), &want, note, found)?;
            if !plan.calls.is_empty() || plan.after != memo.note || memo.sent.is_some() {
                return Ok(true);
            }
        }
        self.delivered.made.insert(Some(conversation.to_owned()), want);
        Ok(false)
    }

    /// Returns the last conversation of the page in which the user still is.
    fn last_that_stays(&self, page: &[FoundParticipation]) -> Result<Option<String>, JobError> {
        for (conversation, found) in page.iter().rev() {
            let is_banned = self.running.wanted(self.subject, Some(conversation))?.banned.is_some();
            let has_access = found.as_ref().is_some_and(|found| found.access != Access::None);
            if !is_banned || !has_access || self.flawed.contains(conversation) {
                return Ok(Some(conversation.clone()));
            }
        }
        Ok(None)
    }

    /// Returns the conversation up to which an earlier attempt got, if there was an earlier attempt.
    async fn resume(&mut self) -> Result<Option<String>, JobError> {
        let noted = self.running.noted(&key(self.subject, LIST), self.own).await?;
        let so_far = touched(noted.as_deref())?.so_far;
        let Some(so_far) = so_far.filter(|so_far| so_far.revision == self.running.job.revision) else {
            return Ok(None);
        };
        self.flaw = so_far.flaw;
        Ok(Some(so_far.after))
    }

    async fn note_so_far(&mut self, after: Option<String>) -> Result<(), JobError> {
        let (running, key) = (self.running, key(self.subject, LIST));
        let noted = running.noted(&key, self.own).await?;
        let mut touched = touched(noted.as_deref())?;
        let (revision, flaw) = (running.job.revision, self.flaw.clone());
        touched.so_far = after.map(|after| ListProgress { revision, after, flaw });
        let memo = touched.memo();
        let is_kept = memo.note == noted || running.keep(&key, &memo, self.own).await?;
        if is_kept { Ok(()) } else { Err(JobError::Lost) }
    }
}
