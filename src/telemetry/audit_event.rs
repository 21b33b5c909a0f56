//! The lines of the audit log.

use serde::Serialize;

use super::audit_record::{AcceptedStore, AuditRecord, ImportedFile, ModerationRecord, OperatorSignature, ResumedLog};
use super::json_line::line;
use super::refusal_summary::RefusalSummary;

/// A line of the audit log. There are no lines of other kinds.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum AuditEvent<'a> {
    /// A request was decided, or its caller was refused.
    Decision(&'a AuditRecord<'a>),
    /// Refused requests that have no separate line.
    Refusals(&'a RefusalSummary),
    /// A moderation entry changed without a request.
    Moderation(&'a ModerationRecord<'a>),
    /// An operator signed.
    Signature(&'a OperatorSignature<'a>),
    /// An operator accepted the store.
    AcceptedStore(&'a AcceptedStore<'a>),
    /// An operator imported a file into the store.
    ImportedFile(&'a ImportedFile<'a>),
    /// The audit log can be written again.
    Resumed(&'a ResumedLog),
}

impl AuditEvent<'_> {
    /// Formats the line, with its newline.
    ///
    /// # Errors
    /// Returns an error if a value cannot be written as JSON.
    pub fn line(&self) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            AuditEvent::Decision(record) => Ok(record.line()),
            AuditEvent::Refusals(_)
            | AuditEvent::Moderation(_)
            | AuditEvent::Signature(_)
            | AuditEvent::AcceptedStore(_)
            | AuditEvent::ImportedFile(_)
            | AuditEvent::Resumed(_) => line(self),
        }
    }
}
