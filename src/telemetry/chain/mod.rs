//! Tamper evidence for the audit log: a hash chain over its lines. This module has no side effects: the id of a chain
//! is an argument.
//!
//! [`Chain`] adds links when lines are written, [`link`] has their format, and [`ChainVerifier`] reads files and
//! reports problems.

mod chained;
mod link;
mod order;
mod record;
mod report;
#[cfg(test)]
mod tests;
mod verifier;

pub use chained::Chain;
pub use link::{ChainId, ChainKey, ChainLink, Hash, KeyId};
pub use record::{ChainRecord, RecordError};
pub use report::{ChainEnd, ChainProblem, ChainReport, Lines, ProblemKind};
pub use verifier::ChainVerifier;
