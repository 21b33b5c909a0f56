//! The apps of all vendors, their operations, and the choice of the vendor's code.

use std::sync::Arc;

use super::invalid_request::{InvalidRequest, wrong_permit_error};
use super::params::Params;
use super::signed::SignedResult;
use super::signing_input::Nonce;
use super::{ably, leancloud, talkjs};
use crate::model::{Action, Caller, Millis, SigningRequest, Vendor};
use crate::policy::Permit;

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
    pub signing_request: SigningRequest,
    /// The job for [`sign`], which also needs the permit.
    pub signing_job: SigningJob,
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
        (App::LeanCloud(app), Operation::LeanCloud(action)) => {
            let signing_request = leancloud::parse(app, action, params, caller)?;
            Ok(VendorRequest { signing_request, signing_job: SigningJob::LeanCloud })
        }
        (App::LeanCloud(app), Operation::LeanCloudCompat(route)) => {
            let signing_request = leancloud::parse_compat(app, route, params, caller)?;
            Ok(VendorRequest { signing_request, signing_job: SigningJob::LeanCloud })
        }
        (App::TalkJs(app), Operation::TalkJs(operation)) => {
            let (signing_request, job) = talkjs::parse(app, operation, params, caller)?;
            Ok(VendorRequest { signing_request, signing_job: SigningJob::TalkJs(job) })
        }
        (App::Ably(app), Operation::Ably(operation)) => {
            let (signing_request, job) = ably::parse(app, operation, params, caller)?;
            Ok(VendorRequest { signing_request, signing_job: SigningJob::Ably(job) })
        }
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
    signing_job: &SigningJob,
    now: Millis,
    nonce: &Nonce,
) -> Result<SignedResult, InvalidRequest> {
    if permit.request().vendor != app.vendor() || permit.request().app != *app.name() {
        return Err(wrong_permit_error("this app"));
    }
    match (app, signing_job) {
        (App::LeanCloud(app), SigningJob::LeanCloud) => app.sign(permit, now, nonce),
        (App::TalkJs(app), SigningJob::TalkJs(signing_job)) => app.sign(permit, signing_job, now),
        (App::Ably(app), SigningJob::Ably(signing_job)) => app.sign(permit, signing_job, now, nonce),
        _ => Err(wrong_permit_error("this kind of answer")),
    }
}
