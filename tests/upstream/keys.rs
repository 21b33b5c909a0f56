//! Key sets that are fetched from issuers.

use std::cell::Cell;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use crate::server::{Authority, Reply, Server};
use crate::signer::{Answer, Key, Signer, all, alone, directory, set, until};

const ISSUER: &str = "https://id.example.com/";
const OTHER: &str = "https://login.partner.example/";
const SET: &str = "/jwks.json";
const METADATA: &str = "/realms/chat/.well-known/openid-configuration";
const METADATA_AT_ROOT: &str = "/.well-known/openid-configuration";

fn authenticator(keys: &str) -> String {
    format!(
        "[[authenticators]]\nname = \"app-users\"\ntype = \"jwt\"\ncaller = \"user\"\nissuer = \"{ISSUER}\"\n\
         audience = [\"chat\"]\nalgorithms = [\"EdDSA\"]\n{keys}\n"
    )
}

/// The program with this issuer's key set, once it has been fetched.
async fn signer(issuer: &Server) -> Signer {
    let signer = unready(issuer).await;
    until("the keys come", async || signer.ready().await.status == 200).await;
    signer
}

async fn unready(issuer: &Server) -> Signer {
    Signer::start(&authenticator(&format!("jwks = {{ url = \"{}\" }}", issuer.url(SET)))).await
}

/// Whether the log says so.
async fn logged(signer: &Signer, text: &str) {
    let mut log = String::new();
    until(text, async || {
        log += &signer.log();
        log.contains(text)
    })
    .await;
}

fn retry_after(answer: &Answer) -> bool {
    answer.head.contains("retry-after: 1")
}

#[tokio::test]
async fn it_starts_without_the_issuer_and_says_what_it_waits_for() {
    let (mut issuer, key) = (Server::start().await, Key::new("one"));
    issuer.set(SET, Reply::json(set(&[&key])));
    issuer.down().await;
    let signer = unready(&issuer).await;
    until("the first try fails", async || signer.ready().await.body.contains("refused")).await;
    let ready = signer.ready().await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains(&format!("[-] keys: the keys of app-users from {}: ", issuer.url(SET))), "{ready:?}");
    logged(&signer, "WARN chat_signer::upstream::keys: app-users: no keys came from").await;

    let answer = signer.login(&key.bearer(ISSUER, "tom")).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"));
    assert!(retry_after(&answer), "{answer:?}");
    assert!(signer.audit().contains("\"refused\""), "{}", signer.audit());

    issuer.up().await;
    signer.pass(Duration::from_secs(60)).await;
    until("the keys come", async || signer.ready().await.status == 200).await;
    assert!(signer.ready().await.body.contains("[+] keys: ok"));
    assert_eq!(signer.subject(&key.bearer(ISSUER, "tom")).await, Ok("tom".to_owned()));
}

#[tokio::test]
async fn a_request_waits_for_the_first_fetch() {
    let (issuer, key) = (Server::start().await, Key::new("one"));
    issuer.set(SET, Reply::json(set(&[&key])));
    let signer = unready(&issuer).await;
    assert_eq!(signer.subject(&key.bearer(ISSUER, "tom")).await, Ok("tom".to_owned()));
    let seen = &issuer.seen(SET)[..];
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].method.as_str(), seen[0].body.as_str(), seen[0].header("authorization")), ("GET", "", None));
}

#[tokio::test]
async fn a_rotated_key_works_at_once_and_a_withdrawn_one_until_the_next_refresh() {
    let issuer = Server::start().await;
    let (old, new, newer) = (Key::new("old"), Key::new("new"), Key::new("newer"));
    issuer.set(SET, Reply::json(set(&[&old])).with("cache-control: max-age=600"));
    let signer = signer(&issuer).await;
    assert_eq!(signer.subject(&old.bearer(ISSUER, "tom")).await, Ok("tom".to_owned()));

    issuer.set(SET, Reply::json(set(&[&old, &new])).with("cache-control: max-age=600"));
    assert_eq!(signer.subject(&new.bearer(ISSUER, "tom")).await, Ok("tom".to_owned()));
    assert_eq!(issuer.count(SET), 2);

    issuer.set(SET, Reply::json(set(&[&new])).with("cache-control: max-age=600"));
    signer.pass(Duration::from_secs(599)).await;
    assert_eq!(signer.subject(&old.bearer(ISSUER, "tom")).await, Ok("tom".to_owned()));
    signer.pass(Duration::from_secs(2)).await;
    until("the refresh", async || issuer.count(SET) == 3).await;
    until("the old key's end", async || signer.subject(&old.bearer(ISSUER, "tom")).await == Err(401)).await;
    assert_eq!(signer.subject(&new.bearer(ISSUER, "tom")).await, Ok("tom".to_owned()));

    // All may be withdrawn: what the issuer says counts.
    issuer.set(SET, Reply::json(set(&[])));
    signer.pass(Duration::from_secs(601)).await;
    until("the last key's end", async || signer.subject(&new.bearer(ISSUER, "tom")).await == Err(401)).await;
    issuer.set(SET, Reply::json(set(&[&newer])));
    signer.pass(Duration::from_secs(301)).await;
    until("new keys", async || signer.subject(&newer.bearer(ISSUER, "tom")).await.is_ok()).await;
}

#[test]
fn an_answer_says_how_long_it_is_good_within_bounds() {
    for (header, seconds) in [
        ("cache-control: max-age=1", 60),
        ("cache-control: no-store", 60),
        ("cache-control: public, max-age=900", 900),
        ("cache-control: max-age=31536000", 3600),
        ("expires: Fri, 01 Jan 2100 00:00:00 GMT", 3600),
        ("expires: 0", 60),
        ("x-nothing: said", 300),
    ] {
        alone(async {
            let (issuer, key) = (Server::start().await, Key::new("one"));
            issuer.set(SET, Reply::json(set(&[&key])).with(header));
            let signer = signer(&issuer).await;
            signer.pass(Duration::from_secs(seconds - 1)).await;
            assert_eq!(signer.ready().await.status, 200);
            assert_eq!(issuer.count(SET), 1, "{header}");
            signer.pass(Duration::from_secs(2)).await;
            until(header, async || issuer.count(SET) == 2).await;
        });
    }
}

#[tokio::test]
async fn a_flood_of_made_up_keys_costs_the_issuer_nothing() {
    let (issuer, key) = (Server::start().await, Key::new("one"));
    issuer.set(SET, Reply::json(set(&[&key])));
    let signer = signer(&issuer).await;
    let flood = |from: usize, count: usize| -> Vec<String> {
        let requests = (from..from + count).map(|number| {
            let bearer = key.bearer_as(&format!("made-up-{number}"), ISSUER, "mallory");
            format!("POST /v1/talkjs/token HTTP/1.1\r\nhost: localhost\r\n{bearer}\r\n")
        });
        requests.collect()
    };
    let floods = (0..10).map(|number| signer.many(flood(number * 1000, 1000)));
    let statuses = all(floods).await.concat();
    assert_eq!(statuses.len(), 10_000);
    assert!(statuses.iter().all(|status| status == "401"));
    assert_eq!(issuer.count(SET), 2);

    // After a while one more may cause a fetch.
    signer.pass(Duration::from_secs(29)).await;
    signer.many(flood(10_000, 10)).await;
    assert_eq!(issuer.count(SET), 2);
    signer.pass(Duration::from_secs(2)).await;
    signer.many(flood(20_000, 10)).await;
    assert_eq!(issuer.count(SET), 3);
    assert_eq!(signer.subject(&key.bearer(ISSUER, "tom")).await, Ok("tom".to_owned()));
}

#[tokio::test]
async fn made_up_keys_do_not_take_every_place_while_the_issuer_hangs() {
    let (issuer, key, go) = (Server::start().await, Key::new("one"), Arc::new(Semaphore::new(0)));
    issuer.set(SET, Reply::json(set(&[&key])));
    let signer = signer(&issuer).await;
    issuer.set(SET, Reply::Held(Arc::clone(&go), Box::new(Reply::json(set(&[&key])))));
    let refused = Cell::new(0);
    let flood = all((0..300).map(async |_| {
        assert_eq!(signer.subject(&key.bearer_as("made-up", ISSUER, "mallory")).await, Err(401));
        refused.set(refused.get() + 1);
    }));
    let release = async {
        until("the refusals", async || refused.get() == 300 - 256).await;
        assert_eq!(signer.subject(&key.bearer(ISSUER, "tom")).await, Ok("tom".to_owned()));
        go.add_permits(300);
    };
    tokio::join!(flood, release);
    assert_eq!((refused.get(), issuer.count(SET)), (300, 2));
}

#[tokio::test]
async fn the_last_good_keys_serve_while_the_issuer_is_down_but_not_for_ever() {
    let (mut issuer, key) = (Server::start().await, Key::new("one"));
    issuer.set(SET, Reply::json(set(&[&key])));
    let signer = signer(&issuer).await;
    issuer.down().await;
    signer.log();
    signer.pass(Duration::from_secs(301)).await;
    logged(&signer, "no keys came from").await;
    signer.pass(Duration::from_secs(23 * 3600)).await;
    assert_eq!(signer.subject(&key.bearer(ISSUER, "tom")).await, Ok("tom".to_owned()));
    signer.pass(Duration::from_secs(3600)).await;
    logged(&signer, "too old to be used").await;
    let answer = signer.login(&key.bearer(ISSUER, "tom")).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"));
    // It was ready once, and other callers may well be served.
    assert_eq!(signer.ready().await.status, 200);

    issuer.up().await;
    signer.pass(Duration::from_secs(60)).await;
    until("the keys come back", async || signer.subject(&key.bearer(ISSUER, "tom")).await.is_ok()).await;
}

#[test]
fn what_is_no_key_set_changes_nothing() {
    let key = Key::new("one");
    let private = [key.jwk().as_object().unwrap().clone(), json!({"d": "AAAA"}).as_object().unwrap().clone()];
    let private: Value = private.into_iter().flatten().collect::<Map<_, _>>().into();
    for (reply, reason) in [
        (Reply::status("500 Internal Server Error"), "it answers 500"),
        (Reply::status("204 No Content"), "it answers 204"),
        (Reply::json("<!doctype html><title>Sign in</title>"), "not a JWK set"),
        (Reply::json("{\"keys\": ["), "not a JWK set"),
        (Reply::json("{\"keys\": [], \"keys\": []}"), "not a JWK set"),
        (Reply::json("{}"), "not a JWK set"),
        (Reply::json(json!({"keys": [private]})), "private"),
        (Reply::json(json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]})), "32 bytes"),
        (Reply::Cut, "error"),
        (Reply::Flood, "longer than 262144 bytes"),
        (Reply::Silence, "no answer within 5 s"),
    ] {
        alone(async {
            let issuer = Server::start().await;
            changes_nothing(&issuer, &key, &reply, reason).await;
        });
    }
}

/// A small-order point among them: a fetched set is checked like any other.
fn unusable_keys() -> Vec<(Value, &'static str)> {
    vec![
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "bad"}),
            "\"bad\": an Ed25519 key has 32 bytes, not 3",
        ),
        (json!({"kty": "OKP", "crv": "Ed25519", "kid": "bad"}), "\"bad\": its `x` must be base64url without padding"),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": "A".repeat(43), "kid": "bad"}),
            "\"bad\": the Ed25519 key is a point of small order",
        ),
        (json!({"kty": "oct", "k": "AAAA", "kid": "bad"}), "\"bad\": it is private or a shared secret"),
        (Value::Null, "key 1 of the set: it must be an object"),
    ]
}

#[test]
fn one_bad_key_is_skipped_with_one_warning() {
    for (bad, reason) in unusable_keys() {
        alone(async {
            let (issuer, key, new) = (Server::start().await, Key::new("one"), Key::new("new"));
            issuer.set(SET, Reply::json(json!({"keys": [bad, key.jwk()]})));
            let signer = signer(&issuer).await;
            assert_eq!(signer.subject(&key.bearer(ISSUER, "tom")).await, Ok("tom".to_owned()), "{reason}");
            logged(
                &signer,
                &format!("WARN chat_signer::upstream::keys: app-users: a key from {} is not used: ", issuer.url(SET)),
            )
            .await;

            // The keys change, the bad one stays: no further warning.
            issuer.set(SET, Reply::json(json!({"keys": [bad, new.jwk()]})));
            signer.pass(Duration::from_secs(301)).await;
            until("the new key", async || signer.subject(&new.bearer(ISSUER, "tom")).await.is_ok()).await;
            signer.pass(Duration::from_secs(301)).await;
            until("a third fetch", async || issuer.count(SET) >= 3).await;
            assert!(signer.ready().await.body.contains("[+] keys: ok"));
            let log = signer.log();
            assert!(!log.contains("is not used"), "{log}");
        });
    }
}

#[test]
fn a_set_without_a_usable_key_keeps_the_old_keys_and_shows() {
    for (bad, reason) in unusable_keys() {
        alone(async {
            let (issuer, key) = (Server::start().await, Key::new("one"));
            issuer.set(SET, Reply::json(set(&[&key])));
            let signer = signer(&issuer).await;
            issuer.set(SET, Reply::json(json!({ "keys": [bad] })));
            signer.pass(Duration::from_secs(301)).await;
            until("it shows", async || signer.ready().await.body.contains("[!] keys: ")).await;
            let ready = signer.ready().await;
            let from = format!("[!] keys: the keys of app-users from {} cannot be refreshed: ", issuer.url(SET));
            assert!(ready.status == 200 && ready.body.contains(&from) && ready.body.contains(reason), "{ready:?}");
            assert_eq!(signer.subject(&key.bearer(ISSUER, "tom")).await, Ok("tom".to_owned()));

            issuer.set(SET, Reply::json(set(&[&key])));
            signer.pass(Duration::from_secs(60)).await;
            until("it is over", async || signer.ready().await.body.contains("[+] keys: ok")).await;
        });
    }
}

#[tokio::test]
async fn a_refresh_that_keeps_failing_shows_and_is_warned_of_once() {
    let (mut issuer, key) = (Server::start().await, Key::new("one"));
    issuer.set(SET, Reply::json(set(&[&key])));
    let signer = signer(&issuer).await;
    issuer.down().await;
    signer.log();
    signer.pass(Duration::from_secs(301)).await;
    logged(&signer, "app-users: no keys came from").await;
    assert!(signer.ready().await.body.contains("[!] keys: the keys of app-users from"));
    let failed = async || signer.metric("key_set_fetches_total{authenticator=\"app-users\",outcome=\"failed\"}").await;
    let before = failed().await;
    for _ in 0..5 {
        signer.pass(Duration::from_secs(60)).await;
        until("another failure", async || failed().await > before).await;
    }
    let log = signer.log();
    assert!(!log.contains("no keys came from"), "{log}");
}

#[test]
fn redirects_are_not_followed() {
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        alone(async {
            let (issuer, elsewhere, key) = (Server::start().await, Server::start().await, Key::new("one"));
            elsewhere.set(SET, Reply::json(set(&[&key])));
            let reply = Reply::status(status).with(&format!("location: {}", elsewhere.url(SET)));
            changes_nothing(&issuer, &key, &reply, &format!("it redirects ({status}), which is not followed")).await;
            assert_eq!(elsewhere.count(SET), 0);
        });
    }
}

/// This answer neither makes the program ready nor takes its keys away, and the log has the reason.
async fn changes_nothing(issuer: &Server, key: &Key, reply: &Reply, reason: &str) {
    let answered = async |signer: &Signer, count| {
        until("the request", async || issuer.count(SET) >= count).await;
        if matches!(reply, Reply::Silence) {
            signer.pass(Duration::from_secs(6)).await;
        }
    };
    issuer.set(SET, reply.clone());
    let signer = unready(issuer).await;
    answered(&signer, 1).await;
    until(reason, async || signer.ready().await.body.contains(reason)).await;

    issuer.set(SET, Reply::json(set(&[key])));
    signer.pass(Duration::from_secs(60)).await;
    until("the keys come", async || signer.ready().await.status == 200).await;
    signer.log();
    issuer.set(SET, reply.clone());
    let before = issuer.count(SET);
    signer.pass(Duration::from_secs(301)).await;
    answered(&signer, before + 1).await;
    logged(&signer, reason).await;
    assert_eq!(signer.subject(&key.bearer(ISSUER, "tom")).await, Ok("tom".to_owned()), "{reason}");
}

#[tokio::test]
async fn discovery_finds_the_set_of_the_issuer_that_was_asked_for() {
    let (provider, key) = (Server::start().await, Key::new("one"));
    let issuer = provider.url("/realms/chat/");
    let metadata = json!({"issuer": issuer, "jwks_uri": provider.url(SET)});
    provider.set(METADATA, Reply::json(metadata));
    provider.set(SET, Reply::json(set(&[&key])));
    let signer = Signer::start(&authenticator("discovery = true").replace(ISSUER, &issuer)).await;
    assert_eq!(signer.subject(&key.bearer(&issuer, "tom")).await, Ok("tom".to_owned()));

    // A key that isn't known is no reason to ask for more than the set.
    assert_eq!(signer.subject(&key.bearer_as("other", &issuer, "tom")).await, Err(401));
    assert_eq!((provider.count(METADATA), provider.count(SET)), (1, 2));

    // The set may move.
    provider.set(METADATA, Reply::json(json!({"issuer": issuer, "jwks_uri": provider.url("/moved")})));
    provider.set("/moved", Reply::json(set(&[&key])));
    signer.pass(Duration::from_secs(301)).await;
    until("the new place", async || provider.count("/moved") == 1).await;
}

#[tokio::test]
async fn made_up_keys_do_not_put_off_what_is_due() {
    let (provider, key) = (Server::start().await, Key::new("one"));
    let issuer = provider.url("/realms/chat/");
    provider.set(METADATA, Reply::json(json!({"issuer": issuer, "jwks_uri": provider.url(SET)})));
    provider.set(SET, Reply::json(set(&[&key])));
    let signer = Signer::start(&authenticator("discovery = true").replace(ISSUER, &issuer)).await;
    assert_eq!(signer.subject(&key.bearer(&issuer, "tom")).await, Ok("tom".to_owned()));

    // The old place still has the old key.
    provider.set(METADATA, Reply::json(json!({"issuer": issuer, "jwks_uri": provider.url("/moved")})));
    provider.set("/moved", Reply::json(set(&[])));
    for number in 1..=9 {
        signer.pass(Duration::from_secs(31)).await;
        assert_eq!(signer.subject(&key.bearer_as("made-up", &issuer, "tom")).await, Err(401));
        assert_eq!((provider.count(METADATA), provider.count(SET)), (1, 1 + number));
    }
    signer.pass(Duration::from_secs(31)).await;
    until("the old key's end", async || signer.subject(&key.bearer(&issuer, "tom")).await == Err(401)).await;
    assert_eq!(provider.count(METADATA), 2);
}

/// Keys on a public address must not be asked of a program on this machine, which would be shown the token besides.
#[tokio::test]
async fn metadata_that_came_over_https_name_no_other_program_on_this_machine() {
    let (authority, key, local) = (Authority::new(), Key::new("one"), Server::start().await);
    let provider = Server::with(Some(authority.acceptor())).await;
    let issuer = provider.url("");
    provider.set(METADATA_AT_ROOT, Reply::json(json!({"issuer": issuer, "jwks_uri": local.url(SET)})));
    local.set(SET, Reply::json(set(&[&key])));
    let directory = directory();
    fs::write(directory.join("ca.crt"), authority.pem()).unwrap();
    let authenticator = authenticator("jwks = { discovery = true, ca = \"ca.crt\" }").replace(ISSUER, &issuer);
    let signer = Signer::start_in(directory, &authenticator).await;
    until("the refusal", async || signer.ready().await.body.contains("must be an https URL")).await;
    assert_eq!(local.count(SET), 0);
}

#[test]
fn metadata_that_can_not_be_believed_are_not() {
    let key = Key::new("one");
    for (patch, reason) in [
        (json!({"issuer": "https://evil.example.com/"}), "another issuer"),
        (json!({"issuer": "{issuer}/"}), "another issuer"),
        (json!({"issuer": null}), "another issuer"),
        (json!({"jwks_uri": null}), "no key set"),
        (json!({"jwks_uri": "/jwks.json"}), "no key set"),
        (json!({"jwks_uri": "http://id.example.com/jwks.json"}), "must be an https URL"),
        (json!({"jwks_uri": "file:///etc/passwd"}), "must be an https URL"),
    ] {
        alone(async {
            let provider = Server::start().await;
            let issuer = provider.url("/realms/chat");
            let mut metadata = json!({"issuer": issuer, "jwks_uri": provider.url(SET)});
            for (name, value) in patch.as_object().unwrap() {
                metadata[name] = value.as_str().map_or(Value::Null, |text| text.replace("{issuer}", &issuer).into());
            }
            provider.set(METADATA, Reply::json(metadata));
            provider.set(SET, Reply::json(set(&[&key])));
            let signer = Signer::start(&authenticator("discovery = true").replace(ISSUER, &issuer)).await;
            until(reason, async || signer.ready().await.body.contains(reason)).await;
            assert_eq!(signer.subject(&key.bearer(&issuer, "tom")).await, Err(503));
            assert_eq!(provider.count(SET), 0);
        });
    }
}

#[tokio::test]
async fn each_issuer_answers_for_its_own_tokens() {
    let (one, other) = (Server::start().await, Server::start().await);
    let keys = [Key::new("same"), Key::new("same")];
    one.set(SET, Reply::json(set(&[&keys[0]])));
    other.set(SET, Reply::json(set(&[&keys[1]])));
    let first = authenticator(&format!("jwks = {{ url = \"{}\" }}", one.url(SET)));
    let second = authenticator(&format!("jwks = {{ url = \"{}\" }}\nsubject_prefix = \"partner-\"", other.url(SET)));
    let second = second.replace(ISSUER, OTHER).replace("app-users", "partner-users");
    let signer = Signer::start(&format!("{first}\n{second}")).await;
    assert_eq!(signer.subject(&keys[0].bearer(ISSUER, "tom")).await, Ok("tom".to_owned()));
    assert_eq!(signer.subject(&keys[1].bearer(OTHER, "tom")).await, Ok("partner-tom".to_owned()));
    assert_eq!(signer.subject(&keys[1].bearer(ISSUER, "tom")).await, Err(401));
    assert_eq!(signer.subject(&keys[0].bearer(OTHER, "tom")).await, Err(401));
    assert_eq!((one.count(SET), other.count(SET)), (1, 1));
}

/// As inside a Kubernetes cluster: an authority of its own, metadata for whom the cluster knows, and a token that changes.
#[tokio::test]
async fn a_private_authority_and_a_token_that_changes_are_enough() {
    let (authority, key) = (Authority::new(), Key::new("one"));
    let provider = Server::with(Some(authority.acceptor())).await;
    let issuer = provider.url("");
    provider.set(METADATA_AT_ROOT, Reply::json(json!({"issuer": issuer, "jwks_uri": provider.url("/openid/v1/jwks")})));
    provider.set("/openid/v1/jwks", Reply::json(set(&[&key])));
    let directory = directory();
    fs::write(directory.join("ca.crt"), authority.pem()).unwrap();
    fs::write(directory.join("token"), "first-fake-token\n").unwrap();
    let keys = "jwks = { discovery = true, ca = \"ca.crt\", bearer = { file = \"token\" } }";
    let authenticator = authenticator(keys).replace(ISSUER, &issuer);
    let signer = Signer::start_in(directory.clone(), &authenticator).await;
    assert_eq!(signer.subject(&key.bearer(&issuer, "system:serviceaccount:shop:orders")).await.unwrap().len(), 33);
    assert_eq!(provider.seen(METADATA_AT_ROOT)[0].header("authorization"), Some("Bearer first-fake-token"));

    fs::write(directory.join("token"), "second-fake-token\n").unwrap();
    signer.pass(Duration::from_secs(301)).await;
    until("the refresh", async || provider.count("/openid/v1/jwks") == 2).await;
    for seen in [&provider.seen(METADATA_AT_ROOT)[1], &provider.seen("/openid/v1/jwks")[1]] {
        assert_eq!(seen.header("authorization"), Some("Bearer second-fake-token"));
    }
    assert!(!signer.log().contains("fake-token"));
}

#[test]
fn a_server_with_another_certificate_is_not_asked() {
    let (authority, key) = (Authority::new(), Key::new("one"));
    for ca in ["", ", ca = \"other.crt\""] {
        alone(async {
            let issuer = Server::with(Some(authority.acceptor())).await;
            issuer.set(SET, Reply::json(set(&[&key])));
            let directory = directory();
            fs::write(directory.join("other.crt"), Authority::new().pem()).unwrap();
            let keys = format!("jwks = {{ url = \"{}\"{ca} }}", issuer.url(SET));
            let signer = Signer::start_in(directory, &authenticator(&keys)).await;
            until("no connection", async || signer.ready().await.body.contains("certificate")).await;
            assert_eq!(signer.subject(&key.bearer(ISSUER, "tom")).await, Err(503));
            assert_eq!(issuer.count(SET), 0);
        });
    }
}
