//! Handshakes that don't come to an end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::{LONG, Server, Setup, post};
use crate::tls::client::World;

/// The beginning of a handshake record that is longer.
const BEGUN: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

fn begin(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.main).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

#[test]
fn a_handshake_must_end_soon() {
    let world = World::new();
    let setup = world.setup("");
    let server = Server::with(Setup { server: format!("{}\nrequest_timeout = \"300ms\"", setup.server), ..setup });
    for begun in [&b""[..], &BEGUN[..1], BEGUN] {
        let (start, mut answer) = (Instant::now(), Vec::new());
        let _ = begin(&server, begun).read_to_end(&mut answer);
        assert!(start.elapsed() >= Duration::from_millis(200), "it was waited for");
        assert!(answer.is_empty() || answer[0] == 0x15, "{answer:?}");
    }
}

#[test]
fn many_half_open_handshakes_hold_up_nobody() {
    let world = World::new();
    let setup = world.setup("");
    let server = Server::with(Setup { server: format!("{}\nrequest_timeout = \"60s\"", setup.server), ..setup });
    let open: Vec<_> = (0..400).map(|_| begin(&server, BEGUN)).collect();
    for _ in 0..10 {
        assert_eq!(world.client().keep(&server).ask(&post("/v1/leancloud/login", "tom", "{}")).status, 200);
    }
    drop(open);
}

#[test]
fn handshakes_count_as_connections() {
    let world = World::new();
    let server = Server::with(world.setup("[limits]\nmax_connections = 3\n"));
    let open: Vec<_> = (0..3).map(|_| begin(&server, BEGUN)).collect();
    let mut rest = Vec::new();
    // The connections are accepted in their order, so this one comes too late for sure.
    let _ = begin(&server, b"").read_to_end(&mut rest);
    assert_eq!(rest, b"");
    drop(open);
    let began = Instant::now();
    while world.client().connect(server.main).is_err() {
        assert!(began.elapsed() < LONG, "there is no room again");
    }
}

#[test]
fn stopping_waits_for_no_handshake() {
    let world = World::new();
    let setup = world.setup("");
    let mut server = Server::with(Setup { server: format!("{}\nrequest_timeout = \"60s\"", setup.server), ..setup });
    let mut open = begin(&server, BEGUN);
    // Once this is answered, the one before it has been accepted, too.
    assert_eq!(world.client().keep(&server).ask(&post("/v1/leancloud/login", "tom", "{}")).status, 200);
    let start = Instant::now();
    server.signal("-TERM");
    assert!(server.wait().success());
    assert!(start.elapsed() < Duration::from_secs(15), "it waited");
    let _ = open.read_to_end(&mut Vec::new());
}
