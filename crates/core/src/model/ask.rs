//! What a request asks for, the same for all vendors.

use std::sync::Arc;

use super::{Action, ActionSet, Pattern};

/// A chat cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// LeanCloud's LeanMessage, and TapTap's service of the same protocol.
    LeanCloud,
    /// TalkJS.
    TalkJs,
    /// Ably Pub/Sub and Ably Chat.
    Ably,
}

impl Vendor {
    /// Every vendor.
    pub const ALL: [Vendor; 3] = [Vendor::LeanCloud, Vendor::TalkJs, Vendor::Ably];

    /// How the configuration spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Vendor::LeanCloud => "leancloud",
            Vendor::TalkJs => "talkjs",
            Vendor::Ably => "ably",
        }
    }

    /// The vendor that the configuration spells so.
    pub fn parse(word: &str) -> Option<Vendor> {
        Vendor::ALL.into_iter().find(|vendor| vendor.as_str() == word)
    }
}

/// A request, understood and checked but not yet decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningRequest {
    /// The app's name in the configuration.
    pub app: Arc<str>,
    /// That app's vendor.
    pub vendor: Vendor,
    /// What was asked, for the log: the first of `needs`.
    pub action: Action,
    /// The chat identity that the answer is for; `*` is Ably's "any identity"; empty only for an app token, which is for none.
    pub client: String,
    /// The one conversation it is about, if it is about one.
    pub conversation: Option<Pattern>,
    /// LeanCloud's members, exactly as sent.
    pub members: Vec<String>,
    /// What must be allowed, all of it, for anything to be signed. Never empty.
    pub needs: Vec<RequiredAction>,
    /// What may be granted in part: an Ably capability, each operation decided for itself. In canonical order.
    pub wants: Vec<RequestedGrant>,
}

/// One thing that must be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredAction {
    /// The action.
    pub action: Action,
    /// The conversation, if the action has one.
    pub conversation: Option<Pattern>,
    /// The other identities that it touches.
    pub targets: Vec<String>,
}

/// Operations on a channel or a pattern of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedGrant {
    /// The channel, `ns:*` or `*`.
    pub resource: Pattern,
    /// Ably's operations.
    pub operations: ActionSet,
}
