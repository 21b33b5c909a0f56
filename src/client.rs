//! A tiny HTTP/1.1 client, for asking this machine's own server.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, as it came.
    pub body: String,
}

/// Gets `path` from `address`. Connecting and each reading may take up to `patience`.
///
/// # Errors
/// If nobody answers, or not in HTTP.
pub fn get(address: SocketAddr, path: &str, patience: Duration) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "not an HTTP answer"))
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_servers_answer() {
        let answer = parse("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 3\r\n\r\nno\n");
        assert_eq!(answer, Some(Answer { status: 503, body: "no\n".to_owned() }));
        for nonsense in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 2\r\n\r\n", "HTTP/1.1 20é0\r\n\r\n"]
        {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }
}
