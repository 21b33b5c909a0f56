//! What a token with a good signature says.

use serde_json::{Value, json};

use crate::abuse::token::now;
use crate::token_attacks::draft::{claim, claims_text, no_claim};
use crate::token_attacks::issuer::{ALL, Issuer, TYPES};
use crate::token_attacks::row::{Row, refused, served};

const NUMBER: &str = "must be a number of seconds since 1970";
const EXPIRED: &str = "the token expired";
const SUBJECT: &str = "the token must name its subject, as a string";
const ISSUER: &str = "the token must name its issuer (iss), as a string";
const UNKNOWN: &str = "the token's issuer (iss) is not known here";
const AUDIENCE: &str = "the token must name its audience (aud), as a string or a list of strings";
const ANOTHER: &str = "the token is for another audience (aud)";

pub(crate) fn rows() -> Vec<Row> {
    [expiries(), beginnings(), subjects(), issuers(), audiences(), roles()].into_iter().flatten().collect()
}

fn saying(name: &'static str, value: Value, says: &'static str) -> Row {
    refused(format!("{name} {}", clipped(&value)), TYPES, says, claim(name, value))
}

fn fine(name: &'static str, value: Value) -> Row {
    served(format!("{name} {}", clipped(&value)), TYPES, claim(name, value))
}

fn clipped(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

fn expiries() -> Vec<Row> {
    let text = (now() + 6000).to_string();
    let mut rows = vec![
        refused("no exp", ALL, "the token must have an expiry (exp)", no_claim("exp")),
        refused("exp 1e400", TYPES, "the token's payload is not", claims_text(r#""x":{"exp":1e400}"#)),
        saying("exp", json!(now() - 60), EXPIRED),
        saying("exp", json!(now() - 31), EXPIRED),
        fine("exp", json!(now() + 6000)),
        fine("exp", json!(4_000_000_000.5)),
    ];
    for zero in [json!(0), json!(0.0), json!(-0.0), json!(1e-300), json!(1)] {
        rows.push(saying("exp", zero, EXPIRED));
    }
    let wrong = [
        json!(text),
        json!("tomorrow"),
        json!(""),
        json!(-1),
        json!(-0.5),
        json!(-1e300),
        json!(i64::MIN),
        json!(1e300),
        json!(1e20),
        json!(true),
        json!([now() + 6000]),
        json!({"value": now() + 6000}),
    ];
    rows.extend(wrong.map(|value| saying("exp", value, NUMBER)));
    rows.push(saying("exp", json!(null), "the token must have an expiry (exp)"));
    rows
}

fn beginnings() -> Vec<Row> {
    let mut rows = vec![
        saying("nbf", json!(now() + 6000), "the token is not valid yet (nbf)"),
        saying("iat", json!(now() + 6000), "in the future (iat)"),
        served("no iat", TYPES, no_claim("iat")),
        fine("nbf", json!(0)),
    ];
    for name in ["nbf", "iat"] {
        let wrong = [json!(now().to_string()), json!(-1), json!(false), json!([0]), json!(1e300)];
        rows.extend(wrong.map(|value| saying(name, value, NUMBER)));
        rows.push(fine(name, json!(null)));
    }
    rows
}

fn subjects() -> Vec<Row> {
    let mut rows = vec![refused("no sub", ALL, SUBJECT, no_claim("sub"))];
    rows.extend(
        [json!(null), json!(42), json!(["tom"]), json!({"id": "tom"}), json!(true)]
            .map(|value| saying("sub", value, SUBJECT)),
    );
    rows.extend([
        saying("sub", json!(""), "subject must not be empty"),
        saying("sub", json!("*"), "subject must not be `*`"),
        saying("sub", json!("tom "), "subject must not begin or end with white space"),
        saying("sub", json!("\u{a0}tom"), "subject must not begin or end with white space"),
        saying("sub", json!("tom\nalice"), "subject must not hold control characters"),
        saying("sub", json!("tom\0"), "subject must not hold control characters"),
        saying("sub", json!("tom\u{7f}"), "subject must not hold control characters"),
        saying("sub", json!("tom\u{85}x"), "subject must not hold control characters"),
        saying("sub", json!("x".repeat(256)), "subject must have at most 255 characters"),
        saying("sub", json!("汤".repeat(300)), "subject must have at most 255 characters"),
    ]);
    rows
}

/// Names that look like the issuer's, or that some program would take for it.
fn issuers() -> Vec<Row> {
    let mut rows = vec![refused("no iss", ALL, ISSUER, no_claim("iss"))];
    rows.extend(
        [json!(null), json!(1), json!({"iss": "https://id.example.com/"})].map(|value| saying("iss", value, ISSUER)),
    );
    for issuer in TYPES {
        let name = issuer.name();
        let list = json!([name, "https://evil.example/"]);
        rows.push(refused(format!("iss as a list, of {issuer:?}"), &[*issuer], ISSUER, claim("iss", list)));
        for (trick, text) in lookalikes(name) {
            assert_ne!(text, name, "{trick}");
            rows.push(refused(format!("iss {trick}, of {issuer:?}"), &[*issuer], UNKNOWN, claim("iss", json!(text))));
        }
    }
    let nfd = "https://id.mu\u{308}nchen.example/";
    rows.push(refused("iss in Unicode's other form", &[Issuer::Shared], UNKNOWN, claim("iss", json!(nfd))));
    let ascii = "https://id.xn--mnchen-3ya.example/";
    rows.push(refused("iss in Punycode", &[Issuer::Shared], UNKNOWN, claim("iss", json!(ascii))));
    rows
}

fn lookalikes(name: &str) -> Vec<(&'static str, String)> {
    let host = name.trim_start_matches("https://").trim_end_matches('/');
    vec![
        ("unknown", "https://evil.example/".to_owned()),
        ("empty", String::new()),
        ("without its slash", name.trim_end_matches('/').to_owned()),
        ("with two slashes", format!("{name}/")),
        ("in capitals", name.to_uppercase()),
        ("with a capital scheme", name.replacen('h', "H", 1)),
        ("over HTTP", name.replacen("https", "http", 1)),
        ("with a homoglyph", name.replacen('e', "е", 1)),
        ("with a full-width letter", name.replacen('e', "ｅ", 1)),
        ("with a long s", name.replacen('s', "ſ", 1)),
        ("with a zero-width space", format!("{name}\u{200b}")),
        ("with a soft hyphen", name.replacen("example", "exam\u{ad}ple", 1)),
        ("with a right-to-left mark", format!("\u{200f}{name}")),
        ("with a space", format!("{name} ")),
        ("behind a space", format!(" {name}")),
        ("with a new line", format!("{name}\n")),
        ("with a zero byte", format!("{name}\0")),
        ("with a percent escape", name.replacen("example", "ex%61mple", 1)),
        ("with its port", format!("https://{host}:443/")),
        ("with a user", format!("https://evil@{host}/")),
        ("with a dot at its host's end", format!("https://{host}./")),
        ("with a path that goes up", format!("{name}x/../")),
        ("with a query", format!("{name}?")),
        ("with a fragment", format!("{name}#")),
        ("as a host's beginning", format!("https://{host}.evil.example/")),
        ("as a user's name", format!("https://{host}@evil.example/")),
        ("with a backslash", name.replace('/', "\\")),
    ]
}

fn audiences() -> Vec<Row> {
    let mut rows = vec![refused("no aud", ALL, AUDIENCE, no_claim("aud")), fine("aud", json!(["shop", "chat"]))];
    let others = [
        json!("shop"),
        json!("Chat"),
        json!("chat "),
        json!("chat,shop"),
        json!("chat2"),
        json!(""),
        json!("*"),
        json!([]),
        json!(["shop", "mail"]),
        json!(["chat\0"]),
    ];
    rows.extend(others.map(|value| saying("aud", value, ANOTHER)));
    let wrong = [
        json!(null),
        json!(1),
        json!(true),
        json!({"chat": true}),
        json!([1, 2]),
        json!(["chat", 1]),
        json!([["chat"]]),
        json!(["chat", null]),
    ];
    rows.extend(wrong.map(|value| saying("aud", value, AUDIENCE)));
    rows
}

/// Claims that are nothing here make nobody more than they are.
fn roles() -> Vec<Row> {
    vec![
        fine("roles", json!(["member", "*", 1])),
        refused("roles 1", &[Issuer::Ed], "roles must be a list of strings", claim("roles", json!(1))),
        refused("bindings []", &[Issuer::Ed], "bindings must be an object", claim("bindings", json!([]))),
        fine("caller", json!("service")),
        fine("client_id", json!("alice")),
        fine("azp", json!("evil")),
        fine("jti", json!("made-up")),
    ]
}
