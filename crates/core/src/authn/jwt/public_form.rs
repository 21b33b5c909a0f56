//! Recognizes public keys in place of shared secrets. A server that verifies HMACs with a public key accepts the tokens
//! of anyone who knows the public key (RFC 8725, section 2.1).

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::pem;
use super::verification_keys::VerificationKeys;
use crate::crypto;
use crate::model::json;

/// The minimum length of a part of a public key that is recognized, in bytes. Shorter secrets are always refused.
const MIN_PART: usize = 31;

/// Returns whether the secret is a public key or a certificate, or a part of one of these public keys: PEM, JWK, a JWK
/// set, DER, or the bytes of a key, also in Base64 or base64url. Also returns true for private keys in PEM and JWK.
pub fn is_public_key(secret: &[u8], keys: Option<&VerificationKeys>) -> bool {
    let is_pem = secret.windows(11).any(|part| part == b"-----BEGIN ");
    let is_jwk = json::parse_document(json::strip_bom(secret))
        .is_ok_and(|jwk| jwk.contains_key("kty") || jwk.contains_key("keys"));
    let is_known = |bytes: &[u8]| is_der(bytes) || keys.is_some_and(|keys| is_part_of(bytes, keys));
    let raw = [secret, secret.trim_ascii()];
    is_pem || is_jwk || raw.into_iter().any(is_known) || decode(secret).is_some_and(|bytes| is_known(&bytes))
}

/// Decodes Base64 with either alphabet. White space and padding are optional.
fn decode(secret: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(json::strip_bom(secret)).ok()?;
    let url_safe = |letter: char| match letter {
        '+' => '-',
        '/' => '_',
        other => other,
    };
    let text: String = text.split_whitespace().flat_map(str::chars).map(url_safe).collect();
    crypto::base64url_decode(text.trim_end_matches('='))
}

/// Returns whether this is a `SubjectPublicKeyInfo`, an `RSAPublicKey` or a certificate.
fn is_der(bytes: &[u8]) -> bool {
    SubjectPublicKeyInfoRef::from_der(bytes).is_ok() || pem::rsa(bytes).is_ok() || Certificate::from_der(bytes).is_ok()
}

/// Returns whether one of the keys contains these bytes: the whole key, a coordinate or a modulus. A first byte may
/// precede them: the zero of a DER integer, or the sign of a compressed point.
fn is_part_of(bytes: &[u8], keys: &VerificationKeys) -> bool {
    let parts = [bytes, bytes.get(1..).unwrap_or_default()];
    let mut parts = parts.into_iter().filter(|part| part.len() >= MIN_PART);
    parts.any(|part| keys.public_bytes().any(|key| key.windows(part.len()).any(|window| window == part)))
}
