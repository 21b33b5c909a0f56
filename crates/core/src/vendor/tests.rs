//! Tests of signing with all vendors: which job a permit covers, and which data `Debug` never shows. Helpers for the
//! tests of the single vendors.
#![allow(clippy::unwrap_used)]

use serde_json::{Map, Value, json};

use super::*;
use crate::model::{Action, Caller, CallerKind, Millis, Pattern, SigningRequest, Vendor};
use crate::policy::for_operator;
use crate::secret::Secret;

const TTL: Ttl = Ttl { min_seconds: 60, default_seconds: 3600, max_seconds: 86_400 };
const AT: Millis = Millis(1_700_000_000_000);

/// Returns strict parameters.
pub(super) fn params(values: Value) -> Params {
    let Value::Object(values) = values else { unreachable!("parameters are an object") };
    Params { values, lenient: false }
}

/// Returns lenient parameters, as a query has them.
pub(super) fn query(values: Value) -> Params {
    Params { lenient: true, ..params(values) }
}

/// Returns a user without claims.
pub(super) fn user(subject: &str) -> Caller {
    caller(CallerKind::User, subject)
}

/// Returns a service without claims.
pub(super) fn service(subject: &str) -> Caller {
    caller(CallerKind::Service, subject)
}

fn caller(kind: CallerKind, subject: &str) -> Caller {
    let subject = subject.to_owned();
    Caller { kind, subject, authenticator: "test".into(), claims: Map::new(), bindings: Vec::new() }
}

fn leancloud() -> App {
    let keys = [Secret::new(b"canary".to_vec()), Secret::new(b"old canary".to_vec())];
    let (unit, history) = (leancloud::TimestampUnit::default(), leancloud::HistoryOrder::default());
    App::LeanCloud(leancloud::App::new("lean".into(), "id".to_owned(), &keys, unit, history))
}

fn talkjs(signatures: bool) -> App {
    let keys = [Secret::new(b"canary".to_vec())];
    App::TalkJs(talkjs::App::new("talk".into(), "id".to_owned(), &keys, TTL, signatures))
}

fn ably() -> App {
    let key = ably::AblyKey::parse(&Secret::new(b"app.id:canary".to_vec())).unwrap();
    let claims = ably::UserClaims { channel: true, room: true };
    App::Ably(ably::App::new("ably".into(), vec![key], TTL, false, Vec::new(), claims, vec!["name".to_owned()]))
}

fn parse_request(app: &App, name: &str, values: Value) -> VendorRequest {
    parse(app, operation(app, name).unwrap(), &params(values), Some(&user("tom"))).unwrap()
}

fn sign_request(
    app: &App,
    signing_request: SigningRequest,
    signing_job: &SigningJob,
) -> Result<SignedResult, InvalidRequest> {
    sign(app, &for_operator(signing_request), signing_job, AT, &Nonce::from_entropy([7; 16]))
}

fn error(app: &App, signing_request: SigningRequest, signing_job: &SigningJob) -> String {
    sign_request(app, signing_request, signing_job).unwrap_err().to_string()
}

fn one_channel() -> Value {
    json!({"capability": {"a": ["publish"]}})
}

#[test]
fn every_name_is_an_operation_of_its_vendor_alone() {
    for app in [leancloud(), talkjs(true), ably()] {
        for name in Vendor::ALL.iter().flat_map(|vendor| vendor.spec().operation_names()) {
            let own = app.vendor().spec().operation_names().contains(&name);
            let found = operation(&app, name);
            assert_eq!(found.map(|found| found.name), own.then_some(name), "{name}");
        }
        assert!(operation(&app, "publish").is_none());
        assert!(operation(&app, "").is_none());
    }
    let action: Vec<Action> = leancloud::ACTIONS.iter().collect();
    let named: Vec<Action> = leancloud::SPEC.operation_names().into_iter().filter_map(Action::parse).collect();
    assert_eq!(action, named);
    let mismatch = parse(&talkjs(true), operation(&leancloud(), "login").unwrap(), &params(json!({})), None);
    assert_eq!(mismatch.unwrap_err().field, "action");
}

#[test]
fn every_description_is_complete() {
    for vendor in Vendor::ALL {
        let spec = vendor.spec();
        assert!(spec.operation(spec.login.operation).is_some());
        let described: Map<String, Value> = serde_json::from_str(spec.openapi).unwrap();
        let mut names = spec.operation_names();
        names.sort_unstable();
        assert_eq!(described.keys().collect::<Vec<_>>(), names, "{vendor:?}");
        assert!(spec.init.signer.contains(&format!("[apps.{0}]\nvendor = \"{0}\"\n", vendor.as_str())));
        assert!(spec.init.signer.contains(spec.init.variable));
    }
    for (vendor, compat) in compat_routes() {
        let described: Map<String, Value> = serde_json::from_str(compat.openapi).unwrap();
        let mut paths: Vec<_> = compat.routes.iter().map(|route| route.path).collect();
        paths.sort_unstable();
        assert_eq!(described.keys().collect::<Vec<_>>(), paths, "{vendor:?}");
        let prefixed = compat.routes.iter().filter(|route| route.path.starts_with(compat.prefix));
        let mut names = prefixed.flat_map(|route| [Some(route.path), route.older_path]).flatten();
        assert!(names.all(|path| compat.unknown.contains(path.rsplit('/').next().unwrap())));
    }
}

#[test]
fn a_permit_signs_for_its_own_app_alone() {
    let VendorRequest { signing_request, signing_job } = parse_request(&talkjs(true), "token", json!({}));
    assert!(sign_request(&talkjs(true), signing_request.clone(), &signing_job).is_ok());
    assert!(
        error(&leancloud(), signing_request.clone(), &SigningJob::LeanCloud(leancloud::SigningJob))
            .contains("not for this app")
    );
    let renamed = SigningRequest { app: "other".into(), ..signing_request };
    assert!(error(&talkjs(true), renamed, &signing_job).contains("not for this app"));
}

#[test]
fn a_permit_signs_what_was_decided_alone() {
    let app = talkjs(true);
    let login = parse_request(&app, "token", json!({})).signing_request;
    let power = SigningJob::TalkJs(talkjs::SigningJob::AppToken);
    assert_eq!(error(&app, login.clone(), &power), "action is not permitted: the permit is not for app-token");
    let undecided = SigningRequest { action: Action::AppToken, ..login };
    assert!(error(&app, undecided, &power).contains("not for app-token"));
    let VendorRequest { signing_request, signing_job } = parse_request(&app, "app-token", json!({}));
    assert!(sign_request(&app, signing_request.clone(), &signing_job).is_ok());
    assert!(
        error(&app, signing_request.clone(), &SigningJob::TalkJs(talkjs::SigningJob::Signature))
            .contains("not for login")
    );
    assert!(
        error(&app, signing_request, &SigningJob::LeanCloud(leancloud::SigningJob))
            .contains("not for this kind of answer")
    );
}

#[test]
fn a_permit_for_a_token_is_none_for_a_signature() {
    let signature = SigningJob::TalkJs(talkjs::SigningJob::Signature);
    let forged =
        parse_request(&talkjs(true), "token", json!({"user_id": "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlblR5cGUiOiJhcHAifQ"}));
    assert!(error(&talkjs(true), forged.signing_request, &signature).starts_with("user_id must not look like"));
    let honest = parse_request(&talkjs(false), "token", json!({})).signing_request;
    assert!(error(&talkjs(false), honest, &signature).contains("turned off"));
}

#[test]
fn leancloud_signs_its_own_actions_in_a_place_of_their_own() {
    let app = leancloud();
    let join = parse_request(&app, "join", json!({"conv_id": "room"})).signing_request;
    let undecided = SigningRequest { action: Action::Kick, ..join.clone() };
    assert!(error(&app, undecided, &SigningJob::LeanCloud(leancloud::SigningJob)).contains("not for kick"));
    let nowhere = SigningRequest { conversation: None, ..join.clone() };
    assert!(error(&app, nowhere, &SigningJob::LeanCloud(leancloud::SigningJob)).starts_with("conv_id "));
    let everywhere = SigningRequest { conversation: Some(Pattern::Everything), ..join };
    assert!(error(&app, everywhere, &SigningJob::LeanCloud(leancloud::SigningJob)).starts_with("conv_id "));
}

#[test]
fn every_key_verifies_and_the_first_signs() {
    let app = leancloud();
    let VendorRequest { signing_request, signing_job } = parse_request(&app, "login", json!({}));
    let SignedResult::Signature { signature, timestamp, nonce, .. } =
        sign_request(&app, signing_request, &signing_job).unwrap()
    else {
        unreachable!()
    };
    let message = format!("id:tom::{timestamp}:{nonce}");
    assert_eq!(app.verify(&message, &hex::decode(signature).unwrap()), Some(0));
    let old = crate::crypto::mac::HmacSha1::new(b"old canary").mac(message.as_bytes());
    assert_eq!(app.verify(&message, &old), Some(1));
    assert_eq!(app.verify(&message, &[]), None);
}

#[test]
fn without_a_key_nothing_is_signed() {
    let app = App::TalkJs(talkjs::App::new("talk".into(), "id".to_owned(), &[], TTL, false));
    let VendorRequest { signing_request, signing_job } = parse_request(&app, "token", json!({}));
    assert_eq!(error(&app, signing_request, &signing_job), "app has no key to sign with");
}

#[test]
fn ably_never_signs_without_a_capability() {
    for name in ["token", "token-request"] {
        let VendorRequest { signing_request, signing_job } = parse_request(&ably(), name, one_channel());
        let nothing = SigningRequest { requested_grants: Vec::new(), ..signing_request };
        assert_eq!(error(&ably(), nothing, &signing_job), "capability must be granted at least in part");
    }
}

#[test]
fn ably_takes_no_token_over_six_kilobytes() {
    let channels = |count: usize| -> Value { (0..count).map(|i| (format!("{i:0>100}"), json!(["publish"]))).collect() };
    let answer = |count| {
        let VendorRequest { signing_request, signing_job } =
            parse_request(&ably(), "token", json!({"capability": channels(count)}));
        sign_request(&ably(), signing_request, &signing_job)
    };
    assert!(answer(30).unwrap().token().unwrap().len() <= 6144);
    assert!(answer(50).unwrap_err().to_string().starts_with("capability makes a token of"));
}

#[test]
fn ably_tokens_live_whole_seconds_and_carry_the_callers_claims() {
    let mut tom = user("tom");
    tom.claims.insert("name".to_owned(), json!({"first": "Tom"}));
    let values = json!({"capability": {"a": ["publish"]}, "ttl": 61_999});
    let app = ably();
    let VendorRequest { signing_request, signing_job } =
        parse(&app, operation(&app, "token").unwrap(), &params(values), Some(&tom)).unwrap();
    let answer = sign_request(&app, signing_request, &signing_job).unwrap();
    let payload = answer.token().unwrap().split('.').nth(1).unwrap();
    let payload = String::from_utf8(crate::crypto::base64url_decode(payload).unwrap()).unwrap();
    let expected = r#"{"iat":1700000000,"exp":1700000061,"x-ably-capability":"{\"a\":[\"publish\"]}","x-ably-clientId":"tom","name":{"first":"Tom"}}"#;
    assert_eq!(payload, expected);
}

#[test]
fn nothing_signed_and_no_key_is_shown() {
    let cases = [
        (leancloud(), "login", json!({})),
        (talkjs(true), "token", json!({})),
        (talkjs(true), "signature", json!({})),
        (ably(), "token", one_channel()),
        (ably(), "token-request", one_channel()),
    ];
    for (app, name, values) in cases {
        let VendorRequest { signing_request, signing_job } = parse_request(&app, name, values);
        let answer = sign_request(&app, signing_request, &signing_job).unwrap();
        let json: Value = serde_json::from_str(&answer.to_json()).unwrap();
        let secret = ["signature", "token", "mac"].into_iter().find_map(|member| json[member].as_str()).unwrap();
        let shown = format!("{answer:?} {app:?} {signing_job:?}");
        assert!(!shown.contains(secret) && !shown.contains("canary"), "{shown}");
    }
}
