//! What operators see: the audit log, which says what was decided, and the program's own log.

pub mod audit;
mod destination;
pub mod log;
mod record;

pub use record::{Asker, Decision, Record, Scope};
