//! The demonstration's secrets. They are public, so they are known here by value: a configuration that trusts them is a demonstration,
//! and must not be anything else.

use super::authenticators::Callers;
use super::file::{File, Span};
use super::secret::Vault;
use super::signer::Listen;
use crate::authn::{Algorithm, Jwt};
use crate::secret::Secret;

/// The secret that the demonstration's callers are signed with.
const CALLER: &[u8] = b"demonstration-only-caller-secret-not-for-production-use-0000000000";

/// Every secret of the demonstration.
const SECRETS: [&[u8]; 4] = [
    CALLER,
    b"demonstration-only-leancloud-master-key",
    b"demonstration-only-talkjs-secret-key",
    b"demoapp.demokey:demonstration-only-ably-key-secret",
];

/// SHA-256 of the demonstration's API key, `demo-service-key-not-for-production`.
const API_KEY_SHA256: &str = "9b0b9866160887802d382386a3d037755cdd8a6d2a3e1d39efa5358ef3046301";

/// Whether this is the secret that the demonstration's callers are signed with.
pub(super) fn is_caller(secret: &Secret) -> bool {
    secret.expose() == CALLER
}

/// Whether this is one of the demonstration's secrets.
pub(super) fn is_secret(bytes: &[u8]) -> bool {
    SECRETS.contains(&bytes)
}

/// Whether this is the hash of the demonstration's API key.
pub(super) fn is_api_key(sha256: &[u8; 32]) -> bool {
    hex::encode(sha256) == API_KEY_SHA256
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
pub(super) fn guard(file: &File<'_>, vault: &Vault, callers: &Callers, listen: &Listen, place: &Span) {
    if callers.demo.is_none() {
        return warn(file, vault, callers);
    }
    for real in vault.seen.iter().filter(|seen| !seen.demonstration) {
        let message =
            format!("`{}` is a secret of your own, but callers are trusted by the demonstration's secret", real.name);
        let help =
            "that one is public, so anyone could have things signed: give the authenticator a secret of your own too";
        file.mistake(&real.key, message, help);
    }
    if !matches!(listen, Listen::Tcp(address) if address.ip().is_loopback()) {
        let message = format!("the demonstration can't listen on {listen}: its caller secret is public");
        file.mistake(
            place,
            message,
            "write listen = \"127.0.0.1:7480\", or give the authenticator a secret of your own",
        );
    }
}

fn warn(file: &File<'_>, vault: &Vault, callers: &Callers) {
    for seen in vault.seen.iter().filter(|seen| seen.demonstration) {
        let message = format!("`{}` is one of the demonstration's secrets, which are public", seen.name);
        file.warning(&seen.key, message, "put your own in its place");
    }
    if let Some(place) = &callers.demo_key {
        let message = "`sha256` is that of the demonstration's API key, which is public";
        file.warning(place, message, "make your own: chat-signer hash-key");
    }
}
