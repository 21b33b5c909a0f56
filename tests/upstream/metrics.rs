//! What is counted of other servers.
#![allow(clippy::float_cmp)]

use std::time::Duration;

use serde_json::json;

use crate::server::{Reply, Server};
use crate::signer::{Key, Signer, set, until};

const ISSUER: &str = "https://id.example.com/";
const SET: &str = "/jwks.json";
const ME: &str = "/me";
const FACTS: &str = "/chat-facts";
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn an_issuer_that_is_down_is_seen_while_its_last_good_keys_serve() {
    let (mut issuer, key, other) = (Server::start().await, Key::new("one"), Key::new("two"));
    issuer.set(SET, Reply::json(set(&[&key, &other])));
    let signer = Signer::start(&format!(
        "[[authenticators]]\nname = \"app-users\"\ntype = \"jwt\"\ncaller = \"user\"\nissuer = \"{ISSUER}\"\n\
         audience = [\"chat\"]\nalgorithms = [\"EdDSA\"]\njwks = {{ url = \"{}\" }}\n",
        issuer.url(SET)
    ))
    .await;
    let age = async || signer.metric(r#"key_set_age_seconds{authenticator="app-users"}"#).await;
    let keys = async || signer.metric(r#"key_set_keys{authenticator="app-users"}"#).await;
    let fetches = async |outcome| {
        let series = format!(r#"key_set_fetches_total{{authenticator="app-users",outcome="{outcome}"}}"#);
        signer.metric(&series).await.unwrap()
    };
    until("the keys come", async || fetches("ok").await == 1.0).await;
    assert_eq!((age().await, keys().await, fetches("failed").await), (Some(0.0), Some(2.0), 0.0));

    issuer.down().await;
    signer.log();
    signer.pass(Duration::from_secs(301)).await;
    until("a fetch fails", async || fetches("failed").await == 1.0).await;
    assert_eq!(age().await, Some(301.0));
    let log = signer.log();
    assert!(log.contains("WARN") && log.contains("app-users: no keys came from"), "{log}");
    signer.pass(HOUR).await;
    until("it is tried again", async || fetches("failed").await > 1.0).await;
    assert_eq!((age().await, keys().await, fetches("ok").await), (Some(3901.0), Some(2.0), 1.0));
    assert_eq!(signer.subject(&key.bearer(ISSUER, "tom")).await, Ok("tom".to_owned()));
    assert_eq!(signer.metric("ready").await, Some(1.0));

    signer.pass(23 * HOUR).await;
    until("the keys are too old", async || keys().await == Some(0.0)).await;
    assert!(age().await > Some(86_400.0));
    assert_eq!(signer.subject(&key.bearer(ISSUER, "tom")).await, Err(503));
    let unavailable = r#"authentications_total{authenticator="app-users",outcome="unavailable"}"#;
    assert_eq!(signer.metric(unavailable).await, Some(1.0));
    // Others than its callers are served.
    let ready = signer.ready().await;
    assert_eq!((ready.status, signer.metric("ready").await), (200, Some(1.0)));
    let told = format!("[!] keys: the keys of app-users from {} are too old to be used any longer: ", issuer.url(SET));
    assert!(ready.body.contains(&told), "{}", ready.body);

    issuer.up().await;
    issuer.set(SET, Reply::json(set(&[&key])));
    signer.pass(Duration::from_secs(60)).await;
    until("the keys come back", async || fetches("ok").await == 2.0).await;
    assert_eq!((age().await, keys().await), (Some(0.0), Some(1.0)));
    assert!(signer.ready().await.body.contains("[+] keys: ok"));
}

#[tokio::test]
async fn questions_about_callers_and_conversations_are_counted() {
    let backend = Server::start().await;
    let signer = Signer::start(&format!(
        "[[authenticators]]\nname = \"session\"\ntype = \"introspection\"\ncaller = \"user\"\nurl = \"{}\"\n\
         forward = {{ cookies = [\"sid\"] }}\nsubject = \"/id\"\n[facts]\nurl = \"{}\"\n",
        backend.url(ME),
        backend.url(FACTS)
    ))
    .await;
    let kick = async |session, conversation| {
        let body = json!({"conv_id": conversation, "members": ["mary"]}).to_string();
        signer.post("/v1/leancloud/kick", &format!("cookie: sid={session}\r\n"), &body).await.status
    };
    backend.set(ME, Reply::json(json!({"id": "tom"})));
    backend.set(FACTS, Reply::json(json!({"roles": {"tom": "owner"}})));
    assert_eq!((kick(1, "one").await, kick(1, "one").await), (200, 200));
    backend.set(FACTS, Reply::status("404 Not Found"));
    assert_eq!(kick(1, "two").await, 403);
    backend.set(FACTS, Reply::status("502 Bad Gateway"));
    assert_eq!((kick(1, "three").await, kick(1, "four").await), (503, 503));
    backend.set(ME, Reply::status("401 Unauthorized"));
    assert_eq!(kick(2, "one").await, 401);
    backend.set(ME, Reply::status("500 Internal Server Error"));
    assert_eq!(kick(3, "one").await, 503);

    for (series, count) in [
        (r#"lookups_total{authenticator="session",outcome="ok"}"#, 1.0),
        (r#"lookups_total{authenticator="session",outcome="refused"}"#, 1.0),
        (r#"lookups_total{authenticator="session",outcome="failed"}"#, 1.0),
        (r#"facts_total{source="http",outcome="ok"}"#, 1.0),
        (r#"facts_total{source="http",outcome="unknown"}"#, 1.0),
        (r#"facts_total{source="http",outcome="failed"}"#, 2.0),
        (r#"decisions_total{app="leancloud",action="kick",outcome="allow",rule="moderators"}"#, 2.0),
        (r#"decisions_total{app="leancloud",action="kick",outcome="deny",rule="unknown-conversation"}"#, 1.0),
        (r#"decisions_total{app="leancloud",action="kick",outcome="unavailable",rule="none"}"#, 2.0),
        (r#"authentications_total{authenticator="session",outcome="accepted"}"#, 5.0),
        (r#"authentications_total{authenticator="session",outcome="refused"}"#, 1.0),
        (r#"authentications_total{authenticator="session",outcome="unavailable"}"#, 1.0),
    ] {
        assert_eq!(signer.metric(series).await, Some(count), "{series}");
    }
}
