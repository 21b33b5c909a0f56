//! Reads a public key in a PEM file: `SubjectPublicKeyInfo` (RFC 5280, section 4.1) in Base64 between `BEGIN PUBLIC
//! KEY` and `END PUBLIC KEY`.

use x509_cert::der::asn1::{AnyRef, UintRef};
use x509_cert::der::oid::db::rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1};
use x509_cert::der::oid::db::rfc8410::ID_ED_25519;
use x509_cert::der::{self, Decode};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::key::VerificationKey;
use crate::crypto;

/// Returns the only key in the file.
pub(super) fn key(file: &[u8]) -> Result<VerificationKey, String> {
    const NO_KEY: &str = "the PEM block holds no public key: export it again, as SubjectPublicKeyInfo";
    let body = public_key_body(std::str::from_utf8(file).unwrap_or_default())?;
    let text: String = body.split_whitespace().collect();
    let Some(der) = crypto::base64_decode(&text) else {
        return Err("the PEM block's Base64 is damaged: export the public key again".to_owned());
    };
    let info = SubjectPublicKeyInfoRef::from_der(&der).map_err(|_| NO_KEY)?;
    let key = info.subject_public_key.as_bytes().ok_or(NO_KEY)?;
    match info.algorithm.oids() {
        Ok((RSA_ENCRYPTION, None)) => {
            let [modulus, exponent] = rsa(key).map_err(|_| "the PEM block's RSA key is damaged: export it again")?;
            VerificationKey::rsa(modulus.as_bytes(), exponent.as_bytes())
        }
        Ok((ID_EC_PUBLIC_KEY, Some(SECP_256_R_1))) => VerificationKey::p256(key),
        Ok((ID_EC_PUBLIC_KEY, Some(SECP_384_R_1))) => VerificationKey::p384(key),
        Ok((ID_ED_25519, None)) => VerificationKey::ed25519(key),
        _ => Err("the file's key has an unsupported type: use RSA, P-256, P-384 or Ed25519".to_owned()),
    }
}

/// Returns the modulus and exponent in an `RSAPublicKey` (RFC 8017, appendix A.1.1).
pub(super) fn rsa(der: &[u8]) -> Result<[UintRef<'_>; 2], der::Error> {
    AnyRef::from_der(der)?.sequence(|reader| Ok([UintRef::decode(reader)?, UintRef::decode(reader)?]))
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
