//! A client that writes and reads raw HTTP/1.1, so that a test controls each byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::LONG;
use crate::token::token;

/// Returns a `POST` of JSON by this user.
pub fn post(path: &str, user: &str, body: &str) -> String {
    let token = token(user);
    request("POST", path, &format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n"), body)
}

/// Returns a `GET` by this user.
pub fn get(path: &str, user: &str) -> String {
    request("GET", path, &format!("authorization: Bearer {}\r\n", token(user)), "")
}

/// Returns a request. `headers` are complete lines.
pub fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}{length}\r\n{body}")
}

/// A connection with its read buffer.
pub struct Connection<S = TcpStream>(BufReader<S>);

impl Connection {
    /// Connects to a TCP address.
    pub fn to(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Connection::on(stream)
    }

    /// Connects to a Unix socket.
    pub fn unix(path: &Path) -> Connection {
        // Both kinds of sockets read and write in the same way. Therefore one type is enough.
        let stream = TcpStream::from(OwnedFd::from(UnixStream::connect(path).unwrap()));
        stream.set_read_timeout(Some(LONG)).unwrap();
        Connection::on(stream)
    }

    /// Returns the socket.
    pub fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }
}

impl<S: Read + Write> Connection<S> {
    /// Uses a stream that is already connected.
    pub fn on(stream: S) -> Connection<S> {
        Connection(BufReader::new(stream))
    }

    /// Sends a request and reads the answer.
    pub fn ask(&mut self, request: &str) -> Answer {
        self.send(request);
        self.read()
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &str) {
        self.0.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    /// Reads an answer with its body.
    pub fn read(&mut self) -> Answer {
        let head = self.head();
        let length = head.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Answer { body: String::from_utf8(body).unwrap(), ..head }
    }

    /// Reads an answer without its body.
    pub fn head(&mut self) -> Answer {
        let status = self.line().strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Answer { status, headers, body: String::new() }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.ends_with("\r\n"), "the answer is incomplete: {line:?}");
        line.trim_end().to_owned()
    }

    /// Reads until the server closes the connection.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection stays open"),
            _ => String::from_utf8(rest).unwrap(),
        }
    }
}

/// An answer of a server.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, with their names in the case of the answer.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Returns the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the code of problem details (RFC 9457).
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}
