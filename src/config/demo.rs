//! The secrets of the demonstration. They are public, so the program knows them by value: a configuration that trusts
//! them must be a demonstration and nothing else.

use super::authenticators::ConfiguredAuthenticators;
use super::file::ConfigFile;
use super::secret::SecretResolver;
use super::signer::{ListenAddress, RestrictedSettings};
use crate::authn::{Algorithm, Jwt};
use crate::crypto::mac::KeyBlocks;
use crate::secret::Secret;

/// The secret that signs the tokens of the demonstration's callers.
const CALLER_SECRET: &[u8] = b"demonstration-only-caller-secret-not-for-production-use-0000000000";

/// All secrets of the demonstration. For the Ably key, also the part that signs.
const SECRETS: [&[u8]; 5] = [
    CALLER_SECRET,
    b"demonstration-only-leancloud-master-key",
    b"demonstration-only-talkjs-secret-key",
    b"demoapp.demokey:demonstration-only-ably-key-secret",
    b"demonstration-only-ably-key-secret",
];

/// The API key of the demonstration.
const API_KEY: &str = "demo-service-key-not-for-production";

/// The SHA-256 of the API key in hex, as in the configuration.
const API_KEY_SHA256: &str = "9b0b9866160887802d382386a3d037755cdd8a6d2a3e1d39efa5358ef3046301";

/// Returns whether this is the demonstration's caller secret, or makes the same signatures.
pub(super) fn is_demo_caller_secret(secret: &Secret) -> bool {
    KeyBlocks::new(secret.expose()).overlaps(&KeyBlocks::new(CALLER_SECRET))
}

/// Returns whether this is a secret of the demonstration, or makes the same signatures. An Ably key is compared as a
/// whole and by its secret part.
pub(super) fn is_demo_secret(bytes: &[u8]) -> bool {
    let behind_name = bytes.iter().position(|byte| *byte == b':').and_then(|colon| bytes.get(colon + 1..));
    let blocks: Vec<_> = std::iter::once(bytes).chain(behind_name).map(KeyBlocks::new).collect();
    let is_one = |secret: &[u8]| blocks.iter().any(|blocks| blocks.overlaps(&KeyBlocks::new(secret)));
    SECRETS.into_iter().any(is_one)
}

/// Returns whether this is the hash of the demonstration's API key.
pub(super) fn is_demo_api_key(sha256: &[u8; 32]) -> bool {
    hex::encode(sha256) == API_KEY_SHA256
}

/// Returns the API key with this hash, if it is the demonstration's.
pub fn demo_api_key(sha256: &[u8; 32]) -> Option<&'static str> {
    is_demo_api_key(sha256).then_some(API_KEY)
}

/// The data to make a token that the demonstration's authenticator accepts.
#[derive(Clone, Debug)]
pub struct DemoCaller {
    /// The value of `iss`.
    pub issuer: String,
    /// The value of `aud`.
    pub audience: String,
    /// The signature algorithm.
    pub algorithm: Algorithm,
    /// The claim that names the caller.
    pub subject: String,
    /// The claim with the roles of the caller, if the authenticator reads roles.
    pub roles: Option<String>,
    /// The secret of the demonstration, which is public.
    pub secret: Secret,
}

impl DemoCaller {
    /// Returns the data for this authenticator, which trusts `secret`.
    pub(super) fn from_jwt(jwt: &Jwt, secret: Secret) -> Option<DemoCaller> {
        Some(DemoCaller {
            issuer: jwt.issuer.clone(),
            audience: jwt.audience.first()?.clone(),
            algorithm: *jwt.algorithms.first()?,
            subject: jwt.subject.clone(),
            roles: jwt.roles.clone(),
            secret,
        })
    }
}

/// Notes mistakes if a demonstration is used for anything else. A configuration that trusts the demonstration's callers
/// trusts everyone. So it must have no real secrets, and only this machine may connect.
pub(super) fn check_demonstration(
    file: &ConfigFile<'_>,
    vault: &SecretResolver,
    callers: &ConfiguredAuthenticators,
    listen: &ListenAddress,
    places: &RestrictedSettings,
) {
    if let (Some(place), None) = (&places.playground, &callers.demo_caller) {
        let message = "the playground works only in the demonstration: it makes tokens for anyone, with the demonstration's caller secret";
        file.mistake(place, message, "leave it out: `chat-signer explain` shows decisions on any configuration");
    }
    let Some(public) = callers.demo_credentials() else {
        return warn_of_demo_secrets(file, vault);
    };
    for real in vault.resolved.iter().filter(|seen| !seen.is_demo_secret) {
        let message =
            format!("`{}` is your own secret, but the configuration accepts the demonstration's {public}", real.name);
        let help = "anyone could get signatures with these public credentials: replace them with your own";
        file.mistake(&real.key, message, help);
    }
    if !matches!(listen, ListenAddress::Tcp(address) if address.ip().is_loopback()) {
        let message = format!("the demonstration can't listen on {listen}: everyone knows its {public}");
        let help = "write listen = \"127.0.0.1:7480\", or use your own credentials for callers";
        file.mistake(&places.listen, message, help);
    }
}

fn warn_of_demo_secrets(file: &ConfigFile<'_>, vault: &SecretResolver) {
    for seen in vault.resolved.iter().filter(|seen| seen.is_demo_secret) {
        let message = format!("`{}` is one of the demonstration's secrets, which are public", seen.name);
        file.warning(&seen.key, message, "replace it with your own");
    }
}

impl ConfiguredAuthenticators {
    /// Names the demonstration's credentials that this configuration accepts from callers, if any.
    pub(super) fn demo_credentials(&self) -> Option<&'static str> {
        match (&self.demo_caller, self.accepts_demo_api_key) {
            (Some(_), true) => Some("caller secret and API key"),
            (Some(_), false) => Some("caller secret"),
            (None, true) => Some("API key"),
            (None, false) => None,
        }
    }
}
