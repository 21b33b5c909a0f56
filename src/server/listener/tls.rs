//! Connections with TLS.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::activity::ListenerPhase;
use super::connection;
use crate::authn::{self, ConnectionPeer, VerifiedCertificate};
use crate::config::TlsConfig;
use crate::server::http::ResponseBody;

/// Serves a connection with TLS to its end.
pub(super) async fn serve<H, F>(
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
    if let Some((stream, peer)) = accept(stream, peer, &tls, &mut phase, patience).await {
        connection::serve(stream, Arc::new(peer), phase, patience, handler).await;
    }
}

/// Performs the TLS handshake and reads the certificate of the client.
///
/// Returns `None` if the handshake fails, takes longer than `patience`, or if the listener ends first.
async fn accept(
    stream: TcpStream,
    peer: ConnectionPeer,
    tls: &TlsConfig,
    phase: &mut watch::Receiver<ListenerPhase>,
    patience: Duration,
) -> Option<(TlsStream<TcpStream>, ConnectionPeer)> {
    let accepting = timeout(patience, TlsAcceptor::from(Arc::clone(&tls.server)).accept(stream));
    let accepted = tokio::select! {
        accepted = accepting => accepted.unwrap_or_else(|late| Err(late.into())),
        _ = phase.wait_for(|phase| *phase == ListenerPhase::Ending) => return None,
    };
    match accepted {
        Ok(stream) => {
            let tls = authn::TlsPeer { certificate: client_certificate(&stream, tls) };
            Some((stream, ConnectionPeer { tls: Some(tls), ..peer }))
        }
        Err(error) => {
            tracing::debug!("a TLS handshake failed: {error}");
            None
        }
    }
}

fn client_certificate(stream: &TlsStream<TcpStream>, tls: &TlsConfig) -> Option<VerifiedCertificate> {
    let chain = stream.get_ref().1.peer_certificates()?;
    Some(VerifiedCertificate::new(chain.iter().map(|der| der.to_vec()).collect(), tls.authorities_hash()))
}
