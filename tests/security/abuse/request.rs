//! Requests as bytes, so that they can be wrong in every way.

use crate::common::{Answer, Connection};

/// A request's bytes. `headers` are whole lines; the length of a body is told.
pub fn bytes(method: &str, path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}{length}\r\n");
    [head.as_bytes(), body].concat()
}

/// `authorization: Bearer …`.
pub fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// A `POST` of JSON.
pub fn post(path: &str, token: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    bytes("POST", path, &(bearer(token) + "content-type: application/json\r\n"), body)
}

/// A `POST` of a form.
pub fn form(path: &str, token: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    bytes("POST", path, &(bearer(token) + "content-type: application/x-www-form-urlencoded\r\n"), body)
}

/// A `GET`.
pub fn get(path: &str, token: &str) -> Vec<u8> {
    bytes("GET", path, &bearer(token), "")
}

/// Sends bytes. A server that has answered and closed takes no more of them, which is no failure.
pub fn send(connection: &Connection, bytes: &[u8]) {
    let _ = std::io::Write::write_all(&mut connection.stream(), bytes);
}

/// Sends bytes and reads the answer.
pub fn ask(connection: &mut Connection, bytes: &[u8]) -> Answer {
    send(connection, bytes);
    connection.read()
}

/// What stands behind `Bearer` in a request.
pub fn tokens(request: &[u8]) -> impl Iterator<Item = &str> {
    let head = request.split(|byte| *byte == b'\n');
    head.filter_map(|line| Some(std::str::from_utf8(line).ok()?.split_once("Bearer ")?.1.trim_end()))
}
