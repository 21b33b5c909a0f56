//! Versions, protocols, and certificates that don't hold.

use std::io::{Read, Write};
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ALL_VERSIONS;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::common::{Connection, Server, get, post, token, until};
use crate::tls::authority::{Authority, client, for_servers, uri, valid};
use crate::tls::client::{V12, V13, World, login};

#[test]
fn both_versions_are_spoken() {
    let world = World::new();
    let server = world.serve("");
    for (versions, version) in [(V12, "TLSv1_2"), (V13, "TLSv1_3"), (ALL_VERSIONS, "TLSv1_3")] {
        let stream = world.client_in(versions, None).connect(server.main).unwrap();
        assert_eq!(format!("{:?}", stream.conn.protocol_version().unwrap()), version);
        let mut connection = Connection::on(stream);
        assert_eq!(connection.ask(&post("/v1/leancloud/login", "tom", "{}")).status, 200);
        assert_eq!(connection.ask(&get("/v1/talkjs/token", "tom")).status, 200, "it is kept");
        assert_eq!(connection.ask("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").status, 200);
    }
}

/// A `ClientHello` that knows nothing above TLS 1.`minor`: no library here makes an old one.
fn hello(minor: u8) -> Vec<u8> {
    let mut hello = vec![0x16, 3, 1, 0, 69, 1, 0, 0, 65, 3, minor + 1];
    hello.extend([7; 32]);
    // No session, ECDHE-ECDSA-AES128-GCM-SHA256, no compression; extensions: ECDSA with P-256, X25519, uncompressed points.
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 22]);
    hello.extend([0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 0x1d, 0, 11, 0, 2, 1, 0]);
    hello
}

#[test]
fn older_versions_are_refused_with_an_alert() {
    let server = World::new().serve("");
    let answer = |minor| {
        let mut stream = std::net::TcpStream::connect(server.main).unwrap();
        stream.write_all(&hello(minor)).unwrap();
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).unwrap();
        answer
    };
    assert_eq!(answer(2)[0], 0x16, "the handshake goes on");
    for minor in [0, 1] {
        assert_eq!(answer(minor), [0x15, 3, 3, 0, 2, 2, 70], "fatal: protocol_version");
    }
}

#[test]
fn the_protocol_is_agreed_on() {
    let world = World::new();
    let server = world.serve("");
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["http/1.0", "http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let stream = world.client().offering(offered).connect(server.main).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), agreed.map(str::as_bytes), "{offered:?}");
    }
    let error = world.client().offering(&["spdy/3"]).connect(server.main).err().unwrap();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn requests_run_side_by_side_in_http2() {
    let world = World::new();
    let server = world.serve("");
    let mut sender = http2(&server, &world).await;
    let asked: Vec<_> = (0..20).map(|_| sender.send_request(by_token())).collect();
    for answer in asked {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await.unwrap().to_bytes().starts_with(b"{\"signature\":"));
    }
}

async fn http2(server: &Server, world: &World) -> http2::SendRequest<Full<Bytes>> {
    let connector = TlsConnector::from(Arc::new(world.client().offering(&["h2"]).0));
    let stream = TcpStream::connect(server.main).await.unwrap();
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn by_token() -> Request<Full<Bytes>> {
    Request::post("https://localhost/v1/leancloud/login")
        .header("authorization", format!("Bearer {}", token("tom")))
        .body(Full::default())
        .unwrap()
}

#[test]
fn certificates_that_do_not_hold_end_the_handshake() {
    let world = World::new();
    let server = world.serve("");
    let name = || client(vec![uri("spiffe://example.com/orders")]);
    for (identity, alert) in [
        (world.clients.sign(&valid(name(), 2020, 2021)), "CertificateExpired"),
        (world.clients.sign(&valid(name(), 2090, 2099)), "CertificateExpired"),
        (world.clients.sign(&for_servers(name())), "UnsupportedCertificate"),
        (Authority::new("others").sign(&name()), "UnknownCA"),
        // By the name of the right one.
        (Authority::new("fake clients").sign(&name()), "DecryptError"),
        // The servers' authority is not the clients'.
        (world.servers.sign(&name()), "UnknownCA"),
        // What leads to the authority is missing.
        (world.clients.below("fake team").sign(&name()), "UnknownCA"),
    ] {
        for versions in [V12, V13] {
            let said = world.client_in(versions, Some(&identity)).refused(&server);
            assert!(said.contains(alert), "{alert}: {said}");
        }
    }
    assert_eq!(world.client().keep(&server).ask(&post("/v1/leancloud/login", "tom", "{}")).status, 200);
}

#[test]
fn a_refused_certificate_is_logged_with_the_address_and_counted() {
    let world = World::new();
    let server = world.serve("");
    let counted = |count: usize| {
        let line = format!("chat_signer_tls_refused_certificates_total {count}\n");
        until("the refusal is counted", || server.admin("/metrics").body.contains(&line));
    };
    counted(0);
    let name = || client(vec![uri("spiffe://example.com/orders")]);
    for (count, identity) in
        [(1, Authority::new("others").sign(&name())), (2, world.clients.sign(&valid(name(), 2020, 2021)))]
    {
        let _ = world.client_in(V13, Some(&identity)).refused(&server);
        counted(count);
    }
    // Other failures are no refusals of a certificate.
    let mut stream = std::net::TcpStream::connect(server.main).unwrap();
    stream.write_all(b"\x16\x03\x01\x7f\x7f").unwrap();
    drop(stream);
    assert_eq!(world.client().keep(&server).ask(&post("/v1/leancloud/login", "tom", "{}")).status, 200);
    counted(2);
    let log = server.log();
    let lines: Vec<_> =
        log.lines().filter(|line| line.contains("the client certificate of 127.0.0.1 is refused")).collect();
    assert_eq!(lines.len(), 2, "{log}");
}

#[test]
fn what_is_not_tls_gets_nothing_but_an_alert() {
    let server = World::new().serve("");
    for garbage in
        [&login("")[..], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0\0\0\0\0\0\0", "\u{16}\u{3}\u{1}\u{7f}\u{7f}"]
    {
        let mut stream = std::net::TcpStream::connect(server.main).unwrap();
        stream.write_all(garbage.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // Closing with something unread may look like a reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[0] == 0x15 && answer.len() == 7, "{garbage:?}: {answer:?}");
    }
}
