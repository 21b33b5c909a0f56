//! Authorization of commands: the rules for moderators beyond the rules of the policy.
//!
//! The policy decides about each user separately. In addition, these rules apply, and no policy can relax them:
//!
//! - Moderators of a conversation act only on users who have a role in it.
//! - A moderator gives, removes and leaves only roles that are weaker than the moderator's own role.
//! - Only the author of a ban, or a moderator who outranks the author, lifts the ban.
//! - The owner of a conversation is set once.
//! - Users block conversations only for themselves.
//! - Commands do not change entries of the policy file.

mod authorizer;
mod blocks;
mod conversations;
mod reject_reason;
mod roles;
mod sanctions;
mod user_command;

use std::sync::Arc;

pub use authorizer::CommandAuthorizer;
pub use reject_reason::{RejectReason, RejectedUser};
use user_command::UserCommand;

use super::command::ModerationCommand;
use super::entry::ModerationEntry;
use super::index::ModerationIndex;

/// The outcome of a command.
#[derive(Debug, Default)]
pub struct CommandOutcome {
    /// The entries that are new or changed.
    pub set: Vec<ModerationEntry>,
    /// The entries that are deleted.
    pub deleted: Vec<ModerationEntry>,
    /// The users that the command succeeded for. It also succeeds if its effect existed before.
    pub succeeded: Vec<String>,
    /// The users of `succeeded` that needed no change, because the effect already existed.
    pub unchanged: Vec<String>,
    /// The users of `unchanged` that may be enforced at vendors again.
    pub enforce_again: Vec<String>,
    /// The users that the command failed for.
    pub failed: Vec<RejectedUser>,
    /// The rules that allowed the command, without duplicates.
    pub rules: Vec<Arc<str>>,
    /// The number of the change, if a change was made.
    pub change: Option<u64>,
}

impl CommandAuthorizer<'_> {
    /// Decides about a command with the entries that are known now.
    pub fn authorize(&self, index: &ModerationIndex, command: &ModerationCommand) -> CommandOutcome {
        // For all entries, the channels of a room count as the room. The same is true for the scope of a command.
        let command = &ModerationCommand { scope: command.scope.home_conversation().into_owned(), ..command.clone() };
        let mut ruling = CommandOutcome::default();
        for (number, user) in command.users.iter().enumerate() {
            if command.users[..number].contains(user) {
                continue;
            }
            match self.authorize_for_user(index, command, user, &mut ruling) {
                Ok(()) => ruling.succeeded.push(user.clone()),
                Err(why) => ruling.failed.push(RejectedUser { user: user.clone(), reason: why }),
            }
        }
        ruling
    }

    fn authorize_for_user(
        &self,
        index: &ModerationIndex,
        command: &ModerationCommand,
        user: &str,
        ruling: &mut CommandOutcome,
    ) -> Result<(), RejectReason> {
        self.check_valid(command, user)?;
        self.check_policy(index, command, user, &mut ruling.rules)?;
        let part = UserCommand::new(self, index, command, user);
        part.check_moderation_rules()?;
        let (set, gone) = part.changes()?;
        if set.is_empty() && gone.is_empty() {
            ruling.unchanged.push(user.to_owned());
            if part.may_enforce_again() {
                ruling.enforce_again.push(user.to_owned());
            }
        }
        ruling.set.extend(set);
        ruling.deleted.extend(gone);
        Ok(())
    }
}
