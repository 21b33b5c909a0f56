//! The pure core of chat-signer: it decides what a caller may do, and signs it.
//!
//! Nothing here reads a clock, a file, the environment or the network, and nothing here draws random numbers: time and randomness are
//! arguments. So another Rust backend can embed the core and call it from its own server.
//!
//! A request takes three steps. [`vendor::parse`] reads it, [`policy::Policy::decide`] grants a [`Permit`](policy::Permit) or denies it,
//! and [`vendor::sign`] turns the permit into a signature or a token. Only the policy can make a permit, so nothing is signed without a
//! decision.
//!
//! ```
//! use chat_signer_core::model::{Action, ActionSet, Caller, CallerKind, Millis};
//! use chat_signer_core::policy::{DecisionData, Effect, Policy, PolicyDocument, Rule};
//! use chat_signer_core::secret::Secret;
//! use chat_signer_core::vendor::{self, App, Nonce, Params, SignedResult, Ttl, talkjs};
//!
//! // The app and its secret key, and a policy with one rule: users may log in as themselves.
//! let ttl = Ttl { min_seconds: 600, default_seconds: 600, max_seconds: 3600 };
//! let keys = [Secret::new(b"sk_obviously_fake".to_vec())];
//! let app = App::TalkJs(talkjs::App::new("support".into(), "fakeAppId".to_owned(), &keys, ttl, false));
//! let rules = vec![Rule::new("users-log-in", Effect::Allow, ActionSet::of(&[Action::Login]))];
//! let policy = Policy::new(PolicyDocument { rules, ..PolicyDocument::default() });
//!
//! // A request for a token, from a user that your server has authenticated.
//! let caller = Caller {
//!     kind: CallerKind::User,
//!     subject: "alice".to_owned(),
//!     authenticator: "sessions".into(),
//!     claims: serde_json::Map::new(),
//!     bindings: Vec::new(),
//! };
//! let (now, random_bytes) = (Millis(1_800_000_000_000), [7; 16]);
//! let operation = vendor::operation(&app, "token").expect("TalkJS has this operation");
//!
//! // Parse, decide, sign.
//! let request = vendor::parse(&app, operation, &Params::default(), Some(&caller)).expect("a valid request");
//! let data = DecisionData::file_only(policy.entries());
//! let permit = policy.decide(request.signing_request, &caller, data, now).expect("the rule allows it");
//! let signed = vendor::sign(&app, &permit, &request.signing_job, now, &Nonce::from_entropy(random_bytes));
//!
//! assert!(matches!(signed, Ok(SignedResult::Token { expires_at: 1_800_000_600, .. })));
//! ```

pub mod authn;
pub mod crypto;
pub mod engine;
pub mod model;
pub mod moderation;
pub mod policy;
pub mod redaction;
pub mod secret;
pub mod vendor;
