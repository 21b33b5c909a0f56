//! A small HTTP/1.1 client for requests to the server on this machine.

mod tls;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub(crate) use tls::ServerTrust;

/// The maximum number of bytes that are read of a response.
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// An HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProbeResponse {
    /// The status code.
    pub status: u16,
    /// The body, unchanged.
    pub body: String,
}

/// Requests `path` from `address`. If `trust` is set, uses TLS. The whole exchange may take up to `patience`.
///
/// # Errors
/// Returns an error if the server does not answer, does not answer in time, or does not answer with HTTP.
pub(crate) fn get(
    address: SocketAddr,
    trust: Option<&ServerTrust>,
    path: &str,
    timeout: Duration,
) -> io::Result<ProbeResponse> {
    let answer = send_request(address, trust, path, Instant::now() + timeout).map_err(|error| match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            io::Error::new(ErrorKind::TimedOut, format!("no answer within {} s", timeout.as_secs_f32()))
        }
        _ => error,
    })?;
    parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "not an HTTP answer"))
}

fn send_request(
    address: SocketAddr,
    trust: Option<&ServerTrust>,
    path: &str,
    deadline: Instant,
) -> io::Result<Vec<u8>> {
    let stream = DeadlineStream { stream: TcpStream::connect_timeout(&address, time_left(deadline)?)?, deadline };
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    match trust {
        Some(trust) => write_and_read(trust.start_tls(stream, address.ip())?, &request),
        None => write_and_read(stream, &request),
    }
}

/// Sends the request and reads the response to the end.
fn write_and_read(mut stream: impl Read + Write, request: &str) -> io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    while answer.len() < MAX_RESPONSE_BYTES {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// A stream that fails after the deadline.
struct DeadlineStream {
    stream: TcpStream,
    deadline: Instant,
}

impl Read for DeadlineStream {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(time_left(self.deadline)?))?;
        self.stream.read(to)
    }
}

impl Write for DeadlineStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(time_left(self.deadline)?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Returns the time until the deadline. It is never zero, because a timeout of zero means no timeout.
fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn parse(answer: &str) -> Option<ProbeResponse> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(ProbeResponse { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn an_answer_that_does_not_end_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Each byte comes early enough for a timeout per read.
        let dripping = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(b"H").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        let error = get(address, None, "/", Duration::from_millis(500)).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::TimedOut, "no answer within 0.5 s"));
        dripping.join().unwrap();
    }

    #[test]
    fn reads_what_servers_answer() {
        let answer = parse("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 3\r\n\r\nno\n");
        assert_eq!(answer, Some(ProbeResponse { status: 503, body: "no\n".to_owned() }));
        for nonsense in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 2\r\n\r\n", "HTTP/1.1 20é0\r\n\r\n"]
        {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }
}
