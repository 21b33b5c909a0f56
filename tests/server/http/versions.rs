//! HTTP/2 without TLS.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::common::{Server, token};

async fn connect(server: &Server) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(server.main).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn login(body: &str) -> Request<Full<Bytes>> {
    Request::post("http://localhost/v1/leancloud/login")
        .header("authorization", format!("Bearer {}", token("tom")))
        .header("content-type", "application/json")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

#[tokio::test]
async fn requests_run_side_by_side() {
    let server = Server::start();
    let mut sender = connect(&server).await;
    // With the first answer the client knows how many may be in progress at once; the others wait their turn.
    assert_eq!(sender.send_request(login("{}")).await.unwrap().status(), StatusCode::OK);
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move { sender.send_request(login("{}")).await.unwrap() })
        })
        .collect();
    for answer in asked {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(b"{\"signature\":"));
    }
}

#[tokio::test]
async fn limits_hold_and_the_connection_goes_on() {
    let server = Server::start();
    let mut sender = connect(&server).await;
    let answer = sender.send_request(login(&" ".repeat(200_000))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let mut long = login("{}");
    long.headers_mut().insert("x-long", "a".repeat(40_000).parse().unwrap());
    let answer = sender.send_request(long).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(sender.send_request(login("{}")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn the_host_is_the_authority() {
    let server = Server::start();
    let mut sender = connect(&server).await;
    for (host, status) in [("example.com", 400), ("", 400), ("localhost", 200), ("LocalHost", 200)] {
        let mut request = login("{}");
        request.headers_mut().insert("host", host.parse().unwrap());
        assert_eq!(sender.send_request(request).await.unwrap().status(), status, "{host}");
    }
}

#[tokio::test]
async fn the_authority_has_no_user_name_and_the_scheme_is_http_or_https() {
    let server = Server::start();
    let mut sender = connect(&server).await;
    for (target, status) in [
        ("http://localhost", 200),
        ("https://localhost", 200),
        ("http://tom@localhost", 400),
        ("http://tom:word@localhost", 400),
        ("ftp://localhost", 400),
        ("ws://localhost", 400),
    ] {
        let mut request = login("{}");
        *request.uri_mut() = format!("{target}/v1/leancloud/login").parse().unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), status, "{target}");
    }
}
