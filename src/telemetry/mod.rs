//! Information for operators: the audit log (all decisions), the program's own log, and metrics.

pub mod audit;
pub mod chain;
mod destination;
mod json_line;
mod line_writer;
pub mod log;
mod log_limit;
pub mod metrics;
pub mod outbox;
pub mod process;
mod record;
mod refusals;
pub mod trace;

pub use destination::LineOutput;
pub use json_line::line;
pub use line_writer::{LineWriter, new_chain};
pub use record::{AuditCaller, AuditDecision, AuditRecord, AuditScope, ModerationRecord, OperatorSignature};
pub use refusals::RefusalSummaries;
