//! Far more connections than may have a request in progress, and clients that are slow on purpose.
//!
//! Nothing here is timed: what counts is how many are let in, that everyone is answered, and that what was taken is given back.
//! `benches/overload` has the times.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::common::{Connection, LONG, Server, Setup, post, request, token};

const CAP: usize = 64;
const CONNECTIONS: usize = 2_000;

/// All are connected before any begins, which may take long.
const PATIENT: &str = "request_timeout = \"60s\"";

#[tokio::test]
async fn as_many_as_the_cap_are_let_in_and_all_others_turned_away_at_once() {
    allow_files();
    // There is room for one wave of connections, so that the next finds room only if the last has left none behind.
    let limits = format!("[limits]\nmax_in_flight = {CAP}\nmax_connections = {CONNECTIONS}");
    let server = Server::with(Setup { more: limits, ..Setup::server(PATIENT) });
    for _ in 0..2 {
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            streams.push(BufReader::new(connect(server.main).await));
        }
        // On each connection, one request after another.
        for _ in 0..2 {
            streams = push(streams).await;
        }
        close(streams).await;
    }
    let answer = server.ask(&post("/v1/leancloud/login", "tom", "{}"));
    assert_eq!(answer.status, 200);
    let log = server.log();
    assert!(!log.contains("panic") && !log.contains("ERROR"), "{log}");
}

/// Has all of them ask at once. Their bodies come only when everyone beyond the cap has been turned away, so none of those let in is done
/// before: were there more than the cap, this would wait for ever.
async fn push(streams: Vec<BufReader<TcpStream>>) -> Vec<BufReader<TcpStream>> {
    let credential = format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", token("tom"));
    let header = request("POST", "/v1/leancloud/login", &format!("{credential}content-length: 2\r\n"), "");
    let header: Arc<str> = header.into();
    let (away, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let beyond = streams.len() - CAP;
    let mut clients = JoinSet::new();
    for mut stream in streams {
        let (header, away, go_on) = (Arc::clone(&header), Arc::clone(&away), Arc::clone(&go_on));
        clients.spawn(async move {
            stream.write_all(header.as_bytes()).await.unwrap();
            let answered = tokio::select! {
                answered = stream.fill_buf() => { answered.unwrap(); true }
                _ = go_on.acquire() => false,
            };
            stream.write_all(b"{}").await.unwrap();
            let status = answer(&mut stream).await;
            if answered && away.fetch_add(1, Ordering::Relaxed) + 1 == beyond {
                go_on.close();
            }
            (stream, answered, status)
        });
    }
    let mut statuses = Vec::new();
    let mut streams = Vec::new();
    while let Some(client) = timeout(LONG, clients.join_next()).await.expect("they are answered") {
        let (stream, at_once, status) = client.unwrap();
        assert_eq!(status, if at_once { 503 } else { 200 });
        statuses.push(status);
        streams.push(stream);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), CAP);
    streams
}

async fn connect(server: SocketAddr) -> TcpStream {
    TcpStream::connect(server).await.unwrap()
}

/// Ends all connections, and sees the server end them.
async fn close(streams: Vec<BufReader<TcpStream>>) {
    for mut stream in streams {
        stream.shutdown().await.unwrap();
        let rest = timeout(LONG, stream.read_u8()).await.expect("the server closes, too");
        assert_eq!(rest.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

/// Reads an answer whole, and checks that one who is turned away is told when to come back.
async fn answer(stream: &mut BufReader<TcpStream>) -> u16 {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).await.unwrap(), 0, "the connection ended: {head:?}");
    }
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let mut body = vec![0; header("content-length:").unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let status = head[9..12].parse().unwrap();
    if status == 503 {
        assert_eq!(header("retry-after:"), Some("1"));
        assert!(String::from_utf8(body).unwrap().contains("\"overloaded\""));
    }
    status
}

/// Lets this process have as many connections as it needs.
fn allow_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// How a client holds a connection without using it.
#[derive(Clone, Copy, Debug)]
enum Idle {
    /// Says nothing.
    Silent,
    /// Sends this again and again, a byte at a time.
    Drips(&'static str),
}

#[test]
fn slow_headers_slow_bodies_and_idle_connections_are_closed() {
    let limits = "[limits]\nmax_in_flight = 8\nmax_connections = 24";
    let server = Server::with(Setup { more: limits.to_owned(), ..Setup::server("request_timeout = \"300ms\"") });
    let credential = format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", token("tom"));
    let body = request("POST", "/v1/leancloud/login", &format!("{credential}content-length: 9999\r\n"), "");
    let chunked = request("POST", "/v1/leancloud/login", &format!("{credential}transfer-encoding: chunked\r\n"), "");
    let login = post("/v1/leancloud/login", "tom", "{}");
    let waits = [
        ("", Idle::Silent),
        ("", Idle::Drips("x")),
        ("POST /v1/leancloud/login HTTP/1.1\r\nhost: localhost\r\n", Idle::Drips("x-a: b\r\n")),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Idle::Drips("\0")),
        (&login, Idle::Drips("GET /livez HTTP/1.1\r\nx-a: b")),
        (&body, Idle::Silent),
        (&body, Idle::Drips(" ")),
        (&chunked, Idle::Drips("1\r\n \r\n")),
    ];
    // Enough of each to use up all that there is, if they could.
    for (begun, idle) in waits {
        let connections: Vec<_> = (0..24).map(|_| server.connect()).collect();
        thread::scope(|scope| {
            for connection in &connections {
                scope.spawn(|| until_closed(connection, begun, idle));
            }
        });
        drop(connections);
        let mut tries = std::iter::repeat_with(|| is_served(&server)).take(10_000);
        assert!(tries.any(|served| served), "{begun:?}, {idle:?}: nobody else is served");
    }
}

/// Holds a connection until the server closes it.
fn until_closed(connection: &Connection, begun: &str, idle: Idle) {
    let mut stream = connection.stream();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let start = Instant::now();
    let mut next = begun.bytes().collect::<Vec<_>>();
    let mut drops = match idle {
        Idle::Drips(text) => text.bytes().cycle(),
        Idle::Silent => "".bytes().cycle(),
    };
    loop {
        assert!(start.elapsed() < LONG, "{begun:?}, {idle:?}: the connection stays open");
        if stream.write_all(&next).is_err() {
            return;
        }
        next = drops.next().into_iter().collect();
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
    }
}

fn is_served(server: &Server) -> bool {
    let connection = server.connect();
    let request = post("/v1/leancloud/login", "tom", "{}").replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let mut answer = Vec::new();
    let _ = connection.stream().write_all(request.as_bytes());
    let _ = connection.stream().read_to_end(&mut answer);
    answer.starts_with(b"HTTP/1.1 200")
}
