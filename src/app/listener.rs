//! A listener: accepts connections, and knows when the last one has ended.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::NoStart;
use super::connection::{self, Body};
use crate::authn::Peer;

/// How long accepting rests when the system has no more to give: file descriptors, say.
const REST: Duration = Duration::from_millis(100);

/// A listener that is bound.
pub(super) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// A listener that serves.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    accepting: JoinHandle<()>,
    /// Each connection holds a receiver to its end: a change tells it to wind up, and without receivers all have.
    stop: watch::Sender<()>,
}

impl Bound {
    /// Binds `address`, which the setting `name` gives.
    pub(super) async fn new(name: &'static str, address: SocketAddr) -> Result<Bound, NoStart> {
        let failed = |error| NoStart::Bind { listener: name, address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Bound { listener, address })
    }

    /// Serves each request with `handler`. A connection has `patience` for its first request's header.
    pub(super) fn serve<H, F>(self, patience: Duration, handler: H) -> Listener
    where
        H: Fn(Arc<Peer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let Bound { listener, address } = self;
        let (stop, stopped) = watch::channel(());
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, peer) = accept(&listener).await;
                tokio::spawn(connection::serve(stream, Arc::new(peer), stopped.clone(), patience, handler.clone()));
            }
        });
        Listener { address, accepting, stop }
    }
}

impl Listener {
    /// Takes no more connections and returns once the last one has ended.
    pub(super) async fn stop(self) {
        self.accepting.abort();
        let _ = self.accepting.await;
        let _ = self.stop.send(());
        self.stop.closed().await;
    }

    /// Takes no more connections.
    pub(super) fn abort(self) {
        self.accepting.abort();
    }
}

/// The next connection. One that can't be accepted is no reason to stop.
async fn accept(listener: &TcpListener) -> (TcpStream, Peer) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Answers are small and whole: there is nothing to wait for. A failure is the client's hang-up.
                let _ = stream.set_nodelay(true);
                return (stream, Peer::at(address.ip()));
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!("a connection can't be accepted: {error}");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
