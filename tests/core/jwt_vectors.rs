//! Tokens of the presets against the tokens of the vendors' libraries: the header and the claims are the same, and the
//! library's token verifies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use chat_signer::crypto::base64url_decode;
use chat_signer::crypto::signing_key::{SigningKey, TokenAlgorithm};
use chat_signer::model::Millis;
use chat_signer::policy::for_operator;
use chat_signer::vendor::jwt::{self, ClaimTemplate, Preset, TokenForm};
use chat_signer::vendor::{App, Nonce, Params, Ttl, operation, parse, sign};
use serde_json::{Map, Value, json};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/jwt.json")).unwrap()
}

fn app(case: &Value, secret: &str) -> App {
    let preset = Preset::ALL.into_iter().find(|preset| preset.name == case["name"]).unwrap();
    let value = |name: &str| case["values"][name].as_str().unwrap().to_owned();
    let template = ClaimTemplate::parse(&preset.claims(&value)).unwrap();
    let (algorithm, key) = match preset.algorithms {
        [TokenAlgorithm::Rs256] => (TokenAlgorithm::Rs256, rsa_key()),
        _ => (TokenAlgorithm::Hs256, SigningKey::from_secret(secret.as_bytes())),
    };
    let form = TokenForm {
        algorithm,
        key_id: None,
        content_type: preset.content_type,
        token_id: preset.token_id,
        identity: preset.identity,
        channel_action: None,
    };
    let ttl = Ttl { min_seconds: 60, default_seconds: 600, max_seconds: preset.max_ttl_seconds };
    App::Jwt(jwt::App::new("app".into(), vec![key], template, form, ttl))
}

/// A new key.
fn rsa_key() -> SigningKey {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    SigningKey::from_pkcs8(TokenAlgorithm::Rs256, &key.serialize_der()).unwrap()
}

fn parts(token: &str) -> [Value; 2] {
    let mut parts = token.split('.').map(|part| base64url_decode(part).unwrap());
    [(); 2].map(|()| serde_json::from_slice(&parts.next().unwrap()).unwrap())
}

#[test]
fn tokens_have_the_headers_and_claims_of_the_libraries() {
    let vectors = vectors();
    let now = Millis::from_seconds(vectors["clock"].as_u64().unwrap());
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let app = app(case, vectors["secret"].as_str().unwrap());
        let mut values: Map<String, Value> = [("user_id", &case["user"]), ("ttl", &case["ttl"])]
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .into_iter()
            .collect();
        values.extend(case.get("channels").map(|channels| ("channels".to_owned(), channels.clone())));
        let params = Params { values, lenient: false };
        let request = parse(&app, operation(&app, "token").unwrap(), &params, None).unwrap();
        let permit = for_operator(request.signing_request);
        let signed = sign(&app, &permit, &request.signing_job, now, &Nonce::from_entropy([0; 16])).unwrap();
        let token = signed.token().unwrap();
        let [header, mut claims] = parts(token);
        let mut expected = case["claims"].clone();
        // The end of `jti` only has to be unique.
        if let Some(id) = expected["jti"].as_str() {
            let start = format!("{}-", expected["iss"].as_str().unwrap());
            assert!(id.starts_with(&start) && claims["jti"].as_str().unwrap().starts_with(&start), "{case}");
            (expected["jti"], claims["jti"]) = (json!("unique"), json!("unique"));
        }
        expected.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        assert_eq!((header, claims), (case["header"].clone(), expected), "{case}");
        for token in [Some(token), case["token"].as_str()].into_iter().flatten() {
            let (message, signature) = token.rsplit_once('.').unwrap();
            assert_eq!(app.verify(message, &base64url_decode(signature).unwrap()), Some(0), "{case}");
            assert_eq!(app.verify(&message[1..], &base64url_decode(signature).unwrap()), None, "{case}");
        }
    }
}

/// At Supabase, `service_role` is above all rules. At Azure, a role without a group is for all groups.
#[test]
fn no_request_gets_more() {
    let azure =
        vectors()["cases"].as_array().unwrap().iter().find(|case| case["name"] == "azure-web-pubsub").unwrap().clone();
    let app = app(&azure, "made-up-secret-of-a-test-0123456789abcdef");
    let refused = |values: Value| {
        let Value::Object(values) = values else { panic!("{values}") };
        let params = Params { values, lenient: false };
        parse(&app, operation(&app, "token").unwrap(), &params, None).unwrap_err().to_string()
    };
    for field in ["role", "roles", "aud", "sub", "webpubsub.group", "exp"] {
        let error = refused(json!({"user_id": "tom", field: ["webpubsub.sendToGroup"]}));
        assert!(error.contains("not known here"), "{error}");
    }
    let error = refused(json!({"user_id": "tom", "channels": {"": ["publish"]}}));
    assert!(error.starts_with("channels has a name that must be 1 to 128"), "{error}");
    for user in ["", "a b", "a:b", "*"] {
        assert!(refused(json!({"user_id": user})).starts_with("user_id must be 1 to 128 letters"), "{user}");
    }
}
