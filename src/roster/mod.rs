//! What moderators change at run time: bans, mutes, roles, blocks and conversations, in memory as an index that deciding looks at, and
//! in a store that outlives the process and that all replicas share.

mod entry;
mod index;
mod live;

pub use entry::{Conversation, Key, Malformed, Record, Table};
pub use index::{Index, OWNER};
pub use live::{NotChanged, Roster, Stale};
