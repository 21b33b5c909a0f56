//! Tokens that are bound to their client's certificate.

use chat_signer::crypto::{base64url, sha256};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::common::CALLER_SECRET;
use crate::tls::authority::{Identity, uri};
use crate::tls::callers::{ORDERS, mtls, subject};
use crate::tls::client::{V12, V13, World};

/// A header line with a token that has this `cnf`.
fn bearer(cnf: &Value) -> String {
    let claims =
        json!({"iss": "https://id.example.com/", "aud": "chat", "sub": "tom", "exp": 4_000_000_000_u64, "cnf": cnf});
    let key = EncodingKey::from_secret(CALLER_SECRET.as_bytes());
    format!("authorization: Bearer {}\r\n", encode(&Header::default(), &claims, &key).unwrap())
}

fn bound_to(identity: &Identity) -> Value {
    json!({ "x5t#S256": base64url(&sha256(&identity.chain()[0])) })
}

#[test]
fn a_token_that_is_bound_to_a_certificate_counts_only_on_connections_with_it() {
    let world = World::new();
    let server = world.serve(&mtls("uri", &subject(ORDERS, "orders")));
    let (own, other) = (world.clients.client(uri(ORDERS)), world.clients.client(uri(ORDERS)));
    let token = bearer(&bound_to(&own));
    for versions in [V12, V13] {
        // The token is remembered from its first use, and must be refused to others all the same.
        for _ in 0..2 {
            assert_eq!(world.client_in(versions, Some(&own)).login(&server, &token).status, 200);
            for thief in [Some(&other), None] {
                let answer = world.client_in(versions, thief).login(&server, &token);
                assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{answer:?}");
                assert!(answer.json()["detail"].as_str().unwrap().contains("bound to"), "{answer:?}");
            }
        }
    }
}

#[test]
fn a_binding_that_is_not_to_a_certificate_alone_is_refused() {
    let world = World::new();
    let server = world.serve(&mtls("uri", &subject(ORDERS, "orders")));
    let own = world.clients.client(uri(ORDERS));
    let digest = base64url(&sha256(&own.chain()[0]));
    let client = world.client_as(&own);
    for cnf in [
        json!({"jkt": digest}),
        json!({"x5t#S256": digest, "jkt": digest}),
        json!({"x5t": digest}),
        json!({"x5t#S256": [digest]}),
        json!({"x5t#S256": digest.to_lowercase()}),
        json!({"x5t#S256": ""}),
        json!({}),
        json!([digest]),
        json!(digest),
    ] {
        assert_eq!(client.login(&server, &bearer(&cnf)).status, 401, "{cnf}");
    }
    assert_eq!(client.login(&server, &bearer(&json!({"x5t#S256": digest}))).status, 200);
}

#[test]
fn a_certificate_that_is_a_proxy_s_confirms_no_token() {
    let ingress = "[[authenticators]]\nname = \"ingress\"\ntype = \"forwarded\"\ncaller = \"user\"\nheader = \"x-forwarded-user\"\n\
                   trusted_proxies = [\"127.0.0.1/32\"]\n";
    let world = World::new();
    let own = world.clients.client(uri(ORDERS));
    let client = world.client_as(&own);
    let token = bearer(&bound_to(&own));
    assert_eq!(client.login(&world.serve(ingress), &token).status, 401);
    let elsewhere = ingress.replace("127.0.0.1/32", "192.0.2.1/32");
    assert_eq!(client.login(&world.serve(&elsewhere), &token).status, 200);
}
