//! Reads a public key in a PEM file: `SubjectPublicKeyInfo` (RFC 5280, section 4.1) in Base64 between `BEGIN PUBLIC
//! KEY` and `END PUBLIC KEY`.

use super::key::VerificationKey;
use crate::crypto;

/// Returns the only key in the file.
pub(super) fn key(file: &[u8]) -> Result<VerificationKey, String> {
    let body = public_key_body(std::str::from_utf8(file).unwrap_or_default())?;
    let text: String = body.split_whitespace().collect();
    let Some(der) = crypto::base64_decode(&text) else {
        return Err("the PEM block's Base64 is damaged: export the public key again".to_owned());
    };
    let Some((algorithm, key)) = key_info(&der) else {
        return Err("the PEM block holds no public key: export it again, as SubjectPublicKeyInfo".to_owned());
    };
    match algorithm {
        RSA => {
            let (modulus, exponent) = rsa(key).ok_or("the PEM block's RSA key is damaged: export it again")?;
            VerificationKey::rsa(modulus, exponent)
        }
        P256 => VerificationKey::p256(key),
        P384 => VerificationKey::p384(key),
        ED25519 => VerificationKey::ed25519(key),
        _ => Err("the file's key has an unsupported type: use RSA, P-256, P-384 or Ed25519".to_owned()),
    }
}

/// Returns the text between the BEGIN and END lines of the only block of the file, which must be a public key.
fn public_key_body(text: &str) -> Result<&str, String> {
    if text.contains("PRIVATE KEY-----") {
        return Err(
            "the file holds a private key, which must stay with the issuer: make a file of its public key with \
                    `openssl pkey -in private.pem -pubout`"
                .to_owned(),
        );
    }
    let (label, rest) =
        block(text).ok_or("the file holds no PEM block: it must begin with `-----BEGIN PUBLIC KEY-----`")?;
    let fix = match label {
        "PUBLIC KEY" => return single_block(rest),
        "CERTIFICATE" => "make a file of its public key with `openssl x509 -in cert.pem -pubkey -noout`",
        "RSA PUBLIC KEY" => "convert it with `openssl rsa -RSAPublicKey_in -in key.pem -pubout`",
        _ => "it must hold a `PUBLIC KEY`",
    };
    Err(format!("the file's PEM block is not a `PUBLIC KEY`: {fix}"))
}

/// Returns the label of the first block, and the text after its first line.
fn block(text: &str) -> Option<(&str, &str)> {
    let (_, after) = text.split_once("-----BEGIN ")?;
    after.split_once("-----")
}

/// Returns the text before the END line of the block. No other block may follow.
fn single_block(rest: &str) -> Result<&str, String> {
    let (body, after) = rest
        .split_once("-----END PUBLIC KEY-----")
        .ok_or("the file's PEM block is cut off: its END line is missing")?;
    if block(after).is_some() {
        return Err("the file holds several PEM blocks: use one, or `jwks` for several keys".to_owned());
    }
    Ok(body)
}

// The contents of the AlgorithmIdentifier of each key type, in DER: the object identifier and its parameters.
/// rsaEncryption, NULL (RFC 3279, section 2.3.1).
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// id-ecPublicKey, prime256v1 (RFC 5480, section 2.1.1).
const P256: &[u8] =
    &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// id-ecPublicKey, secp384r1 (RFC 5480, section 2.1.1).
const P384: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// id-Ed25519 (RFC 8410, section 3).
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// Returns the algorithm identifier and the key in a `SubjectPublicKeyInfo`.
fn key_info(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let info = require_end(take_element(SEQUENCE, der)?)?;
    let (algorithm, rest) = take_element(SEQUENCE, info)?;
    let bits = require_end(take_element(BIT_STRING, rest)?)?;
    // The first byte is the number of unused bits in the last byte. In a key, it is 0.
    Some((algorithm, bits.strip_prefix(&[0])?))
}

/// Returns the modulus and exponent in an `RSAPublicKey` (RFC 8017, appendix A.1.1).
fn rsa(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (modulus, rest) = take_element(INTEGER, require_end(take_element(SEQUENCE, der)?)?)?;
    Some((modulus, require_end(take_element(INTEGER, rest)?)?))
}

/// Returns the contents of the DER element (X.690) at the start, which must have this tag, and the bytes after it.
fn take_element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        ..=0x7f => (usize::from(first), rest),
        0x81 => rest.split_first_chunk().map(|(&[a], rest)| (usize::from(a), rest))?,
        0x82 => rest.split_first_chunk().map(|(&[a, b], rest)| (usize::from(u16::from_be_bytes([a, b])), rest))?,
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// Returns the contents, if nothing follows.
fn require_end<'a>((contents, rest): (&'a [u8], &[u8])) -> Option<&'a [u8]> {
    rest.is_empty().then_some(contents)
}
