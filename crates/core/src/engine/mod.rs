//! Combines the pure parts: a parsed request goes to the policy, and with the policy's permit to the vendor's signing
//! code.
//!
//! The engine is pure too: time and randomness are arguments. Therefore the command line runs it without a server, and
//! tests run it without a network.

mod action_request;
mod assumed_caller;
mod facts;
mod reasons;

use std::sync::Arc;

use crate::authn::Authenticators;
use crate::model::{ActionSet, Caller, Millis, RequestedGrant, SigningRequest};
use crate::policy::{ConversationFacts, DecisionData, Denial, EntryIndex, Explanation, Policy};
use crate::vendor::ably::Capability;
use crate::vendor::{self, App, InvalidRequest, Nonce, SignedResult, VendorRequest};
pub use facts::{FactsExchange, FactsProtocol, FactsProvider, FactsQuery, parse_details};

pub use action_request::{parse_id_list, request_for_action};
pub use assumed_caller::{AssumedCaller, AssumedCallerWithNotes};
pub use reasons::{DecidedRequest, describe_denial};

/// Everything that is needed to answer requests: the apps with their secrets, the authenticators and the policy.
#[derive(Debug)]
pub struct Engine {
    /// The apps, in the order of the configuration.
    pub apps: Vec<App>,
    /// The authenticators of the callers.
    pub authenticators: Authenticators,
    /// The policy.
    pub policy: Arc<Policy>,
    /// The facts server, which knows the conversations and the roles of users in them.
    pub facts: Option<Arc<FactsProvider>>,
}

/// The data for a decision that is not in the policy file.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeData<'a> {
    /// The moderation entries, which are made at run time.
    pub moderation: &'a EntryIndex,
    /// The facts from the facts server.
    pub facts: &'a [ConversationFacts],
}

/// The answer to a request, with the data for the audit log.
#[derive(Debug)]
pub struct SigningOutcome {
    /// The request.
    pub request: SigningRequest,
    /// The granted part of the requested capability.
    pub granted: Vec<RequestedGrant>,
    /// The rules that allowed the request.
    pub rules: Vec<Arc<str>>,
    /// The signed result, or the reason why nothing was signed.
    pub outcome: Result<SignedResult, SigningRefusal>,
}

impl SigningOutcome {
    /// Returns the signed nonce, if there is one.
    pub fn nonce(&self) -> Option<&str> {
        self.outcome.as_ref().ok()?.nonce()
    }

    /// Returns the parts of the requested capability that are not granted as requested: the parts that are not known,
    /// then the operations of each channel or pattern that are not granted in the whole of it.
    pub fn left_out(&self) -> Vec<String> {
        let missing = self.request.requested_grants.iter().filter_map(|RequestedGrant { resource, operations }| {
            let granted = self.granted.iter().find(|grant| grant.resource == *resource);
            let granted = granted.map_or(ActionSet::EMPTY, |grant| grant.operations);
            let missing: ActionSet = operations.iter().filter(|operation| !granted.contains(*operation)).collect();
            let words = || Capability::operation_words(missing).into_iter().map(|word| format!("`{word}`"));
            (!missing.is_empty()).then(|| format!("{} in `{resource}`", words().collect::<Vec<_>>().join(", ")))
        });
        self.request.left_out.iter().cloned().chain(missing).collect()
    }
}

/// The reason why nothing was signed.
#[derive(Debug)]
pub enum SigningRefusal {
    /// The policy denies the request.
    Denied(Box<Denial>),
    /// The policy allows the request, but it cannot be signed in this form.
    Invalid(InvalidRequest),
}

impl Engine {
    /// Returns the app of this name.
    pub fn app(&self, name: &str) -> Option<&App> {
        self.apps.iter().find(|app| **app.name() == *name)
    }

    /// Returns the facts queries that are needed for the decision. Returns nothing if no answer can change the
    /// decision.
    pub fn facts_queries(
        &self,
        signing_request: &SigningRequest,
        caller: &Caller,
        moderation: &EntryIndex,
        now: Millis,
    ) -> Vec<FactsQuery> {
        let Some(source) = self.facts.as_ref().filter(|source| source.serves(&signing_request.app)) else {
            return Vec::new();
        };
        let bearing = source.relevance(self.app(&signing_request.app).is_some_and(App::contains_roles));
        let facts = DecisionData { file: self.policy.entries(), runtime: Some(moderation), facts: &[] };
        let open = self.policy.unanswered(signing_request, caller, facts, now, bearing);
        if open.is_empty() { Vec::new() } else { source.queries(open, signing_request, caller, facts) }
    }

    /// Decides the request and, if the policy allows it, signs the result. `entropy` is 16 fresh random bytes for the
    /// nonce.
    pub fn sign(
        &self,
        app: &App,
        request: VendorRequest,
        caller: &Caller,
        RuntimeData { moderation, facts: told }: RuntimeData<'_>,
        now: Millis,
        entropy: [u8; 16],
    ) -> SigningOutcome {
        let VendorRequest { signing_request, signing_job } = request;
        let facts = DecisionData { file: self.policy.entries(), runtime: Some(moderation), facts: told };
        let permit = match self.policy.decide(signing_request, caller, facts, now) {
            Ok(permit) => permit,
            Err(refusal) => {
                let outcome = Err(SigningRefusal::Denied(refusal.denial));
                return SigningOutcome {
                    request: *refusal.signing_request,
                    granted: Vec::new(),
                    rules: Vec::new(),
                    outcome,
                };
            }
        };
        let nonce = Nonce::from_entropy(entropy);
        let outcome = vendor::sign(app, &permit, &signing_job, now, &nonce).map_err(SigningRefusal::Invalid);
        let (signing_request, granted, rules) = permit.into_parts();
        SigningOutcome { request: signing_request, granted, rules, outcome }
    }

    /// Decides in the same way as [`Engine::sign`], but signs nothing.
    pub fn decide(
        &self,
        signing_request: SigningRequest,
        caller: Caller,
        RuntimeData { moderation, facts: told }: RuntimeData<'_>,
        at: Millis,
    ) -> DecidedRequest {
        let facts = DecisionData { file: self.policy.entries(), runtime: Some(moderation), facts: told };
        let outcome = self.policy.decide(signing_request.clone(), &caller, facts, at);
        DecidedRequest { request: signing_request, caller, at, outcome: outcome.map_err(|refusal| refusal.denial) }
    }

    /// Returns the reasons for the decision on a request.
    pub fn explain(
        &self,
        signing_request: &SigningRequest,
        caller: &Caller,
        RuntimeData { moderation, facts: told }: RuntimeData<'_>,
        now: Millis,
    ) -> Vec<Explanation> {
        self.policy.explain(
            signing_request,
            caller,
            DecisionData { file: self.policy.entries(), runtime: Some(moderation), facts: told },
            now,
        )
    }
}
