//! Why something is not done.

use crate::policy::Denial;

/// Why something is not done.
#[derive(Debug)]
pub enum RejectReason {
    /// The policy denies it.
    Denied(Box<Denial>),
    /// It can't be meant so, whoever asks.
    Unfit(String),
    /// The user is nothing in the conversation, and its moderators act on its people alone.
    NotThere,
    /// What the user is there, or would be, or what is to be given, isn't weaker than what the moderator is.
    NotOutranked(String),
    /// The policy file says otherwise, in this line.
    File(usize, String),
    /// Something else in the moderation entries stands against it.
    Conflict(String),
}

impl RejectReason {
    /// The word that programs read.
    pub fn code(&self) -> &'static str {
        match self {
            RejectReason::Denied(denial) => denial.code(),
            RejectReason::Unfit(_) => "invalid",
            RejectReason::NotThere => "not_there",
            RejectReason::NotOutranked(_) => "not_outranked",
            RejectReason::File(..) => "file",
            RejectReason::Conflict(_) => "conflict",
        }
    }

    /// Why, for the moderator.
    pub fn public(&self) -> String {
        match self {
            RejectReason::Denied(denial) => denial.public(),
            RejectReason::NotThere => {
                "it is nothing there; a conversation's moderators act on its people alone".to_owned()
            }
            RejectReason::Unfit(sentence) | RejectReason::NotOutranked(sentence) | RejectReason::Conflict(sentence) => {
                sentence.clone()
            }
            RejectReason::File(line, sentence) => {
                format!("{sentence} by the policy file, line {line}, which is changed there alone")
            }
        }
    }

    /// Why, for the operator's log.
    pub fn log(&self) -> String {
        match self {
            RejectReason::Denied(denial) => denial.log(),
            _ => self.public(),
        }
    }
}
