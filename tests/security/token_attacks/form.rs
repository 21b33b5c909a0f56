//! Texts that are almost tokens.

use chat_signer::crypto::base64url;
use serde_json::json;

use crate::token_attacks::draft::{all, claim, claims_bytes, claims_text, header, header_bytes, part, token};
use crate::token_attacks::issuer::{ALL, TYPES};
use crate::token_attacks::row::{Row, refused, served};

const THREE: &str = "the token must have three parts, divided by dots";
const HEADER: &str = "the token's header is not a JSON object, each member once";
const HEADER64: &str = "the token's header is not base64url without padding";
const PAYLOAD: &str = "the token's payload is not a JSON object, each member once";
const PAYLOAD64: &str = "the token's payload is not base64url without padding";
const CRITICAL: &str = "the token's header names extensions (crit), and none is supported";

pub(crate) fn rows() -> Vec<Row> {
    [parts(), spelled(), json_texts(), sizes(), extensions()].into_iter().flatten().collect()
}

fn parts() -> Vec<Row> {
    let jwe = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4.XFBoMYUZodetZdvT";
    let flattened = |text: &str| {
        let [header, payload, signature] = text.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
        json!({"protected": header, "payload": payload, "signature": signature}).to_string()
    };
    vec![
        refused("nothing but its payload", TYPES, THREE, token(|text| text.split('.').nth(1).unwrap().to_owned())),
        refused("two parts", TYPES, THREE, token(|text| text.rsplit_once('.').unwrap().0.to_owned())),
        refused("a fourth part", TYPES, THREE, token(|text| text.to_owned() + ".e30")),
        refused("a fourth part that is empty", TYPES, THREE, token(|text| text.to_owned() + ".")),
        refused("a first part that is empty", TYPES, THREE, token(|text| ".".to_owned() + text)),
        refused("five parts", TYPES, THREE, token(|text| text.to_owned() + ".e30.e30")),
        refused("a JWE", TYPES, THREE, token(|_| jwe.to_owned())),
        refused("a token in a token", TYPES, THREE, token(|text| format!("{text}.{text}"))),
        refused("dots alone", TYPES, HEADER, token(|_| "..".to_owned())),
        refused("a detached payload", TYPES, PAYLOAD, part(1, |_| String::new())),
        refused("the flattened JSON form", TYPES, THREE, token(flattened)),
        refused(
            "parts in another order",
            TYPES,
            "the token's",
            token(|text| text.split('.').rev().collect::<Vec<_>>().join(".")),
        ),
    ]
}

/// Other spellings of the same bytes.
fn spelled() -> Vec<Row> {
    let standard = |text: &str| {
        assert!(text.contains(['-', '_']), "it has no letter of the other alphabet: {text}");
        text.replace('-', "+").replace('_', "/")
    };
    // `>>>` and `???` come out as letters that the two alphabets spell differently, wherever they stand.
    let letters = || claims_text(r#""x":">>>>???>>>>???>>>>????""#);
    vec![
        refused("a padded header", TYPES, HEADER64, part(0, |text| text.to_owned() + "=")),
        refused("a padded payload", TYPES, PAYLOAD64, part(1, |text| text.to_owned() + "==")),
        refused("a header with bits that stand for nothing", TYPES, HEADER64, part(0, non_canonical)),
        refused("a payload with bits that stand for nothing", TYPES, PAYLOAD64, part(1, non_canonical)),
        refused("a payload in the standard alphabet", TYPES, PAYLOAD64, all([letters(), part(1, standard)]))
            .beside(letters()),
        refused("white space in the header", TYPES, HEADER64, part(0, |text| text.replacen('J', "J ", 1))),
        refused("white space before a dot", TYPES, HEADER64, token(|text| text.replacen('.', " .", 1))),
        refused("white space behind a dot", TYPES, PAYLOAD64, token(|text| text.replacen('.', ". ", 1))),
        refused(
            "an escaped new line in the payload",
            TYPES,
            PAYLOAD64,
            part(1, |text| text.replacen('J', "J%0D%0A", 1)),
        ),
        refused("a zero byte's escape", TYPES, PAYLOAD64, part(1, |text| text.to_owned() + "%00")),
        refused("quotation marks", TYPES, HEADER64, token(|text| format!("\"{text}\""))),
        refused("URL escapes for letters", TYPES, HEADER64, part(0, |text| text.replacen('e', "%65", 1))),
        refused(
            "a payload that isn't encoded",
            TYPES,
            "the token",
            all([header("b64", json!(false)), part(1, |_| r#"{"sub":"tom"}"#.to_owned())]),
        ),
        refused("a header encoded twice", TYPES, HEADER, part(0, |text| base64url(text.as_bytes()))),
    ]
}

/// The same bytes with other trailing bits, which stand for nothing.
pub(crate) fn non_canonical(text: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(text.len() % 4, 0, "all its bits count");
    let (start, last) = text.split_at(text.len() - 1);
    let place = ALPHABET.find(last).unwrap();
    format!("{start}{}", &ALPHABET[place ^ 1..][..1])
}

fn json_texts() -> Vec<Row> {
    let payload =
        |name: &str, edit: fn(&str) -> Vec<u8>| refused(format!("payload: {name}"), TYPES, PAYLOAD, claims_bytes(edit));
    let header =
        |name: &str, edit: fn(&str) -> Vec<u8>| refused(format!("header: {name}"), TYPES, HEADER, header_bytes(edit));
    let twice =
        |name: &str, member: &'static str| refused(format!("payload: {name}"), TYPES, PAYLOAD, claims_text(member));
    vec![
        twice("exp twice", r#""exp":4000000000"#),
        twice("sub twice", r#""sub":"alice""#),
        twice("sub twice, once in disguise", r#""\u0073ub":"alice""#),
        twice("iss twice", r#""iss":"https://evil.example/""#),
        twice("aud twice", r#""aud":"chat""#),
        twice("a member twice further in", r#""x":[{"a":1,"a":2}]"#),
        twice("a number beyond all bounds", r#""x":1e400"#),
        twice("half a surrogate pair", r#""x":"\ud800""#),
        twice("NaN", r#""x":NaN"#),
        twice("a control character that isn't escaped", "\"x\":\"\u{1}\""),
        payload("invalid UTF-8", |json| [&b"{\"x\":\"\xff\","[..], &json.as_bytes()[1..]].concat()),
        payload("an overlong UTF-8 character", |json| [&b"{\"x\":\"\xc0\xaf\","[..], &json.as_bytes()[1..]].concat()),
        payload("UTF-16", |json| json.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        payload("a byte order mark", |json| format!("\u{feff}{json}").into_bytes()),
        payload("a second object", |json| json.repeat(2).into_bytes()),
        payload("something behind the object", |json| format!("{json} x").into_bytes()),
        payload("a zero byte behind the object", |json| format!("{json}\0").into_bytes()),
        payload("a comma too many", |json| json.trim_end().replace('}', ",}").into_bytes()),
        payload("a comment", |json| json.replacen('{', "{/* */", 1).into_bytes()),
        payload("a list", |json| format!("[{json}]").into_bytes()),
        payload("a string", |json| json!(json).to_string().into_bytes()),
        payload("null", |_| b"null".to_vec()),
        payload("nothing", |_| Vec::new()),
        payload("cut off", |json| json.as_bytes()[..20].to_vec()),
        payload("a token", |_| b"eyJhbGciOiJub25lIn0.e30.".to_vec()),
        header("a list", |json| format!("[{json}]").into_bytes()),
        header("invalid UTF-8", |json| [&b"{\"x\":\"\xff\","[..], &json.as_bytes()[1..]].concat()),
        header("a byte order mark", |json| format!("\u{feff}{json}").into_bytes()),
        header("no JSON", |_| b"x".to_vec()),
        refused("payload: nested 2500 deep", TYPES, PAYLOAD, nested(2500)).beside(nested(50)),
        refused(
            "header: nested 2500 deep",
            TYPES,
            HEADER,
            header_bytes(|json| {
                json.replacen('{', &format!("{{\"x\":{}1{},", "[".repeat(2500), "]".repeat(2500)), 1).into_bytes()
            }),
        ),
    ]
}

fn nested(depth: usize) -> crate::token_attacks::draft::Twist {
    claims_bytes(move |json| {
        json.replacen('{', &format!("{{\"x\":{}1{},", "[".repeat(depth), "]".repeat(depth)), 1).into_bytes()
    })
}

fn sizes() -> Vec<Row> {
    let long = "the token is longer than 8 KiB";
    let padded = |length| header("pad", json!("x".repeat(length)));
    let claimed = |length| claim("pad", json!("x".repeat(length)));
    vec![
        refused("a huge header", ALL, long, padded(6000)).beside(padded(5000)),
        refused("a huge payload", ALL, long, claimed(6000)).beside(claimed(5000)),
        refused("a huge signature", ALL, long, part(2, |text| text.repeat(9000 / text.len() + 1))),
        refused("as long as a header section may be", ALL, long, token(|text| text.repeat(30_000 / text.len()))),
    ]
}

fn extensions() -> Vec<Row> {
    let mut rows = Vec::new();
    for crit in [
        json!(["exp"]),
        json!(["b64"]),
        json!(["http://example.com/x"]),
        json!([]),
        json!(null),
        json!("exp"),
        json!({}),
    ] {
        rows.push(refused(format!("crit {crit}"), TYPES, CRITICAL, header("crit", crit)));
    }
    for (name, value) in [
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("enc", json!("A256GCM")),
    ] {
        rows.push(served(format!("{name}, which no critical extension asks to heed"), TYPES, header(name, value)));
    }
    rows
}
