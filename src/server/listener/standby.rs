//! Serves new connections while a task hangs in a write to the audit log.
//!
//! A task writes the log itself, and a file system that hangs then stops the thread of the task with all its
//! connections. So this part of the server runs on other threads. It notices the hang within one second. From then on
//! it accepts the connections that nobody else accepts, and its requests get a 503, because the log is stuck. After the
//! hang these connections end, so that all threads serve the clients again.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;

use super::activity::ListenerPhase;
use super::bound_listener::{AcceptedStream, BoundSocket, ConnectionConfig, DuplicateSocket, serve_connection};
use crate::authn::ConnectionPeer;
use crate::server::http::ResponseBody;

/// How often the audit log is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Watches the audit log, and accepts connections while a task hangs. Ends when the listener ends.
///
/// The thread that hangs may be the one that was to wait for events of all connections. So another thread of the
/// `workers` is woken, which then does.
pub(super) async fn stand_by<T, H, F>(
    socket: DuplicateSocket,
    workers: Handle,
    audit_hangs: impl Fn() -> bool,
    config: T,
    handler: H,
    mut phase: watch::Receiver<ListenerPhase>,
) where
    T: Fn() -> ConnectionConfig,
    H: Fn(Arc<ConnectionPeer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let (mut open, mut connections) = (None, watch::Sender::new(ListenerPhase::Open));
    loop {
        if audit_hangs() {
            drop(workers.spawn(async {}));
            if open.is_none() {
                tracing::error!("a write to the audit log hangs: new connections are answered with 503");
                open = socket.open().ok();
            }
        } else if open.take().is_some() {
            let ended = std::mem::replace(&mut connections, watch::Sender::new(ListenerPhase::Open));
            end_connections(ended, phase.clone());
        }
        tokio::select! {
            biased;
            (stream, peer) = accept(open.as_ref()) => {
                serve_connection(stream, peer, config(), connections.subscribe(), handler.clone());
            }
            _ = phase.wait_for(|phase| *phase == ListenerPhase::Ending) => break,
            () = sleep(CHECK_INTERVAL) => {}
        }
    }
    end_connections(connections, phase);
}

/// Accepts the next connection. Without a socket, never returns.
async fn accept(socket: Option<&BoundSocket>) -> (AcceptedStream, ConnectionPeer) {
    match socket {
        Some(socket) => socket.next().await,
        None => std::future::pending().await,
    }
}

/// Ends these connections. The listener, whose phase this is, ends after them.
fn end_connections(connections: watch::Sender<ListenerPhase>, listener: watch::Receiver<ListenerPhase>) {
    tokio::spawn(async move {
        connections.send_replace(ListenerPhase::Ending);
        connections.closed().await;
        drop(listener);
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicBool, Ordering};

    use prometheus_client::metrics::counter::Counter;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::super::bound_listener::{BoundListener, LocalAddress};
    use super::*;
    use crate::config::ListenAddress;
    use crate::server::limits::ConcurrencyLimit;

    async fn answer(address: std::net::SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn config() -> ConnectionConfig {
        ConnectionConfig {
            limit: ConcurrencyLimit::new(10, "connections"),
            timeout: Duration::from_secs(20),
            tls: None,
            refused_certificates: Counter::default(),
        }
    }

    async fn bind() -> (BoundListener, std::net::SocketAddr) {
        let bound = BoundListener::bind(&ListenAddress::Tcp(([127, 0, 0, 1], 0).into())).await.unwrap();
        let LocalAddress::Tcp(address) = bound.address().clone() else { unreachable!("it has no TLS") };
        (bound, address)
    }

    #[tokio::test]
    async fn connections_are_accepted_only_while_the_log_hangs() {
        let (bound, address) = bind().await;
        let hangs = Arc::new(AtomicBool::new(false));
        let handler = |_, _| std::future::ready(Response::new(ResponseBody::from("standby")));
        let (end, phase) = watch::channel(ListenerPhase::Open);
        let (duplicate, hanging) = (bound.duplicate().unwrap(), Arc::clone(&hangs));
        let audit_hangs = move || hanging.load(Ordering::Relaxed);
        let standby = tokio::spawn(stand_by(duplicate, Handle::current(), audit_hangs, config, handler, phase));

        // Nobody accepts it, so it waits in the queue of the socket.
        let waiting = tokio::spawn(answer(address));
        sleep(4 * CHECK_INTERVAL).await;
        assert!(!waiting.is_finished());
        hangs.store(true, Ordering::Relaxed);
        assert!(waiting.await.unwrap().ends_with("standby"));
        assert!(answer(address).await.ends_with("standby"));
        let mut kept = TcpStream::connect(address).await.unwrap();
        ask(&mut kept, "/", "standby").await;
        hangs.store(false, Ordering::Relaxed);
        let ended = tokio::time::timeout(Duration::from_secs(20), kept.read(&mut [0])).await.unwrap();
        assert_eq!(ended.unwrap(), 0, "its client opens a connection to another thread");
        end.send_replace(ListenerPhase::Ending);
        standby.await.unwrap();
    }

    /// Sends a request on a connection that stays open, and reads the answer, which ends with `end`.
    async fn ask(stream: &mut TcpStream, path: &str, end: &str) {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(end.as_bytes()) {
            answer.push(stream.read_u8().await.unwrap());
        }
    }

    #[tokio::test]
    async fn the_other_threads_go_on_while_one_hangs() {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (bound, address) = threads.spawn(bind()).await.unwrap();
        let (hang_began, began) = tokio::sync::oneshot::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let hang = Arc::new(std::sync::Mutex::new(Some((hang_began, released))));
        let handler = move |_, request: Request<Incoming>| {
            let hang = if request.uri().path() == "/hang" { hang.lock().unwrap().take() } else { None };
            async move {
                if let Some((began, released)) = hang {
                    let _ = began.send(());
                    let _ = released.recv();
                }
                Response::new(ResponseBody::from("answer"))
            }
        };
        let duplicate = bound.duplicate().unwrap();
        let listener = threads.spawn(async { bound.serve(config, handler) }).await.unwrap();
        let (mut hanging, mut other) =
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        ask(&mut hanging, "/", "answer").await;
        ask(&mut other, "/", "answer").await;
        let hanging = tokio::spawn(async move { ask(&mut hanging, "/hang", "answer").await });
        began.await.unwrap();

        let handler = |_, _| std::future::ready(Response::new(ResponseBody::from("standby")));
        let standby = stand_by(duplicate, threads.handle().clone(), || true, config, handler, listener.phase());
        let standby = tokio::spawn(standby);
        tokio::time::timeout(Duration::from_secs(20), ask(&mut other, "/", "answer")).await.unwrap();
        release.send(()).unwrap();
        hanging.await.unwrap();
        listener.stop().await;
        standby.await.unwrap();
        threads.shutdown_background();
    }
}
