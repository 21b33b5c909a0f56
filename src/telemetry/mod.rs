//! Information for operators: the audit log (all decisions), the program's own log, and metrics.

pub mod audit;
mod audit_event;
pub mod chain;
mod destination;
mod json_line;
mod line_writer;
pub mod log;
mod log_limit;
pub mod metrics;
pub mod outbox;
pub mod process;
mod refusals;
pub mod trace;

pub use audit_event::{
    AcceptedStore, AuditCaller, AuditDecision, AuditEvent, AuditRecord, AuditScope, ImportCounts, ImportedFile,
    ModerationRecord, OperatorSignature,
};
pub use destination::LineOutput;
pub use line_writer::{LineWriter, new_chain};
pub use refusals::RefusalSummaries;
