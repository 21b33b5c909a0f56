//! Ably's key signs token requests and JSON Web Tokens: no two token requests share a text, and no text is both.

use std::collections::HashMap;

use chat_signer::crypto::base64_decode;
use chat_signer::model::Millis;
use chat_signer::secret::Secret;
use chat_signer::vendor::ably::{AblyKey, TokenParams, TokenRequestText, UserClaims};
use chat_signer::vendor::{App, Nonce, SignedResult, Ttl, ably, sign};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::accept;
use super::jwt::passes;

fn app(key: &str) -> App {
    let key = AblyKey::parse(&Secret::new(key.as_bytes().to_vec())).unwrap();
    let ttl = Ttl { min_seconds: 60, default_seconds: 3600, max_seconds: 86_400 };
    App::Ably(ably::App::new("ably".into(), vec![key], ttl, false, Vec::new(), UserClaims::default(), Vec::new()))
}

/// What is signed for a token request, with the request.
fn signed_text(app: &App, values: Value, at: u64, nonce: &Nonce) -> Option<(String, TokenParams)> {
    let (permit, signing_job) = accept(app, "token-request", values).ok()?;
    let Ok(SignedResult::TokenRequest(request)) = sign(app, &permit, &signing_job, Millis(at), nonce) else {
        panic!("what is accepted is signed")
    };
    let text = TokenRequestText::new(&request.params).unwrap().to_string();
    assert_eq!(app.verify(&text, &base64_decode(&request.mac).unwrap()), Some(0));
    Some((text, request.params))
}

/// Clients that read like other lines, and after them some that must be refused.
const CLIENTS: [&str; 15] = [
    "tom",
    "*",
    "app.key",
    "3600000",
    "1700000000000",
    "{}",
    r#"{"x":["publish"]}"#,
    r"tom\n1700000000000",
    "tom\u{2028}mary",
    "a1234567890123456",
    "",
    "tom\n",
    "tom\nmary",
    "tom\r\n1700000000000",
    "\n",
];

/// Capabilities of different meaning, but for the last two pairs; and after them some that must be refused.
fn capabilities() -> Vec<(u8, Value)> {
    vec![
        (0, json!({"x": ["publish"]})),
        (1, json!({"x": ["subscribe"]})),
        (2, json!({"x,y": ["publish"]})),
        (3, json!({"x": ["publish"], "y": ["publish"]})),
        (4, json!({"x\":[\"publish\"],\"y": ["publish"]})),
        (5, json!({"x:*": ["publish"]})),
        (6, json!({"*": ["publish"]})),
        (7, json!({"x": ["publish", "subscribe"]})),
        (7, json!({"x": ["subscribe", "publish", "publish"]})),
        (0, json!("{\"x\": [\"publish\"]}")),
        (8, json!({"x\n": ["publish"]})),
        (8, json!({"x\ny": ["publish"]})),
        (8, json!("{\"x\\ny\":[\"publish\"]}")),
        (8, json!({"x": ["publish\n"]})),
        (8, json!({"x": []})),
        (8, json!({})),
    ]
}

#[test]
fn no_two_token_requests_share_a_text() {
    let apps = [app("app.key:fake-secret"), app("app.yek:fake-secret")];
    let times = [3_600_000, 1_700_000_000_000];
    let nonces = [Nonce::from_entropy([0; 16]), Nonce::parse("a1234567890123456").unwrap()];
    let ttls = [Value::Null, json!(3_600_000), json!(1000), json!("1h"), json!("1s")];
    let (mut texts, mut accepted, mut refused) = (HashMap::new(), 0, 0);

    for (which, app) in apps.iter().enumerate() {
        for (client, (meaning, capability), ttl) in combinations(&ttls) {
            for (at, nonce) in times.iter().flat_map(|at| nonces.iter().map(move |nonce| (*at, nonce))) {
                let mut values = json!({"client_id": client, "capability": capability});
                if !ttl.is_null() {
                    values["ttl"] = ttl.clone();
                }
                let Some((text, params)) = signed_text(app, values, at, nonce) else {
                    refused += 1;
                    continue;
                };
                accepted += 1;
                let all = (which, client, meaning, params.ttl, at, nonce.as_str());
                let first = *texts.entry(text.clone()).or_insert(all);
                assert_eq!(first, all, "{text}");
                assert!(meaning < 8 && !passes(&text), "{text}");
            }
        }
    }
    // Two apps, ten clients, ten capabilities, five lives of which three are one hour and two a second, two times, two nonces.
    assert_eq!(accepted, 2 * 10 * 10 * 5 * 2 * 2);
    assert_eq!(refused, 2 * (15 * 16 - 10 * 10) * 5 * 2 * 2);
    assert_eq!(texts.len(), 2 * 10 * 8 * 2 * 2 * 2);
}

fn combinations(ttls: &[Value]) -> impl Iterator<Item = (&'static str, (u8, Value), &Value)> {
    let with_capability = |client| capabilities().into_iter().map(move |capability| (client, capability));
    CLIENTS
        .into_iter()
        .flat_map(with_capability)
        .flat_map(move |(client, capability)| ttls.iter().map(move |ttl| (client, capability.clone(), ttl)))
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a1.:{} ]{0,4}",
        2 => "\\PC{0,4}",
        2 => select(vec!["", "app.key", "1", "3600000", "1700000000000", "{\"x\":[\"*\"]}", "\\n", "\u{2028}", "\u{85}"]).prop_map(str::to_owned),
        1 => "[a1]{0,2}[\n\r]{1,2}[a1\n]{0,2}",
    ]
}

fn token_params() -> impl Strategy<Value = TokenParams> {
    (line(), of(prop_oneof![0..3_u64, any::<u64>()]), of(line()), of(line()), 0..3_u64, line()).prop_map(
        |(key_name, ttl, capability, client_id, timestamp, nonce)| TokenParams {
            key_name,
            ttl,
            capability,
            client_id,
            timestamp,
            nonce,
        },
    )
}

/// The fields, absent ones empty: the text has no other word for them.
fn fields(params: &TokenParams) -> [String; 6] {
    [
        params.key_name.clone(),
        params.ttl.map(|ttl| ttl.to_string()).unwrap_or_default(),
        params.capability.clone().unwrap_or_default(),
        params.client_id.clone().unwrap_or_default(),
        params.timestamp.to_string(),
        params.nonce.clone(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_text_reads_back_as_what_was_signed(params in token_params()) {
        let fields = fields(&params);
        let text = TokenRequestText::new(&params);
        prop_assert_eq!(text.is_err(), fields.iter().any(|field| field.contains(['\n', '\r'])));
        if let Ok(text) = text {
            let lines: Vec<&str> = text.as_str().split('\n').collect();
            prop_assert_eq!(lines.len(), 7);
            prop_assert_eq!(&lines[..6], &fields[..]);
            prop_assert_eq!(lines[6], "");
        }
    }

    #[test]
    fn no_text_is_a_tokens_signing_input(
        client in "\\PC{1,8}",
        channel in "\\PC{1,8}",
        at in 0..u64::MAX / 2,
        entropy in any::<[u8; 16]>(),
    ) {
        let app = app("app.key:fake-secret");
        let values = json!({"client_id": client, "capability": {channel: ["publish"]}});
        let Ok((permit, signing_job)) = accept(&app, "token", values.clone()) else { return Ok(()) };
        let nonce = Nonce::from_entropy(entropy);
        let token = sign(&app, &permit, &signing_job, Millis(at), &nonce).unwrap();
        let (input, _) = token.token().unwrap().rsplit_once('.').unwrap();
        let (text, _) = signed_text(&app, values, at, &nonce).expect("what a token is given for, a token request is");
        prop_assert!(passes(input) && !input.contains('\n'));
        prop_assert!(!passes(&text) && text.matches('\n').count() == 6);
    }
}
