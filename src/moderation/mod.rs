//! Run-time moderation: the bans, mutes, roles, blocks and conversations that moderators change. The entries are in
//! memory as an index, which decisions read, and in a store, which outlives the process and is shared by all replicas.

pub mod api;
mod event;
mod expiry;
pub mod outbox;
mod replica;
pub mod store;
pub mod transfer;

pub use chat_signer_core::moderation::*;
pub use event::{ChangeSubscribers, enforcement_queues, webhook_queues};
pub use expiry::PendingAudit;
pub use replica::{ChangeError, ChangeOrigin, ModerationReplica, ReplicaStale};

impl ModerationReplica {
    /// Carries out a command as far as the policy and the moderation rules allow it. The outcome lists the users that
    /// the command failed for.
    ///
    /// # Errors
    /// Returns an error if nothing was changed, or if it is unknown whether the change was made.
    pub async fn carry_out(
        &self,
        authorizer: &CommandAuthorizer<'_>,
        command: &ModerationCommand,
        plan: &ChangeSubscribers,
    ) -> Result<CommandOutcome, ChangeError> {
        let author = authorizer.author(command);
        self.change(|index, head| {
            let mut ruling = authorizer.authorize(index, command);
            let mut commit = event::build_change(&ruling, &author, plan, head, authorizer.now);
            commit.jobs.extend(event::repeat_enforcement_jobs(&ruling, command, plan));
            ruling.change = (!commit.puts.is_empty()).then_some(head.version + 1);
            (commit, ruling)
        })
        .await
        .inspect_err(|not_changed| self.count_failure(ChangeOrigin::Caller, not_changed))
    }
}
