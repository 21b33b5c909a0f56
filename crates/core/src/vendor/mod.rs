//! Understands what is asked of a vendor, and signs what the policy permits.
//!
//! Signing takes three visible steps, in each vendor's folder a file each: `request` reads what is asked, `message` builds the string to
//! sign as a type of its own, and the folder's `App` computes the MAC over it. All that is signed about people and conversations is read
//! from the [`Permit`], so nothing but what was decided can be signed.

pub mod ably;
mod jwt;
pub mod leancloud;
pub mod moderation;
mod nonce;
mod object;
mod params;
mod path_segment;
mod signed;
pub mod talkjs;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::model::{Action, Caller, Millis, SigningRequest, Vendor};
use crate::policy::Permit;

pub use jwt::SigningInput;
pub use nonce::Nonce;
pub use params::Params;
pub use path_segment::has_dot_segment;
pub use signed::SignedResult;

/// A configured app of one of the vendors, with its keys.
#[derive(Debug)]
pub enum App {
    /// At LeanCloud, or TapTap's service of the same protocol.
    LeanCloud(leancloud::App),
    /// At TalkJS.
    TalkJs(talkjs::App),
    /// At Ably.
    Ably(ably::App),
}

impl App {
    /// Its name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        match self {
            App::LeanCloud(app) => app.name(),
            App::TalkJs(app) => app.name(),
            App::Ably(app) => app.name(),
        }
    }

    /// Its vendor.
    pub fn vendor(&self) -> Vendor {
        match self {
            App::LeanCloud(_) => Vendor::LeanCloud,
            App::TalkJs(_) => Vendor::TalkJs,
            App::Ably(_) => Vendor::Ably,
        }
    }

    /// Whether the client's roles stand in what is signed, for others to read.
    pub fn tells_roles(&self) -> bool {
        matches!(self, App::Ably(app) if app.tells_roles())
    }

    /// Which of the app's keys, counted from 0, has made this MAC of this message, if any has. Compared in constant time.
    pub fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
        match self {
            App::LeanCloud(app) => app.verify(message, mac),
            App::TalkJs(app) => app.verify(message, mac),
            App::Ably(app) => app.verify(message, mac),
        }
    }
}

/// What can be asked of an app: the last segment of its routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// LeanCloud's are the actions of the same names.
    LeanCloud(Action),
    /// What clients of LeanCloud's demo servers ask: which action it is, the parameters tell.
    LeanCloudCompat(leancloud::DemoRoute),
    /// TalkJS's tokens and signatures.
    TalkJs(talkjs::Operation),
    /// Ably's tokens and token requests.
    Ably(ably::Operation),
}

impl Operation {
    /// What can be asked of this vendor's apps.
    pub fn names(vendor: Vendor) -> &'static [&'static str] {
        match vendor {
            Vendor::LeanCloud => &[
                "login",
                "create",
                "join",
                "leave",
                "invite",
                "kick",
                "history",
                "block-clients",
                "unblock-clients",
                "block-conversation",
                "unblock-conversation",
            ],
            Vendor::TalkJs => &["token", "signature", "app-token"],
            Vendor::Ably => &["token", "token-request"],
        }
    }

    /// How routes and the command line spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::LeanCloud(action) => action.as_str(),
            Operation::LeanCloudCompat(compat) => compat.as_str(),
            Operation::TalkJs(talkjs::Operation::Token) | Operation::Ably(ably::Operation::Token) => "token",
            Operation::TalkJs(talkjs::Operation::Signature) => "signature",
            Operation::TalkJs(talkjs::Operation::AppToken) => "app-token",
            Operation::Ably(ably::Operation::TokenRequest) => "token-request",
        }
    }
}

/// The operation of this name, if the app's vendor has it.
pub fn operation(app: &App, name: &str) -> Option<Operation> {
    if !Operation::names(app.vendor()).contains(&name) {
        return None;
    }
    match app {
        App::LeanCloud(_) => Action::parse(name).map(Operation::LeanCloud),
        App::TalkJs(_) => talkjs::Operation::parse(name).map(Operation::TalkJs),
        App::Ably(_) => ably::Operation::parse(name).map(Operation::Ably),
    }
}

/// A request, understood: what must be decided, and what is to be made if it is allowed.
#[derive(Clone, Debug)]
pub struct VendorRequest {
    /// For the policy.
    pub ask: SigningRequest,
    /// For [`sign`], together with the permit.
    pub product: SigningJob,
}

/// What is to be made of a permit, with all that the policy has no say in.
#[derive(Clone, Debug, PartialEq)]
pub enum SigningJob {
    /// A LeanCloud signature. The permit says it all.
    LeanCloud,
    /// A TalkJS token or signature.
    TalkJs(talkjs::SigningJob),
    /// An Ably token or token request.
    Ably(ably::SigningJob),
}

/// A parameter that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {message}")]
pub struct InvalidRequest {
    /// Which: `client_id`, `members[2]`.
    pub field: String,
    /// What is wrong, in words that complete "client_id …".
    pub message: String,
}

impl InvalidRequest {
    /// What is wrong with which.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> InvalidRequest {
        InvalidRequest { field: field.into(), message: message.into() }
    }
}

/// How long tokens live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// The shortest life: Ably apps raise a shorter request to it, TalkJS apps refuse it.
    pub min_seconds: u64,
    /// Where the request says nothing.
    pub default_seconds: u64,
    /// The longest life: a longer request is cut to it.
    pub max_seconds: u64,
}

/// Reads what is asked of `app`. `caller` is `None` for an operator at the command line.
///
/// # Errors
/// If a parameter is not as it must be: the first one found.
pub fn parse(
    app: &App,
    operation: Operation,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<VendorRequest, InvalidRequest> {
    match (app, operation) {
        (App::LeanCloud(app), Operation::LeanCloud(action)) => leancloud::parse(app, action, params, caller),
        (App::LeanCloud(app), Operation::LeanCloudCompat(compat)) => {
            leancloud::parse_compat(app, compat, params, caller)
        }
        (App::TalkJs(app), Operation::TalkJs(operation)) => talkjs::parse(app, operation, params, caller),
        (App::Ably(app), Operation::Ably(operation)) => ably::parse(app, operation, params, caller),
        _ => Err(InvalidRequest::new("action", format!("must be one of this app's, not {}", operation.as_str()))),
    }
}

/// Signs what is permitted, at the time `at`, with `nonce` where the vendor wants one.
///
/// # Errors
/// If the permit is for another app or for something other than the product, and if what comes out would be too large for the vendor.
pub fn sign(
    app: &App,
    permit: &Permit,
    product: &SigningJob,
    at: Millis,
    nonce: &Nonce,
) -> Result<SignedResult, InvalidRequest> {
    if permit.ask().vendor != app.vendor() || permit.ask().app != *app.name() {
        return Err(misfit("this app"));
    }
    match (app, product) {
        (App::LeanCloud(app), SigningJob::LeanCloud) => app.sign(permit, at, nonce),
        (App::TalkJs(app), SigningJob::TalkJs(product)) => app.sign(permit, product, at),
        (App::Ably(app), SigningJob::Ably(product)) => app.sign(permit, product, at, nonce),
        _ => Err(misfit("this kind of answer")),
    }
}

/// Holds a permit to what is to be signed: `action` must be what was asked and among what was decided.
fn must_permit(permit: &Permit, action: Action) -> Result<(), InvalidRequest> {
    let ask = permit.ask();
    if ask.action != action || !ask.needs.iter().any(|need| need.action == action) {
        return Err(misfit(action.as_str()));
    }
    Ok(())
}

fn misfit(what: &str) -> InvalidRequest {
    InvalidRequest::new("action", format!("is not permitted: the permit is not for {what}"))
}

/// There is nothing to sign with: the app was set up without a key.
fn keyless() -> InvalidRequest {
    InvalidRequest::new("app", "has no key to sign with")
}

/// `text` for an error: in quotes, without control characters, and not endless.
fn shown(text: &str) -> String {
    const MOST: usize = 64;
    let mut short: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

/// Whether this could be one of our words, misspelt. What couldn't is not repeated: it may be a secret in the wrong place.
fn is_wordlike(text: &str) -> bool {
    text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'-')
}

/// The word among `words` that is most like the start of `word`, which may be endless.
fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let start: String = word.chars().take(64).collect();
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&start, known);
    words.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}
