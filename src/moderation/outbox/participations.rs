//! All conversations that a user is in, at a vendor that lists them. They may be too many for one attempt.
//!
//! The conversations are processed page by page, as the vendor lists them, and the progress is recorded. A conversation
//! is no longer on the list after the user was removed from it. So the next page begins after the last conversation in
//! which the user still is. A vendor that lists all conversations at once lists them again in each attempt, and an attempt
//! begins after the last one that was processed.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::job::JobError;
use super::reconciler::{ListProgress, Reconciler, UserCheckpoint};
use crate::vendor::moderation::{ConversationList, DesiredState, ListedConversation};

/// If a vendor's list has no pages, the progress is recorded after this number of conversations. It is small enough for one
/// attempt, even if the vendor needs half a second for each answer.
const CONVERSATIONS_PER_STEP: usize = 25;

/// A pass over the conversations of a user.
struct ParticipationPass<'r, 'a> {
    reconciler: &'r mut Reconciler<'a>,
    list: &'r dyn ConversationList,
    listed_conversations: BTreeSet<String>,
    /// The conversations that failed permanently, and the last error. They do not stop the other conversations.
    failed_conversations: BTreeSet<String>,
    last_error: Option<String>,
}

/// A conversation, and the user's participation in it as the vendor lists it.
type FoundParticipation = (String, Option<ListedConversation>);

impl Reconciler<'_> {
    /// Enforces the desired state in each conversation that the vendor lists, and in each conversation that is known
    /// from before.
    pub(super) async fn enforce_in_all_conversations(&mut self, list: &dyn ConversationList) -> Result<(), JobError> {
        let (listed_conversations, failed_conversations) = (BTreeSet::new(), BTreeSet::new());
        let mut pass =
            ParticipationPass { reconciler: self, list, listed_conversations, failed_conversations, last_error: None };
        let listed = match list.page_size() {
            Some(page_size) => pass.process_pages(page_size).await,
            None => pass.process_whole_list().await,
        };
        // If the list cannot be read, what was changed before must be undone all the same.
        if !matches!(listed, Ok(()) | Err(JobError::Never(_))) {
            return listed;
        }
        pass.process_unlisted().await?;
        listed?;
        pass.write_progress(None).await?;
        let flaw = pass.last_error;
        self.progress.unsupported = flaw.map(Cow::Owned).or(self.progress.unsupported.take());
        self.remove_restored_from_list(|_| true).await
    }
}

impl ParticipationPass<'_, '_> {
    async fn process_pages(&mut self, page_size: usize) -> Result<(), JobError> {
        let mut after = self.resume().await?;
        loop {
            let page = match self.read_page(after.as_deref()).await? {
                Some(page) if !page.is_empty() => page,
                // The page was to begin after a conversation that no longer exists.
                None if after.is_some() => {
                    self.write_progress(None).await?;
                    return Err(JobError::temporary("its list of conversations broke off"));
                }
                _ => return Ok(()),
            };
            let length = self.listed_conversations.len();
            self.listed_conversations.extend(page.iter().map(|(conversation, _)| conversation.clone()));
            if self.listed_conversations.len() == length {
                return Err(JobError::temporary("its list of conversations has no end"));
            }
            self.process_page(&page).await?;
            if let Some(last) = self.last_remaining_conversation(&page)? {
                after = Some(last);
                if page.len() >= page_size {
                    self.write_progress(after.clone()).await?;
                }
            }
        }
    }

    /// Processes a list without pages in the order of the names, and records the progress. The vendor may list thousands of
    /// conversations without the user.
    async fn process_whole_list(&mut self) -> Result<(), JobError> {
        let after = self.resume().await?;
        let mut all = self.read_page(None).await?.unwrap_or_default();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.listed_conversations.extend(all.iter().map(|(conversation, _)| conversation.clone()));
        let done = all.partition_point(|(conversation, _)| after.as_ref().is_some_and(|after| conversation <= after));
        for step in all[done..].chunks(CONVERSATIONS_PER_STEP) {
            self.process_page(step).await?;
            let names: BTreeSet<&str> = step.iter().map(|(conversation, _)| conversation.as_str()).collect();
            self.reconciler.remove_restored_from_list(|listed| names.contains(listed)).await?;
            self.write_progress(names.last().map(|last| (*last).to_owned())).await?;
        }
        Ok(())
    }

    /// Processes the conversations that the vendor did not list, because the user was removed from them.
    async fn process_unlisted(&mut self) -> Result<(), JobError> {
        let mut known = self.reconciler.known_conversations().await?;
        known.retain(|conversation| !self.listed_conversations.contains(conversation));
        let known: Vec<FoundParticipation> = known.into_iter().map(|conversation| (conversation, None)).collect();
        self.process_page(&known).await
    }

    async fn read_page(&self, after: Option<&str>) -> Result<Option<Vec<FoundParticipation>>, JobError> {
        let Reconciler { running, target, user, .. } = *self.reconciler;
        let Some(body) = running.send(target, &self.list.page_query(user, after)?).await? else {
            return Ok(None);
        };
        let found = self.list.read_page(user, &body).map_err(JobError::temporary)?.into_iter();
        Ok(Some(found.map(|listed| (listed.id.clone(), Some(listed))).collect()))
    }

    async fn process_page(&mut self, all: &[FoundParticipation]) -> Result<(), JobError> {
        let mut needy = Vec::new();
        for (conversation, found) in all {
            match self.needs_request(conversation, found.as_ref()).await {
                Err(JobError::Never(why)) => self.record_failure(conversation, why.message),
                is_needy => needy.extend(is_needy?.then_some(conversation.as_str())),
            }
        }
        self.reconciler.add_to_conversation_list(needy.iter().copied()).await?;
        for conversation in needy {
            match self.reconciler.reconcile(Some(conversation)).await {
                Err(JobError::Never(why)) => self.record_failure(conversation, why.message),
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
        let desired = self.reconciler.desired_in_place(Some(conversation))?;
        let stored = self.reconciler.read_checkpoint(conversation).await?;
        let note = stored.note.as_ref().or(self.reconciler.own.get(conversation)).map(String::as_str);
        if desired != DesiredState::default() || note.is_some() || stored.sent.is_some() {
            let plan = self.list.plan(&self.reconciler.moderation_target(conversation, &desired, note), found)?;
            if !plan.calls.is_empty() || plan.checkpoint_after != stored.note || stored.sent.is_some() {
                return Ok(true);
            }
        }
        self.reconciler.progress.enforced_states.insert(Some(conversation.to_owned()), desired);
        Ok(false)
    }

    /// Returns the last conversation of the page in which the user still is.
    fn last_remaining_conversation(&self, page: &[FoundParticipation]) -> Result<Option<String>, JobError> {
        for (conversation, found) in page.iter().rev() {
            let is_banned = self.reconciler.desired_in_place(Some(conversation))?.banned.is_some();
            let has_access = found.as_ref().is_some_and(|found| found.has_access);
            if !is_banned || !has_access || self.failed_conversations.contains(conversation) {
                return Ok(Some(conversation.clone()));
            }
        }
        Ok(None)
    }

    /// Returns the conversation up to which an earlier attempt got, if there was an earlier attempt.
    async fn resume(&mut self) -> Result<Option<String>, JobError> {
        let so_far = self.reconciler.read_user_checkpoint().await?.so_far;
        let Some(so_far) = so_far.filter(|so_far| so_far.revision == self.reconciler.running.job.revision) else {
            return Ok(None);
        };
        self.last_error = so_far.flaw;
        Ok(Some(so_far.after))
    }

    async fn write_progress(&mut self, after: Option<String>) -> Result<(), JobError> {
        let UserCheckpoint { conversations, so_far: before } = self.reconciler.read_user_checkpoint().await?;
        let (revision, flaw) = (self.reconciler.running.job.revision, self.last_error.clone());
        let so_far = after.map(|after| ListProgress { revision, after, flaw });
        let is_written = so_far == before
            || self.reconciler.write_user_checkpoint(&UserCheckpoint { conversations, so_far }).await?;
        if is_written { Ok(()) } else { Err(JobError::Lost) }
    }
}
