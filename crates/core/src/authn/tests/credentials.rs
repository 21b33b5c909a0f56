//! The choice of the credential, and the apps that callers may use.

use super::*;

const KEY: &str = "key-of-orders-only-for-tests";
const OTHER_KEY: &str = "key-of-billing-only-for-tests";

fn common(name: &str, apps: Option<&[&str]>) -> Common {
    let apps = apps.map(|apps| apps.iter().map(|&app| app.to_owned()).collect());
    Common { name: name.into(), kind: CallerKind::Service, apps }
}

fn api_key(name: &str, header: &'static str, keys: &[(&str, &str)], apps: Option<&[&str]>) -> Authenticator {
    let keys = keys.iter().map(|(id, key)| ((*id).to_owned(), crypto::sha256(key.as_bytes()))).collect();
    Authenticator::ApiKey(ApiKey { common: common(name, apps), header: HeaderName::from_static(header), keys })
}

fn jwt_and_api_key() -> Authenticators {
    let keys = [("orders", KEY), ("billing", OTHER_KEY)];
    Authenticators::new(vec![Authenticator::Jwt(jwt()), api_key("backend", "x-api-key", &keys, None)])
}

/// Returns the caller as `authenticator/subject`, or the error.
fn outcome(authenticators: &Authenticators, list: &[(&str, &str)]) -> String {
    match authenticators.identify(&RequestCredentials::from_headers(&headers(list)), "ably", NOW) {
        Ok(caller) => format!("{}/{}", caller.authenticator, caller.subject),
        Err(unidentified) => unidentified.into_refusal().public_message(),
    }
}

fn bearer() -> String {
    format!("Bearer {}", token(json!({})))
}

#[test]
fn without_authenticators_everyone_is_refused() {
    let none = Authenticators::new(Vec::new());
    let expected = "no callers are accepted for this app: no authenticator is configured for it";
    assert_eq!(outcome(&none, &[]), expected);
    assert_eq!(outcome(&none, &[("x-api-key", KEY)]), expected);
    assert_eq!(outcome(&none, &[("authorization", &bearer())]), "an `authorization` header is not accepted here");
}

#[test]
fn without_a_credential_the_answer_says_which_would_do() {
    let expected = "there is no credential: send `authorization: Bearer <token>` or an API key in `x-api-key`";
    assert_eq!(outcome(&jwt_and_api_key(), &[]), expected);
    assert_eq!(outcome(&jwt_and_api_key(), &[("cookie", "sid=1")]), expected);
    let elsewhere = Authenticators::new(vec![
        api_key("a", "x-a", &[("a", KEY)], Some(&["talkjs"])),
        api_key("b", "x-b", &[("b", KEY)], Some(&["ably"])),
        api_key("c", "x-b", &[("c", OTHER_KEY)], None),
    ]);
    assert_eq!(outcome(&elsewhere, &[]), "there is no credential: send an API key in `x-b`");
}

#[test]
fn each_credential_names_its_caller() {
    let both = jwt_and_api_key();
    assert_eq!(outcome(&both, &[("authorization", &bearer())]), "app-users/tom");
    assert_eq!(outcome(&both, &[("x-api-key", KEY)]), "backend/orders");
    assert_eq!(outcome(&both, &[("x-api-key", OTHER_KEY)]), "backend/billing");
    assert_eq!(both.names().collect::<Vec<_>>(), ["app-users", "backend"]);
    let service =
        both.identify(&RequestCredentials::from_headers(&headers(&[("x-api-key", KEY)])), "ably", NOW).unwrap();
    assert_eq!(service.kind, CallerKind::Service);
    assert!(service.claims.is_empty() && service.bindings.is_empty());
}

#[test]
fn the_scheme_is_bearer_in_any_case() {
    let token = token(json!({}));
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer "] {
        assert_eq!(
            outcome(&jwt_and_api_key(), &[("authorization", &format!("{scheme} {token}"))]),
            "app-users/tom",
            "{scheme:?}"
        );
    }
    let wrong = "the `authorization` header must be `Bearer <token>`";
    for value in
        ["", "Bearer", "Basic dG9tOnB3", "Token x", &token, &format!("Bearer:{token}"), &format!("Bearer\t{token}")]
    {
        assert_eq!(outcome(&jwt_and_api_key(), &[("authorization", value)]), wrong, "{value:?}");
    }
    let value = HeaderValue::from_bytes(b"Bearer \xff.\xfe.\xfd").unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    let refusal = jwt_and_api_key()
        .identify(&RequestCredentials::from_headers(&headers), "ably", NOW)
        .unwrap_err()
        .into_refusal();
    assert_eq!(refusal.public_message(), "the `authorization` header holds more than ASCII");
}

#[test]
fn two_credentials_are_refused_even_if_both_are_good() {
    let (both, bearer) = (jwt_and_api_key(), bearer());
    let two = "there are two credentials, `authorization` and `x-api-key`: send one";
    for (authorization, key) in [(bearer.as_str(), KEY), (&bearer, "bad"), ("Basic x", KEY), ("", "")] {
        assert_eq!(outcome(&both, &[("authorization", authorization), ("x-api-key", key)]), two);
        assert_eq!(outcome(&both, &[("x-api-key", key), ("authorization", authorization)]), two);
    }
    let twice = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    assert_eq!(outcome(&both, &twice), "the header `authorization` is there more than once");
    assert_eq!(
        outcome(&both, &[("x-api-key", KEY), ("x-api-key", KEY)]),
        "the header `x-api-key` is there more than once"
    );
    let keys = Authenticators::new(vec![
        api_key("a", "x-a", &[("a", KEY)], None),
        api_key("b", "x-b", &[("b", OTHER_KEY)], None),
    ]);
    assert_eq!(
        outcome(&keys, &[("x-a", KEY), ("x-b", OTHER_KEY)]),
        "there are two credentials, `x-a` and `x-b`: send one"
    );
}

#[test]
fn a_bad_credential_is_never_passed_over() {
    let both = jwt_and_api_key();
    for key in ["", "x", &KEY[1..], &KEY.to_uppercase(), &hex::encode(crypto::sha256(KEY.as_bytes()))] {
        assert_eq!(outcome(&both, &[("x-api-key", key)]), "the API key in `x-api-key` is not known", "{key:?}");
    }
    // The header is refused even if no authenticator reads it, because the client sent it for a purpose.
    let keys = Authenticators::new(vec![api_key("backend", "x-api-key", &[("orders", KEY)], None)]);
    assert_eq!(outcome(&keys, &[("authorization", &bearer())]), "an `authorization` header is not accepted here");
    let two = "there are two credentials, `authorization` and `x-api-key`: send one";
    assert_eq!(outcome(&keys, &[("authorization", &bearer()), ("x-api-key", KEY)]), two);
}

#[test]
fn authenticators_on_one_header_are_told_apart_by_the_key() {
    let keys = Authenticators::new(vec![
        api_key("orders", "x-api-key", &[("o", KEY)], Some(&["talkjs"])),
        api_key("billing", "x-api-key", &[("b", OTHER_KEY)], None),
    ]);
    assert_eq!(outcome(&keys, &[("x-api-key", OTHER_KEY)]), "billing/b");
    assert_eq!(outcome(&keys, &[("x-api-key", KEY)]), "these callers are not accepted for this app");
    let caller =
        keys.identify(&RequestCredentials::from_headers(&headers(&[("x-api-key", KEY)])), "talkjs", NOW).unwrap();
    assert_eq!((&*caller.authenticator, &*caller.subject), ("orders", "o"));
}

#[test]
fn callers_of_other_apps_are_refused() {
    let only = |app: &str| Jwt { common: Common { apps: Some(vec![app.to_owned()]), ..jwt().common }, ..jwt() };
    assert!(identify_token(only("ably"), &token(json!({}))).is_ok());
    for other in ["talkjs", "Ably", ""] {
        let refusal = identify_token(only(other), &token(json!({}))).unwrap_err();
        assert_eq!(refusal.public_message(), "these callers are not accepted for this app");
        assert_eq!(refusal.authenticator().map(|name| &**name), Some("app-users"));
    }
    let nowhere = Jwt { common: Common { apps: Some(Vec::new()), ..jwt().common }, ..jwt() };
    assert!(identify_token(nowhere, &token(json!({}))).is_err());
}

#[test]
fn a_second_issuer_cannot_speak_for_the_first() {
    let partner_key = Secret::new(vec![9; 32]);
    let partner = Jwt {
        common: common("partner", None),
        issuer: Issuer::Exact("https://partner.example/".to_owned()),
        keys: KeySource::Fixed(VerificationKeys::from_secrets(&[partner_key], &[Algorithm::HS256]).unwrap()),
        ..jwt_prefixed("partner:")
    };
    let both = Authenticators::new(vec![Authenticator::Jwt(jwt()), Authenticator::Jwt(partner)]);
    let from_partner = |issuer: &str| {
        let claims = claims(json!({ "iss": issuer }));
        format!("Bearer {}", Signer::shared(&[9; 32]).token(Algorithm::HS256, &header(Algorithm::HS256), &claims))
    };
    let own = from_partner("https://partner.example/");
    assert_eq!(outcome(&both, &[("authorization", &own)]), "partner/partner:tom");
    assert_eq!(outcome(&both, &[("authorization", &from_partner(ISSUER))]), "the token's signature does not hold");
    assert_eq!(outcome(&both, &[("authorization", &bearer())]), "app-users/tom");
}

#[test]
fn a_token_cannot_speak_for_an_api_key() {
    let said_of = |kind, prefix: &str, subject: &str| {
        let jobs = Jwt { common: Common { kind, ..common("jobs", None) }, ..jwt_prefixed(prefix) };
        let keys = api_key("backend", "x-api-key", &[("orders", KEY)], Some(&["talkjs"]));
        let authenticators = Authenticators::new(vec![Authenticator::Jwt(jobs), keys]);
        outcome(&authenticators, &[("authorization", &format!("Bearer {}", token(json!({ "sub": subject }))))])
    };
    let refusal = "the caller's subject is the id of an API key";
    assert_eq!(said_of(CallerKind::Service, "", "orders"), refusal);
    assert_eq!(said_of(CallerKind::Service, "ord", "ers"), refusal);
    assert_eq!(said_of(CallerKind::Service, "", "Orders"), "jobs/Orders");
    assert_eq!(said_of(CallerKind::Service, "jobs-", "orders"), "jobs/jobs-orders");
    assert_eq!(said_of(CallerKind::User, "", "orders"), "jobs/orders");
}

#[test]
fn an_api_key_with_the_id_star_is_refused() {
    let keys = Authenticators::new(vec![api_key("backend", "x-api-key", &[("*", KEY)], None)]);
    assert_eq!(outcome(&keys, &[("x-api-key", KEY)]), "a caller's subject must not be `*`");
}

#[test]
fn debug_output_shows_no_hash() {
    let shown = format!("{:?}", jwt_and_api_key());
    assert!(shown.contains(r#"keys: ["orders", "billing"]"#), "{shown}");
    let hash = crypto::sha256(KEY.as_bytes());
    assert!(!shown.contains(&hex::encode(hash)) && !shown.contains(&format!("{hash:?}")), "{shown}");
}
