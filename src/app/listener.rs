//! A listener: accepts connections, and knows when the last one has ended.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::StartError;
use super::connection::{self, ListenerPhase};
use super::{secure, unix};
use crate::authn::ConnectionPeer;
use crate::config::{ListenAddress, TlsConfig};
use crate::files::FileIdentity;
use crate::http::ResponseBody;
use crate::limits::ConcurrencyLimit;

/// How long accepting rests when the system has no more to give: file descriptors, say.
const REST: Duration = Duration::from_millis(100);

/// A listener that is bound.
pub(super) struct BoundListener {
    socket: BoundSocket,
    address: LocalAddress,
}

enum BoundSocket {
    Tcp(TcpListener),
    Unix(unix::UnixSocket),
}

enum AcceptedStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Where a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAddress {
    /// At an address.
    Tcp(SocketAddr),
    /// At an address, with TLS.
    Tls(SocketAddr),
    /// At this Unix socket.
    Unix(PathBuf),
}

/// A listener that serves.
pub(super) struct Listener {
    pub(super) address: LocalAddress,
    accepting: JoinHandle<()>,
    /// Each connection holds a receiver to its end: without receivers all have ended.
    phase: watch::Sender<ListenerPhase>,
}

/// What holds for a connection that begins.
pub(super) struct ConnectionConfig {
    /// How many there may be. One that finds no room is closed at once.
    pub(super) cap: ConcurrencyLimit,
    /// How long it has to shake hands, and for its first request's header.
    pub(super) patience: Duration,
    /// What it speaks TLS with at an address, if it does.
    pub(super) tls: Option<TlsConfig>,
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocalAddress::Tcp(address) => write!(f, "http://{address}"),
            LocalAddress::Tls(address) => write!(f, "https://{address}"),
            LocalAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl BoundListener {
    /// Binds what the setting `name` says.
    pub(super) async fn new(name: &'static str, listen: &ListenAddress) -> Result<BoundListener, StartError> {
        let bound = match listen {
            ListenAddress::Tcp(address) => BoundListener::tcp(*address).await,
            ListenAddress::Unix { path, mode } => BoundListener::unix(path, *mode),
        };
        bound.map_err(|error| StartError::Bind { listener: name, address: listen.to_string(), error })
    }

    async fn tcp(address: SocketAddr) -> io::Result<BoundListener> {
        let listener = TcpListener::bind(address).await?;
        Ok(BoundListener { address: LocalAddress::Tcp(listener.local_addr()?), socket: BoundSocket::Tcp(listener) })
    }

    fn unix(path: &Path, mode: u32) -> io::Result<BoundListener> {
        let socket = unix::UnixSocket::bind(path, mode)?;
        Ok(BoundListener { socket: BoundSocket::Unix(socket), address: LocalAddress::Unix(path.to_owned()) })
    }

    /// The file of a Unix socket.
    pub(super) fn file(&self) -> Option<FileIdentity> {
        match &self.socket {
            BoundSocket::Tcp(_) => None,
            BoundSocket::Unix(socket) => Some(socket.place()),
        }
    }

    /// Serves each request with `handler`. Each connection is begun on the terms of its time.
    pub(super) fn serve<T, H, F>(self, terms: T, handler: H) -> Listener
    where
        T: Fn() -> ConnectionConfig + Send + 'static,
        H: Fn(Arc<ConnectionPeer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<ResponseBody>> + Send + 'static,
    {
        let BoundListener { socket, address } = self;
        let address = if terms().tls.is_some() { address.with_tls() } else { address };
        let (sender, mut phase) = watch::channel(ListenerPhase::Open);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, peer) = tokio::select! {
                    // Who is connected already, as far as the system is concerned, is not turned away.
                    biased;
                    accepted = socket.next() => accepted,
                    _ = phase.wait_for(|phase| *phase == ListenerPhase::Ending) => return,
                };
                let (ConnectionConfig { cap, patience, tls }, phase, handler) =
                    (terms(), phase.clone(), handler.clone());
                match (stream, tls) {
                    (AcceptedStream::Tcp(stream), Some(tls)) => {
                        begin(&cap, secure(stream, peer, tls, phase, patience, handler));
                    }
                    (AcceptedStream::Tcp(stream), None) => {
                        begin(&cap, connection::serve(stream, Arc::new(peer), phase, patience, handler));
                    }
                    (AcceptedStream::Unix(stream), _) => {
                        begin(&cap, connection::serve(stream, Arc::new(peer), phase, patience, handler));
                    }
                }
            }
        });
        Listener { address, accepting, phase: sender }
    }
}

impl LocalAddress {
    fn with_tls(self) -> LocalAddress {
        match self {
            LocalAddress::Tcp(address) | LocalAddress::Tls(address) => LocalAddress::Tls(address),
            unix @ LocalAddress::Unix(_) => unix,
        }
    }
}

impl Listener {
    /// Goes on as before, but has clients turn away.
    pub(super) fn wind_up(&self) {
        self.phase.send_replace(ListenerPhase::Winding);
    }

    /// Takes no more connections and returns once the last one has ended.
    pub(super) async fn stop(self) {
        self.phase.send_replace(ListenerPhase::Ending);
        let _ = self.accepting.await;
        self.phase.closed().await;
    }

    /// Takes no more connections.
    pub(super) fn abort(self) {
        self.accepting.abort();
    }
}

/// Serves a connection in a task of its own, if there is room for one more.
fn begin(cap: &ConcurrencyLimit, serving: impl Future<Output = ()> + Send + 'static) {
    let Some(slot) = cap.take() else { return };
    tokio::spawn(async move {
        serving.await;
        drop(slot);
    });
}

/// Serves a connection with TLS to its end.
async fn secure<H, F>(
    stream: TcpStream,
    peer: ConnectionPeer,
    tls: TlsConfig,
    mut phase: watch::Receiver<ListenerPhase>,
    patience: Duration,
    handler: H,
) where
    H: Fn(Arc<ConnectionPeer>, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let shaken = secure::shake_hands(stream, peer, &tls, &mut phase, patience).await;
    if let Some((stream, peer)) = shaken {
        connection::serve(stream, Arc::new(peer), phase, patience, handler).await;
    }
}

impl BoundSocket {
    /// The next connection. One that can't be accepted is no reason to stop.
    async fn next(&self) -> (AcceptedStream, ConnectionPeer) {
        loop {
            match self.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    tracing::warn!("a connection can't be accepted: {error}");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    async fn accept(&self) -> io::Result<(AcceptedStream, ConnectionPeer)> {
        match self {
            BoundSocket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Answers are small and whole: there is nothing to wait for. A failure is the client's hang-up.
                let _ = stream.set_nodelay(true);
                Ok((AcceptedStream::Tcp(stream), ConnectionPeer::at(address.ip())))
            }
            BoundSocket::Unix(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok((AcceptedStream::Unix(stream), peer))
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
