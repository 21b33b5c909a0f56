//! A service that asks for changes over one connection until that breaks.

use std::io::{self, BufRead, BufReader, Error, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::common::{LONG, SERVICE_KEY};
use crate::crashes::demands::Demand;

pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn to(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LONG))?;
        stream.set_nodelay(true)?;
        Ok(Client(BufReader::new(stream)))
    }

    /// What is answered, if all of the answer came: its status and body.
    pub(crate) fn ask(&mut self, id: &str, demand: &Demand) -> io::Result<(u16, Value)> {
        let Demand { method, path, body, .. } = demand;
        let (body, length) = match body {
            Some(body) => (body.to_string(), format!("content-length: {}\r\n", body.to_string().len())),
            None => (String::new(), String::new()),
        };
        let headers = format!("x-api-key: {SERVICE_KEY}\r\nx-request-id: {id}\r\ncontent-type: application/json\r\n");
        let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}{length}\r\n{body}");
        self.0.get_mut().write_all(request.as_bytes())?;
        self.read()
    }

    fn read(&mut self) -> io::Result<(u16, Value)> {
        let status = self.line()?.get(9..12).and_then(|status| status.parse().ok());
        let mut length = 0;
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((status.ok_or_else(broken)?, serde_json::from_slice(&body)?))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        if line.ends_with("\r\n") { Ok(line.trim_end().to_owned()) } else { Err(broken()) }
    }
}

fn broken() -> Error {
    Error::other("the answer broke off")
}
