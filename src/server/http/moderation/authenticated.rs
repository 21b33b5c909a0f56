//! A moderation request after authentication: its apps, admission and facts.

use std::collections::HashMap;
use std::sync::Arc;

use super::audit::with_command_details;
use crate::model::{Caller, SigningRequest};
use crate::moderation::CommandKind;
use crate::policy::ConversationFacts;
use crate::server::http::context::RequestContext;
use crate::server::http::error::ApiError;
use crate::server::http::facts::{self, UndecidedRequest};
use crate::server::http::record;
use crate::vendor::App;

/// A request whose caller is authenticated.
pub(super) struct AuthenticatedRequest<'a> {
    pub(super) exchange: &'a RequestContext,
    pub(super) caller: Arc<Caller>,
}

/// The facts from other services about the place, by app.
pub(super) type FactsByApp = HashMap<Arc<str>, Vec<ConversationFacts>>;

impl<'a> AuthenticatedRequest<'a> {
    /// Returns the apps that a request is about: the app that it names, or all apps. If it names an app that is no
    /// longer configured, returns all apps.
    pub(super) fn apps(&self, named: Option<&Arc<str>>) -> Vec<&'a App> {
        match self.app(named) {
            Some(app) => vec![app],
            None => self.exchange.settings().engine.apps.iter().collect(),
        }
    }

    /// Returns the app that a request names, if it names one that is configured.
    pub(super) fn app(&self, named: Option<&Arc<str>>) -> Option<&'a App> {
        self.exchange.settings().engine.app(named?)
    }

    /// Checks that the caller's authenticator serves all apps that the request is about. A refusal is recorded.
    pub(super) async fn check_authenticator(&self, named: Option<&Arc<str>>) -> Result<(), ApiError> {
        let apps = self.apps(named).into_iter().map(|app| &**app.name());
        match self.exchange.settings().engine.authenticators.admit(&self.caller, apps) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(record::record_refusal(self.exchange, self.app(named), &refusal).await?),
        }
    }

    /// Asks other servers for the facts that a decision depends on. If that fails, the failure is recorded, with the
    /// details of `deed` if the request is a change.
    pub(super) async fn fetch_facts(
        &self,
        named: Option<&Arc<str>>,
        asks: &[SigningRequest],
        deed: Option<&CommandKind>,
    ) -> Result<FactsByApp, ApiError> {
        match self.fetch_facts_unrecorded(asks).await {
            Ok(told) => Ok(told),
            Err(undecided) => Err(self.record_undecided(named, asks, deed, undecided).await),
        }
    }

    /// Asks other servers for the facts that a decision depends on. A failure is not recorded.
    pub(super) async fn fetch_facts_unrecorded(&self, asks: &[SigningRequest]) -> Result<FactsByApp, UndecidedRequest> {
        let mut told = FactsByApp::new();
        for signing_request in asks {
            let known = facts::fetch_facts(self.exchange, signing_request, &self.caller).await?;
            told.insert(Arc::clone(&signing_request.app), known);
        }
        Ok(told)
    }

    /// Records that the request cannot be decided. Returns the error to answer with: that of the audit log if it cannot
    /// be written.
    pub(super) async fn record_undecided(
        &self,
        named: Option<&Arc<str>>,
        asks: &[SigningRequest],
        deed: Option<&CommandKind>,
        undecided: UndecidedRequest,
    ) -> ApiError {
        let (Some(signing_request), app) = (asks.first(), self.app(named)) else { return undecided.failure };
        let record = record::request_record(self.exchange, app, &self.caller, signing_request);
        // The reason of the failure replaces the reason that the command gives.
        let record = deed.map_or(record, |deed| with_command_details(deed, &record));
        record::record_undecided(self.exchange, app, signing_request, &record, undecided).await
    }
}
