//! The reasons for which a command is rejected.

use crate::policy::Denial;

/// The reason for which a command is rejected for a user.
#[derive(Debug)]
pub enum RejectReason {
    /// The policy denies the command.
    Denied(Box<Denial>),
    /// The command is invalid for every caller.
    Invalid(String),
    /// The user has no role in the conversation, and its moderators act only on users who have a role in it.
    NoRole,
    /// The user's role, the role that would remain, or the role to be given is not weaker than the moderator's role.
    NotOutranked(String),
    /// The policy file decides otherwise, in the line of this number.
    File(usize, String),
    /// Another moderation entry conflicts with the command.
    Conflict(String),
    /// Another author changed the entries of the user there after the caller saw them.
    Changed,
}

/// A user that the command failed for, and the reason.
#[derive(Debug)]
pub struct RejectedUser {
    /// The user.
    pub user: String,
    /// The reason.
    pub reason: RejectReason,
}

impl RejectReason {
    /// Returns the error code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            RejectReason::Denied(denial) => denial.code(),
            RejectReason::Invalid(_) => "invalid",
            RejectReason::NoRole => "not_there",
            RejectReason::NotOutranked(_) => "not_outranked",
            RejectReason::File(..) => "file",
            RejectReason::Conflict(_) => "conflict",
            RejectReason::Changed => "changed",
        }
    }

    /// Returns the message for the moderator.
    pub fn public_message(&self) -> String {
        match self {
            RejectReason::Denied(denial) => denial.public_message(),
            RejectReason::NoRole => {
                "the user has no role there; moderators of a conversation act only on users who have a role in it"
                    .to_owned()
            }
            RejectReason::Changed => {
                "another author changed this after the version in `seen`: read the entries again".to_owned()
            }
            RejectReason::Invalid(sentence)
            | RejectReason::NotOutranked(sentence)
            | RejectReason::Conflict(sentence) => sentence.clone(),
            RejectReason::File(line, sentence) => {
                format!("{sentence} by the policy file, line {line}; change it there")
            }
        }
    }

    /// Returns the message for the operator's log.
    pub fn log_message(&self) -> String {
        match self {
            RejectReason::Denied(denial) => denial.log_message(),
            _ => self.public_message(),
        }
    }
}
