//! Keys that a token brings along, and names of keys.

use chat_signer::crypto::base64;
use serde_json::{Value, json};

use crate::token_attacks::draft::{all, claim, header, header_text, no_header, signed};
use crate::token_attacks::issuer::{ALL, Issuer, NAMED, PUBLIC};
use crate::token_attacks::row::{Row, refused, served};
use crate::token_attacks::world::trap;

const BROKEN: &str = "the token's signature does not hold";
const UNKNOWN: &str = "the token's key (kid) is not known here";
const NOT_TEXT: &str = "the token's key id (kid) must be a string";
const UNFIT: &str = "the token's key (kid) is not for its algorithm (alg)";

pub(crate) fn rows() -> Vec<Row> {
    [brought(), ignored(), named(), unnamed(), others()].into_iter().flatten().collect()
}

/// Ways to bring this key along.
fn ways(jwk: &Value, der: &[u8]) -> [(&'static str, Value); 6] {
    [
        ("jwk", jwk.clone()),
        ("jku", json!(trap("jwks.json"))),
        ("x5u", json!(trap("chain.pem"))),
        ("x5c", json!([base64(der)])),
        ("x5t", json!("2jmj7l5rSw0yVb_vlWAYkK_YBwk")),
        ("x5t#S256", json!("9Jy4uMjP5pQ2-uX0kXxBDkzQyU0z2g1k2vY3XnqkX0E")),
    ]
}

/// The attacker's key signs, and its public half comes along.
fn brought() -> Vec<Row> {
    let mut rows = Vec::new();
    for issuer in PUBLIC {
        let evil = issuer.evil();
        let sign = || signed(|message| issuer.evil().sign(message));
        for (name, value) in ways(&evil.named("evil"), &evil.der) {
            let twist = all([header(name, value), sign()]);
            rows.push(refused(format!("the attacker's key in {name}, for {issuer:?}"), &[*issuer], BROKEN, twist));
        }
        let (jwk, says) = (evil.named("evil"), if NAMED.contains(issuer) { UNKNOWN } else { BROKEN });
        let twist = all([header("jwk", jwk), header("kid", json!("evil")), sign()]);
        rows.push(refused(format!("the attacker's key by its own name, for {issuer:?}"), &[*issuer], says, twist));
        let twist = all([header("jwk", evil.jwk.clone()), no_header("kid"), sign()]);
        rows.push(refused(format!("the attacker's key without a name, for {issuer:?}"), &[*issuer], BROKEN, twist));
    }
    let oct = json!({"kty": "oct", "alg": "HS256", "k": "ZmFrZQ"});
    let twist = all([header("jwk", oct), signed(crate::abuse::token::hmac(b"fake"))]);
    rows.push(refused("the attacker's secret in jwk", &[Issuer::Shared], BROKEN, twist));
    rows
}

/// A good token that carries one counts as if it didn't.
fn ignored() -> Vec<Row> {
    let evil = Issuer::Pem.evil();
    let all_ways = ways(&evil.jwk, &evil.der);
    all_ways.map(|(name, value)| served(format!("{name} in a good token"), ALL, header(name, value))).into()
}

fn named() -> Vec<Row> {
    let paths = ["../../../../../../dev/null", "/etc/passwd", "caller.secret", "jwks.json", "file:///dev/null"];
    let texts =
        ["' UNION SELECT 'key' -- ", "|| sleep 9 ||", "$(id)", "*)(uid=*", "{{7*7}}", "%00", "\0", "ed\0", "a\r\nb: c"];
    let near = ["", " ", "ED", "Rsa", "rsa ", " ec", "rsa,ec", "*", "0", "null", "undefined"];
    let texts = [&paths[..], &texts, &near].concat();
    let mut rows: Vec<_> =
        texts.iter().map(|kid| refused(format!("kid {kid:?}"), NAMED, UNKNOWN, header("kid", json!(kid)))).collect();
    rows.push(refused("a URL as kid", NAMED, UNKNOWN, header("kid", json!(trap("kid")))));
    rows.push(refused("a huge kid", NAMED, UNKNOWN, header("kid", json!("k".repeat(4000)))));
    rows.push(refused("kid twice", NAMED, "the token's header is not", header_text(r#""kid":"rsa""#)));
    for kid in [json!(0), json!(["rsa"]), json!({"rsa": "rsa"}), json!(true)] {
        rows.push(refused(format!("kid {kid}"), NAMED, NOT_TEXT, header("kid", kid)));
    }
    rows.push(served("kid null, which is no kid", NAMED, header("kid", json!(null))));
    rows
}

/// Where there is one key, or only shared secrets, there is no name to compare; without a name, the few keys that fit are tried.
fn unnamed() -> Vec<Row> {
    let single = [Issuer::Shared, Issuer::Pem];
    vec![
        served("a made-up kid where keys have no names", &single, header("kid", json!("../../dev/null"))),
        served("no kid", ALL, no_header("kid")),
        refused("a kid that is no text where keys have no names", &single, NOT_TEXT, header("kid", json!(1))),
    ]
}

/// Keys that are good, for something else.
fn others() -> Vec<Row> {
    let by = |issuer: Issuer| signed(move |message| issuer.key().sign(message));
    let (pem, rsa, fetched) = (&[Issuer::Pem], &[Issuer::Rsa], &[Issuer::Fetched]);
    vec![
        refused("signed by another issuer's key", pem, BROKEN, by(Issuer::Rsa)),
        refused("signed by another issuer's key, in a set", rsa, BROKEN, by(Issuer::Fetched)),
        refused("signed by another issuer's key, in a fetched set", fetched, BROKEN, by(Issuer::Rsa)),
        refused("and called by its name", rsa, UNKNOWN, all([by(Issuer::Fetched), header("kid", json!("fetched"))])),
        refused("without a name", rsa, BROKEN, all([by(Issuer::Fetched), no_header("kid")])),
        refused("another key's name", rsa, UNFIT, header("kid", json!("ec"))),
        refused("another issuer's name in a good token", rsa, UNKNOWN, claim("iss", json!(Issuer::Fetched.name()))),
        refused(
            "another issuer's name and key's name",
            rsa,
            BROKEN,
            all([claim("iss", json!(Issuer::Fetched.name())), header("kid", json!("fetched"))]),
        ),
        refused(
            "the name of an issuer with another algorithm",
            rsa,
            "(alg) is not accepted",
            claim("iss", json!(Issuer::Shared.name())),
        ),
    ]
}
