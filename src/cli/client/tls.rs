//! TLS for the client.

use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, StreamOwned,
};

/// The rule that decides which server certificates are trusted.
#[derive(Clone, Debug)]
pub(crate) struct ServerTrust {
    verifier: Arc<dyn ServerCertVerifier>,
    name: Option<ServerName<'static>>,
}

impl ServerTrust {
    /// Trusts certificates of the authorities in this PEM file, for this name. If there is no name, the certificate
    /// must be for the address.
    ///
    /// # Errors
    /// Returns an error if the file has no certificates, or if the name is invalid.
    pub(crate) fn from_pem(pem: &[u8], name: Option<&str>) -> Result<ServerTrust, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let verifier = verifier.map_err(|_| "it holds no certificates".to_owned())?;
        let name =
            name.map(|name| ServerName::try_from(name.to_owned()).map_err(|_| format!("{name} is not a host name")));
        Ok(ServerTrust { verifier, name: name.transpose()? })
    }

    /// Trusts any server. Use it only for requests to this machine: no secrets are sent, and the response shows only
    /// whether the server is ready.
    pub(crate) fn any_server() -> ServerTrust {
        ServerTrust { verifier: Arc::new(AcceptAnyCertificate(provider())), name: None }
    }

    /// Starts TLS on a stream to this address.
    pub(super) fn start_tls<S: Read + Write>(
        &self,
        stream: S,
        address: IpAddr,
    ) -> io::Result<StreamOwned<ClientConnection, S>> {
        let invalid = |error: Error| io::Error::new(ErrorKind::InvalidInput, error);
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder =
            builder.map_err(invalid)?.dangerous().with_custom_certificate_verifier(Arc::clone(&self.verifier));
        let config = Arc::new(builder.with_no_client_auth());
        let name = self.name.clone().unwrap_or_else(|| ServerName::from(address));
        Ok(StreamOwned::new(ClientConnection::new(config, name).map_err(invalid)?, stream))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Accepts any certificate if the server has its private key.
#[derive(Debug)]
struct AcceptAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
