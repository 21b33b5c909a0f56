//! Information for operators: the audit log (all decisions), the program's own log, and metrics.

pub mod audit;
mod audit_event;
mod audit_record;
pub mod chain;
mod destination;
mod json_line;
mod line_writer;
pub mod log;
mod log_limit;
pub mod metric_handles;
pub mod metrics;
pub mod outbox;
pub mod process;
mod refusal_summary;
mod refusals;
pub mod scheduling;
pub mod trace;

pub use audit_event::AuditEvent;
pub use audit_record::{
    AcceptedStore, AuditCaller, AuditDecision, AuditRecord, AuditScope, ImportCounts, ImportedFile, ModerationRecord,
    OperatorSignature,
};
pub use destination::{LineOutput, Watchdog};
pub use line_writer::{LineWriter, new_chain};
pub use refusals::RefusalSummaries;
