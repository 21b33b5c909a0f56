//! The two outcomes of a decision: a permit, without which nothing is signed, or a denial that says why.

use crate::model::{Action, Ask, Grant, Pattern};

/// Leave to sign one [`Ask`]. Only the policy makes them: the fields are private and there is no other constructor, so no path to a
/// signature can forget to ask.
#[derive(Clone, Debug)]
pub struct Permit {
    pub(super) ask: Ask,
    pub(super) granted: Vec<Grant>,
    pub(super) user_claims: Vec<(Pattern, String)>,
    pub(super) rules: Vec<String>,
    pub(super) operator: bool,
}

impl Permit {
    /// What may be signed: this and nothing else.
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// What of the capability asked for is granted, in canonical order.
    pub fn granted(&self) -> &[Grant] {
        &self.granted
    }

    /// The client's roles in what is granted, as scope and word, for Ably's user claims.
    pub fn user_claims(&self) -> &[(Pattern, String)] {
        &self.user_claims
    }

    /// The rules that allowed it, each once.
    pub fn rules(&self) -> &[String] {
        &self.rules
    }

    /// Whether this is an operator's, who signs at the command line with the secrets in hand and no policy.
    pub fn is_operators(&self) -> bool {
        self.operator
    }
}

/// A permit for an operator, who holds the secrets anyway: all that is asked, without asking the policy. For the command line alone.
pub fn operators_permit(ask: Ask) -> Permit {
    Permit { granted: ask.wants.clone(), ask, user_claims: Vec::new(), rules: Vec::new(), operator: true }
}

/// Why something is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The caller or the client is banned.
    Banned {
        /// Who.
        user: String,
        /// Where.
        scope: Pattern,
        /// Why.
        reason: Option<String>,
    },
    /// A target is banned, so it can't be added.
    TargetBanned {
        /// Who.
        user: String,
        /// Where.
        scope: Pattern,
        /// Why.
        reason: Option<String>,
    },
    /// The caller or the client is muted.
    Muted {
        /// Who.
        user: String,
        /// Where.
        scope: Pattern,
        /// Why.
        reason: Option<String>,
    },
    /// A target does not want to be added there.
    TargetBlocks {
        /// Who.
        user: String,
    },
    /// A deny rule matched.
    Rule {
        /// Which.
        id: String,
        /// Why.
        reason: Option<String>,
    },
    /// No allow rule matched.
    NothingMatched {
        /// An allow rule for this action that came close, if there is one: the one with the fewest conditions that did not hold.
        nearest: Option<Nearest>,
    },
}

/// An allow rule that did not match, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// Its id.
    pub id: String,
    /// Its reason, which is what a refused caller is told.
    pub reason: Option<String>,
    /// The conditions that did not hold, each in a sentence. May tell of a target, so only for the log.
    pub misses: Vec<String>,
    /// For a refused pattern: the conversation in it that spoils it.
    pub spoiler: Option<String>,
}

/// A refusal, with what was refused and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub cause: Cause,
    /// Which action.
    pub action: Action,
    /// Where.
    pub conversation: Option<Pattern>,
}
