//! A moderation request after authentication: its apps, admission and facts.

use std::collections::HashMap;
use std::sync::Arc;

use super::audit::with_command_details;
use crate::engine::FactsQuery;
use crate::model::{Caller, SigningRequest};
use crate::moderation::{CommandKind, ReplicaStale};
use crate::policy::ConversationFacts;
use crate::server::http::context::RequestContext;
use crate::server::http::error::ApiError;
use crate::server::http::{authenticate, metrics, record};
use crate::vendor::App;

/// A request whose caller is authenticated.
pub(super) struct AuthenticatedRequest<'a> {
    pub(super) exchange: &'a RequestContext<'a>,
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
            None => self.exchange.settings.engine.apps.iter().collect(),
        }
    }

    /// Returns the app that a request names, if it names one that is configured.
    pub(super) fn app(&self, named: Option<&Arc<str>>) -> Option<&'a App> {
        self.exchange.settings.engine.app(named?)
    }

    /// Checks that the caller's authenticator serves all apps that the request is about. A refusal is recorded.
    pub(super) async fn check_authenticator(&self, named: Option<&Arc<str>>) -> Result<(), ApiError> {
        let apps = self.apps(named).into_iter().map(|app| &**app.name());
        match self.exchange.settings.engine.authenticators.admit(&self.caller, apps) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(authenticate::record_refusal(self.exchange, self.app(named), &refusal).await?),
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
        let mut told = FactsByApp::new();
        for signing_request in asks {
            let inquiries = match self.facts_queries(signing_request) {
                Ok(inquiries) => inquiries,
                Err(stale) => {
                    let reason = stale.to_string();
                    return Err(self.record_undecided(named, asks, deed, &reason, stale.into()).await);
                }
            };
            let (snapshot, trace) = (self.exchange.snapshot, self.exchange.trace);
            match Box::pin(snapshot.upstreams.fetch_facts(inquiries, trace)).await {
                Ok(known) => drop(told.insert(Arc::clone(&signing_request.app), known)),
                Err(unavailable) => {
                    let reason = unavailable.to_string();
                    return Err(self.record_undecided(named, asks, deed, &reason, unavailable.into()).await);
                }
            }
        }
        Ok(told)
    }

    fn facts_queries(&self, signing_request: &SigningRequest) -> Result<Vec<FactsQuery>, ReplicaStale> {
        let engine = &self.exchange.settings.engine;
        let index = self.exchange.runtime.moderation.read()?;
        Ok(engine.facts_queries(signing_request, &self.caller, index.entries(), self.exchange.now))
    }

    /// Records that the request cannot be decided. Returns the error to answer with: `failure`, or the error of the
    /// audit log if the line cannot be written.
    pub(super) async fn record_undecided(
        &self,
        named: Option<&Arc<str>>,
        asks: &[SigningRequest],
        deed: Option<&CommandKind>,
        reason: &str,
        failure: ApiError,
    ) -> ApiError {
        let (Some(signing_request), app) = (asks.first(), self.app(named)) else { return failure };
        let record = record::undecided_record(self.exchange, app, &self.caller, signing_request, reason);
        let line =
            match record::audit_line(self.exchange, &deed.map_or(record, |deed| with_command_details(deed, &record))) {
                Ok(line) => line,
                Err(failure) => return failure,
            };
        if let Err(unwritten) = self.exchange.runtime.audit.write(&line).await {
            return unwritten.into();
        }
        metrics::CountedDecision::unavailable(signing_request.action).count(self.exchange, app);
        failure
    }
}
