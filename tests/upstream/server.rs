//! A server to ask: it answers as it is told and remembers what it was sent.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What a path answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status line's end, more header lines, and a body.
    Text(&'static str, String, String),
    /// The same with a body that is no text.
    Bytes(String, Vec<u8>),
    /// Nothing, ever.
    Silence,
    /// A body that doesn't end.
    Flood,
    /// A body shorter than announced.
    Cut,
    /// The other one, but not before this has permits.
    Held(Arc<Semaphore>, Box<Reply>),
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in small letters.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

#[derive(Default)]
struct Script {
    replies: HashMap<String, Reply>,
    seen: Vec<Seen>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    accepting: Option<JoinHandle<()>>,
    tls: Option<TlsAcceptor>,
}

impl Reply {
    #[allow(clippy::needless_pass_by_value)]
    pub(crate) fn json(body: impl ToString) -> Reply {
        Reply::Text("200 OK", "content-type: application/json\r\n".to_owned(), body.to_string())
    }

    pub(crate) fn status(line: &'static str) -> Reply {
        Reply::Text(line, String::new(), "sorry".to_owned())
    }

    pub(crate) fn with(self, header: &str) -> Reply {
        match self {
            Reply::Text(status, headers, body) => Reply::Text(status, format!("{headers}{header}\r\n"), body),
            other => other,
        }
    }
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let first = values.next();
        assert!(values.next().is_none(), "{name} is there twice: {self:?}");
        first
    }
}

impl Server {
    pub(crate) async fn start() -> Server {
        Server::with(None).await
    }

    pub(crate) async fn with(tls: Option<TlsAcceptor>) -> Server {
        let mut server =
            Server { address: "127.0.0.1:0".parse().unwrap(), script: Arc::default(), accepting: None, tls };
        server.up().await;
        server
    }

    /// Serves, at the same address as before.
    pub(crate) async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (script, tls) = (Arc::clone(&self.script), self.tls.clone());
        self.accepting = Some(tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, tls) = (Arc::clone(&script), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &script).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &script).await;
                            }
                        }
                    }
                });
            }
        }));
    }

    /// Refuses connections.
    pub(crate) async fn down(&mut self) {
        let accepting = self.accepting.take().unwrap();
        accepting.abort();
        let _ = accepting.await;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    pub(crate) fn set(&self, path: &str, reply: Reply) {
        self.script.lock().unwrap().replies.insert(path.to_owned(), reply);
    }

    /// What came for this path.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        self.script.lock().unwrap().seen.iter().filter(|seen| seen.path == path).cloned().collect()
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.seen(path).len()
    }

    /// How many requests came.
    pub(crate) fn total(&self) -> usize {
        self.script.lock().unwrap().seen.len()
    }
}

/// A certificate authority of its own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// With a certificate from it, for this machine.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_for("127.0.0.1")
    }

    /// With a certificate from it, for this host.
    pub(crate) fn acceptor_for(&self, host: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_no_client_auth().with_single_cert(vec![certificate.into()], key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// One request a connection.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, script: &Mutex<Script>) {
    let mut stream = BufStream::new(stream);
    let Some(seen) = read(&mut stream).await else { return };
    let reply = {
        let mut script = script.lock().unwrap();
        let reply = script.replies.get(&seen.path).cloned().unwrap_or(Reply::status("404 Not Found"));
        script.seen.push(seen);
        reply
    };
    let reply = match reply {
        Reply::Held(until, reply) => {
            drop(until.acquire().await);
            *reply
        }
        reply => reply,
    };
    // Whoever asked may have gone.
    let _ = write(&mut stream, reply).await;
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let (method, rest) = lines.next()?.split_once(' ')?;
    let path = rest.strip_suffix(" HTTP/1.1")?.to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { method: method.to_owned(), path, headers, body: String::from_utf8(body).unwrap() })
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Text(status, headers, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).await?;
        }
        Reply::Bytes(headers, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
            stream.write_all(&[head.as_bytes(), &body].concat()).await?;
        }
        Reply::Silence | Reply::Held(..) => std::future::pending().await,
        Reply::Flood => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"keys\": [\"").await?;
            loop {
                stream.write_all(&[b'x'; 4096]).await?;
            }
        }
        Reply::Cut => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"keys\": [").await?,
    }
    stream.flush().await?;
    stream.shutdown().await
}
