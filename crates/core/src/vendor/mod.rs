//! Reads signing requests for the apps of each vendor and signs what the policy permits.
//!
//! Signing takes three visible steps. Each vendor's folder has one file for each step: `request` reads the request,
//! `message` builds the string to sign as a type, and the folder's `App` computes the MAC over that string. Everything
//! signed about people and conversations comes from the [`Permit`]. Thus only what the policy decided can be signed.

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

/// A configured app of a vendor, with its keys.
#[derive(Debug)]
pub enum App {
    /// A LeanCloud app, or an app of TapTap's service, which has the same protocol.
    LeanCloud(leancloud::App),
    /// A TalkJS app.
    TalkJs(talkjs::App),
    /// An Ably app.
    Ably(ably::App),
}

impl App {
    /// Returns the app's name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        match self {
            App::LeanCloud(app) => app.name(),
            App::TalkJs(app) => app.name(),
            App::Ably(app) => app.name(),
        }
    }

    /// Returns the app's vendor.
    pub fn vendor(&self) -> Vendor {
        match self {
            App::LeanCloud(_) => Vendor::LeanCloud,
            App::TalkJs(_) => Vendor::TalkJs,
            App::Ably(_) => Vendor::Ably,
        }
    }

    /// Returns whether the signed text contains the client's roles, where other clients can read them.
    pub fn contains_roles(&self) -> bool {
        matches!(self, App::Ably(app) if app.tells_roles())
    }

    /// Returns the index (from 0) of the app's key that made this MAC of this message, or `None` if no key did.
    /// Compares in constant time.
    pub fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
        match self {
            App::LeanCloud(app) => app.verify(message, mac),
            App::TalkJs(app) => app.verify(message, mac),
            App::Ably(app) => app.verify(message, mac),
        }
    }
}

/// An operation of an app: the last segment of the app's routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// An action of a LeanCloud app. The operation has the same name as the action.
    LeanCloud(Action),
    /// A route of LeanCloud's demo servers. The parameters of the request select the action.
    LeanCloudCompat(leancloud::DemoRoute),
    /// A TalkJS token or signature.
    TalkJs(talkjs::Operation),
    /// An Ably token or token request.
    Ably(ably::Operation),
}

impl Operation {
    /// Returns the names of the operations of this vendor's apps.
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

    /// Returns the name of the operation in routes and on the command line.
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

/// Returns the operation of this name, if the app's vendor has it.
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

/// A parsed request: what the policy must decide, and what to make if the policy allows it.
#[derive(Clone, Debug)]
pub struct VendorRequest {
    /// The question for the policy.
    pub ask: SigningRequest,
    /// The job for [`sign`], which also needs the permit.
    pub product: SigningJob,
}

/// What to make from a permit, with everything that the policy does not decide.
#[derive(Clone, Debug, PartialEq)]
pub enum SigningJob {
    /// A LeanCloud signature. The permit contains everything it needs.
    LeanCloud,
    /// A TalkJS token or signature.
    TalkJs(talkjs::SigningJob),
    /// An Ably token or token request.
    Ably(ably::SigningJob),
}

/// An invalid parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {message}")]
pub struct InvalidRequest {
    /// The name of the parameter, for example `client_id` or `members[2]`.
    pub field: String,
    /// What is wrong, in words that complete "client_id …".
    pub message: String,
}

impl InvalidRequest {
    /// Creates an error for this parameter.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> InvalidRequest {
        InvalidRequest { field: field.into(), message: message.into() }
    }
}

/// The lifetimes of tokens, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// The shortest lifetime. Ably apps raise a shorter requested lifetime to it. TalkJS apps reject a shorter request.
    pub min_seconds: u64,
    /// The lifetime if the request names none.
    pub default_seconds: u64,
    /// The longest lifetime. A longer requested lifetime is cut to it.
    pub max_seconds: u64,
}

/// Reads a request for `app`. `caller` is `None` for an operator at the command line.
///
/// # Errors
/// Returns the first error found if a parameter is invalid.
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
        _ => {
            Err(InvalidRequest::new("action", format!("must be an operation of this app, not {}", operation.as_str())))
        }
    }
}

/// Signs what the permit allows, at the time `at`. `nonce` is used only if the vendor's message contains a nonce.
///
/// # Errors
/// Returns an error if the permit is for another app or does not cover the job, or if the result is too large for the
/// vendor.
pub fn sign(
    app: &App,
    permit: &Permit,
    product: &SigningJob,
    now: Millis,
    nonce: &Nonce,
) -> Result<SignedResult, InvalidRequest> {
    if permit.request().vendor != app.vendor() || permit.request().app != *app.name() {
        return Err(wrong_permit_error("this app"));
    }
    match (app, product) {
        (App::LeanCloud(app), SigningJob::LeanCloud) => app.sign(permit, now, nonce),
        (App::TalkJs(app), SigningJob::TalkJs(product)) => app.sign(permit, product, now),
        (App::Ably(app), SigningJob::Ably(product)) => app.sign(permit, product, now, nonce),
        _ => Err(wrong_permit_error("this kind of answer")),
    }
}

/// Checks that the permit covers the job: `action` must be the requested action and one of the decided actions.
fn check_permit(permit: &Permit, action: Action) -> Result<(), InvalidRequest> {
    let ask = permit.request();
    if ask.action != action || !ask.required_actions.iter().any(|need| need.action == action) {
        return Err(wrong_permit_error(action.as_str()));
    }
    Ok(())
}

fn wrong_permit_error(what: &str) -> InvalidRequest {
    InvalidRequest::new("action", format!("is not permitted: the permit is not for {what}"))
}

/// The error for an app that was set up without a key.
fn missing_key_error() -> InvalidRequest {
    InvalidRequest::new("app", "has no key to sign with")
}

/// Formats `text` for an error message: in quotes, with control characters escaped, and cut after 64 characters.
fn quote_for_error(text: &str) -> String {
    const MOST: usize = 64;
    let mut short: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

/// Returns whether the text can be a misspelt field name or operation name. Errors do not repeat any other text,
/// because it may be a secret in the wrong place.
fn is_wordlike(text: &str) -> bool {
    text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'-')
}

/// Returns the entry of `words` that is most similar to the first 64 characters of `word`. `word` may be very long.
fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let start: String = word.chars().take(64).collect();
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&start, known);
    words.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}
