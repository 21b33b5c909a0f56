//! Puts the pure parts together: a request that is understood goes to the policy, and with its permit to the vendor's signing.
//!
//! Pure itself, so that the command line runs it without a server, and tests without a network: time and randomness are arguments.

mod facts;
mod reasons;

use std::sync::Arc;

use crate::authn::Authenticators;
use crate::model::{Caller, Millis, RequestedGrant, SigningRequest};
use crate::policy::{ConversationFacts, DecisionData, Denial, EntryIndex, Explanation, Policy};
use crate::vendor::{self, App, InvalidRequest, Nonce, SignedResult, VendorRequest};
pub use facts::{FactsExchange, FactsProtocol, FactsProvider, FactsQuery, details};

pub use reasons::{DecidedRequest, why};

/// All that it takes to answer: the apps with their secrets, who may call, and the policy.
#[derive(Debug)]
pub struct Engine {
    /// The apps, in the configuration's order.
    pub apps: Vec<App>,
    /// Who may call.
    pub authenticators: Authenticators,
    /// What they may do.
    pub policy: Arc<Policy>,
    /// Who else knows what conversations are like, and who is what in them.
    pub facts: Option<Arc<FactsProvider>>,
}

/// What is known of the world besides what the policy file says.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeData<'a> {
    /// What was changed at run time.
    pub moderation: &'a EntryIndex,
    /// What another service tells.
    pub told: &'a [ConversationFacts],
}

/// The answer to a request, with what the audit log wants to know of it.
#[derive(Debug)]
pub struct SigningOutcome {
    /// What was asked.
    pub ask: SigningRequest,
    /// What of a capability was granted.
    pub granted: Vec<RequestedGrant>,
    /// The rules that allowed it.
    pub rules: Vec<String>,
    /// The nonce that was signed, where there is one.
    pub nonce: Option<String>,
    /// What was signed, or why nothing was.
    pub outcome: Result<SignedResult, SigningRefusal>,
}

/// Why nothing was signed.
#[derive(Debug)]
pub enum SigningRefusal {
    /// The policy denies it.
    Denied(Box<Denial>),
    /// The policy allows it, but it can't be signed as asked.
    Invalid(InvalidRequest),
}

impl Engine {
    /// The app of this name.
    pub fn app(&self, name: &str) -> Option<&App> {
        self.apps.iter().find(|app| **app.name() == *name)
    }

    /// What must be asked elsewhere before this can be decided: nothing, where no answer could make a difference.
    pub fn inquiries(
        &self,
        ask: &SigningRequest,
        caller: &Caller,
        moderation: &EntryIndex,
        now: Millis,
    ) -> Vec<FactsQuery> {
        let Some(source) = self.facts.as_ref().filter(|source| source.serves(&ask.app)) else { return Vec::new() };
        let bearing = source.bearing(self.app(&ask.app).is_some_and(App::tells_roles));
        let facts = DecisionData { registers: &[self.policy.register(), moderation], told: &[] };
        let open = self.policy.unanswered(ask, caller, facts, now, bearing);
        if open.is_empty() { Vec::new() } else { source.inquiries(open, ask, caller, facts) }
    }

    /// Decides and, if the policy gives its permit, signs. `entropy` is 16 fresh random bytes, for the nonce.
    pub fn answer(
        &self,
        app: &App,
        request: VendorRequest,
        caller: &Caller,
        RuntimeData { moderation, told }: RuntimeData<'_>,
        now: Millis,
        entropy: [u8; 16],
    ) -> SigningOutcome {
        let VendorRequest { ask, product } = request;
        let facts = DecisionData { registers: &[self.policy.register(), moderation], told };
        let permit = match self.policy.decide(ask, caller, facts, now) {
            Ok(permit) => permit,
            Err(refusal) => {
                let outcome = Err(SigningRefusal::Denied(refusal.denial));
                return SigningOutcome {
                    ask: *refusal.ask,
                    granted: Vec::new(),
                    rules: Vec::new(),
                    nonce: None,
                    outcome,
                };
            }
        };
        let nonce = Nonce::from_entropy(entropy);
        let outcome = vendor::sign(app, &permit, &product, now, &nonce).map_err(SigningRefusal::Invalid);
        let nonce = outcome.as_ref().ok().and_then(SignedResult::nonce).map(str::to_owned);
        let (ask, granted, rules) = permit.spend();
        SigningOutcome { ask, granted, rules, nonce, outcome }
    }

    /// Decides as [`Engine::answer`] does, and signs nothing.
    pub fn decide(
        &self,
        ask: SigningRequest,
        caller: Caller,
        RuntimeData { moderation, told }: RuntimeData<'_>,
        at: Millis,
    ) -> DecidedRequest {
        let facts = DecisionData { registers: &[self.policy.register(), moderation], told };
        let outcome = self.policy.decide(ask.clone(), &caller, facts, at);
        DecidedRequest { ask, caller, at, outcome: outcome.map_err(|refusal| refusal.denial) }
    }

    /// The reasons behind the decision on an ask.
    pub fn explain(
        &self,
        ask: &SigningRequest,
        caller: &Caller,
        RuntimeData { moderation, told }: RuntimeData<'_>,
        now: Millis,
    ) -> Vec<Explanation> {
        self.policy.explain(ask, caller, DecisionData { registers: &[self.policy.register(), moderation], told }, now)
    }
}
