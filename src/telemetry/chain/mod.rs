//! Tamper evidence for the audit log: a hash chain over its lines. This module has no side effects: the id of a chain
//! is an argument.
//!
//! [`Chain`] adds links when lines are written, and [`ChainVerifier`] reads files and reports problems.

mod link;
mod order;
mod report;
#[cfg(test)]
mod tests;
mod verifier;

pub use link::{Chain, ChainId, ChainKey, ChainLink, Hash, KeyId};
pub use report::{ChainEnd, ChainProblem, ChainRecord, ChainReport, Lines, ProblemKind, RecordError};
pub use verifier::ChainVerifier;
