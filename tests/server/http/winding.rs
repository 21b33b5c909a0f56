//! How the program winds up while it is in use: nobody who was let in goes without an answer.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::thread;

use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::common::{LONG, Server, Setup, post, token, until};

/// Bodies may take as long as a test does.
const PATIENT: &str = "request_timeout = \"5m\"";

fn patient() -> Server {
    Server::with(Setup::server(PATIENT))
}

fn login() -> String {
    post("/v1/leancloud/login", "tom", "{}")
}

#[test]
fn while_it_pauses_it_serves_and_has_clients_turn_away() {
    let mut server = patient();
    server.change("drain_delay = \"0s\"", "drain_delay = \"5m\"");
    let (mut busy, mut idle) = (server.connect(), server.connect());
    assert_eq!(busy.ask(&login()).header("connection"), None);
    let mut begun = server.in_progress();
    server.signal("-TERM");
    until("it is not ready", || !server.is_ready());
    assert_eq!(server.admin("/livez").status, 200);
    for connection in [&mut busy, &mut idle, &mut server.connect()] {
        let answer = connection.ask(&login());
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert_eq!(connection.rest(), "");
    }
    let answer = begun.ask("{}");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(1), "a second signal ends the pause, too");
}

#[test]
fn two_hundred_in_flight_under_load_are_all_answered() {
    let mut server = patient();
    server.change("drain_delay = \"0s\"", "drain_delay = \"3s\"");
    let begun: Vec<_> = (0..200).map(|_| server.in_progress()).collect();
    // As a load balancer does, these look whether it is ready before they send it anything.
    let asked = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| ask_while_ready(&server, &asked));
        }
        until("they are in use", || asked.load(Ordering::Relaxed) > 50);
        server.signal("-TERM");
    });
    assert!(!server.is_ready(), "readiness goes first");
    until("no connection is taken any more", || is_refused(&server));
    assert!(!server.is_ready(), "probes are answered to the end");
    for mut connection in begun {
        let answer = connection.ask("{}");
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert_eq!(connection.rest(), "");
    }
    assert_eq!(server.wait().code(), Some(0));
    println!("200 requests in flight and {} others were answered", asked.into_inner());
}

/// Asks for signatures in connections that are kept as long as the server wants it, until that says that it isn't ready.
fn ask_while_ready(server: &Server, asked: &AtomicUsize) {
    let mut connection = server.connect();
    while server.is_ready() {
        let answer = connection.ask(&login());
        assert_eq!(answer.status, 200, "{answer:?}");
        if answer.header("connection") == Some("close") {
            connection = server.connect();
        }
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_refused(server: &Server) -> bool {
    TcpStream::connect(server.main).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn what_takes_longer_than_the_grace_is_cut_off() {
    let mut server = patient();
    server.change("grace = \"20s\"", "grace = \"100ms\"");
    let mut begun = server.in_progress();
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(1));
    assert_eq!(begun.rest(), "");
    assert!(server.log().contains("stopped before all work was finished"));
}

#[test]
fn a_second_signal_loses_no_line_of_an_answer() {
    let audit = "[audit]\nto = \"audit.log\"".to_owned();
    let mut server = Server::with(Setup { more: audit, ..Setup::server(PATIENT) });
    let _begun = server.in_progress();
    let signatures: Vec<_> = (0..50).map(|_| server.ask(&login())).collect();
    server.signal("-TERM");
    server.signal("-INT");
    assert_eq!(server.wait().code(), Some(1));
    let log = fs::read_to_string(server.directory.join("audit.log")).unwrap();
    let nonces: Vec<Value> =
        log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["nonce"].clone()).collect();
    for answer in signatures {
        assert!(nonces.contains(&answer.json()["nonce"]), "{answer:?}");
    }
}

/// A body that comes when it is sent for.
struct Later(oneshot::Receiver<&'static str>);

impl Body for Later {
    type Data = Bytes;
    type Error = oneshot::error::RecvError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.0.is_terminated() {
            return Poll::Ready(None);
        }
        let text = ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready(Some(text.map(|text| Frame::data(Bytes::from(text)))))
    }
}

async fn over_http2(server: &Server) -> SendRequest<Later> {
    let stream = tokio::net::TcpStream::connect(server.main).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn later() -> (oneshot::Sender<&'static str>, Request<Later>) {
    let (sender, body) = oneshot::channel();
    let request = Request::post("http://localhost/v1/leancloud/login")
        .header("authorization", format!("Bearer {}", token("tom")))
        .header("content-type", "application/json");
    (sender, request.body(Later(body)).unwrap())
}

async fn login_over(sender: &mut SendRequest<Later>) -> Result<StatusCode, hyper::Error> {
    let (body, request) = later();
    body.send("{}").unwrap();
    Ok(sender.send_request(request).await?.status())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_http2_connections_go_away_and_finish_what_they_have() {
    let mut server = patient();
    server.change("drain_delay = \"0s\"", "drain_delay = \"5m\"");
    let mut sender = over_http2(&server).await;
    assert_eq!(login_over(&mut sender).await.unwrap(), StatusCode::OK);
    let (body, request) = later();
    let begun = tokio::spawn(sender.send_request(request));
    // What comes later in the same connection comes after it.
    assert_eq!(login_over(&mut sender).await.unwrap(), StatusCode::OK);
    server.signal("-TERM");
    until("it is not ready", || !server.is_ready());
    let gone = async { while login_over(&mut sender).await.is_ok() {} };
    tokio::time::timeout(LONG, gone).await.expect("the client is told");
    body.send("{}").unwrap();
    assert_eq!(begun.await.unwrap().unwrap().status(), StatusCode::OK);
    // A new one is served as long as the pause lasts.
    assert_eq!(login_over(&mut over_http2(&server).await).await.unwrap(), StatusCode::OK);
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(1));
}
