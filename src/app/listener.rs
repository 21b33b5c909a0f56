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

use super::NoStart;
use super::connection::{self, Phase};
use super::{secure, unix};
use crate::authn::ConnectionPeer;
use crate::config::{Listen, Tls};
use crate::files::Place;
use crate::http::Body;
use crate::limits::ConcurrencyLimit;

/// How long accepting rests when the system has no more to give: file descriptors, say.
const REST: Duration = Duration::from_millis(100);

/// A listener that is bound.
pub(super) struct Bound {
    socket: Socket,
    address: Address,
}

enum Socket {
    Tcp(TcpListener),
    Unix(unix::Socket),
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Where a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// At an address.
    Tcp(SocketAddr),
    /// At an address, with TLS.
    Tls(SocketAddr),
    /// At this Unix socket.
    Unix(PathBuf),
}

/// A listener that serves.
pub(super) struct Listener {
    pub(super) address: Address,
    accepting: JoinHandle<()>,
    /// Each connection holds a receiver to its end: without receivers all have ended.
    phase: watch::Sender<Phase>,
}

/// What holds for a connection that begins.
pub(super) struct Terms {
    /// How many there may be. One that finds no room is closed at once.
    pub(super) cap: ConcurrencyLimit,
    /// How long it has to shake hands, and for its first request's header.
    pub(super) patience: Duration,
    /// What it speaks TLS with at an address, if it does.
    pub(super) tls: Option<Tls>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "http://{address}"),
            Address::Tls(address) => write!(f, "https://{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Bound {
    /// Binds what the setting `name` says.
    pub(super) async fn new(name: &'static str, listen: &Listen) -> Result<Bound, NoStart> {
        let bound = match listen {
            Listen::Tcp(address) => Bound::tcp(*address).await,
            Listen::Unix { path, mode } => Bound::unix(path, *mode),
        };
        bound.map_err(|error| NoStart::Bind { listener: name, address: listen.to_string(), error })
    }

    async fn tcp(address: SocketAddr) -> io::Result<Bound> {
        let listener = TcpListener::bind(address).await?;
        Ok(Bound { address: Address::Tcp(listener.local_addr()?), socket: Socket::Tcp(listener) })
    }

    fn unix(path: &Path, mode: u32) -> io::Result<Bound> {
        let socket = unix::Socket::bind(path, mode)?;
        Ok(Bound { socket: Socket::Unix(socket), address: Address::Unix(path.to_owned()) })
    }

    /// The file of a Unix socket.
    pub(super) fn file(&self) -> Option<Place> {
        match &self.socket {
            Socket::Tcp(_) => None,
            Socket::Unix(socket) => Some(socket.place()),
        }
    }

    /// Serves each request with `handler`. Each connection is begun on the terms of its time.
    pub(super) fn serve<T, H, F>(self, terms: T, handler: H) -> Listener
    where
        T: Fn() -> Terms + Send + 'static,
        H: Fn(Arc<ConnectionPeer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let Bound { socket, address } = self;
        let address = if terms().tls.is_some() { address.with_tls() } else { address };
        let (sender, mut phase) = watch::channel(Phase::Open);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, peer) = tokio::select! {
                    // Who is connected already, as far as the system is concerned, is not turned away.
                    biased;
                    accepted = socket.next() => accepted,
                    _ = phase.wait_for(|phase| *phase == Phase::Ending) => return,
                };
                let (Terms { cap, patience, tls }, phase, handler) = (terms(), phase.clone(), handler.clone());
                match (stream, tls) {
                    (Stream::Tcp(stream), Some(tls)) => {
                        begin(&cap, secure(stream, peer, tls, phase, patience, handler));
                    }
                    (Stream::Tcp(stream), None) => {
                        begin(&cap, connection::serve(stream, Arc::new(peer), phase, patience, handler));
                    }
                    (Stream::Unix(stream), _) => {
                        begin(&cap, connection::serve(stream, Arc::new(peer), phase, patience, handler));
                    }
                }
            }
        });
        Listener { address, accepting, phase: sender }
    }
}

impl Address {
    fn with_tls(self) -> Address {
        match self {
            Address::Tcp(address) | Address::Tls(address) => Address::Tls(address),
            unix @ Address::Unix(_) => unix,
        }
    }
}

impl Listener {
    /// Goes on as before, but has clients turn away.
    pub(super) fn wind_up(&self) {
        self.phase.send_replace(Phase::Winding);
    }

    /// Takes no more connections and returns once the last one has ended.
    pub(super) async fn stop(self) {
        self.phase.send_replace(Phase::Ending);
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
    tls: Tls,
    mut phase: watch::Receiver<Phase>,
    patience: Duration,
    handler: H,
) where
    H: Fn(Arc<ConnectionPeer>, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let shaken = secure::shake_hands(stream, peer, &tls, &mut phase, patience).await;
    if let Some((stream, peer)) = shaken {
        connection::serve(stream, Arc::new(peer), phase, patience, handler).await;
    }
}

impl Socket {
    /// The next connection. One that can't be accepted is no reason to stop.
    async fn next(&self) -> (Stream, ConnectionPeer) {
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

    async fn accept(&self) -> io::Result<(Stream, ConnectionPeer)> {
        match self {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Answers are small and whole: there is nothing to wait for. A failure is the client's hang-up.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), ConnectionPeer::at(address.ip())))
            }
            Socket::Unix(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok((Stream::Unix(stream), peer))
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
