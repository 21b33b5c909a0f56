//! All conversations that a user is in, at a vendor that lists them. They may be too many for one attempt.
//!
//! The conversations are processed page by page, as the vendor lists them, and the progress is recorded. A conversation
//! is no longer on the list after the user was removed from it. So the next page begins after the last conversation in
//! which the user still is.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::checkpoint::{ListProgress, OwnCheckpoints, parse_user_checkpoint};
use super::enforce::{CONVERSATION_LIST, EnforcementResult, checkpoint_key};
use super::job::{JobError, RunningJob};
use super::observe::{VendorUser, malformed_answer};
use crate::vendor::moderation::{ConversationList, DesiredState, ListedConversation};

/// A pass over the conversations of a user, and its results.
struct ParticipationPass<'a> {
    running: &'a RunningJob<'a>,
    list: &'a dyn ConversationList,
    subject: &'a VendorUser<'a>,
    own: &'a mut OwnCheckpoints,
    delivered: &'a mut EnforcementResult,
    listed_conversations: BTreeSet<String>,
    /// The conversations that failed permanently, and the last error. They do not stop the other conversations.
    failed_conversations: BTreeSet<String>,
    last_error: Option<String>,
}

/// A conversation, and the user's participation in it as the vendor lists it.
type FoundParticipation = (String, Option<ListedConversation>);

impl RunningJob<'_> {
    /// Enforces the desired state in each conversation that the vendor lists, and in each conversation that is known
    /// from before.
    pub(super) async fn enforce_in_all_conversations(
        &self,
        list: &dyn ConversationList,
        subject: &VendorUser<'_>,
        own: &mut OwnCheckpoints,
        delivered: &mut EnforcementResult,
    ) -> Result<(), JobError> {
        let (seen, flawed) = (BTreeSet::new(), BTreeSet::new());
        let mut round = ParticipationPass {
            running: self,
            list,
            subject,
            own,
            delivered,
            listed_conversations: seen,
            failed_conversations: flawed,
            last_error: None,
        };
        round.process_listed().await?;
        round.process_unlisted().await?;
        round.write_progress(None).await?;
        let flaw = round.last_error;
        delivered.result.unsupported = flaw.map(Cow::Owned).or(delivered.result.unsupported.take());
        self.remove_restored_from_list(subject, |_| true, own).await
    }
}

impl ParticipationPass<'_> {
    async fn process_listed(&mut self) -> Result<(), JobError> {
        let mut after = self.resume().await?;
        loop {
            let page = match self.read_page(after.as_deref()).await? {
                Some(page) if !page.is_empty() => page,
                // The page was to begin after a conversation that no longer exists.
                None if after.is_some() => {
                    self.write_progress(None).await?;
                    return Err(malformed_answer("its list of conversations broke off"));
                }
                _ => return Ok(()),
            };
            let length = self.listed_conversations.len();
            self.listed_conversations.extend(page.iter().map(|(conversation, _)| conversation.clone()));
            if self.listed_conversations.len() == length {
                return Err(malformed_answer("its list of conversations has no end"));
            }
            self.process_page(&page).await?;
            if let Some(last) = self.last_remaining_conversation(&page)? {
                after = Some(last);
                if page.len() >= self.list.page_size() {
                    self.write_progress(after.clone()).await?;
                }
            }
        }
    }

    /// Processes the conversations that the vendor did not list, because the user was removed from them.
    async fn process_unlisted(&mut self) -> Result<(), JobError> {
        let mut known = self.running.known_conversations(self.subject, self.own).await?;
        known.retain(|conversation| !self.listed_conversations.contains(conversation));
        let known: Vec<FoundParticipation> = known.into_iter().map(|conversation| (conversation, None)).collect();
        self.process_page(&known).await
    }

    async fn read_page(&self, after: Option<&str>) -> Result<Option<Vec<FoundParticipation>>, JobError> {
        let VendorUser { target, user, .. } = *self.subject;
        let Some(body) = self.running.send(target, &self.list.page_query(user, after)?).await? else {
            return Ok(None);
        };
        let found = self.list.read_page(user, &body).map_err(malformed_answer)?.into_iter();
        Ok(Some(found.map(|listed| (listed.id.clone(), Some(listed))).collect()))
    }

    async fn process_page(&mut self, all: &[FoundParticipation]) -> Result<(), JobError> {
        let mut needy = Vec::new();
        for (conversation, found) in all {
            match self.needs_request(conversation, found.as_ref()).await {
                Err(JobError::Never(why)) => self.record_failure(conversation, why),
                is_needy => needy.extend(is_needy?.then_some(conversation.as_str())),
            }
        }
        self.running.add_to_conversation_list(self.subject, needy.iter().copied(), self.own).await?;
        for conversation in needy {
            match self.running.reconcile(self.subject, conversation, self.own, self.delivered).await {
                Err(JobError::Never(why)) => self.record_failure(conversation, why),
                done => done?,
            }
        }
        Ok(())
    }

    fn record_failure(&mut self, conversation: &str, why: String) {
        self.failed_conversations.insert(conversation.to_owned());
        self.last_error = Some(why);
    }

    /// Returns whether a conversation needs a request. If the list shows that nothing must be changed, no request is
    /// made. With many conversations some are left for the next attempt, which must get further than this attempt.
    async fn needs_request(
        &mut self,
        conversation: &str,
        found: Option<&ListedConversation>,
    ) -> Result<bool, JobError> {
        let ParticipationPass { running, list, subject, .. } = *self;
        let want = running.desired_in_place(subject, Some(conversation))?;
        let key = checkpoint_key(subject, conversation);
        let memo = running.read_checkpoint(&key).await?;
        let note = memo.note.as_ref().or(self.own.get(&key)).map(String::as_str);
        if want != DesiredState::default() || note.is_some() || memo.sent.is_some() {
            let plan = list.plan(&running.moderation_target(subject.user, conversation, &want, note), found)?;
            if !plan.calls.is_empty() || plan.checkpoint_after != memo.note || memo.sent.is_some() {
                return Ok(true);
            }
        }
        self.delivered.enforced_states.insert(Some(conversation.to_owned()), want);
        Ok(false)
    }

    /// Returns the last conversation of the page in which the user still is.
    fn last_remaining_conversation(&self, page: &[FoundParticipation]) -> Result<Option<String>, JobError> {
        for (conversation, found) in page.iter().rev() {
            let is_banned = self.running.desired_in_place(self.subject, Some(conversation))?.banned.is_some();
            let has_access = found.as_ref().is_some_and(|found| found.has_access);
            if !is_banned || !has_access || self.failed_conversations.contains(conversation) {
                return Ok(Some(conversation.clone()));
            }
        }
        Ok(None)
    }

    /// Returns the conversation up to which an earlier attempt got, if there was an earlier attempt.
    async fn resume(&mut self) -> Result<Option<String>, JobError> {
        let noted = self.running.vendor_state_of(&checkpoint_key(self.subject, CONVERSATION_LIST), self.own).await?;
        let so_far = parse_user_checkpoint(noted.as_deref())?.so_far;
        let Some(so_far) = so_far.filter(|so_far| so_far.revision == self.running.job.revision) else {
            return Ok(None);
        };
        self.last_error = so_far.flaw;
        Ok(Some(so_far.after))
    }

    async fn write_progress(&mut self, after: Option<String>) -> Result<(), JobError> {
        let (running, key) = (self.running, checkpoint_key(self.subject, CONVERSATION_LIST));
        let noted = running.vendor_state_of(&key, self.own).await?;
        let mut touched = parse_user_checkpoint(noted.as_deref())?;
        let (revision, flaw) = (running.job.revision, self.last_error.clone());
        touched.so_far = after.map(|after| ListProgress { revision, after, flaw });
        let memo = touched.to_checkpoint();
        let is_kept = memo.note == noted || running.write_checkpoint(&key, &memo, self.own).await?;
        if is_kept { Ok(()) } else { Err(JobError::Lost) }
    }
}
