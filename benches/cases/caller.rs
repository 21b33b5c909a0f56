//! Callers with tokens, one caller for each kind of signature. The keys are made at run time.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use chat_signer::authn::{
    self, Algorithm, Audience, AudienceClaim, Authenticator, Authenticators, Common, IdentityMapping, Jwt, KeySource,
    RequestCredentials, RoleMapping, SubjectPrefix, TokenRules, VerificationKeys,
};
use chat_signer::crypto::{base64url, mac::HmacSha256};
use chat_signer::model::{Caller, CallerKind, Millis, RoleHierarchy};
use chat_signer::secret::Secret;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

const ISSUER: &str = "https://id.chat-signer.invalid/";
const AUDIENCE: &str = "chat-signer-benchmark";
/// The HS256 key of the benchmarks.
pub const SECRET: &[u8] = b"obviously-fake-secret-for-benchmarks-0123456789";

/// How a caller's token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HMAC-SHA256.
    Hs256,
    /// RSA with 2048 bits.
    Rs256,
    /// ECDSA on P-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// An issuer of callers' tokens.
pub struct Issuer {
    kind: Kind,
    /// The public half of the key, or null.
    pub jwk: Value,
    sign: Box<Sign>,
}

type Sign = dyn Fn(&[u8]) -> Vec<u8>;

/// A caller that repeats requests with the same token.
pub struct Calls {
    authenticators: Authenticators,
    headers: HeaderMap,
    now: Millis,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 4] = [Kind::Hs256, Kind::Rs256, Kind::Es256, Kind::EdDsa];

    fn algorithm(self) -> Algorithm {
        match self {
            Kind::Hs256 => Algorithm::HS256,
            Kind::Rs256 => Algorithm::RS256,
            Kind::Es256 => Algorithm::ES256,
            Kind::EdDsa => Algorithm::EdDSA,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.algorithm(), f)
    }
}

impl Issuer {
    /// Creates an issuer with a fresh key.
    pub fn new(kind: Kind) -> Issuer {
        match kind {
            Kind::Hs256 => hs256(),
            Kind::Rs256 => rs256(),
            Kind::Es256 => es256(),
            Kind::EdDsa => eddsa(),
        }
    }

    /// Makes a token for bob that is valid for an hour from `now`. Tokens with different numbers differ.
    pub fn token(&self, issuer: &str, audience: &str, now: Millis, number: usize) -> String {
        let header = json!({"alg": self.kind.to_string(), "typ": "JWT", "kid": "key-1"});
        let (iat, exp) = (now.seconds(), now.seconds() + 3600);
        let claims = json!({"iss": issuer, "aud": audience, "sub": "bob", "iat": iat, "exp": exp, "jti": number});
        let message = [header, claims].map(|part| base64url(part.to_string().as_bytes())).join(".");
        let signature = base64url(&(self.sign)(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn keys(&self) -> VerificationKeys {
        let algorithms = [self.kind.algorithm()];
        match self.kind {
            Kind::Hs256 => VerificationKeys::from_secrets(&[Secret::new(SECRET.to_vec())], &algorithms),
            _ => VerificationKeys::from_jwks_file(json!({"keys": [self.jwk]}).to_string().as_bytes(), &algorithms),
        }
        .expect("the key can be used")
    }
}

impl Calls {
    /// Creates a caller with a token of this kind, with or without a token cache.
    pub fn new(kind: Kind, remembered: bool, now: Millis) -> Calls {
        let issuer = Issuer::new(kind);
        let value = format!("Bearer {}", issuer.token(ISSUER, AUDIENCE, now, 0));
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::try_from(value).expect("it is plain text"))]);
        let authenticators = Authenticators::new(vec![Authenticator::Jwt(authenticator(&issuer))]);
        let authenticators = if remembered { authenticators.with_token_cache(&[7; 32]) } else { authenticators };
        let calls = Calls { authenticators, headers, now };
        assert_eq!(calls.identify().subject, "bob");
        calls
    }

    /// Identifies the caller.
    pub fn identify(&self) -> Arc<Caller> {
        self.authenticators
            .identify(&RequestCredentials::from_headers(&self.headers), "leancloud", self.now)
            .expect("the token holds")
    }
}

fn authenticator(issuer: &Issuer) -> Jwt {
    Jwt {
        common: Common { name: "users".into(), kind: CallerKind::User, apps: None },
        issuer: authn::Issuer::Exact(ISSUER.to_owned()),
        audience: Audience { claim: AudienceClaim::Aud, accepted: vec![AUDIENCE.to_owned()] },
        algorithms: vec![issuer.kind.algorithm()],
        keys: KeySource::Fixed(issuer.keys()),
        shared_secrets: None,
        identity: IdentityMapping {
            subject: vec!["sub".to_owned()],
            numeric_subject: false,
            subject_prefix: SubjectPrefix::default(),
            required: Vec::new(),
            roles: RoleMapping {
                roles: Some("roles".to_owned()),
                ..RoleMapping::none(&RoleHierarchy::new(["member"].map(str::to_owned)))
            },
        },
        leeway_seconds: 30,
        accepted_types: Vec::new(),
        rules: TokenRules::default(),
    }
}

fn hs256() -> Issuer {
    let key = HmacSha256::new(SECRET);
    Issuer { kind: Kind::Hs256, jwk: Value::Null, sign: Box::new(move |message| key.mac(message).to_vec()) }
}

fn rs256() -> Issuer {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key is made");
    let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    let jwk = json!({"kty": "RSA", "kid": "key-1", "n": base64url(&n), "e": base64url(&e)});
    let sign = move |message: &[u8]| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("it signs");
        signature
    };
    Issuer { kind: Kind::Rs256, jwk, sign: Box::new(sign) }
}

fn es256() -> Issuer {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key is made");
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "key-1", "x": base64url(x), "y": base64url(y)});
    let sign = move |message: &[u8]| pair.sign(&SystemRandom::new(), message).expect("it signs").as_ref().to_vec();
    Issuer { kind: Kind::Es256, jwk, sign: Box::new(sign) }
}

fn eddsa() -> Issuer {
    let pair = Ed25519KeyPair::generate().expect("a key is made");
    let x = base64url(pair.public_key().as_ref());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "key-1", "x": x});
    Issuer { kind: Kind::EdDsa, jwk, sign: Box::new(move |message: &[u8]| pair.sign(message).as_ref().to_vec()) }
}
