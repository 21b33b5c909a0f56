//! Loads the signer with more connections than it has places for requests, and prints the results: `overload ADDRESS
//! PID TOKEN AUDIT`. `benches/overload` runs it.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used)]

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long each load lasts.
const LOAD_DURATION: Duration = Duration::from_secs(5);

/// How long rejected clients are asked to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const CONNECTIONS: usize = 2_000;

/// The server under load.
struct Server {
    address: SocketAddr,
    pid: String,
    audit: String,
    request: Arc<str>,
}

#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    connections: usize,
    retry_delay: Duration,
}

/// How long requests took, by outcome.
#[derive(Default)]
struct Latencies {
    accepted: Vec<Duration>,
    rejected: Vec<Duration>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, pid, token, audit] = arguments.as_slice() else {
        return Err("usage: overload ADDRESS PID TOKEN AUDIT".into());
    };
    let request = format!(
        "POST /v1/leancloud/login HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    let server = Server { address: address.parse()?, pid: pid.clone(), audit: audit.clone(), request: request.into() };
    println!(
        "                                  accepted                                    turned away        RSS/MiB"
    );
    println!(
        "load                              requests/s  p50/ms  p99/ms  inside p99/ms  requests/s  p99/ms  during after"
    );
    let one = server.measure(Load { name: "1 connection", connections: 1, retry_delay: RETRY_AFTER }).await?;
    let few = server.measure(Load { name: "32 connections", connections: 32, retry_delay: RETRY_AFTER }).await?;
    let heeding = Load { name: "2000, heeding Retry-After", connections: CONNECTIONS, retry_delay: RETRY_AFTER };
    let first = server.measure(heeding).await?;
    let rude = Load { name: "2000, asking again at once", connections: CONNECTIONS, retry_delay: Duration::ZERO };
    let second = server.measure(rude).await?;
    for _ in 0..3 {
        server.measure(rude).await?;
    }
    println!(
        "\np99 of accepted requests, as a multiple of that with 32 connections: {:.1}, {:.1}",
        first / few,
        second / few
    );
    println!("as a multiple of that with 1 connection: {:.1}, {:.1}", first / one, second / one);
    Ok(())
}

impl Server {
    /// Puts a load on the server and prints a line about it. Returns the 99th percentile of the accepted requests, in
    /// milliseconds.
    async fn measure(&self, load: Load) -> Result<f64, Box<dyn Error>> {
        let until = fs::metadata(&self.audit)?.len();
        let (seen, during) = self.run_load(load).await?;
        let inside = latencies(fs::read(&self.audit)?.get(usize::try_from(until)?..).unwrap_or_default());
        // The server needs time to notice that the connections have ended.
        sleep(Duration::from_secs(2)).await;
        let rate = |durations: &[Duration]| durations.len() as u64 / LOAD_DURATION.as_secs();
        let p99 = percentile(&seen.accepted, 99);
        println!(
            "{:33} {:>10} {:>7.2} {p99:>7.2} {:>14.2} {:>11} {:>7.2} {:>7.1} {:>5.1}",
            load.name,
            rate(&seen.accepted),
            percentile(&seen.accepted, 50),
            percentile(&inside, 99),
            rate(&seen.rejected),
            percentile(&seen.rejected, 99),
            during,
            self.memory()?,
        );
        Ok(p99)
    }

    /// Returns the clients' measurements, and the server's memory while all clients were connected, in MiB.
    async fn run_load(&self, load: Load) -> Result<(Latencies, f64), Box<dyn Error>> {
        let mut streams = Vec::new();
        for _ in 0..load.connections {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            streams.push(BufReader::new(stream));
        }
        let until = Instant::now() + LOAD_DURATION;
        let clients =
            streams.into_iter().map(|stream| client(stream, Arc::clone(&self.request), until, load.retry_delay));
        let mut clients: JoinSet<_> = clients.collect();
        sleep(LOAD_DURATION / 2).await;
        let during = self.memory()?;
        let mut seen = Latencies::default();
        // The connections stay open until the last client ends. Thus the measured memory includes all of them.
        let mut streams = Vec::new();
        while let Some(client) = clients.join_next().await {
            let (one, stream) = client?;
            seen.accepted.extend(one.accepted);
            seen.rejected.extend(one.rejected);
            streams.push(stream);
        }
        Ok((seen, during.max(self.memory()?)))
    }

    /// Returns the server's resident memory in MiB.
    fn memory(&self) -> Result<f64, Box<dyn Error>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("it tells no memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }
}

async fn client(
    mut stream: BufReader<TcpStream>,
    request: Arc<str>,
    until: Instant,
    stays_away: Duration,
) -> (Latencies, BufReader<TcpStream>) {
    let mut seen = Latencies::default();
    let mut line = String::new();
    while Instant::now() < until {
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await.expect("the server takes it");
        match status(&mut stream, &mut line).await {
            200 => seen.accepted.push(began.elapsed()),
            503 => {
                seen.rejected.push(began.elapsed());
                sleep(stays_away).await;
            }
            other => unreachable!("an answer of {other}"),
        }
    }
    (seen, stream)
}

/// Reads a complete answer and returns its status.
async fn status(stream: &mut BufReader<TcpStream>, line: &mut String) -> u16 {
    let (mut status, mut length) = (0, 0);
    loop {
        line.clear();
        stream.read_line(line).await.expect("there is an answer");
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(rest) = line.strip_prefix("content-length: ") {
            length = rest.trim().parse().unwrap();
        } else if line == "\r\n" {
            stream.read_exact(&mut vec![0; length]).await.expect("it is whole");
            return status;
        }
        assert!(!line.is_empty(), "the connection ended");
    }
}

/// Returns how long requests took according to the audit log, from their header to their log line.
fn latencies(lines: &[u8]) -> Vec<Duration> {
    let lines = lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    lines.map(|line: serde_json::Value| Duration::from_micros(line["latency_us"].as_u64().unwrap())).collect()
}

/// Returns a percentile in milliseconds.
fn percentile(durations: &[Duration], percent: usize) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).map_or(0.0, |duration| duration.as_secs_f64() * 1000.0)
}
