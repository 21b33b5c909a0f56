//! Answers of another server about a token, on connections with and without the certificate of the token.

use std::time::Duration;

use http::StatusCode;

use super::*;

fn introspection() -> Arc<Introspection> {
    let url = "https://id.example.com/introspect".parse().unwrap();
    Arc::new(Introspection {
        common: Common { name: "opaque".into(), ..jwt().common },
        endpoint: Endpoint::new(url),
        protocol: IntrospectionProtocol::Token { client: None, audience: None, rules: TokenRules::default() },
        identity: IdentityMapping { roles: RoleMapping::none(&roles().role_hierarchy), ..identity() },
        cache_lifetime: Duration::from_secs(30),
    })
}

#[test]
fn an_answer_about_a_bound_token_counts_for_its_certificate_alone() {
    let certificate = |number| VerifiedCertificate {
        chain: vec![vec![number]],
        names: CertificateNames::default(),
        valid_until: NOW,
        authorities_fingerprint: [0; 32],
    };
    let (own, other) = (certificate(1), certificate(2));
    let thumbprint = crypto::base64url(&own.thumbprint().unwrap());
    let body = json!({"active": true, "sub": "tom", "cnf": {"x5t#S256": thumbprint}}).to_string();
    let asker = introspection();
    let authenticators = Authenticators::new(vec![Authenticator::Introspection(Arc::clone(&asker))]);
    // One answer is cached for all clients that send the token.
    let answer = asker.parse_answer(StatusCode::OK, body.as_bytes(), NOW);
    let headers = headers(&[("authorization", "Bearer fake")]);
    for (certificate, holds) in [
        (ClientCertificate::Valid(&own), true),
        (ClientCertificate::Valid(&other), false),
        (ClientCertificate::Absent, false),
        (ClientCertificate::NoLongerValid, false),
    ] {
        let presented = RequestCredentials { certificate, ..RequestCredentials::from_headers(&headers) };
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
fn a_session_with_an_unverified_address_is_refused() {
    let session =
        IntrospectionProtocol::Session { cookies: vec!["sid".to_owned()], headers: Vec::new(), signed_out: Vec::new() };
    let common = introspection().common.clone();
    let endpoint = introspection().endpoint.clone();
    let asker = Introspection {
        common,
        endpoint,
        protocol: session,
        identity: jwt_by("/user/email").identity,
        cache_lifetime: Duration::from_secs(30),
    };
    let holds = |verified: Value| {
        let body = json!({"user": {"email": "a@example.com", "email_verified": verified}}).to_string();
        asker.parse_answer(StatusCode::OK, body.as_bytes(), NOW).caller.is_ok()
    };
    assert!(holds(json!(true)) && holds(json!(null)));
    assert!(!holds(json!(false)));
}
