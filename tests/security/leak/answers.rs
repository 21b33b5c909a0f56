//! Every operation, allowed and denied.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::handshake;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::abuse::request::{bearer, bytes, get};
use crate::abuse::traced::Format;
use crate::leak::world::{self, Who, ask, detector, forbid_signed, post};

/// Every operation, for this client.
fn operations(client: &str) -> Vec<(&'static str, Value)> {
    let den = json!({"client_id": client, "conv_id": "den"});
    let members = json!({"client_id": client, "conv_id": "den", "members": ["mary", "ann"]});
    vec![
        ("leancloud/login", json!({ "client_id": client })),
        ("leancloud/create", json!({"client_id": client, "members": ["mary"]})),
        ("leancloud/join", den.clone()),
        ("leancloud/leave", den.clone()),
        ("leancloud/invite", members.clone()),
        ("leancloud/kick", members.clone()),
        ("leancloud/history", den.clone()),
        ("leancloud/block-clients", members.clone()),
        ("leancloud/unblock-clients", members),
        ("leancloud/block-conversation", den.clone()),
        ("leancloud/unblock-conversation", den),
        ("talkjs/token", json!({ "user_id": client })),
        ("talkjs/signature", json!({ "user_id": client })),
        ("talkjs/app-token", json!({})),
        ("ably/token", json!({"client_id": client, "capability": {"chat:den": ["*"], "[meta]log": ["subscribe"]}})),
        ("ably/token-request", json!({"client_id": client, "ttl": "2h"})),
    ]
}

#[test]
fn what_is_answered_is_nowhere_else() {
    for format in [Format::Text, Format::Json] {
        let (server, mut detector) = (world::server(format), detector());
        let (mut given, mut refused) = (0, 0);
        for who in [Who::User("tom"), Who::User("mallory"), Who::User("loud"), Who::Service] {
            for client in ["tom", "mallory", "loud", "*"] {
                for (path, body) in operations(client) {
                    let answer = ask(&server, &mut detector, &post(&who, &format!("/v1/{path}"), &body));
                    *if answer.status == 200 { &mut given } else { &mut refused } += 1;
                }
            }
        }
        assert!(given > 50 && refused > 100, "both happen: {given} and {refused}");
        let metrics = server.admin("/metrics", "").body;
        assert!(metrics.contains("chat_signer_decisions_total{"), "{metrics}");
        detector.assert_clean("the metrics", &metrics);
        let (log, audit) = server.finish(&detector);
        assert_eq!(audit.lines().filter(|line| line.contains(r#""decision":"allow""#)).count(), given);
        assert!(audit.contains(r#""decision":"deny""#) && log.contains("DEBUG"), "both logs were looked at: {log}");
    }
}

#[test]
fn every_form_of_asking_and_answering_is_covered() {
    let (server, mut detector) = (world::server(Format::Json), detector());
    let tom = world::token("tom");
    let plain = bearer(&tom) + "accept: text/plain\r\n";
    let form = bearer(&tom) + "content-type: application/x-www-form-urlencoded\r\n";
    for request in [
        get("/v1/talkjs/token?ttl=1800", &tom),
        bytes("GET", "/v1/talkjs/token", &plain, ""),
        get("/v1/ably/token?clientId=tom&rnd=1", &tom),
        get("/v1/ably/token-request?clientId=tom", &tom),
        bytes("POST", "/v1/ably/token", &form, "clientId=tom"),
        bytes("POST", "/v1/ably/token", &plain, ""),
    ] {
        let answer = ask(&server, &mut detector, &request);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    server.finish(&detector);
}

#[test]
fn the_admin_listener_gives_nothing_away() {
    let (server, mut detector) = (world::server(Format::Text), detector());
    ask(&server, &mut detector, &post(&Who::User("tom"), "/v1/leancloud/login", &json!({})));
    let tom = world::token("tom");
    let headers = format!("{}x-api-key: {}\r\n", bearer(&tom), world::KEY);
    detector.forbid_token("a caller's token", &tom);
    for path in ["/livez", "/readyz", "/readyz?verbose", "/startupz", "/metrics", "/debug", "/v1/leancloud/login", "/"]
    {
        for path in [path.to_owned(), format!("{path}?token={tom}"), format!("{path}/{}", world::KEY)] {
            detector.assert_clean(&path, &format!("{:?}", server.admin(&path, &headers)));
        }
    }
    server.finish(&detector);
}

#[tokio::test]
async fn a_connection_in_http2_is_not_quoted() {
    let (server, mut detector) = (world::server(Format::Text), detector());
    let tom = world::token("tom");
    detector.forbid_token("a caller's token", &tom);
    let stream = TokioIo::new(TcpStream::connect(server.0.main).await.unwrap());
    let (mut sender, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    for (header, value) in [("authorization", format!("Bearer {tom}")), ("x-api-key", world::KEY.to_owned())] {
        let request = Request::post("http://localhost/v1/talkjs/token").header(header, value);
        let request =
            request.header("content-type", "application/json").body(Full::new(Bytes::from("{\"user_id\": \"tom\"}")));
        let answer = sender.send_request(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        forbid_signed(&mut detector, std::str::from_utf8(&body).unwrap());
    }
    drop(sender);
    server.finish(&detector);
}
