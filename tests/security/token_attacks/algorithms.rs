//! Who chooses the algorithm.

use aws_lc_rs::signature::{RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding};
use chat_signer::crypto::base64url_decode;
use serde_json::json;

use crate::abuse::token::hmac;
use crate::token_attacks::draft::{Twist, all, header, header_text, no_header, signature, signed};
use crate::token_attacks::issuer::{ALL, Issuer, PUBLIC, RSAS, SECRET, TYPES};
use crate::token_attacks::row::{Row, refused};

const NOT_ACCEPTED: &str = "the token's algorithm (alg) is not accepted";
const NOT_NAMED: &str = "the token must name its algorithm (alg), as a string";
const BROKEN: &str = "the token's signature does not hold";
const UNFIT: &str = "the token's key (kid) is not for its algorithm (alg)";

pub(crate) fn rows() -> Vec<Row> {
    [unsigned(), unnamed(), confused(), swapped()].into_iter().flatten().collect()
}

fn unsigned() -> Vec<Row> {
    let spellings = ["none", "None", "NONE", "nOnE", " none", "none ", "none\0", "nοne", "null", "", " "];
    let kept = spellings.map(|alg| refused(format!("alg {alg:?}"), TYPES, NOT_ACCEPTED, header("alg", json!(alg))));
    let dropped = spellings.map(|alg| {
        let twist = all([header("alg", json!(alg)), signature(|_| Vec::new())]);
        refused(format!("alg {alg:?}, unsigned"), TYPES, NOT_ACCEPTED, twist)
    });
    kept.into_iter().chain(dropped).collect()
}

fn unnamed() -> Vec<Row> {
    let mut rows = vec![
        refused("no alg", ALL, NOT_NAMED, no_header("alg")),
        refused("alg twice", ALL, "the token's header is not", header_text(r#""alg":"none""#)),
        refused("alg twice, once in disguise", ALL, "the token's header is not", header_text(r#""\u0061lg":"none""#)),
        refused("Alg beside alg", &[Issuer::Shared], NOT_NAMED, all([header("Alg", json!("HS256")), no_header("alg")])),
    ];
    for alg in [json!(null), json!(["HS256", "RS256"]), json!(256), json!(true), json!({"name": "HS256"})] {
        rows.push(refused(format!("alg {alg}"), TYPES, NOT_NAMED, header("alg", alg)));
    }
    rows
}

type Secret = fn(Issuer) -> Vec<u8>;

/// A public key, which everyone knows, put to use as a shared secret.
fn confused() -> Vec<Row> {
    let ways: [(&str, Secret); 9] = [
        ("its PEM file", |issuer| issuer.key().pem().into_bytes()),
        ("its PEM file without the last newline", |issuer| issuer.key().pem().trim_end().as_bytes().to_vec()),
        ("its PEM file with other line ends", |issuer| issuer.key().pem().replace('\n', "\r\n").into_bytes()),
        ("its DER", |issuer| issuer.key().der.clone()),
        ("its JWK", |issuer| issuer.key().jwk.to_string().into_bytes()),
        ("its modulus or x", |issuer| base64url_decode(&main_member(issuer)).unwrap()),
        ("its modulus or x, as text", |issuer| main_member(issuer).into_bytes()),
        ("its kid", |issuer| issuer.kid().into_bytes()),
        ("nothing", |_| Vec::new()),
    ];
    let mut rows = Vec::new();
    for issuer in PUBLIC {
        for (name, secret) in ways {
            let by = &[*issuer];
            let forged = || signed(hmac(&secret(*issuer)));
            let as_hs256 = all([header("alg", json!("HS256")), forged()]);
            rows.push(refused(format!("HS256 with {name} as the secret, of {issuer:?}"), by, NOT_ACCEPTED, as_hs256));
            rows.push(refused(format!("an HMAC by {name} as a signature of {issuer:?}"), by, BROKEN, forged()));
        }
    }
    rows
}

fn main_member(issuer: Issuer) -> String {
    let jwk = &issuer.key().jwk;
    jwk.get("n").or(jwk.get("x")).unwrap().as_str().unwrap().to_owned()
}

/// Another algorithm than that of the key.
fn swapped() -> Vec<Row> {
    let named = |alg: &str, kid: &str| all([header("alg", json!(alg)), header("kid", json!(kid))]);
    let by_pem: Twist = signed(|message| Issuer::Pem.key().sign(message));
    let (ec, ec384, ed, rsa) = (&[Issuer::Ec], &[Issuer::Ec384], &[Issuer::Ed], &[Issuer::Rsa]);
    let mut rows = vec![
        refused(
            "RS256 where a secret is shared",
            &[Issuer::Shared],
            NOT_ACCEPTED,
            all([header("alg", json!("RS256")), by_pem]),
        ),
        refused("HS512 by the secret of HS256", &[Issuer::Shared], NOT_ACCEPTED, header("alg", json!("HS512"))),
        refused(
            "HS256 by the secret of another",
            PUBLIC,
            NOT_ACCEPTED,
            all([header("alg", json!("HS256")), signed(hmac(SECRET))]),
        ),
        refused("lower case", &[Issuer::Shared], NOT_ACCEPTED, header("alg", json!("hs256"))),
        refused("white space", &[Issuer::Shared], NOT_ACCEPTED, header("alg", json!("HS256 "))),
        refused("ES256 with the P-384 key's name", ec, UNFIT, header("kid", json!("ec384"))),
        refused("ES256 by a P-384 key", ec, BROKEN, signed(|message| Issuer::Ec384.key().sign(message))),
        refused("ES256 and the P-384 key, whole", ec384, UNFIT, header("alg", json!("ES256"))),
        refused("ES384 with the P-256 key's name", ec384, UNFIT, header("kid", json!("ec"))),
        refused("ES256 with the RSA key's name", ec, UNFIT, header("kid", json!("rsa"))),
        refused("RS256 with the Ed25519 key's name", rsa, UNFIT, named("RS256", "ed")),
        refused("EdDSA with the P-256 key's name", ed, UNFIT, header("kid", json!("ec"))),
        refused("EdDSA called ES256", ed, UNFIT, header("alg", json!("ES256"))),
    ];
    for alg in ["RS384", "RS512", "PS256", "PS384", "PS512", "ES512", "ES256K", "Ed25519", "dir", "A256GCM", "RSA-OAEP"]
    {
        rows.push(refused(
            format!("alg {alg}, which isn't configured"),
            TYPES,
            NOT_ACCEPTED,
            header("alg", json!(alg)),
        ));
    }
    for issuer in RSAS {
        let encodings: [(&str, &'static dyn RsaEncoding); 2] =
            [("PS256", &RSA_PSS_SHA256), ("RS512", &RSA_PKCS1_SHA512)];
        for (name, encoding) in encodings {
            let sign = signed(move |message| issuer.key().sign_with(encoding, message));
            rows.push(refused(format!("{name} called RS256, by {issuer:?}"), &[*issuer], BROKEN, sign));
        }
    }
    rows
}
