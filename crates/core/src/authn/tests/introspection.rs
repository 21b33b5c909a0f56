//! Answers of another server about a token, on connections with and without the certificate of the token.

use std::time::Duration;

use http::StatusCode;

use super::*;

fn opaque() -> Arc<Introspection> {
    let url = "https://id.example.com/introspect".parse().unwrap();
    Arc::new(Introspection {
        common: Common { name: "opaque".into(), ..jwt().common },
        endpoint: Endpoint { url, authorities: Vec::new(), bearer: None },
        protocol: IntrospectionProtocol::Token { client: None, audience: None, rules: TokenRules::default() },
        subject: "sub".to_owned(),
        subject_prefix: String::new(),
        roles: None,
        bindings: None,
        ladder: jwt().ladder,
        max_role: None,
        cache: Duration::from_secs(30),
    })
}

#[test]
fn an_answer_about_a_bound_token_counts_for_its_certificate_alone() {
    let certificate = |number| VerifiedCertificate {
        chain: vec![vec![number]],
        names: CertificateNames::default(),
        until: NOW,
        authorities: [0; 32],
    };
    let (own, other) = (certificate(1), certificate(2));
    let thumbprint = crypto::base64url(&own.thumbprint().unwrap());
    let body = json!({"active": true, "sub": "tom", "cnf": {"x5t#S256": thumbprint}}).to_string();
    let asker = opaque();
    let authenticators = Authenticators::new(vec![Authenticator::Introspection(Arc::clone(&asker))]);
    // One answer is cached for all clients that send the token.
    let answer = asker.read(StatusCode::OK, body.as_bytes(), NOW);
    let headers = headers(&[("authorization", "Bearer fake")]);
    for (certificate, holds) in [
        (ClientCertificate::Valid(&own), true),
        (ClientCertificate::Valid(&other), false),
        (ClientCertificate::Nothing, false),
        (ClientCertificate::Stale, false),
    ] {
        let presented = RequestCredentials { certificate, ..RequestCredentials::only(&headers) };
        let found = LookupResult::Caller(answer.caller.clone());
        let result = authenticators.identify_with(found, &presented, "ably", NOW);
        assert_eq!(result.is_ok(), holds, "{certificate:?}: {result:?}");
        if let Err(refusal) = result {
            assert_eq!(refusal.authenticator().map(|name| &**name), Some("opaque"));
            assert!(!refusal.is_unavailable());
        }
    }
}

#[test]
fn a_session_of_an_unverified_address_is_nobody_s() {
    let session = IntrospectionProtocol::Session { cookies: vec!["sid".to_owned()], headers: Vec::new() };
    let common = opaque().common.clone();
    let (endpoint, ladder) = (opaque().endpoint.clone(), jwt().ladder);
    let asker = Introspection {
        common,
        endpoint,
        protocol: session,
        subject: "/user/email".to_owned(),
        subject_prefix: String::new(),
        roles: None,
        bindings: None,
        ladder,
        max_role: None,
        cache: Duration::from_secs(30),
    };
    let holds = |verified: Value| {
        let body = json!({"user": {"email": "a@example.com", "email_verified": verified}}).to_string();
        asker.read(StatusCode::OK, body.as_bytes(), NOW).caller.is_ok()
    };
    assert!(holds(json!(true)) && holds(json!(null)));
    assert!(!holds(json!(false)));
}
