//! Secrets, tokens and signatures where they don't belong.

use serde_json::{Value, json};

use crate::abuse::request::{bearer, bytes, form, get};
use crate::abuse::traced::Format;
use crate::common::Answer;
use crate::leak::world::{self, Who, ask, detector, post, secrets};

const JSON: &str = "content-type: application/json\r\n";

/// Requests with this in all sorts of headers.
fn in_headers(it: &str, tom: &str) -> Vec<Vec<u8>> {
    let names = "x-api-key cookie x-forwarded-user x-lc-session x-lc-key proxy-authorization x-own accept content-type \
                 origin referer user-agent if-none-match te expect content-encoding";
    let alone = names.split(' ').map(|name| format!("{name}: {it}\r\n"));
    let forms = [
        "authorization: Bearer {it}",
        "authorization: Basic {it}",
        "authorization: {it}",
        "authorization: Bearer {it} {it}",
    ];
    let credentials = forms.map(|form| form.replace("{it}", it) + "\r\n");
    let beside = alone.clone().map(|header| bearer(tom) + &header);
    let headers = alone.chain(beside).chain(credentials);
    headers.map(|headers| bytes("POST", "/v1/leancloud/login", &format!("{headers}{JSON}"), "{}")).collect()
}

/// Requests with this in all sorts of paths and queries.
fn in_addresses(it: &str, tom: &str) -> Vec<Vec<u8>> {
    let paths = [
        "/{it}",
        "/v1/{it}/login",
        "/v1/leancloud/{it}",
        "/v1/ably/{it}",
        "/livez?{it}",
        "/v1/leancloud/login?token={it}",
    ];
    let queries = "{it} {it}=1 {it}=1&{it}=2 access_token={it} token={it} ttl={it} capability={it} timestamp={it} nonce={it} \
                   keyName={it} capability={it}&capability={it} ttl={it}%zz {it}=%ff";
    let with_query = |app: &'static str| queries.split(' ').map(move |query| format!("/v1/{app}/token?{query}"));
    let paths = paths.map(str::to_owned).into_iter().chain(with_query("talkjs")).chain(with_query("ably"));
    let paths: Vec<String> = paths.map(|path| path.replace("{it}", it)).collect();
    let all = ["GET", "POST"].into_iter().flat_map(|method| paths.iter().map(move |path| (method, path)));
    let strange = bytes(&it.replace('.', "-"), "/v1/leancloud/login", &bearer(tom), "");
    all.map(|(method, path)| bytes(method, path, &bearer(tom), "")).chain([strange]).collect()
}

/// Requests with this in all sorts of bodies.
fn in_bodies(it: &str, tom: &str) -> Vec<Vec<u8>> {
    let raw =
        [it.to_owned(), format!("\"{it}\""), format!("{{{it}}}"), format!("{{\"{it}\""), format!("{{\"ttl\": {it}}}")];
    let json = [
        json!([it]),
        json!({"token": it}),
        json!({"password": it, "client_id": "tom"}),
        json!({"signature": it, "members": []}),
        json!({it: 1}),
        json!({"client_id": {it: it}}),
        json!({"members": it}),
        json!({"members": [[it]]}),
        json!({"ttl": it}),
        json!({"capability": it}),
        json!({"capability": [it]}),
        json!({"capability": {"a": it}}),
        json!({"capability": {"a": [it]}}),
        json!({"capability": {"a": [{it: it}]}}),
        json!({"capability": format!("{{\"a\": {it}")}),
        json!({"capability": json!({"a": [it]}).to_string()}),
        json!({"timestamp": it, "nonce": it, "keyName": it, "rnd": it, "capability": {}}),
    ];
    let twice = format!("{{\"{it}\": 1, \"{it}\": 2}}");
    let paths = ["/v1/leancloud/invite", "/v1/talkjs/token", "/v1/ably/token", "/v1/ably/token-request"];
    let bodies: Vec<String> = raw.into_iter().chain(json.iter().map(Value::to_string)).chain([twice]).collect();
    let posts = paths
        .into_iter()
        .flat_map(|path| bodies.iter().map(move |body| bytes("POST", path, &format!("{}{JSON}", bearer(tom)), body)));
    let forms = [it.to_owned(), format!("{it}={it}"), format!("ttl={it}&ttl={it}"), format!("capability={it}")];
    posts.chain(forms.iter().map(|body| form("/v1/ably/token", tom, body))).collect()
}

/// Requests with a token for an id, which it is too long for.
fn for_ids(token: &str) -> Vec<Vec<u8>> {
    let tom = Who::User("tom");
    let invite = |body: &Value| post(&tom, "/v1/leancloud/invite", body);
    vec![
        invite(&json!({"client_id": token, "conv_id": "den", "members": ["mary"]})),
        invite(&json!({"conv_id": token, "members": ["mary"]})),
        invite(&json!({"conv_id": "den", "members": ["mary", token]})),
        post(&tom, "/v1/talkjs/token", &json!({ "user_id": token })),
        post(&tom, "/v1/talkjs/signature", &json!({ "user_id": token })),
        post(&tom, "/v1/ably/token", &json!({ "client_id": token })),
        get(&format!("/v1/ably/token?clientId={token}"), &world::token("tom")),
    ]
}

/// What the server has given out, of each sort, for someone who asks for nothing else here.
fn given_out(mut ask: impl FnMut(&[u8]) -> Answer) -> Vec<String> {
    let zoe = Who::User("zoe");
    let signature =
        ask(&post(&zoe, "/v1/leancloud/login", &json!({}))).json()["signature"].as_str().unwrap().to_owned();
    let talkjs = ask(&post(&zoe, "/v1/talkjs/token", &json!({}))).json()["token"].as_str().unwrap().to_owned();
    let ably = ask(&post(&zoe, "/v1/ably/token", &json!({}))).body;
    vec![signature, talkjs, ably]
}

#[test]
fn what_is_misplaced_is_not_repeated() {
    let (server, mut detector) = (world::server(Format::Json), detector());
    let tom = world::token("tom");
    detector.forbid_token("a caller's token", &tom);
    let mut misplaced = given_out(|request| ask(&server, &mut detector, request));
    misplaced.push(world::token("alice"));
    detector.forbid_token("a caller's token", misplaced.last().unwrap());
    misplaced.extend(secrets().map(|(_, secret)| secret.to_owned()));
    let mut refused = 0;
    for it in &misplaced {
        for request in [in_headers(it, &tom), in_addresses(it, &tom), in_bodies(it, &tom)].concat() {
            let answer = ask(&server, &mut detector, &request);
            assert!(answer.status < 500 && !format!("{answer:?}").contains(it), "{answer:?}");
            refused += usize::from(answer.status != 200);
        }
    }
    assert!(refused > 1000, "most is refused: {refused}");
    server.finish(&detector);
}

#[test]
fn a_token_for_an_id_is_not_repeated() {
    let (server, mut detector) = (world::server(Format::Text), detector());
    let long = crate::abuse::token::hs256(
        world::CALLERS.as_bytes(),
        &crate::abuse::token::claims(world::ISSUER, "chat", "alice", &json!({"name": "Alice ".repeat(20)})),
    );
    assert!(long.len() > 255);
    detector.forbid_token("a caller's token", &long);
    for request in for_ids(&long) {
        let answer = ask(&server, &mut detector, &request);
        assert!([400, 403].contains(&answer.status), "{answer:?}");
    }
    server.finish(&detector);
}

#[test]
fn what_is_looked_at_is_what_is_said() {
    let server = world::server(Format::Json);
    let mut detector = detector();
    // An id is one, so it appears: were it a secret, the detector would find it in both logs.
    let odd = "Cormorant8Ledger2Isthmus";
    ask(&server, &mut detector, &post(&Who::User("tom"), "/v1/leancloud/login", &json!({ "client_id": odd })));
    let id = format!("x-request-id: {odd}\r\n");
    ask(&server, &mut detector, &bytes("POST", "/v1/leancloud/login", &id, ""));
    let (log, audit) = server.finish(&detector);
    let mut control = crate::abuse::detector::Detector::default();
    control.forbid("an id", odd);
    assert!(control.find(&log).is_some() && control.find(&audit).is_some(), "{log}{audit}");
}
