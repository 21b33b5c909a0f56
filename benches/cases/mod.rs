//! The measured cases: requests to the demonstration's apps under the shipped policy, with few and with many entries.

pub mod caller;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use chat_signer::authn::RequestCredentials;
use chat_signer::config;
use chat_signer::crypto::{base64url, mac::HmacSha256};
use chat_signer::engine::{Engine, RuntimeData, SigningOutcome};
use chat_signer::model::{Caller, Millis, Pattern, SigningRequest, json};
use chat_signer::policy::{self, BindingEntry, DecisionData, EntryOrigin, Permit, Policy, PolicyDocument, Sanction};
use chat_signer::secret::Secret;
use chat_signer::vendor::{self, App, Nonce, Params, SignedResult, VendorRequest};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::json;

/// The time of all requests.
pub const NOW: Millis = Millis(1_800_000_000_000);
const ENTROPY: [u8; 16] = [0x5a; 16];

/// A manager of the conversation in the shipped policy.
const CALLER: &str = "bob";

/// How many entries the policy file has, in addition to the shipped policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryCount {
    /// Ten bans and ten bindings.
    Ten,
    /// 100,000 bans and 100,000 bindings.
    HundredThousand,
    /// The same, and the caller itself has 100,000 more bindings and bans in other places.
    OwnHundredThousand,
}

impl EntryCount {
    /// All sizes.
    pub const ALL: [EntryCount; 3] = [EntryCount::Ten, EntryCount::HundredThousand, EntryCount::OwnHundredThousand];

    /// Returns the name in the reports.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryCount::Ten => "10",
            EntryCount::HundredThousand => "100000",
            EntryCount::OwnHundredThousand => "100000-own",
        }
    }
}

/// A request that is measured repeatedly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// A LeanCloud invite of three members.
    LeanCloud,
    /// A TalkJS user token.
    TalkJs,
    /// An Ably token in the form of a JSON Web Token.
    AblyToken,
    /// An Ably token request.
    AblyTokenRequest,
    /// A Stream user token.
    Stream,
    /// An authorization of a presence channel at Pusher.
    Pusher,
    /// A Tencent UserSig.
    Tencent,
    /// A LiveKit token for a room.
    LiveKit,
    /// A Centrifugo token for a subscription.
    Centrifugo,
    /// A token for Agora Chat.
    Agora,
    /// A JSON Web Token for Synapse.
    Jwt,
}

impl Case {
    /// All cases.
    pub const ALL: [Case; 11] = [
        Case::LeanCloud,
        Case::TalkJs,
        Case::AblyToken,
        Case::AblyTokenRequest,
        Case::Stream,
        Case::Pusher,
        Case::Tencent,
        Case::LiveKit,
        Case::Centrifugo,
        Case::Agora,
        Case::Jwt,
    ];

    /// Returns the name in the reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Case::LeanCloud => "leancloud-invite",
            Case::TalkJs => "talkjs-token",
            Case::AblyToken => "ably-token",
            Case::AblyTokenRequest => "ably-token-request",
            Case::Stream => "stream-token",
            Case::Pusher => "pusher-channel-auth",
            Case::Tencent => "tencent-user-sig",
            Case::LiveKit => "livekit-token",
            Case::Centrifugo => "centrifugo-subscription-token",
            Case::Agora => "agora-chat-token",
            Case::Jwt => "jwt-token",
        }
    }

    fn app_and_operation(self) -> (&'static str, &'static str) {
        match self {
            Case::LeanCloud => ("leancloud", "invite"),
            Case::TalkJs => ("talkjs", "token"),
            Case::AblyToken => ("ably", "token"),
            Case::AblyTokenRequest => ("ably", "token-request"),
            Case::Stream => ("stream", "token"),
            Case::Pusher => ("pusher", "channel-auth"),
            Case::Tencent => ("tencent", "user-sig"),
            Case::LiveKit => ("livekit", "token"),
            Case::Centrifugo => ("centrifugo", "subscription-token"),
            Case::Agora => ("agora", "chat-token"),
            Case::Jwt => ("jwt", "token"),
        }
    }

    /// Returns the body of the request.
    pub fn body(self) -> &'static [u8] {
        match self {
            Case::LeanCloud => br#"{"conv_id":"5f3c2a1b9e8d7c6b5a493827","members":["mary","nina","oscar"]}"#,
            Case::TalkJs | Case::Stream | Case::Tencent | Case::Agora | Case::Jwt => b"{}",
            Case::Pusher => br#"{"socket_id":"1234.5678","channel_name":"presence-chat.lobby"}"#,
            Case::LiveKit => br#"{"room_name":"chat:lobby"}"#,
            Case::Centrifugo => br#"{"channel":"chat:lobby"}"#,
            Case::AblyToken | Case::AblyTokenRequest => {
                br#"{"capability":{"chat:lobby":["subscribe","publish","presence","history"],"chat:team:*":["subscribe"],"user:bob":["subscribe"]}}"#
            }
        }
    }
}

impl fmt::Display for EntryCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Everything that is needed to answer the request of a case.
pub struct Bench {
    engine: Engine,
    case: Case,
    caller: Arc<Caller>,
}

impl Bench {
    /// Creates the demonstration with this number of entries.
    ///
    /// # Panics
    /// Panics if the demonstration does not load or denies the request.
    pub fn new(case: Case, register: EntryCount) -> Bench {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("signer.toml");
        let settings = config::load(&root).settings.expect("the demonstration loads");
        let mut engine = settings.engine;
        engine.policy = Arc::new(Policy::new(with_entries(engine.policy.document().clone(), register)));
        let (app, _) = case.app_and_operation();
        let headers = authorization(&settings.demo_caller.expect("it has a demonstration caller").secret);
        let caller = engine
            .authenticators
            .identify(&RequestCredentials::from_headers(&headers), app, NOW)
            .expect("the token holds");
        let bench = Bench { engine, case, caller };
        assert!(bench.answer(bench.request()).outcome.is_ok(), "the request is allowed");
        bench
    }

    /// Stage 2: parses the request.
    pub fn request(&self) -> VendorRequest {
        let (_, name) = self.case.app_and_operation();
        let operation = vendor::operation(self.app(), name).expect("the app has the operation");
        let values = json::parse_object(self.case.body()).expect("the body is an object");
        let params = Params { values, lenient: false };
        vendor::parse(self.app(), operation, &params, Some(&self.caller)).expect("the request is well-formed")
    }

    /// Stage 3: decides whether the request is allowed.
    pub fn decide(&self, signing_request: SigningRequest) -> Permit {
        let register = self.engine.policy.entries();
        let facts = DecisionData::file_only(register);
        self.engine.policy.decide(signing_request, &self.caller, facts, NOW).expect("the request is allowed")
    }

    /// Stage 4: builds the string and signs it.
    pub fn sign(&self, request: &VendorRequest, permit: &Permit) -> SignedResult {
        let nonce = Nonce::from_entropy(ENTROPY);
        vendor::sign(self.app(), permit, &request.signing_job, NOW, &nonce).expect("the permit is for this")
    }

    /// Stages 3 and 4 as the server runs them: decide, build and sign.
    pub fn answer(&self, request: VendorRequest) -> SigningOutcome {
        self.answer_with(request, &policy::EntryIndex::default())
    }

    /// Stages 3 and 4 with moderation entries.
    pub fn answer_with(&self, request: VendorRequest, moderation: &policy::EntryIndex) -> SigningOutcome {
        self.engine.sign(self.app(), request, &self.caller, RuntimeData { moderation, facts: &[] }, NOW, ENTROPY)
    }

    fn app(&self) -> &App {
        let (app, _) = self.case.app_and_operation();
        self.engine.app(app).expect("the demonstration has the app")
    }
}

/// Makes a caller's token in the same way as an identity provider.
fn authorization(secret: &Secret) -> HeaderMap {
    let claims = json!({
        "iss": "https://demo.chat-signer.invalid/",
        "aud": "chat-signer-demo",
        "sub": CALLER,
        "iat": NOW.seconds(),
        "exp": NOW.seconds() + 3600,
    });
    let header = base64url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let input = format!("{header}.{}", base64url(claims.to_string().as_bytes()));
    let signature = base64url(&HmacSha256::new(secret.expose()).mac(input.as_bytes()));
    let value = format!("Bearer {input}.{signature}").parse().expect("a token is a header value");
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

fn with_entries(mut document: PolicyDocument, register: EntryCount) -> PolicyDocument {
    let role = document.role_hierarchy.find("member");
    let mut add = |user: String, scope: Pattern| {
        document.entries.bindings.push(BindingEntry {
            user: user.clone(),
            scope: scope.clone(),
            app: None,
            role,
            line: 1,
        });
        document.entries.bans.push(Sanction {
            user,
            scope,
            app: None,
            until: None,
            reason: None,
            origin: EntryOrigin::File { line: 1 },
        });
    };
    let others = if register == EntryCount::Ten { 10 } else { 100_000 };
    for i in 0..others {
        add(format!("user-{i}"), unused_scope(i));
    }
    for user in [CALLER, "mary", "nina", "oscar"] {
        add(user.to_owned(), unused_scope(0));
        add(user.to_owned(), unused_scope(1));
    }
    if register == EntryCount::OwnHundredThousand {
        for i in 0..100_000 {
            add(CALLER.to_owned(), unused_scope(i));
        }
    }
    document
}

/// Returns conversations and namespaces that no request here uses.
fn unused_scope(i: usize) -> Pattern {
    if i.is_multiple_of(2) {
        Pattern::Exact(format!("elsewhere-{i}"))
    } else {
        Pattern::Namespace(format!("elsewhere-{i}:"))
    }
}
