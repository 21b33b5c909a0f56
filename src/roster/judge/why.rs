//! Why something is not done.

use crate::policy::Denial;

/// Why something is not done.
#[derive(Debug)]
pub enum Why {
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
    /// Something else in the roster stands against it.
    Conflict(String),
}

impl Why {
    /// The word that programs read.
    pub fn code(&self) -> &'static str {
        match self {
            Why::Denied(denial) => denial.code(),
            Why::Unfit(_) => "invalid",
            Why::NotThere => "not_there",
            Why::NotOutranked(_) => "not_outranked",
            Why::File(..) => "file",
            Why::Conflict(_) => "conflict",
        }
    }

    /// Why, for the moderator.
    pub fn public(&self) -> String {
        match self {
            Why::Denied(denial) => denial.public(),
            Why::NotThere => "it is nothing there; a conversation's moderators act on its people alone".to_owned(),
            Why::Unfit(sentence) | Why::NotOutranked(sentence) | Why::Conflict(sentence) => sentence.clone(),
            Why::File(line, sentence) => {
                format!("{sentence} by the policy file, line {line}, which is changed there alone")
            }
        }
    }

    /// Why, for the operator's log.
    pub fn log(&self) -> String {
        match self {
            Why::Denied(denial) => denial.log(),
            _ => self.public(),
        }
    }
}
