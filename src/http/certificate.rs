//! What a connection's client certificate is good for when a request comes.

use super::RequestContext;
use crate::authn::ClientCertificate;

/// The certificate, if the settings in force still have its authority and it has not expired: connections outlive both.
pub(super) fn shown<'a>(exchange: &RequestContext<'a>) -> ClientCertificate<'a> {
    let Some(certificate) = exchange.peer.tls.as_ref().and_then(|tls| tls.certificate.as_ref()) else {
        return ClientCertificate::Nothing;
    };
    let tls = exchange.settings.server.tls.as_ref();
    if tls.is_some_and(|tls| tls.vouches_for(certificate, exchange.now)) {
        ClientCertificate::Valid(certificate)
    } else {
        ClientCertificate::Stale
    }
}
