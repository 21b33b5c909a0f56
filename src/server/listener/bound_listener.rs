//! A listener: accepts connections, and knows when the last connection has ended.

use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::net as net_unix;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use prometheus_client::metrics::counter::Counter;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::activity::ListenerPhase;
use super::tls::TlsHandshake;
use super::{connection, tls, unix};
use crate::authn::ConnectionPeer;
use crate::config::{ListenAddress, TlsConfig};
use crate::files::FileIdentity;
use crate::server::http::ResponseBody;
use crate::server::limits::ConcurrencyLimit;

/// The pause after a failure to accept a connection, for example because no file descriptors are left.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// A bound listener that does not serve yet.
pub(super) struct BoundListener {
    socket: BoundSocket,
    address: LocalAddress,
}

pub(super) enum BoundSocket {
    Tcp(TcpListener),
    Unix(unix::UnixSocket),
}

/// Another descriptor of the socket of a listener. It accepts nothing before it is opened.
pub(super) enum DuplicateSocket {
    Tcp(net::TcpListener),
    Unix(net_unix::UnixListener),
}

pub(super) enum AcceptedStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The address of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAddress {
    /// A TCP address without TLS.
    Tcp(SocketAddr),
    /// A TCP address with TLS.
    Tls(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// A serving listener.
pub(super) struct Listener {
    pub(super) address: LocalAddress,
    accepting: JoinHandle<()>,
    /// Each connection holds a receiver until it ends. If there are no receivers, all connections have ended.
    phase: watch::Sender<ListenerPhase>,
}

/// The configuration of a new connection.
pub(super) struct ConnectionConfig {
    /// The limit on connections. A connection beyond the limit is closed at once.
    pub(super) limit: ConcurrencyLimit,
    /// The time limit for the TLS handshake, and for the header of the first request.
    pub(super) timeout: Duration,
    /// The TLS configuration, if TLS is used. Unix sockets ignore it.
    pub(super) tls: Option<TlsConfig>,
    /// Counts the handshakes that failed because the certificate of the client was refused.
    pub(super) refused_certificates: Counter,
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
    /// Binds the address `listen`.
    ///
    /// # Errors
    /// Returns an error if the address or socket cannot be bound.
    pub(super) async fn bind(listen: &ListenAddress) -> io::Result<BoundListener> {
        match listen {
            ListenAddress::Tcp(address) => BoundListener::tcp(*address).await,
            ListenAddress::Unix { path, mode } => BoundListener::unix(path, *mode),
        }
    }

    async fn tcp(address: SocketAddr) -> io::Result<BoundListener> {
        let listener = TcpListener::bind(address).await?;
        Ok(BoundListener { address: LocalAddress::Tcp(listener.local_addr()?), socket: BoundSocket::Tcp(listener) })
    }

    fn unix(path: &Path, mode: u32) -> io::Result<BoundListener> {
        let socket = unix::UnixSocket::bind(path, mode)?;
        Ok(BoundListener { socket: BoundSocket::Unix(socket), address: LocalAddress::Unix(path.to_owned()) })
    }

    /// Returns the address.
    #[cfg(test)]
    pub(super) fn address(&self) -> &LocalAddress {
        &self.address
    }

    /// Returns another descriptor of the socket.
    ///
    /// # Errors
    /// Returns an error if the process has too many descriptors.
    pub(super) fn duplicate(&self) -> io::Result<DuplicateSocket> {
        Ok(match &self.socket {
            BoundSocket::Tcp(listener) => DuplicateSocket::Tcp(listener.as_fd().try_clone_to_owned()?.into()),
            BoundSocket::Unix(socket) => DuplicateSocket::Unix(socket.as_fd().try_clone_to_owned()?.into()),
        })
    }

    /// Returns the file of a Unix socket. `None` for TCP.
    pub(super) fn file(&self) -> Option<FileIdentity> {
        match &self.socket {
            BoundSocket::Tcp(_) => None,
            BoundSocket::Unix(socket) => socket.file(),
        }
    }

    /// Serves each request with `handler`. `terms` is called for each new connection, so a new connection uses the
    /// current configuration.
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
                    // Connections that the system has already established are still accepted.
                    biased;
                    accepted = socket.next() => accepted,
                    _ = phase.wait_for(|phase| *phase == ListenerPhase::Ending) => return,
                };
                serve_connection(stream, peer, terms(), phase.clone(), handler.clone());
            }
        });
        Listener { address, accepting, phase: sender }
    }
}

/// Serves an accepted connection in a new task, if the limit allows it.
pub(super) fn serve_connection<H, F>(
    stream: AcceptedStream,
    peer: ConnectionPeer,
    config: ConnectionConfig,
    phase: watch::Receiver<ListenerPhase>,
    handler: H,
) where
    H: Fn(Arc<ConnectionPeer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let ConnectionConfig { limit: cap, timeout: patience, tls, refused_certificates } = config;
    match (stream, tls) {
        (AcceptedStream::Tcp(stream), Some(tls)) => {
            let handshake = TlsHandshake { tls, timeout: patience, refused_certificates };
            spawn_connection(&cap, tls::serve(stream, peer, handshake, phase, handler));
        }
        (AcceptedStream::Tcp(stream), None) => {
            spawn_connection(&cap, connection::serve(stream, Arc::new(peer), phase, patience, handler));
        }
        (AcceptedStream::Unix(stream), _) => {
            spawn_connection(&cap, connection::serve(stream, Arc::new(peer), phase, patience, handler));
        }
    }
}

impl DuplicateSocket {
    /// Opens the socket to accept connections on the current runtime.
    ///
    /// # Errors
    /// Returns an error if the process has too many descriptors.
    pub(super) fn open(&self) -> io::Result<BoundSocket> {
        Ok(match self {
            DuplicateSocket::Tcp(listener) => BoundSocket::Tcp(TcpListener::from_std(listener.try_clone()?)?),
            DuplicateSocket::Unix(listener) => {
                BoundSocket::Unix(unix::UnixSocket::without_file(UnixListener::from_std(listener.try_clone()?)?))
            }
        })
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
    /// Returns the phase, which each connection follows.
    pub(super) fn phase(&self) -> watch::Receiver<ListenerPhase> {
        self.phase.subscribe()
    }

    /// Continues to serve, but asks clients to use other connections.
    pub(super) fn drain(&self) {
        self.phase.send_replace(ListenerPhase::Draining);
    }

    /// Accepts no more connections. Returns when the last connection has ended.
    pub(super) async fn stop(self) {
        self.phase.send_replace(ListenerPhase::Ending);
        let _ = self.accepting.await;
        self.phase.closed().await;
    }

    /// Accepts no more connections, and returns at once.
    pub(super) fn abort(self) {
        self.accepting.abort();
    }
}

/// Serves a connection in a new task, if the limit allows it.
fn spawn_connection(cap: &ConcurrencyLimit, serving: impl Future<Output = ()> + Send + 'static) {
    let Some(slot) = cap.try_acquire() else { return };
    tokio::spawn(async move {
        serving.await;
        drop(slot);
    });
}

impl BoundSocket {
    /// Accepts the next connection. If that fails, it tries again.
    pub(super) async fn next(&self) -> (AcceptedStream, ConnectionPeer) {
        loop {
            match self.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_client_error(&error) => {}
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }

    async fn accept(&self) -> io::Result<(AcceptedStream, ConnectionPeer)> {
        match self {
            BoundSocket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Each answer is small and is written at once, so Nagle's algorithm would only delay it. A failure
                // means that the client has closed the connection.
                let _ = stream.set_nodelay(true);
                Ok((AcceptedStream::Tcp(stream), ConnectionPeer::from_address(address.ip())))
            }
            BoundSocket::Unix(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok((AcceptedStream::Unix(stream), peer))
            }
        }
    }
}

fn is_client_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
