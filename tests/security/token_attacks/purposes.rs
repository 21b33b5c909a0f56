//! Tokens that the issuer has signed for something else than access (RFC 8725, section 3.11), or for one client alone.

use serde_json::{Value, json};

use crate::abuse::token::now;
use crate::token_attacks::draft::{claim, header, no_header};
use crate::token_attacks::issuer::TYPES;
use crate::token_attacks::row::{Row, refused, served};

const PURPOSE: &str = "the token was issued for another purpose";
const BOUND: &str = "the token is bound to its client's key (cnf) in a way that can't be checked here";
const CERTIFICATE: &str = "the token is bound to a client certificate (cnf), and the connection has no valid one";
const YEAR: &str = "is later than the year 9999: it must be in seconds since 1970, not in milliseconds";

pub(crate) fn rows() -> Vec<Row> {
    [types(), kinds(), bindings(), milliseconds()].into_iter().flatten().collect()
}

fn types() -> Vec<Row> {
    let others = [
        "logout+jwt",
        "Logout+JWT",
        "application/logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "application/secevent+jwt",
        "id_token+jwt",
        "kb+jwt",
        "token-introspection+jwt",
        "oauth-authz-req+jwt",
        "JWTx",
        "text/jwt",
        "",
    ];
    let mut rows: Vec<_> =
        others.map(|typ| refused(format!("typ {typ:?}"), TYPES, PURPOSE, header("typ", json!(typ)))).into();
    let odd = [json!(1), json!(["JWT"])];
    rows.extend(odd.map(|typ| refused(format!("typ {typ}"), TYPES, "(typ) must be a string", header("typ", typ))));
    let usual = ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"];
    rows.extend(usual.map(|typ| served(format!("typ {typ}"), TYPES, header("typ", json!(typ)))));
    rows.push(served("typ null", TYPES, header("typ", json!(null))));
    rows.push(served("no typ", TYPES, no_header("typ")));
    rows
}

fn kinds() -> Vec<Row> {
    let say = |name: &'static str, value: Value| refused(format!("{name} {value}"), TYPES, PURPOSE, claim(name, value));
    let fine = |name: &'static str, value: Value| served(format!("{name} {value}"), TYPES, claim(name, value));
    vec![
        say("token_use", json!("refresh_token")),
        say("token_use", json!("refresh")),
        say("token_type", json!("refresh")),
        say("token_type", json!("urn:ietf:params:oauth:token-type:refresh_token")),
        say("typ", json!("Refresh")),
        say("typ", json!("Offline")),
        say("typ", json!("Logout")),
        say("type", json!("refresh")),
        say("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}})),
        fine("token_use", json!("access")),
        fine("token_use", json!("id")),
        fine("token_type", json!("Bearer")),
        fine("typ", json!("Bearer")),
        fine("typ", json!("ID")),
        fine("type", json!(7)),
        fine("events", json!([])),
    ]
}

fn bindings() -> Vec<Row> {
    let thumbprint = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let say = |value: Value, says| refused(format!("cnf {value}"), TYPES, says, claim("cnf", value));
    vec![
        say(json!({"jkt": thumbprint}), BOUND),
        say(json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": thumbprint}}), BOUND),
        say(json!({"kid": "one"}), BOUND),
        say(json!({"x5t#S256": thumbprint}), CERTIFICATE),
        say(json!({"x5t#S256": thumbprint, "jkt": thumbprint}), BOUND),
        say(json!({"x5t#S256": "AA"}), BOUND),
        say(json!({}), BOUND),
        say(json!("x"), BOUND),
        refused("token_type DPoP", TYPES, BOUND, claim("token_type", json!("DPoP"))),
        served("cnf null", TYPES, claim("cnf", json!(null))),
    ]
}

/// Such an expiry would never come.
fn milliseconds() -> Vec<Row> {
    let say = |name: &'static str, value: Value| refused(format!("{name} {value} ms"), TYPES, YEAR, claim(name, value));
    let (before, after) = ((now() - 60) * 1000, (now() + 6000) * 1000);
    vec![
        say("exp", json!(after)),
        say("exp", json!(before)),
        say("exp", json!(253_402_300_800_u64)),
        say("exp", json!(253_402_300_800.5)),
        say("exp", json!(u64::MAX)),
        say("nbf", json!(before)),
        say("iat", json!(before)),
        served("exp at the end of the year 9999", TYPES, claim("exp", json!(253_402_300_799_u64))),
    ]
}
