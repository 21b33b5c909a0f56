//! TalkJS's key signs bare user ids and JSON Web Tokens, so no user id may be what a token's signature is computed over.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use chat_signer::model::Millis;
use chat_signer::policy::for_operator;
use chat_signer::secret::Secret;
use chat_signer::vendor::{App, Nonce, SignedResult, SigningInput, SigningJob, Ttl, sign, talkjs};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::accept;
use super::jwt::passes;

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const PAYLOAD: &str = r#"{"tokenType":"app","iss":"appid","exp":99999999999}"#;
const NOW: Millis = Millis(1_700_000_000_000);

fn app() -> App {
    let key = Secret::new(b"sk_test_fake".to_vec());
    let ttl = Ttl { min_seconds: 600, default_seconds: 3600, max_seconds: 86_400 };
    App::TalkJs(talkjs::App::new("talkjs".into(), "appid".to_owned(), &[key], ttl, true))
}

fn nonce() -> Nonce {
    Nonce::from_entropy([0; 16])
}

/// The signature of this user id, or why there is none.
fn signature(id: &str) -> Result<String, String> {
    let app = app();
    let (permit, signing_job) =
        accept(&app, "signature", json!({"user_id": id})).map_err(|invalid| invalid.to_string())?;
    match sign(&app, &permit, &signing_job, NOW, &nonce()) {
        Ok(SignedResult::UserSignature { signature, .. }) => Ok(signature),
        other => panic!("{other:?} in place of a signature"),
    }
}

fn token(operation: &str, values: Value) -> String {
    let app = app();
    let (permit, signing_job) = accept(&app, operation, values).unwrap();
    sign(&app, &permit, &signing_job, NOW, &nonce()).unwrap().token().unwrap().to_owned()
}

fn is_refused_as_token(id: &str) -> bool {
    signature(id).is_err_and(|message| message.contains("JSON Web Token"))
}

/// Headers as they may be written: other members, in other orders, with white space and marks.
fn headers() -> Vec<Vec<u8>> {
    let texts = [
        "{}",
        HEADER,
        r#"{"alg":"HS256"}"#,
        r#"{"typ":"JWT","alg":"HS256"}"#,
        r#"{"alg":"HS256","typ":"JWT","kid":"k","x":[{"y":null}]}"#,
        r#"{"alg":"none"}"#,
        r#"{ "alg" : "HS256" }"#,
        " {\"alg\":\"HS256\"}",
        "\t\r\n {\"alg\":\"HS256\"}\n",
        "\u{feff}{\"alg\":\"HS256\"}",
        r#"{"alg":"\u0048S256"}"#,
        r#"{"alg":"HS256","n":"汤"}"#,
    ];
    let wide = |to_bytes: fn(u16) -> [u8; 2]| r#"{"alg":"HS256"}"#.encode_utf16().flat_map(to_bytes).collect();
    let texts = texts.iter().map(|text| text.as_bytes().to_vec());
    texts.chain([wide(u16::to_le_bytes), wide(u16::to_be_bytes)]).collect()
}

/// A header's spellings in Base64.
fn spellings(header: &[u8]) -> Vec<String> {
    let plain = URL_SAFE_NO_PAD.encode(header);
    let (start, rest) = plain.split_at(2);
    vec![
        STANDARD.encode(header),
        STANDARD_NO_PAD.encode(header),
        URL_SAFE.encode(header),
        format!("{plain}="),
        format!("{plain}=="),
        format!("{start} {rest}"),
        format!("{start}\u{a0}{rest}"),
        format!("{start}={rest}"),
        format!("{plain} "),
        with_stray_bits(&plain),
        plain,
    ]
}

/// Another last character for the same bytes, where it has bits to spare.
fn with_stray_bits(plain: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (front, last) = plain.split_at(plain.len() - 1);
    let place = ALPHABET.iter().position(|c| last.as_bytes() == [*c]).unwrap();
    let other = if plain.len().is_multiple_of(4) { place } else { place | 1 };
    format!("{front}{}", char::from(ALPHABET[other]))
}

#[test]
fn a_token_without_its_signature_is_refused_in_every_spelling() {
    let mut tried = 0;
    for (header, payload) in headers().iter().flat_map(|header| ["{}", PAYLOAD].map(|payload| (header, payload))) {
        let payload = URL_SAFE_NO_PAD.encode(payload);
        for header in spellings(header) {
            for id in [format!("{header}.{payload}"), format!("{header}.{payload}.x"), format!("{header}.x")] {
                assert!(passes(&id), "{id}: even the forgiving reader takes this for no token");
                assert!(is_refused_as_token(&id), "{id}: {:?}", signature(&id));
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 14 * 2 * 11 * 3);
}

#[test]
fn a_header_alone_is_refused_too() {
    for header in headers().iter().flat_map(|header| spellings(header)) {
        assert!(signature(&header).is_err(), "{header}");
        assert!(signature(&format!("{header}.")).is_err(), "{header}");
    }
}

#[test]
fn white_space_around_it_is_no_way_in() {
    let input = SigningInput::new(HEADER, PAYLOAD);
    for id in [
        format!(" {input}"),
        format!("\n{input}"),
        format!("{input}\t"),
        format!("\u{feff}{input}"),
        format!("e\ny{input}"),
    ] {
        assert!(signature(&id).is_err(), "{id:?}");
    }
}

#[test]
fn a_permit_for_a_token_does_not_become_a_signature() {
    let input = SigningInput::new(HEADER, PAYLOAD);
    let app = app();
    let (permit, _) = accept(&app, "token", json!({"user_id": input.as_str()})).unwrap();
    let signing_job = SigningJob::TalkJs(talkjs::SigningJob::Signature);
    let refused = sign(&app, &permit, &signing_job, NOW, &nonce()).unwrap_err();
    assert!(refused.message.contains("JSON Web Token"), "{refused}");
}

/// What the check keeps out is a danger: the MAC of such an id is that of a token, byte for byte.
#[test]
fn without_the_check_a_signature_would_complete_a_token() {
    let app_token = token("app-token", json!({}));
    let (input, mac) = app_token.rsplit_once('.').unwrap();
    let mac = URL_SAFE_NO_PAD.decode(mac).unwrap();
    assert!(passes(input));
    assert_eq!(app().verify(input, &mac), Some(0));
    assert!(is_refused_as_token(input));
}

#[test]
fn ordinary_ids_are_signed() {
    for id in [
        "alice",
        "123456",
        "eve",
        "first.last@example.com",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "用户.1",
        "ed.smith",
    ] {
        let mac = hex::decode(signature(id).unwrap()).unwrap();
        assert_eq!(app().verify(id, &mac), Some(0), "{id}");
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            json_object(inner).prop_map(Value::Object),
        ]
    })
}

fn json_object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![select(vec!["alg", "typ", "kid", "sub", "iss"]).prop_map(str::to_owned), "\\PC{0,4}"];
    proptest::collection::vec((name, value), 0..4).prop_map(|members| members.into_iter().collect())
}

fn json_text() -> impl Strategy<Value = String> {
    (json_object(json_value()), any::<bool>()).prop_map(|(object, pretty)| {
        let value = Value::Object(object);
        if pretty { format!("{value:#}") } else { value.to_string() }
    })
}

/// Ids with a look of Base64, some of them around the start of an object.
fn suspect() -> impl Strategy<Value = String> {
    let start = prop_oneof!["e[w-z]?", "[A-Za-z0-9+/_-]{0,3}", "e[yw]J(hbGci)?", "IHs|CXs|Cns|77u_ey|ewAi|AHsA"];
    (start, "[A-Za-z0-9+/=_ -]{0,9}", "[.@é]?", "[A-Za-z0-9._-]{0,12}").prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}"))
}

/// A token without its signature, with a character in its header that a decoder may skip.
fn strewn() -> impl Strategy<Value = String> {
    (0..20_usize, select(vec![' ', '.', '=', '@', '\u{e9}', '\u{feff}'])).prop_map(|(place, character)| {
        let mut header = URL_SAFE_NO_PAD.encode(HEADER);
        header.insert(place, character);
        format!("{header}.e30")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_header_and_payload_are_refused(
        space in "[ \t\r\n]{0,3}",
        header in json_text(),
        payload in json_text(),
        spelling in 0..11_usize,
        dots in "\\.[a-z]{0,2}|",
    ) {
        let header = &spellings(format!("{space}{header}").as_bytes())[spelling];
        let id = format!("{header}.{}{dots}", URL_SAFE_NO_PAD.encode(&payload));
        prop_assert!(passes(&id), "{}", id);
        let refused = signature(&id).expect_err(&id);
        prop_assert!(refused.contains("JSON Web Token") || id.chars().count() > 255, "{}: {}", id, refused);
    }

    #[test]
    fn what_is_signed_passes_nowhere_as_a_token(id in prop_oneof![4 => suspect(), 1 => strewn(), 1 => "\\PC{1,12}"]) {
        if let Ok(signature) = signature(&id) {
            prop_assert!(!passes(&id), "{}", id);
            prop_assert_eq!(app().verify(&id, &hex::decode(signature).unwrap()), Some(0));
        }
    }

    #[test]
    fn no_token_of_ours_is_signed_over_a_user_id(user in "\\PC{1,20}") {
        let Ok((permit, signing_job)) = accept(&app(), "token", json!({"user_id": user})) else { return Ok(()) };
        let signed = sign(&app(), &for_operator(permit.request().clone()), &signing_job, NOW, &nonce()).unwrap();
        let (input, _) = signed.token().unwrap().rsplit_once('.').unwrap();
        prop_assert!(passes(input));
        prop_assert!(signature(input).is_err());
    }

    #[test]
    fn a_users_token_says_that_it_is_a_users(user in "\\PC{0,8}(\",\"tokenType\":\"app|\\\\|\"\\})?\\PC{0,8}") {
        let Ok(_) = accept(&app(), "token", json!({"user_id": user})) else { return Ok(()) };
        let token = token("token", json!({"user_id": user}));
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims = chat_signer::model::json::parse_object(&payload).unwrap();
        prop_assert_eq!(&claims["tokenType"], "user");
        prop_assert_eq!(&claims["sub"], &user);
    }
}
