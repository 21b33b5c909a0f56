//! The start of a TLS connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::ListenerPhase;
use crate::authn::{self, ConnectionPeer, VerifiedCertificate};
use crate::config::TlsConfig;

/// Performs the TLS handshake and reads the certificate of the client.
///
/// Returns `None` if the handshake fails, takes longer than `patience`, or if the listener ends first.
pub(super) async fn accept_tls(
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
