//! Far more connections than may have a request in progress.
//!
//! A request takes as long as its body, which comes a while after its header. The server has nothing to do meanwhile, so that what
//! is measured doesn't hang on the machine, and all limits are ratios of what the same run measured without load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::common::{LONG, Server, Setup, request, token};

const CAP: usize = 64;
const CONNECTIONS: usize = 2_000;

/// How long the server is pushed.
const PUSHED: Duration = Duration::from_secs(4);

/// How a client pushes.
#[derive(Clone, Copy)]
struct Push {
    /// How long after its header a request's body comes.
    body_after: Duration,
    /// How long a client that was turned away stays away. The server asks for a second.
    stays_away: Duration,
}

/// All are connected before any begins, which may take long.
const PATIENT: &str = "request_timeout = \"60s\"";

const PUSH: Push = Push { body_after: Duration::from_millis(200), stays_away: Duration::from_secs(1) };

/// How long requests took from their header on, by what came of them.
#[derive(Default)]
struct Seen {
    accepted: Vec<Duration>,
    turned_away: Vec<Duration>,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        self.accepted.extend(other.accepted);
        self.turned_away.extend(other.turned_away);
    }
}

fn percentile(durations: &[Duration], percent: usize) -> Duration {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// Times the same requests with and without load, so only a quiet machine tells: `cargo test --test edge overload -- --ignored`.
#[tokio::test]
#[ignore = "needs a quiet machine: cargo test --test edge overload -- --ignored"]
async fn what_is_accepted_is_served_as_if_there_were_no_load() {
    allow_files();
    let server = Server::with(Setup { more: format!("[limits]\nin_flight = {CAP}"), ..Setup::server(PATIENT) });
    let unloaded = push(server.main, CAP / 2, PUSHED / 4, PUSH).await;
    assert_eq!(unloaded.turned_away.len(), 0, "below the cap nobody is");
    let began = server.memory();

    let loaded = push(server.main, CONNECTIONS, PUSHED, PUSH).await;
    let first = server.memory();
    let [before, under] = [&unloaded, &loaded].map(|seen| percentile(&seen.accepted, 99));
    let away = percentile(&loaded.turned_away, 50);
    eprintln!(
        "p99 of those accepted: {before:?} unloaded, {under:?} under load; turned away in {away:?} (median), {:?} (p99); {} accepted, {} not",
        percentile(&loaded.turned_away, 99),
        loaded.accepted.len(),
        loaded.turned_away.len(),
    );
    assert!(under <= before * 5, "{under:?} under load, {before:?} without");
    assert!(away < PUSH.body_after, "those turned away wait {away:?}");
    assert!(loaded.turned_away.len() > CONNECTIONS - CAP, "the cap was never reached");
    let rounds = PUSHED.as_millis() / PUSH.body_after.as_millis();
    let most = CAP * usize::try_from(rounds + 2).unwrap();
    assert!(loaded.accepted.len() <= most, "{} accepted: more than {CAP} were in progress", loaded.accepted.len());

    // Memory: bounded by the number of connections, and what they leave is used again.
    let each = first.saturating_sub(began) / u64::try_from(CONNECTIONS).unwrap();
    push(server.main, CONNECTIONS, PUSHED / 2, PUSH).await;
    let second = server.memory();
    eprintln!("memory: {began} bytes, {first} after load ({each} a connection), {second} after more");
    assert!(each < 64 << 10, "{each} bytes a connection");
    assert!(second < first + first / 4, "{first} bytes after the first load, {second} after the second");
    let log = server.log();
    assert!(!log.contains("panic"), "{log}");
}

/// No pause at all: client and server share the machine's processors, so the numbers are for reading.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "measures the machine: cargo test --release --test edge -- --ignored --nocapture pushed_without"]
async fn pushed_without_a_pause() {
    allow_files();
    let audit = std::env::temp_dir().join(format!("chat-signer-overload-{}", std::process::id()));
    let to = std::fs::File::create(&audit).unwrap();
    let server = Server::with(Setup {
        more: format!("[limits]\nin_flight = {CAP}"),
        server: PATIENT.to_owned(),
        ..Setup::audit(to)
    });
    let hard = Push { body_after: Duration::ZERO, stays_away: Duration::ZERO };
    let unloaded = push(server.main, 1, PUSHED, hard).await;
    let until = std::fs::metadata(&audit).unwrap().len();
    let loaded = push(server.main, CONNECTIONS, PUSHED, hard).await;
    let lines = std::fs::read(&audit).unwrap();
    let _ = std::fs::remove_file(&audit);
    let (before, under) = lines.split_at(usize::try_from(until).unwrap());
    for (name, seen, lines) in [("unloaded", unloaded, before), ("loaded", loaded, under)] {
        let inside = latencies(lines);
        let turned = if seen.turned_away.is_empty() { Duration::ZERO } else { percentile(&seen.turned_away, 99) };
        eprintln!(
            "{name}: {} accepted, p50 {:?}, p99 {:?} to the client, p50 {:?}, p99 {:?} inside; {} turned away, p99 {turned:?}",
            seen.accepted.len(),
            percentile(&seen.accepted, 50),
            percentile(&seen.accepted, 99),
            percentile(&inside, 50),
            percentile(&inside, 99),
            seen.turned_away.len(),
        );
    }
}

/// What the audit log says that requests took, from their header to their line.
fn latencies(lines: &[u8]) -> Vec<Duration> {
    let lines = lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    lines.map(|line: serde_json::Value| Duration::from_micros(line["latency_us"].as_u64().unwrap())).collect()
}

/// So many connections, each asking again as soon as it may, for a while.
async fn push(server: SocketAddr, connections: usize, long: Duration, push: Push) -> Seen {
    let headers =
        format!("authorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n", token("tom"));
    let header: Arc<str> = request("POST", "/v1/leancloud/login", &headers, "").into();
    let mut streams = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(server).await.unwrap();
        stream.set_nodelay(true).unwrap();
        streams.push(stream);
    }
    let until = Instant::now() + long;
    let clients = streams.into_iter().zip(0..).map(|(stream, number)| {
        // They come one after another, as they would.
        let wait = push.stays_away * number / u32::try_from(connections).unwrap();
        let header = Arc::clone(&header);
        async move {
            sleep(wait).await;
            client(stream, header, until, push).await
        }
    });
    let mut clients: JoinSet<Seen> = clients.collect();
    let mut seen = Seen::default();
    while let Some(one) = clients.join_next().await {
        seen.add(one.unwrap());
    }
    seen
}

async fn client(mut stream: TcpStream, header: Arc<str>, until: Instant, push: Push) -> Seen {
    let mut seen = Seen::default();
    while Instant::now() < until {
        let began = Instant::now();
        if push.body_after.is_zero() {
            stream.write_all(format!("{header}{{}}").as_bytes()).await.unwrap();
        } else {
            stream.write_all(header.as_bytes()).await.unwrap();
            let _ = timeout(push.body_after, stream.readable()).await;
            stream.write_all(b"{}").await.unwrap();
        }
        match timeout(LONG, status(&mut stream)).await.unwrap() {
            200 => seen.accepted.push(began.elapsed()),
            503 => {
                seen.turned_away.push(began.elapsed());
                sleep(push.stays_away).await;
            }
            other => panic!("an answer of {other}"),
        }
    }
    seen
}

/// Reads an answer whole.
async fn status(stream: &mut TcpStream) -> u16 {
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the connection ended");
        answer.extend_from_slice(&buffer[..count]);
        let text = std::str::from_utf8(&answer).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
            if body.len() >= length.parse().unwrap() {
                return head[9..12].parse().unwrap();
            }
        }
    }
}

/// Lets this process have as many connections as it needs.
fn allow_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}
