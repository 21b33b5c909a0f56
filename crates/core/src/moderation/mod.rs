//! Moderation at run time, as far as it is pure: the entries, the commands of moderators, and the decision about a
//! command. Storing the entries is the task of the caller.

mod authorize;
mod command;
mod command_check;
mod entry;
mod index;
mod orphaned_entries;
mod record;
#[cfg(test)]
mod tests;

pub use authorize::{CommandAuthorizer, CommandOutcome, RejectReason, RejectedUser};
pub use command::{CommandKind, ModerationCommand, SanctionTerms, read_request};
pub use command_check::CommandCheck;
pub use entry::{EntryKey, EntryKind, MalformedEntry, ModerationEntry, RegisteredConversation, RoleAssignment};
pub use index::{ModerationIndex, ModerationIndexBuilder, OWNER_ROLE};
pub use orphaned_entries::orphaned_entries_warning;
pub use record::{EntryRecord, EntrySource};
