//! Sessions and opaque tokens, whose owners other servers know.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use chat_signer::clock;
use chat_signer::crypto::{hex, md5};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::server::{Reply, Server};
use crate::signer::{Key, Signer, all, alone, directory, set, until};

const ME: &str = "/me?full=1";
const SECOND: Duration = Duration::from_secs(1);

fn session(backend: &Server, more: &str) -> String {
    format!(
        "[[authenticators]]\nname = \"session\"\ntype = \"introspection\"\ncaller = \"user\"\nurl = \"{}\"\n\
         forward = {{ cookies = [\"sid\", \"sid.sig\"], headers = [\"x-tenant\"] }}\nsubject = \"/user/id\"\n{more}\n",
        backend.url(ME)
    )
}

fn is_tom() -> Reply {
    Reply::json(json!({"user": {"id": "tom"}}))
}

#[allow(clippy::unnecessary_wraps)]
fn tom() -> Result<String, u16> {
    Ok("tom".to_owned())
}

#[tokio::test]
async fn the_backend_is_sent_what_is_configured_and_nothing_else() {
    let backend = Server::start().await;
    backend.set(ME, is_tom());
    let signer = Signer::start(&session(&backend, "")).await;
    let headers = "cookie: theme=dark; sid=fake-session-1; ssid=x\r\ncookie: sid.sig=fake-signature\r\nx-tenant: acme\r\n\
                   x-other: 1\r\naccept-language: en\r\n";
    assert_eq!(signer.subject(headers).await, tom());
    let seen = &backend.seen(ME)[..];
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].method.as_str(), seen[0].body.as_str()), ("GET", ""));
    let mut sent = seen[0].headers.clone();
    sent.sort();
    let host = backend.address.to_string();
    let expected = [
        ("accept", "application/json"),
        ("cookie", "sid=fake-session-1; sid.sig=fake-signature"),
        ("host", &host),
        ("user-agent", "chat-signer"),
        ("x-tenant", "acme"),
    ];
    assert_eq!(sent, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(signer.audit().contains("\"authenticator\":\"session\""), "{}", signer.audit());
    assert!(!(signer.audit() + &signer.log()).contains("fake-s"));
}

#[tokio::test]
async fn an_answer_is_kept_for_the_configured_time_and_for_that_credential_alone() {
    let backend = Server::start().await;
    backend.set(ME, is_tom());
    let signer = Signer::start(&session(&backend, "cache = \"10s\"")).await;
    let headers = "cookie: sid=1\r\nx-tenant: acme\r\n";
    for _ in 0..3 {
        assert_eq!(signer.subject(headers).await, tom());
    }
    assert_eq!(backend.count(ME), 1);

    // All that is passed on counts, and only that.
    backend.set(ME, Reply::json(json!({"user": {"id": "ann"}})));
    for other in ["cookie: sid=2\r\nx-tenant: acme\r\n", "cookie: sid=1\r\nx-tenant: shop\r\n", "cookie: sid=1\r\n"] {
        assert_eq!(signer.subject(other).await, Ok("ann".to_owned()), "{other}");
    }
    assert_eq!(backend.count(ME), 4);
    assert_eq!(signer.subject(&format!("x-other: 1\r\n{headers}")).await, tom());
    assert_eq!(backend.count(ME), 4);

    signer.pass(9 * SECOND).await;
    assert_eq!(signer.subject(headers).await, tom());
    signer.pass(SECOND).await;
    assert_eq!(signer.subject(headers).await, Ok("ann".to_owned()));
    assert_eq!(backend.count(ME), 5);
}

#[tokio::test]
async fn long_answers_are_not_remembered_without_end() {
    let backend = Server::start().await;
    backend.set(ME, Reply::json(json!({"user": {"id": "tom"}, "tags": vec!["x"; 12_000]})));
    let signer = Signer::start(&session(&backend, "")).await;
    let of = |number: usize| format!("cookie: sid=1\r\nx-tenant: {number}\r\n");
    for number in 0..100 {
        assert_eq!(signer.subject(&of(number)).await, tom());
    }
    assert_eq!(signer.subject(&of(99)).await, tom());
    assert_eq!(backend.count(ME), 100, "the newest is still remembered");
    for number in 0..100 {
        assert_eq!(signer.subject(&of(number)).await, tom());
    }
    assert!(backend.count(ME) > 100, "not all are remembered");
}

#[tokio::test]
async fn requests_at_once_with_one_session_ask_once() {
    let (backend, go) = (Server::start().await, Arc::new(Semaphore::new(0)));
    backend.set(ME, Reply::Held(Arc::clone(&go), Box::new(is_tom())));
    let signer = Signer::start(&session(&backend, "")).await;
    let release = async {
        until("the question", async || backend.count(ME) > 0).await;
        // Time enough for the others to ask, too, if they did.
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
        go.add_permits(100);
    };
    let (answers, ()) = tokio::join!(all((0..50).map(|_| signer.subject("cookie: sid=1\r\n"))), release);
    assert!(answers.len() == 50 && answers.iter().all(|answer| *answer == tom()), "{answers:?}");
    assert_eq!(backend.count(ME), 1);
}

#[tokio::test]
async fn a_backend_that_hangs_does_not_take_every_place() {
    let (backend, go) = (Server::start().await, Arc::new(Semaphore::new(0)));
    backend.set(ME, Reply::Held(Arc::clone(&go), Box::new(is_tom())));
    let signer = Signer::start(&session(&backend, "")).await;
    let of = |number: usize| format!("cookie: sid={number}\r\n");
    let flood = all((0..300).map(async |number| signer.subject(&of(number)).await));
    let release = async {
        until("the questions", async || backend.count(ME) >= 256).await;
        // Time enough for more of them to be asked, if they were.
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
        go.add_permits(300);
    };
    let (answers, ()) = tokio::join!(flood, release);
    let refused = answers.iter().filter(|answer| **answer == Err(503)).count();
    assert_eq!((refused, backend.count(ME)), (300 - 256, 256));
    assert_eq!(signer.subject(&of(1000)).await, tom(), "there is room again");
}

#[tokio::test]
async fn those_who_wait_for_one_answer_do_not_take_every_place() {
    let (backend, go) = (Server::start().await, Arc::new(Semaphore::new(0)));
    backend.set(ME, Reply::Held(Arc::clone(&go), Box::new(is_tom())));
    let signer = Signer::start(&session(&backend, "")).await;
    let refused = Cell::new(0);
    let flood = all((0..300).map(async |_| match signer.subject("cookie: sid=1\r\n").await {
        Err(503) => refused.set(refused.get() + 1),
        answer => assert_eq!(answer, tom()),
    }));
    let release = async {
        until("the refusals", async || refused.get() == 300 - 256).await;
        go.add_permits(300);
    };
    tokio::join!(flood, release);
    assert_eq!((refused.get(), backend.count(ME)), (300 - 256, 1));
    assert_eq!(signer.subject("cookie: sid=1\r\n").await, tom());
}

#[test]
fn who_is_not_known_is_refused_for_a_moment() {
    for reply in [
        Reply::status("401 Unauthorized"),
        Reply::status("403 Forbidden"),
        Reply::json("null"),
        Reply::json("{}"),
        Reply::json(json!({"user": null})),
        Reply::json(json!({"user": {"id": null}})),
        Reply::json(json!({"user": {"id": ""}})),
        Reply::json(json!({"user": {"id": "tom"}, "active": false})),
        Reply::json(json!({"user": {"id": "*"}})),
        Reply::json(json!({"user": {"id": " tom"}})),
        Reply::json(json!({"user": {"id": "t\nm"}})),
        Reply::json(json!({"user": {"id": "t".repeat(256)}})),
    ] {
        alone(fails(reply, (401, "unauthenticated"), 5));
    }
}

#[test]
fn what_can_not_be_relied_on_is_no_answer() {
    for reply in [
        Reply::status("500 Internal Server Error"),
        Reply::status("404 Not Found"),
        Reply::status("400 Bad Request"),
        Reply::status("204 No Content"),
        Reply::status("302 Found").with("location: /login"),
        Reply::json("<!doctype html><title>Sign in</title>"),
        Reply::json(""),
        Reply::json("[\"tom\"]"),
        Reply::json("{\"user\": {\"id\": \"tom\"}"),
        Reply::json("{\"user\": {\"id\": \"tom\", \"id\": \"ann\"}}"),
        Reply::json(json!({"user": {"id": ["tom"]}})),
        Reply::json(json!({"user": {"id": true}})),
        Reply::json(json!({"user": {"id": 1.5}})),
        Reply::json("{\"user\": {\"id\": 36893488147419103232}}"),
        Reply::json(json!({"user": {"id": "tom"}, "roles": 1})),
        Reply::Cut,
        Reply::Flood,
        Reply::Silence,
    ] {
        alone(fails(reply, (503, "unavailable"), 1));
    }
}

/// This answer makes nobody a caller, and is remembered for that many seconds.
async fn fails(reply: Reply, expected: (u16, &'static str), seconds: u64) {
    const HEADERS: &str = "cookie: sid=fake-session\r\n";
    let backend = Server::start().await;
    backend.set(ME, reply.clone());
    let signer = Signer::start(&session(&backend, "roles = \"roles\"\nmax_role = \"moderator\"")).await;
    let time = async {
        if matches!(reply, Reply::Silence) {
            until("the question", async || backend.count(ME) == 1).await;
            signer.pass(6 * SECOND).await;
        }
    };
    let (answer, ()) = tokio::join!(signer.login(HEADERS), time);
    assert_eq!((answer.status, answer.code().as_str()), expected, "{reply:?}");
    assert!(signer.audit().contains("\"refused\"") && signer.audit().contains("\"session\""), "{}", signer.audit());
    assert!(!(signer.audit() + &answer.body + &signer.log()).contains("fake-session"));

    backend.set(ME, is_tom());
    signer.pass(Duration::from_millis(seconds * 1000 - 100)).await;
    assert_eq!(signer.subject(HEADERS).await, Err(expected.0), "{reply:?}");
    assert_eq!(backend.count(ME), 1, "{reply:?}");
    signer.pass(SECOND).await;
    assert_eq!(signer.subject(HEADERS).await, tom(), "{reply:?}");
}

#[tokio::test]
async fn nobody_is_let_in_while_the_backend_is_down() {
    let mut backend = Server::start().await;
    backend.set(ME, is_tom());
    let signer = Signer::start(&session(&backend, "")).await;
    assert_eq!(signer.subject("cookie: sid=1\r\n").await, tom());
    backend.down().await;
    assert_eq!(signer.subject("cookie: sid=1\r\n").await, tom());
    assert_eq!(signer.subject("cookie: sid=2\r\n").await, Err(503));
    signer.pass(31 * SECOND).await;
    assert_eq!(signer.subject("cookie: sid=1\r\n").await, Err(503));
    assert!(signer.log().contains("WARN chat_signer::upstream::sessions: session: "));
    backend.up().await;
    signer.pass(SECOND).await;
    assert_eq!(signer.subject("cookie: sid=1\r\n").await, tom());
}

#[tokio::test]
async fn ids_may_be_numbers_and_roles_come_along() {
    let backend = Server::start().await;
    let user = |roles: Value, chat: Value| Reply::json(json!({"user": {"id": 42}, "roles": roles, "chat": chat}));
    let more =
        "subject_prefix = \"u-\"\nroles = \"roles\"\nbindings = \"/chat\"\nmax_role = \"moderator\"\ncache = \"0s\"";
    let signer = Signer::start(&session(&backend, more)).await;
    let kick = async || {
        let body = r#"{"conv_id": "helpdesk", "members": ["x"]}"#;
        signer.post("/v1/leancloud/kick", "cookie: sid=1\r\n", body).await.status
    };
    for (roles, chat, status) in [
        (json!([]), json!({}), 403),
        (json!("member moderator"), json!({}), 200),
        (json!(["owner"]), json!({}), 403),
        (json!(null), json!(null), 403),
        (json!(7), json!({}), 503),
        (json!([]), json!({"helpdesk": "moderator"}), 200),
        (json!([]), json!({"elsewhere": "moderator"}), 403),
    ] {
        backend.set(ME, user(roles.clone(), chat.clone()));
        assert_eq!(kick().await, status, "{roles} {chat}");
        signer.pass(2 * SECOND).await;
    }
    backend.set(ME, user(json!([]), json!({})));
    assert_eq!(signer.subject("cookie: sid=1\r\n").await, Ok("u-42".to_owned()));
}

#[tokio::test]
async fn an_explicit_credential_comes_before_a_cookie() {
    let (backend, issuer, key) = (Server::start().await, Server::start().await, Key::new("one"));
    backend.set(ME, is_tom());
    issuer.set("/jwks.json", Reply::json(set(&[&key])));
    let signer = Signer::start(&format!("{}\n{}", session(&backend, ""), jwt(&issuer))).await;
    let bearer = key.bearer(ISSUER, "ann");
    assert_eq!(signer.subject(&format!("cookie: sid=1\r\nx-tenant: acme\r\n{bearer}")).await, Ok("p-ann".to_owned()));
    assert_eq!(signer.subject("cookie: sid=1\r\nauthorization: Bearer x.y.z\r\n").await, Err(401));
    assert_eq!(signer.subject("cookie: other=1\r\nx-tenant: acme\r\n").await, Err(401));
    assert_eq!(backend.count(ME), 0);
}

#[tokio::test]
async fn a_cookie_does_not_count_for_another_sites_page() {
    let backend = Server::start().await;
    backend.set(ME, is_tom());
    let signer = Signer::start(&session(&backend, "")).await;
    for page in
        ["origin: https://evil.example.com\r\n", "sec-fetch-site: cross-site\r\n", "sec-fetch-site: same-site\r\n"]
    {
        assert_eq!(signer.subject(&format!("{page}cookie: sid=1\r\n")).await, Err(403), "{page}");
    }
    assert_eq!(backend.count(ME), 0);
    assert_eq!(signer.subject("sec-fetch-site: same-origin\r\ncookie: sid=1\r\n").await, tom());
}

#[tokio::test]
async fn a_cookie_counts_for_a_listed_page() {
    let backend = Server::start().await;
    backend.set(ME, is_tom());
    let cors = "[server.cors]\norigins = [\"https://app.example.com\"]\ncredentials = true\n";
    let signer = Signer::start(&format!("{}\n{cors}", session(&backend, ""))).await;
    let (ours, evil) = ("https://app.example.com", "https://evil.example.com");
    for path in ["/v1/talkjs/token", "/v1/leancloud/login", "/sign2", "/1.1/functions/signLogin"] {
        let ask = |origin: &str, cookie: &'static str| {
            let page = format!("origin: {origin}\r\nsec-fetch-site: cross-site\r\ncookie: {cookie}\r\n");
            let signer = &signer;
            async move { signer.post(path, &page, "{}").await }
        };
        let answer = ask(ours, "sid=1").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        for line in
            [format!("access-control-allow-origin: {ours}"), "access-control-allow-credentials: true".to_owned()]
        {
            assert!(answer.head.contains(&line), "{path}: {answer:?}");
        }
        let answer = ask(evil, "sid=1").await;
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        assert!(!answer.head.contains("access-control-allow-origin") && !answer.body.contains("signature"));
        assert_eq!(ask(ours, "sid2=1").await.status, 401, "{path}");
    }
    assert_eq!(backend.count(ME), 1);
}

#[test]
fn an_app_that_is_not_served_is_no_reason_to_ask() {
    for is_header in [true, false] {
        alone(async {
            let backend = Server::start().await;
            backend.set(ME, is_tom());
            let mut authenticator = session(&backend, "apps = [\"leancloud\"]");
            if is_header {
                authenticator = authenticator.replace("cookies = [\"sid\", \"sid.sig\"], ", "");
            }
            let signer = Signer::start(&authenticator).await;
            assert_eq!(signer.subject("x-tenant: 1\r\ncookie: sid=1\r\n").await, Err(401));
            assert_eq!(backend.count(ME), 0);
        });
    }
}

#[tokio::test]
async fn headers_alone_are_an_explicit_credential() {
    let backend = Server::start().await;
    backend.set(ME, is_tom());
    let authenticator = session(&backend, "").replace("cookies = [\"sid\", \"sid.sig\"], ", "");
    let signer = Signer::start(&authenticator.replace("[\"x-tenant\"]", "[\"authorization\", \"x-tenant\"]")).await;
    let page = "origin: https://evil.example.com\r\n";
    assert_eq!(signer.subject(&format!("{page}authorization: Bearer fake\r\nx-tenant: acme\r\n")).await, tom());
    let seen = &backend.seen(ME)[0];
    assert_eq!(seen.header("authorization"), Some("Bearer fake"));
    assert_eq!((seen.header("x-tenant"), seen.header("origin")), (Some("acme"), None));
    assert_eq!(signer.subject("authorization: Basic dG9tOng=\r\n").await, Err(401));
    assert_eq!(signer.subject("authorization: Bearer\r\n").await, Err(401));
    assert_eq!(backend.count(ME), 1);
}

const ISSUER: &str = "https://id.example.com/";

fn jwt(issuer: &Server) -> String {
    format!(
        "[[authenticators]]\nname = \"app-users\"\ntype = \"jwt\"\ncaller = \"user\"\nissuer = \"{ISSUER}\"\naudience = [\"chat\"]\n\
         algorithms = [\"EdDSA\"]\nsubject_prefix = \"p-\"\njwks = {{ url = \"{}\" }}\n",
        issuer.url("/jwks.json")
    )
}

const INTROSPECT: &str = "/introspect";

fn opaque(server: &Server, more: &str) -> String {
    format!(
        "[[authenticators]]\nname = \"opaque\"\ntype = \"introspection\"\npreset = \"rfc7662\"\ncaller = \"user\"\nurl = \"{}\"\n\
         client_id = \"chat signer\"\nclient_secret = {{ file = \"client.secret\" }}\n{more}\n",
        server.url(INTROSPECT)
    )
}

async fn with_client_secret(authenticators: &str) -> Signer {
    let directory = directory();
    std::fs::write(directory.join("client.secret"), "fake:client+secret").unwrap();
    Signer::start_in(directory, authenticators).await
}

#[tokio::test]
async fn tokens_are_introspected_as_rfc_7662_has_it() {
    let (server, issuer, key) = (Server::start().await, Server::start().await, Key::new("one"));
    issuer.set("/jwks.json", Reply::json(set(&[&key])));
    server.set(INTROSPECT, Reply::json(json!({"active": true, "sub": "tom"})));
    let signer = with_client_secret(&format!("{}\n{}", opaque(&server, ""), jwt(&issuer))).await;
    assert_eq!(signer.subject("authorization: Bearer fake/token+1&x=2\r\ncookie: sid=1\r\n").await, tom());
    let seen = &server.seen(INTROSPECT)[0];
    assert_eq!(seen.method, "POST");
    assert_eq!(seen.body, "token=fake%2Ftoken%2B1%26x%3D2&token_type_hint=access_token");
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert_eq!(seen.header("cookie"), None);
    // Base64 of `chat%20signer:fake%3Aclient%2Bsecret`.
    assert_eq!(seen.header("authorization"), Some("Basic Y2hhdCUyMHNpZ25lcjpmYWtlJTNBY2xpZW50JTJCc2VjcmV0"));

    // A token of an issuer that is known here is verified here, good or bad.
    assert_eq!(signer.subject(&key.bearer(ISSUER, "ann")).await, Ok("p-ann".to_owned()));
    assert_eq!(signer.subject(&Key::new("one").bearer(ISSUER, "ann")).await, Err(401));
    assert_eq!(server.count(INTROSPECT), 1);
    assert_eq!(signer.subject(&key.bearer("https://other.example.com/", "ann")).await, tom());
    assert_eq!(server.count(INTROSPECT), 2);
    for bad in ["authorization: Bearer \r\n", "authorization: Basic dG9tOng=\r\n", "authorization: fake\r\n"] {
        assert_eq!(signer.subject(bad).await, Err(401), "{bad}");
    }
    assert_eq!(server.count(INTROSPECT), 2);
}

#[test]
fn an_introspected_token_must_be_active_and_for_this_audience() {
    for (answer, expected) in [
        (json!({"active": true, "sub": "tom", "aud": "chat", "exp": 4_000_000_000_u64}), tom()),
        (json!({"active": true, "sub": "tom", "aud": ["shop", "chat"], "scope": "x"}), tom()),
        (json!({"active": false}), Err(401)),
        (json!({"active": true, "aud": "chat"}), Err(401)),
        (json!({"active": true, "sub": "tom", "aud": "shop"}), Err(401)),
        (json!({"active": true, "sub": "tom"}), Err(401)),
        (json!({"active": true, "sub": "tom", "aud": "chat", "exp": 1_000_000_000}), Err(401)),
        (json!({"active": true, "sub": "tom", "aud": "chat", "exp": "soon"}), Err(503)),
        (json!({"active": "true", "sub": "tom", "aud": "chat"}), Err(503)),
        (json!({"sub": "tom", "aud": "chat"}), Err(503)),
    ] {
        alone(async {
            let server = Server::start().await;
            server.set(INTROSPECT, Reply::json(&answer));
            let signer = with_client_secret(&opaque(&server, "audience = [\"chat\"]")).await;
            assert_eq!(signer.subject("authorization: Bearer fake\r\n").await, expected, "{answer}");
        });
    }
}

#[test]
fn an_introspected_token_must_be_for_access_and_for_anyone() {
    let thumbprint = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let now = clock::now().0 / 1000;
    for (members, further, expected) in [
        (json!({"token_use": "refresh_token"}), "", Err(401)),
        (json!({"token_type": "refresh_token"}), "", Err(401)),
        (json!({"typ": "Offline"}), "", Err(401)),
        (json!({"token_use": "access_token", "token_type": "Bearer"}), "", tom()),
        (json!({"cnf": {"x5t#S256": thumbprint}}), "", Err(401)),
        (json!({"cnf": {"jkt": thumbprint}, "token_type": "DPoP"}), "", Err(401)),
        (json!({"token_type": "DPoP"}), "", Err(401)),
        (json!({"cnf": {"jkt": thumbprint}}), "accept_bound_tokens = true", tom()),
        (json!({"cnf": null, "exp": null, "nbf": null, "iat": null}), "", tom()),
        (json!({"exp": (now + 600) * 1000}), "", Err(503)),
        (json!({"iat": now * 1000}), "", Err(503)),
        (json!({"nbf": now + 600}), "", Err(401)),
        (json!({"iat": now - 600}), "", tom()),
        (json!({"iat": now - 600}), "max_token_age = \"5m\"", Err(401)),
        (json!({"iat": now - 60}), "max_token_age = \"5m\"", tom()),
        (json!({}), "max_token_age = \"5m\"", Err(401)),
        (json!({"sub": null, "email": "tom", "email_verified": false}), "subject = \"email\"", Err(401)),
        (json!({"sub": null, "email": "tom", "email_verified": true}), "subject = \"email\"", tom()),
    ] {
        alone(async {
            let server = Server::start().await;
            let mut answer = json!({"active": true, "sub": "tom"});
            answer.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            server.set(INTROSPECT, Reply::json(&answer));
            let signer = with_client_secret(&opaque(&server, further)).await;
            for _ in 0..2 {
                assert_eq!(signer.subject("authorization: Bearer fake\r\n").await, expected, "{answer}");
            }
        });
    }
}

#[tokio::test]
async fn an_introspected_token_is_forgotten_when_it_becomes_too_old() {
    let server = Server::start().await;
    let issued = clock::now().0 / 1000;
    server.set(INTROSPECT, Reply::json(json!({"active": true, "sub": "tom", "iat": issued})));
    let signer = with_client_secret(&opaque(&server, "cache = \"1h\"\nmax_token_age = \"15m\"")).await;
    assert_eq!(signer.subject("authorization: Bearer fake\r\n").await, tom());
    signer.pass(800 * SECOND).await;
    assert_eq!(signer.subject("authorization: Bearer fake\r\n").await, tom());
    assert_eq!(server.count(INTROSPECT), 1);
    // The leeway of 30 seconds is over, too.
    signer.pass(200 * SECOND).await;
    server.set(INTROSPECT, Reply::json(json!({"active": false})));
    assert_eq!(signer.subject("authorization: Bearer fake\r\n").await, Err(401));
    assert_eq!(server.count(INTROSPECT), 2);
}

#[tokio::test]
async fn a_server_that_may_not_know_this_program_is_told_of_in_the_log() {
    let server = Server::start().await;
    server.set(INTROSPECT, Reply::status("401 Unauthorized"));
    let signer = with_client_secret(&opaque(&server, "")).await;
    assert_eq!(signer.subject("authorization: Bearer fake\r\n").await, Err(401));
    assert!(signer.audit().contains("perhaps it does not know this program"), "{}", signer.audit());
}

#[tokio::test]
async fn an_introspected_token_is_forgotten_when_it_expires() {
    let server = Server::start().await;
    let expiry = clock::now().0 / 1000 + 1000;
    server.set(INTROSPECT, Reply::json(json!({"active": true, "sub": "tom", "exp": expiry})));
    let signer = with_client_secret(&opaque(&server, "cache = \"1h\"")).await;
    assert_eq!(signer.subject("authorization: Bearer fake\r\n").await, tom());
    signer.pass(900 * SECOND).await;
    assert_eq!(signer.subject("authorization: Bearer fake\r\n").await, tom());
    assert_eq!(server.count(INTROSPECT), 1);
    signer.pass(101 * SECOND).await;
    server.set(INTROSPECT, Reply::json(json!({"active": false})));
    assert_eq!(signer.subject("authorization: Bearer fake\r\n").await, Err(401));
}

#[tokio::test]
async fn authenticators_that_take_the_same_header_are_chosen_by_app() {
    let (one, other) = (Server::start().await, Server::start().await);
    one.set(ME, Reply::json(json!({"user": {"id": "one"}})));
    other.set(ME, Reply::json(json!({"user": {"id": "other"}})));
    let headers = |text: String| text.replace("cookies = [\"sid\", \"sid.sig\"], ", "");
    let first = headers(session(&one, "apps = [\"leancloud\"]"));
    let second = headers(session(&other, "")).replace("\"session\"", "\"session-too\"");
    let signer = Signer::start(&format!("{first}\n{second}")).await;
    assert_eq!(signer.subject("x-tenant: acme\r\n").await, Ok("other".to_owned()));
    assert_eq!((one.count(ME), other.count(ME)), (0, 1));
}

const USERS_ME: &str = "/1.1/users/me";

fn leancloud(server: &Server, more: &str) -> String {
    format!(
        "[[authenticators]]\nname = \"leancloud-users\"\ntype = \"leancloud-session\"\ncaller = \"user\"\napp = \"leancloud\"\n\
         url = \"{}\"\napp_key = {{ file = \"client.secret\" }}\n{more}\n",
        server.url("/")
    )
}

#[tokio::test]
async fn leancloud_tells_whose_a_session_is() {
    let server = Server::start().await;
    let user = json!({"objectId": "65847593aa", "username": "tom", "sessionToken": "fake-session", "roles": ["owner"]});
    server.set(USERS_ME, Reply::json(user));
    let signer = with_client_secret(&leancloud(&server, "")).await;
    for _ in 0..2 {
        let headers = "x-lc-session: fake-session\r\nx-lc-id: other\r\nx-lc-key: other\r\ncookie: sid=1\r\n";
        assert_eq!(signer.subject(headers).await, Ok("65847593aa".to_owned()));
    }
    let seen = &server.seen(USERS_ME)[..];
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].method.as_str(), seen[0].body.as_str()), ("GET", ""));
    for (name, value) in [
        ("x-lc-id", Some("fake-leancloud-app")),
        ("x-lc-key", Some("fake:client+secret")),
        ("x-lc-session", Some("fake-session")),
        ("x-lc-sign", None),
        ("cookie", None),
    ] {
        assert_eq!(seen[0].header(name), value, "{name}");
    }
    assert!(!(signer.audit() + &signer.log()).contains("fake-session"));
    assert_eq!(signer.subject("x-lc-session: \r\n").await, Err(401));
    assert_eq!(signer.subject("x-lc-session: a\r\nx-lc-session: b\r\n").await, Err(401));
    assert_eq!(signer.subject("x-lc-session: a\r\nauthorization: Bearer b\r\n").await, Err(401));
    assert_eq!(server.count(USERS_ME), 1);
}

/// As `AV.Cloud.run` does it.
#[tokio::test]
async fn a_cloud_function_is_called_by_who_is_logged_in() {
    let server = Server::start().await;
    server.set(USERS_ME, Reply::json(json!({"objectId": "65847593aa"})));
    let signer = with_client_secret(&leancloud(&server, "")).await;
    let call = async |headers: &str, body: &str| signer.post("/1.1/functions/signLogin", headers, body).await;
    let keys = "x-lc-id: other\r\nx-lc-sign: 0123,1700000000000\r\nx-lc-prod: 1\r\n";
    let session = format!("{keys}x-lc-session: fake-session\r\n");
    let answer = call(&session, "{\"clientId\":\"65847593aa\"}").await;
    assert!(answer.json()["result"]["msg"].as_str().unwrap().starts_with("fake-leancloud-app:65847593aa::"));
    let answer = call(&session, "{\"clientId\":\"another\"}").await;
    assert_eq!((answer.status, answer.json()["code"].as_u64()), (403, Some(403)));
    let answer = call(keys, "{}").await;
    assert_eq!((answer.status, answer.json()["code"].as_u64()), (401, Some(401)));
    assert_eq!(server.count(USERS_ME), 1);
}

#[tokio::test]
async fn the_app_key_need_not_be_sent() {
    let server = Server::start().await;
    server.set(USERS_ME, Reply::json(json!({"objectId": "65847593aa"})));
    let signer = with_client_secret(&leancloud(&server, "sign = true")).await;
    let before = clock::now().0;
    assert_eq!(signer.subject("x-lc-session: fake-session\r\n").await, Ok("65847593aa".to_owned()));
    let seen = &server.seen(USERS_ME)[0];
    assert_eq!(seen.header("x-lc-key"), None);
    let (hash, time) = seen.header("x-lc-sign").unwrap().split_once(',').unwrap();
    assert!((before..=clock::now().0).contains(&time.parse().unwrap()));
    let expected = md5(&[time.as_bytes(), b"fake:client+secret"]);
    assert_eq!(hash, hex(&expected));
}

#[test]
fn leancloud_refuses_with_a_code() {
    let not_found = r#"{"code":211,"error":"Could not find user."}"#;
    let unauthorized = r#"{"code":401,"error":"Unauthorized."}"#;
    let text = |status, body: &str| Reply::Text(status, String::new(), body.to_owned());
    for (reply, status) in [
        (text("400 Bad Request", not_found), 401),
        (text("400 Bad Request", r#"{"code":1,"error":"…"}"#), 503),
        (text("400 Bad Request", "211"), 503),
        // It is this program whose key is wrong then.
        (text("401 Unauthorized", unauthorized), 503),
        (text("200 OK", r#"{"username":"tom"}"#), 401),
        (text("200 OK", r#"{"objectId":""}"#), 401),
        (text("200 OK", "{}"), 401),
        (Reply::status("502 Bad Gateway"), 503),
    ] {
        alone(async {
            let server = Server::start().await;
            server.set(USERS_ME, reply.clone());
            let signer = with_client_secret(&leancloud(&server, "")).await;
            assert_eq!(signer.subject("x-lc-session: fake\r\n").await, Err(status), "{reply:?}");
        });
    }
}

#[tokio::test]
async fn listed_pages_may_send_the_headers_that_tell_who_their_users_are() {
    let server = Server::start().await;
    let headers =
        session(&server, "subject_prefix = \"s-\"").replace("[\"x-tenant\"]", "[\"x-tenant\", \"x-session\"]");
    let service = session(&server, "").replace("\"session\"", "\"jobs\"").replace("x-tenant", "x-job");
    let service = service.replace("\"user\"", "\"service\"");
    let cors = "[server.cors]\norigins = [\"https://app.example.com\"]";
    let signer = with_client_secret(&format!("{cors}\n{}\n{headers}\n{service}", leancloud(&server, ""))).await;
    let preflight = "OPTIONS /v1/talkjs/token HTTP/1.1\r\nhost: localhost\r\norigin: https://app.example.com\r\n\
                     access-control-request-method: POST\r\nconnection: close\r\n\r\n";
    let answer = signer.exchange(preflight).await;
    let allowed = answer.head.lines().find_map(|line| line.strip_prefix("access-control-allow-headers: ")).unwrap();
    assert_eq!(
        allowed,
        "authorization,content-type,x-request-id,last-event-id,traceparent,tracestate,x-lc-id,x-lc-key,x-lc-prod,x-lc-sign,x-lc-ua,\
         baggage,sentry-trace,x-requested-with,x-lc-session,x-tenant,x-session"
    );
}
