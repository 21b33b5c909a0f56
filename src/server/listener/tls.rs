//! Connections with TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use prometheus_client::metrics::counter::Counter;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::activity::ListenerPhase;
use super::connection;
use crate::authn::{self, ConnectionPeer, PeerAddress, VerifiedCertificate};
use crate::config::TlsConfig;
use crate::server::http::ResponseBody;

/// The settings of a TLS handshake.
pub(super) struct TlsHandshake {
    pub(super) tls: TlsConfig,
    /// The time limit for the handshake, and for the header of the first request.
    pub(super) timeout: Duration,
    /// Counts the handshakes that failed because the certificate of the client was refused.
    pub(super) refused_certificates: Counter,
}

/// Serves a connection with TLS to its end.
pub(super) async fn serve<H, F>(
    stream: TcpStream,
    peer: ConnectionPeer,
    handshake: TlsHandshake,
    mut phase: watch::Receiver<ListenerPhase>,
    handler: H,
) where
    H: Fn(Arc<ConnectionPeer>, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    if let Some((stream, peer)) = accept(stream, peer, &handshake, &mut phase).await {
        connection::serve(stream, Arc::new(peer), phase, handshake.timeout, handler).await;
    }
}

/// Performs the TLS handshake and reads the certificate of the client.
///
/// Returns `None` if the handshake fails or takes too long, or if the listener ends first.
async fn accept(
    stream: TcpStream,
    peer: ConnectionPeer,
    handshake: &TlsHandshake,
    phase: &mut watch::Receiver<ListenerPhase>,
) -> Option<(TlsStream<TcpStream>, ConnectionPeer)> {
    let tls = &handshake.tls;
    let accepting = timeout(handshake.timeout, TlsAcceptor::from(Arc::clone(&tls.server)).accept(stream));
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
            handshake.record_failure(&peer.address, &error);
            None
        }
    }
}

impl TlsHandshake {
    /// Logs a failed handshake. A refused certificate is a mistake of an operator or an attack, so it is a warning and
    /// is counted. The program log limits the number of warnings.
    fn record_failure(&self, from: &PeerAddress, error: &io::Error) {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        if let (Some(rustls::Error::InvalidCertificate(flaw)), PeerAddress::Address(address)) = (cause, from) {
            self.refused_certificates.inc();
            tracing::warn!("the client certificate of {address} is refused: {flaw}");
        } else {
            tracing::debug!("a TLS handshake failed: {error}");
        }
    }
}

fn client_certificate(stream: &TlsStream<TcpStream>, tls: &TlsConfig) -> Option<VerifiedCertificate> {
    let chain = stream.get_ref().1.peer_certificates()?;
    Some(VerifiedCertificate::new(chain.iter().map(|der| der.to_vec()).collect(), tls.authorities_hash()))
}
