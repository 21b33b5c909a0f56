//! What moderators change at run time: bans, mutes, roles, blocks and conversations, in memory as an index that deciding looks at, and
//! in a store that outlives the process and that all replicas share.

mod audit;
mod authorize;
mod command;
mod desired;
mod entry;
mod event;
mod expiry;
mod index;
mod replica;
mod stray;
#[cfg(test)]
mod tests;
pub mod transfer;

pub use authorize::{CommandAuthorizer, CommandOutcome, RejectReason, RejectedUser};
pub use command::{CommandKind, ModerationCommand, SanctionTerms, reading};
pub use desired::DesiredSanctions;
pub use entry::{EntryKey, EntryKind, MalformedEntry, ModerationEntry, RegisteredConversation};
pub use event::{ChangeSubscribers, details, enforcement_queues, webhook_queues};
pub use expiry::PendingAudit;
pub use index::{ModerationIndex, OWNER};
pub use replica::{ChangeError, ChangeOrigin, ModerationReplica, ReplicaStale};
pub use stray::strays;

impl ModerationReplica {
    /// Carries out a wish, as far as the policy and the rules for moderators let it. Whoever it fails for is in the answer.
    ///
    /// # Errors
    /// If nothing was changed, or it isn't known whether it was.
    pub async fn carry_out(
        &self,
        judge: &CommandAuthorizer<'_>,
        wish: &ModerationCommand,
        plan: &ChangeSubscribers,
    ) -> Result<CommandOutcome, ChangeError> {
        let author = judge.author(wish);
        self.change(|index, head| {
            let mut ruling = judge.rule(index, wish);
            let mut commit = event::commit(&ruling, &author, plan, head, judge.now);
            commit.jobs.extend(event::again(&ruling, wish, plan));
            ruling.change = (!commit.puts.is_empty()).then_some(head.version + 1);
            (commit, ruling)
        })
        .await
        .inspect_err(|not_changed| self.count_failure(ChangeOrigin::Caller, not_changed))
    }
}
