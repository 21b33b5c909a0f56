//! A cached token is accepted only if a new verification would give the same result.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

const KEY: &[u8; 32] = &[7; 32];

static OTHER: LazyLock<Signer> = LazyLock::new(Signer::ed25519);

/// Returns the EdDSA signer with this key id.
fn signer(kid: &str) -> &'static Signer {
    if kid == "one" { &ED25519 } else { &OTHER }
}

fn fetched(kids: &[&str]) -> VerificationKeys {
    let set: Vec<_> = kids.iter().map(|kid| signer(kid).jwk(json!({ "kid": kid }))).collect();
    VerificationKeys::from_fetched_set(jwks(&set).as_bytes(), &[Algorithm::EdDSA]).unwrap()
}

fn key_set() -> Arc<KeySet> {
    let url = "https://id.example.com/jwks".parse().unwrap();
    let endpoint = Endpoint::new(url);
    Arc::new(KeySet::new(KeySetConfig {
        name: "app-users".into(),
        endpoint,
        discovery: None,
        algorithms: vec![Algorithm::EdDSA],
        stale_if_error: Duration::from_secs(60),
        is_optional: false,
    }))
}

/// Returns three authenticators: one with fetched keys, and two with a shared secret. One of these two accepts only
/// young tokens.
fn authenticators(set: &Arc<KeySet>) -> Authenticators {
    let common = Common { apps: Some(vec!["ably".to_owned()]), ..jwt().common };
    let keys = KeySource::Fetched(Arc::clone(set));
    let users = Jwt { common, keys, algorithms: vec![Algorithm::EdDSA], ..jwt() };
    let common = Common { name: "partners".into(), ..jwt().common };
    let partners =
        Jwt { common, issuer: Issuer::Exact("https://partner.example/".to_owned()), leeway_seconds: 0, ..jwt() };
    let common = Common { name: "aged".into(), ..jwt().common };
    let rules = TokenRules { max_age: Some(Duration::from_secs(30)), ..TokenRules::default() };
    let aged = Jwt { common, issuer: Issuer::Exact("https://aged.example/".to_owned()), rules, ..jwt() };
    Authenticators::new([users, partners, aged].map(Authenticator::Jwt).into())
}

fn eddsa(kid: &str, changes: Value) -> String {
    signer(kid).token(Algorithm::EdDSA, &merge(header(Algorithm::EdDSA), json!({ "kid": kid })), &claims(changes))
}

/// Returns tokens with different dates and keys, some of them invalid.
fn tokens() -> Vec<String> {
    let now = NOW.seconds();
    let anonymous = OTHER.token(Algorithm::EdDSA, &header(Algorithm::EdDSA), &claims(json!({"exp": now + 50})));
    let partners = json!({"iss": "https://partner.example/", "nbf": now - 5, "iat": now + 5, "exp": now + 60});
    let mut tokens = vec![
        eddsa("one", json!({})),
        eddsa("one", json!({"exp": now - 10, "nbf": now - 60})),
        eddsa("other", json!({"nbf": now + 20, "iat": now + 40, "exp": now + 40})),
        eddsa("other", json!({"sub": "*"})),
        eddsa("one", json!({"aud": "shop"})),
        anonymous,
        token(partners),
        token(json!({"iss": "https://partner.example/", "exp": 253_402_300_799_u64, "sub": "ann"})),
        token(json!({"iss": "https://partner.example/", "sub": "bound", "cnf": {"x5t#S256": thumbprint(1)}})),
        token(json!({"iss": "https://aged.example/", "iat": now - 20, "exp": now + 60})),
    ];
    let (message, _) = tokens[0].rsplit_once('.').unwrap();
    let (_, signature) = tokens[1].rsplit_once('.').unwrap();
    tokens.push(format!("{message}.{signature}"));
    tokens
}

/// Returns a certificate that differs from others only in this number.
fn certificate(number: u8) -> VerifiedCertificate {
    VerifiedCertificate {
        chain: vec![vec![number]],
        names: CertificateNames::default(),
        valid_until: Millis(u64::MAX),
        authorities_fingerprint: [0; 32],
    }
}

fn thumbprint(number: u8) -> String {
    crypto::base64url(&certificate(number).thumbprint().unwrap())
}

/// Returns the caller or the error, with all details.
fn outcome(authenticators: &Authenticators, token: &str, app: &str, now: Millis, was_tried: bool) -> String {
    outcome_with_certificate(ClientCertificate::Absent, authenticators, token, app, now, was_tried)
}

/// Does the same on a connection with this certificate.
fn outcome_with_certificate(
    certificate: ClientCertificate<'_>,
    authenticators: &Authenticators,
    token: &str,
    app: &str,
    now: Millis,
    was_tried: bool,
) -> String {
    let headers = headers(&[("authorization", &format!("Bearer {token}"))]);
    let presented = RequestCredentials { certificate, ..RequestCredentials::from_headers(&headers) };
    let result = if was_tried {
        authenticators.identify_with(LookupResult::Keys, &presented, app, now).map_err(IdentifyError::Error)
    } else {
        authenticators.identify(&presented, app, now)
    };
    format!("{result:?}")
}

#[derive(Clone, Debug)]
enum Step {
    Ask { token: Index, seconds: i64, millis: u64, app: &'static str, was_tried: bool, certificate: Option<u8> },
    Keys(Option<Vec<&'static str>>),
}

fn step() -> impl Strategy<Value = Step> {
    let apps = select(vec!["ably", "ably", "talkjs"]);
    let certificates = select(vec![None, Some(1), Some(2)]);
    let signing_request = (any::<Index>(), -70..100_i64, select(vec![0, 1, 999]), apps, any::<bool>(), certificates);
    let keys = select(vec![None, Some(vec![]), Some(vec!["one"]), Some(vec!["other"]), Some(vec!["one", "other"])]);
    prop_oneof![
        9 => signing_request.prop_map(|(token, seconds, millis, app, was_tried, certificate)| {
            Step::Ask { token, seconds, millis, app, was_tried, certificate }
        }),
        1 => keys.prop_map(Step::Keys),
    ]
}

proptest! {
    #[test]
    fn the_token_cache_does_not_change_results(steps in proptest::collection::vec(step(), 1..60)) {
        let (set, tokens) = (key_set(), tokens());
        set.replace(Some(fetched(&["one", "other"])));
        let plain = authenticators(&set);
        let remembering = authenticators(&set).with_token_cache(KEY);
        for step in steps {
            match step {
                Step::Keys(kids) => set.replace(kids.as_deref().map(fetched)),
                Step::Ask { token, seconds, millis, app, was_tried, certificate: number } => {
                    let now = Millis(NOW.0.strict_add_signed(seconds * 1000) + millis);
                    let token = token.get(&tokens);
                    let certificate = number.map(certificate);
                    let shown = certificate.as_ref().map_or(ClientCertificate::Absent, ClientCertificate::Valid);
                    let [with, without] =
                        [&remembering, &plain].map(|one| outcome_with_certificate(shown, one, token, app, now, was_tried));
                    prop_assert_eq!(with, without);
                }
            }
        }
    }
}

/// Returns whether the token is cached and valid at this time.
fn is_known(authenticators: &Authenticators, token: &str, now: Millis) -> bool {
    let verified = authenticators.token_cache.as_ref().unwrap();
    verified.get(&verified.digest(token), now).is_some()
}

#[test]
fn a_token_is_remembered_from_its_beginning_to_its_end() {
    let authenticators = authenticators(&key_set()).with_token_cache(KEY);
    let now = NOW.seconds();
    let claims = json!({"iss": "https://partner.example/", "nbf": now - 5, "iat": now - 7, "exp": now + 9});
    let good = token(claims);
    assert!(!is_known(&authenticators, &good, NOW));
    assert!(outcome(&authenticators, &good, "ably", NOW, false).contains("tom"));
    let known = |millis: i64| is_known(&authenticators, &good, Millis(NOW.0.strict_add_signed(millis)));
    assert_eq!([-5001, -5000, 0, 8999, 9000].map(known), [false, true, true, true, false]);
    assert!(!is_known(&authenticators, &format!("{good}="), NOW));
}

#[test]
fn what_is_remembered_of_a_bound_token_counts_for_its_certificate_alone() {
    let authenticators = authenticators(&key_set()).with_token_cache(KEY);
    let bound = token(json!({"iss": "https://partner.example/", "cnf": {"x5t#S256": thumbprint(1)}}));
    let (own, other) = (certificate(1), certificate(2));
    for _ in 0..2 {
        for (shown, holds) in [
            (ClientCertificate::Absent, false),
            (ClientCertificate::Valid(&own), true),
            (ClientCertificate::Valid(&other), false),
            (ClientCertificate::NoLongerValid, false),
        ] {
            let said = outcome_with_certificate(shown, &authenticators, &bound, "ably", NOW, false);
            assert_eq!(said.starts_with("Ok"), holds, "{shown:?}: {said}");
        }
    }
    assert!(is_known(&authenticators, &bound, NOW));
}

#[test]
fn a_token_is_forgotten_when_its_keys_change() {
    let set = key_set();
    let authenticators = authenticators(&set).with_token_cache(KEY);
    let good = eddsa("one", json!({}));
    for keys in [Some(&["one", "other"][..]), Some(&["one"]), Some(&["other"]), Some(&[]), None] {
        set.replace(keys.map(fetched));
        assert!(!is_known(&authenticators, &good, NOW), "{keys:?}");
        let is_good = outcome(&authenticators, &good, "ably", NOW, true).starts_with("Ok");
        assert_eq!(is_good, keys.is_some_and(|keys| keys.contains(&"one")));
        assert_eq!(is_known(&authenticators, &good, NOW), is_good);
    }
}

#[test]
fn what_is_refused_is_not_remembered() {
    let set = key_set();
    set.replace(Some(fetched(&["one"])));
    let authenticators = authenticators(&set).with_token_cache(KEY);
    for token in tokens() {
        let own = certificate(1);
        let held = outcome_with_certificate(ClientCertificate::Valid(&own), &authenticators, &token, "ably", NOW, true)
            .starts_with("Ok");
        assert_eq!(is_known(&authenticators, &token, NOW), held, "{token}");
    }
    // The signature is valid. Whether the token is for this app is checked each time.
    let good = eddsa("one", json!({"sub": "ann"}));
    assert!(outcome(&authenticators, &good, "talkjs", NOW, false).contains("not accepted for this app"));
    assert!(is_known(&authenticators, &good, NOW));
    assert!(outcome(&authenticators, &good, "talkjs", NOW, false).contains("not accepted for this app"));
    assert!(outcome(&authenticators, &good, "ably", NOW, false).starts_with("Ok"));
}

#[test]
fn what_is_remembered_shows_nothing() {
    let authenticators = authenticators(&key_set()).with_token_cache(KEY);
    let good = token(json!({"iss": "https://partner.example/"}));
    assert!(outcome(&authenticators, &good, "ably", NOW, false).starts_with("Ok"));
    assert!(format!("{authenticators:?}").contains("token_cache: Some(TokenCache(…))"));
}
