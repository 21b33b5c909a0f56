//! Run-time moderation: the bans, mutes, roles, blocks and conversations that moderators change. The entries are in
//! memory as an index, which decisions read, and in a store, which outlives the process and is shared by all replicas.

pub mod api;
mod concurrent_changes;
mod event;
mod expiry;
mod key_spool;
mod load;
pub mod outbox;
mod repeat;
pub mod replay;
mod replica;
mod sorted_entries;
pub mod store;
pub mod transfer;

use concurrent_changes::ConcurrentChanges;
use store::{ChangeRequest, NewChange, StoreHead};

pub use chat_signer_core::moderation::*;
pub use event::{ChangeSubscribers, enforcement_key_prefix, enforcement_queues, webhook_queues};
pub use expiry::PendingAudit;
pub use load::{LoadError, load_index};
pub use repeat::EnforcementPass;
pub use replica::{ChangeError, ChangeOrigin, ModerationReplica, ReplicaStale};
pub use sorted_entries::{SortError, SortedEntries};

/// The request for a command.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommandRequest<'a> {
    /// The version that the caller saw. The command fails for users whose entries another author has changed since.
    pub seen: Option<u64>,
    /// The id of the request, which is kept with the change.
    pub id: Option<&'a str>,
}

/// How often the changes of other authors are read before all users count as changed.
const MAX_ATTEMPTS: u32 = 5;

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
        request: CommandRequest<'_>,
    ) -> Result<CommandOutcome, ChangeError> {
        let author = authorizer.author(command);
        let policy = &authorizer.engine.policy.document().hash;
        let mut concurrent = request.seen.map(|seen| ConcurrentChanges::new(seen, command, &author));
        let mut attempt = 0;
        loop {
            attempt += 1;
            if let Some(concurrent) = &mut concurrent {
                concurrent.read(self).await?;
            }
            let decide = |index: &ModerationIndex, head: &StoreHead| {
                if let Some(concurrent) = concurrent.as_mut().filter(|concurrent| concurrent.version != head.version) {
                    if attempt < MAX_ATTEMPTS {
                        return (NewChange::default(), None);
                    }
                    concurrent.add_all_users(head.version);
                }
                let mut ruling = authorizer.authorize(index, command);
                if let Some(concurrent) = &concurrent {
                    concurrent.reject(&mut ruling);
                }
                let mut commit = event::build_change(&ruling, &author, plan, (index, head), authorizer.now);
                commit.request = request.id.map(|id| ChangeRequest { id: id.to_owned(), policy: policy.clone() });
                commit.jobs.extend(event::repeat_enforcement_jobs(&ruling, command, plan));
                ruling.change = (!commit.puts.is_empty()).then_some(head.version + 1);
                (commit, Some(ruling))
            };
            let made = self.change(decide).await;
            let made = made.inspect_err(|not_changed| self.count_failure(ChangeOrigin::Caller, not_changed))?;
            if let Some(outcome) = made {
                return Ok(outcome);
            }
        }
    }
}
