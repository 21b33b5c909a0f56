//! What `Debug` shows.

use std::fs;
use std::path::Path;

use chat_signer::authn::RequestCredentials;
use chat_signer::config;
use chat_signer::engine::RuntimeData;
use chat_signer::model::{Caller, CallerKind, Millis};
use chat_signer::policy::EntryIndex;
use chat_signer::secret::Secret;
use chat_signer::vendor::{self, Params, ably};
use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::abuse;
use crate::leak::world::{self, KEY, detector, forbid_signed, token};

fn params(values: Value) -> Params {
    let Value::Object(values) = values else { unreachable!() };
    Params { values, lenient: false }
}

#[test]
fn settings_show_no_secret() {
    let directory = world::directory();
    let loaded = config::load(&directory.join("signer.toml"));
    fs::remove_dir_all(directory).unwrap();
    let settings = loaded.settings.unwrap();
    let shown = format!("{settings:?}{settings:#?}{:?}{}", loaded.report, loaded.report.json());
    assert!(shown.contains("app-users") && shown.contains("orders"), "it shows something");
    detector().assert_clean("Debug of settings", &shown);
    let hash = abuse::hash(KEY);
    assert!(!shown.contains(&hash), "nor the hash of a key");
}

#[test]
fn the_demonstrations_settings_show_no_secret_either() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let settings = config::load(&root.join("signer.toml")).settings.unwrap();
    assert!(settings.demo_caller.is_some());
    let shown = format!("{settings:?}{settings:#?}");
    for name in ["caller", "leancloud", "talkjs"] {
        let secret = fs::read_to_string(root.join(format!("deploy/demo/{name}.secret"))).unwrap();
        assert!(!shown.contains(secret.trim_end()), "{name}");
    }
}

#[test]
fn keys_show_no_secret() {
    let key = Secret::new(format!("fakeapp.fakekey:{}", abuse::ABLY).into_bytes());
    let shown = format!("{key:?}{:?}{:?}", ably::AblyKey::parse(&key).unwrap(), Some(key.clone()));
    detector().assert_clean("Debug of keys", &shown);
}

#[test]
fn what_was_signed_is_not_shown() {
    let directory = world::directory();
    let engine = config::load(&directory.join("signer.toml")).settings.unwrap().engine;
    fs::remove_dir_all(directory).unwrap();
    let mut detector = detector();
    let caller = Caller {
        kind: CallerKind::Service,
        subject: "orders".to_owned(),
        authenticator: "backend".into(),
        claims: Map::new(),
        bindings: Vec::new(),
    };
    for (name, operation, body) in [
        ("leancloud", "login", json!({"client_id": "tom"})),
        ("talkjs", "token", json!({"user_id": "tom"})),
        ("talkjs", "signature", json!({"user_id": "tom"})),
        ("talkjs", "app-token", json!({})),
        ("ably", "token", json!({"client_id": "tom"})),
        ("ably", "token-request", json!({"client_id": "tom"})),
    ] {
        let app = engine.app(name).unwrap();
        let operation = vendor::operation(app, operation).unwrap();
        let request = vendor::parse(app, operation, &params(body), Some(&caller)).unwrap();
        let verdict = engine.sign(
            app,
            request,
            &caller,
            RuntimeData { moderation: &EntryIndex::default(), facts: &[] },
            Millis(1_800_000_000_000),
            [7; 16],
        );
        forbid_signed(&mut detector, &verdict.outcome.as_ref().unwrap().to_json());
        detector.assert_clean("Debug of a verdict", &format!("{verdict:?}{verdict:#?}{:?}", verdict.outcome));
    }
}

#[test]
fn a_refusal_shows_no_credential() {
    let directory = world::directory();
    let engine = config::load(&directory.join("signer.toml")).settings.unwrap().engine;
    fs::remove_dir_all(directory).unwrap();
    let mut detector = detector();
    let expired = token("tom");
    detector.forbid_token("a caller's token", &expired);
    for (name, value) in [
        ("authorization", format!("Bearer {expired}")),
        ("authorization", format!("Bearer {}", expired.replacen('.', "", 1))),
        ("authorization", expired.clone()),
        ("authorization", format!("Bearer {KEY}")),
        ("x-api-key", expired.clone()),
        ("x-api-key", format!("{KEY}{KEY}")),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        let refusal = engine
            .authenticators
            .identify(&RequestCredentials::from_headers(&headers), "leancloud", Millis(u64::MAX))
            .unwrap_err()
            .into_refusal();
        let shown = format!("{refusal:?}{}{}", refusal.public_message(), refusal.log_message());
        detector.assert_clean("a refusal", &shown);
    }
}
