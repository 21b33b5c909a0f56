//! The demonstration's secrets. They are public, so they are known here by value: a configuration that trusts them is a demonstration,
//! and must not be anything else.

use super::authenticators::ConfiguredAuthenticators;
use super::file::ConfigFile;
use super::secret::SecretResolver;
use super::signer::{ListenAddress, RestrictedSettings};
use crate::authn::{Algorithm, Jwt};
use crate::crypto::mac::KeyBlocks;
use crate::secret::Secret;

/// The secret that the demonstration's callers are signed with.
const CALLER: &[u8] = b"demonstration-only-caller-secret-not-for-production-use-0000000000";

/// Every secret of the demonstration; of Ably's key also the part that signs.
const SECRETS: [&[u8]; 5] = [
    CALLER,
    b"demonstration-only-leancloud-master-key",
    b"demonstration-only-talkjs-secret-key",
    b"demoapp.demokey:demonstration-only-ably-key-secret",
    b"demonstration-only-ably-key-secret",
];

/// The demonstration's API key.
const API_KEY: &str = "demo-service-key-not-for-production";

/// Its SHA-256, as the configuration has it.
const API_KEY_SHA256: &str = "9b0b9866160887802d382386a3d037755cdd8a6d2a3e1d39efa5358ef3046301";

/// Whether this is the secret that the demonstration's callers are signed with, or signs as it does.
pub(super) fn is_caller(secret: &Secret) -> bool {
    KeyBlocks::new(secret.expose()).overlap(&KeyBlocks::new(CALLER))
}

/// Whether this is one of the demonstration's secrets, or signs as one does: as a whole, or as a key of Ably's.
pub(super) fn is_secret(bytes: &[u8]) -> bool {
    let behind_name = bytes.iter().position(|byte| *byte == b':').and_then(|colon| bytes.get(colon + 1..));
    let blocks: Vec<_> = std::iter::once(bytes).chain(behind_name).map(KeyBlocks::new).collect();
    let is_one = |secret: &[u8]| blocks.iter().any(|blocks| blocks.overlap(&KeyBlocks::new(secret)));
    SECRETS.into_iter().any(is_one)
}

/// Whether this is the hash of the demonstration's API key.
pub(super) fn is_api_key(sha256: &[u8; 32]) -> bool {
    hex::encode(sha256) == API_KEY_SHA256
}

/// The API key with this hash, if it is the demonstration's.
pub fn demo_api_key(sha256: &[u8; 32]) -> Option<&'static str> {
    is_api_key(sha256).then_some(API_KEY)
}

/// What it takes to make a token that the demonstration's authenticator accepts.
#[derive(Clone, Debug)]
pub struct DemoCaller {
    /// What `iss` is.
    pub issuer: String,
    /// What `aud` is.
    pub audience: String,
    /// What the token is signed with.
    pub algorithm: Algorithm,
    /// The claim that names the caller.
    pub subject: String,
    /// The claim with the caller's roles, if there is one.
    pub roles: Option<String>,
    /// The demonstration's secret, known to everyone.
    pub secret: Secret,
}

impl DemoCaller {
    /// For this authenticator, which trusts `secret`.
    pub(super) fn of(jwt: &Jwt, secret: Secret) -> Option<DemoCaller> {
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

/// Keeps a demonstration from being anything else: whoever trusts the demonstration's callers trusts everyone, so nothing real may be
/// signed with, and nobody but this machine may ask.
pub(super) fn guard(
    file: &ConfigFile<'_>,
    vault: &SecretResolver,
    callers: &ConfiguredAuthenticators,
    listen: &ListenAddress,
    places: &RestrictedSettings,
) {
    if let (Some(place), None) = (&places.playground, &callers.demo) {
        let message = "the playground is for the demonstration: it makes tokens for anyone, with the demonstration's caller secret";
        file.mistake(place, message, "leave it out: `chat-signer explain` shows decisions on any configuration");
    }
    let Some(public) = callers.public() else {
        return warn(file, vault);
    };
    for real in vault.seen.iter().filter(|seen| !seen.demonstration) {
        let message =
            format!("`{}` is a secret of your own, but callers are trusted by the demonstration's {public}", real.name);
        let help = "that is public, so anyone could have things signed: put one of your own in its place too";
        file.mistake(&real.key, message, help);
    }
    if !matches!(listen, ListenAddress::Tcp(address) if address.ip().is_loopback()) {
        let message = format!("the demonstration can't listen on {listen}: everyone knows its {public}");
        let help = "write listen = \"127.0.0.1:7480\", or let callers prove who they are with a secret of your own";
        file.mistake(&places.listen, message, help);
    }
}

fn warn(file: &ConfigFile<'_>, vault: &SecretResolver) {
    for seen in vault.seen.iter().filter(|seen| seen.demonstration) {
        let message = format!("`{}` is one of the demonstration's secrets, which are public", seen.name);
        file.warning(&seen.key, message, "put your own in its place");
    }
}

impl ConfiguredAuthenticators {
    /// By what of the demonstration's anyone can call, if by anything.
    pub(super) fn public(&self) -> Option<&'static str> {
        match (&self.demo, self.demo_key) {
            (Some(_), true) => Some("caller secret and API key"),
            (Some(_), false) => Some("caller secret"),
            (None, true) => Some("API key"),
            (None, false) => None,
        }
    }
}
