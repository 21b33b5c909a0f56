//! Serves new connections while a task hangs in a write to the audit log.
//!
//! A task writes the log itself, and a file system that hangs then stops the thread of the task with all its
//! connections. So this part of the server runs on other threads. It notices the hang within one second. From then on
//! it accepts the connections that nobody else accepts, and its requests get a 503, because the log is stuck.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::sync::watch;
use tokio::time::sleep;

use super::activity::ListenerPhase;
use super::bound_listener::{ConnectionConfig, DuplicateSocket, serve_connection};
use crate::authn::ConnectionPeer;
use crate::server::http::ResponseBody;

/// How often the audit log is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Watches the audit log, and accepts connections while a task hangs. Ends when the listener ends.
pub(super) async fn stand_by<T, H, F>(
    socket: DuplicateSocket,
    audit_hangs: impl Fn() -> bool,
    config: T,
    handler: H,
    mut phase: watch::Receiver<ListenerPhase>,
) where
    T: Fn() -> ConnectionConfig,
    H: Fn(Arc<ConnectionPeer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let mut open = None;
    loop {
        if !audit_hangs() {
            open = None;
        } else if open.is_none() {
            tracing::error!("a write to the audit log hangs: new connections are answered with 503");
            open = socket.open().ok();
        }
        let connections = phase.clone();
        let accepting = async {
            match &open {
                Some(socket) => socket.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            (stream, peer) = accepting => serve_connection(stream, peer, config(), connections, handler.clone()),
            _ = phase.wait_for(|phase| *phase == ListenerPhase::Ending) => return,
            () = sleep(CHECK_INTERVAL) => {}
        }
    }
}
