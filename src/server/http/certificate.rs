//! Checks the client certificate of a connection for each request.

use super::RequestContext;
use crate::authn::ClientCertificate;

/// Returns the client certificate as valid if the current settings still trust its authority and it has not expired. A
/// connection can outlive both.
pub(super) fn client_certificate<'a>(exchange: &RequestContext<'a>) -> ClientCertificate<'a> {
    let Some(certificate) = exchange.peer.tls.as_ref().and_then(|tls| tls.certificate.as_ref()) else {
        return ClientCertificate::Absent;
    };
    let tls = exchange.settings.server.tls.as_ref();
    if tls.is_some_and(|tls| tls.accepts_certificate(certificate, exchange.now)) {
        ClientCertificate::Valid(certificate)
    } else {
        ClientCertificate::NoLongerValid
    }
}
