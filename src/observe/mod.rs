//! What operators see: the audit log, which says what was decided, the program's own log, and metrics.

pub mod audit;
mod destination;
mod escape;
pub mod log;
mod log_limit;
pub mod metrics;
pub mod outbox;
pub mod process;
mod record;
mod refusals;
pub mod trace;

pub use destination::Destination;
pub use record::{Asker, Decision, Occurrence, Record, Scope, line};
pub use refusals::RefusalSummaries;
