//! A request for a signature, in the same form for all vendors.

use std::sync::Arc;

use super::{Action, ActionSet, Pattern, Vendor};

/// A request that was parsed and checked, but not decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningRequest {
    /// The app's name in the configuration.
    pub app: Arc<str>,
    /// That app's vendor.
    pub vendor: Vendor,
    /// The requested action, for the log: the first of `needs`.
    pub action: Action,
    /// The chat identity that the answer is for. `*` means any identity (Ably). Empty only for an app token, which has
    /// no client.
    pub client: String,
    /// The conversation, if the request is about exactly one.
    pub conversation: Option<Pattern>,
    /// LeanCloud's members, exactly as they were sent.
    pub members: Vec<String>,
    /// The actions that must all be allowed before anything is signed. Never empty.
    pub required_actions: Vec<RequiredAction>,
    /// An Ably capability, in canonical order. Each operation is decided separately, so a part of it may be granted.
    pub requested_grants: Vec<RequestedGrant>,
    /// The parts of the requested capability that are not known, for the log. They are not granted.
    pub left_out: Vec<String>,
}

/// An action that must be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredAction {
    /// The action.
    pub action: Action,
    /// The conversation, if the action has one.
    pub conversation: Option<Pattern>,
    /// The other identities that the action affects.
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
