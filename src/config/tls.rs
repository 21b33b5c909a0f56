//! `tls` of `[server]` and `[admin]`: the certificate of the listener, its key, and the certificate authorities of
//! callers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use super::endpoint;
use super::reader::{ConfigItem, Section, quoted};
use super::report::ByteRange;
use super::secret::{SecretResolver, warn_if_readable};
use crate::authn::{VerifiedCertificate, validity};
use crate::model::Millis;
use crate::secret::Secret;
use crate::{clock, crypto};

/// The TLS settings of a listener. New connections take them from the current settings, so a reload can replace them.
#[derive(Clone)]
pub struct TlsConfig {
    /// The settings of a connection: TLS 1.2 or 1.3, with HTTP/1.1 or HTTP/2. Sessions can be resumed only with the
    /// same instance.
    pub server: Arc<ServerConfig>,
    /// The end of the validity of the whole certificate chain of the listener.
    pub valid_until: Millis,
    clients: Option<ClientAuth>,
}

/// The certificate authorities that verify the certificates of callers.
#[derive(Clone)]
struct ClientAuth {
    verifier: Arc<dyn ClientCertVerifier>,
    authorities_hash: [u8; 32],
}

impl TlsConfig {
    /// Returns a hash that identifies the certificate authorities of callers. Zeros if there are none.
    pub fn authorities_hash(&self) -> [u8; 32] {
        self.clients.as_ref().map_or([0; 32], |clients| clients.authorities_hash)
    }

    /// Returns whether a certificate that was valid at the start of its connection is still valid: the authorities are
    /// the same and it has not expired, or the current authorities accept it too.
    pub fn accepts_certificate(&self, certificate: &VerifiedCertificate, now: Millis) -> bool {
        let Some(clients) = &self.clients else { return false };
        let is_same = certificate.authorities_fingerprint == clients.authorities_hash && now <= certificate.valid_until;
        is_same || clients.verify(&certificate.chain, now)
    }
}

impl ClientAuth {
    fn verify(&self, chain: &[Vec<u8>], now: Millis) -> bool {
        let mut chain = chain.iter().map(|der| CertificateDer::from_slice(der));
        let Some(first) = chain.next() else { return false };
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
        self.verifier.verify_client_cert(&first, &chain.collect::<Vec<_>>(), now).is_ok()
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig").field("clients", &self.clients.is_some()).finish_non_exhaustive()
    }
}

/// Reads `tls`. If `for_callers` is set, clients may show certificates.
pub(super) fn tls(listener: &mut Section<'_>, vault: &SecretResolver, for_callers: bool) -> Option<TlsConfig> {
    let section = listener.section("tls")?;
    let _part = section.file.enter(if for_callers { "server.tls" } else { "admin.tls" });
    let (file, place) = (section.file, section.span.clone());
    let tls = read(section, vault, for_callers);
    if tls.is_none() && !file.has_mistakes() {
        // Note a mistake for any reason: the listener must never run without TLS.
        file.mistake(&place, "these files can't be used for TLS", "replace them");
    }
    tls
}

/// A client certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate and its intermediate certificates, in DER.
    pub chain: Vec<Vec<u8>>,
    /// The private key, in DER: PKCS #8, SEC 1 or PKCS #1.
    pub key: Secret,
}

/// Reads `client_cert` and `client_key`.
pub(super) fn identity(section: &mut Section<'_>, vault: &SecretResolver) -> Option<ClientIdentity> {
    let (cert, key) = match (section.get("client_cert"), section.get("client_key")) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) => return None,
        (Some(one), None) | (None, Some(one)) => {
            let message = "`client_cert` and `client_key` belong together";
            one.file.mistake(&one.key, message, "write both, or leave both out");
            return None;
        }
    };
    let chain = certificates(&cert, vault)?;
    let (name, private) = private_key(&key, vault)?;
    let secret = Secret::new(private.secret_der().to_vec());
    certified_key(&key, name, private, chain.clone())?;
    Some(ClientIdentity { chain: chain.iter().map(|der| der.to_vec()).collect(), key: secret })
}

fn read(mut section: Section<'_>, vault: &SecretResolver, for_callers: bool) -> Option<TlsConfig> {
    let chain = section.require("cert", "write the path of the PEM file with the certificate chain");
    let chain = chain.and_then(|item| certificates(&item, vault));
    let until = chain.iter().flatten().filter_map(|der| validity(der)).map(|(_, end)| end).min();
    let key = section.require("key", "write the path of the PEM file with the certificate's private key");
    let certified = key.and_then(|item| certified(&item, vault, chain));
    let authorities = if for_callers { section.get("client_ca") } else { None };
    let clients = authorities.as_ref().map(|item| clients(item, vault));
    section.report_unknown_keys();
    let clients = clients.map_or(Some(None), |clients| clients.map(Some))?;
    let server = Arc::new(server(certified?, clients.as_ref())?);
    Some(TlsConfig { server, valid_until: until?, clients })
}

/// Returns the place of `client_ca` in the file, if the file has it.
pub(super) fn client_ca(root: &mut Section<'_>) -> Option<ByteRange> {
    let server = root.get("server")?.value.as_table()?;
    let tls = server.get("tls")?.get_ref().as_table()?;
    tls.get_key_value("client_ca").map(|(key, _)| key.span())
}

fn server(certified: CertifiedKey, clients: Option<&ClientAuth>) -> Option<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().ok()?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::clone(&clients.verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Some(server)
}

/// Reads the certificate chain. The certificate of the listener is first.
fn certificates(item: &ConfigItem<'_>, vault: &SecretResolver) -> Option<Vec<CertificateDer<'static>>> {
    let (name, bytes) = endpoint::read(item, vault)?;
    let flaw = |flaw: &str| format!("names {}, {flaw}", quoted(name));
    let help = "name a PEM file with the certificate and its intermediate certificates, each as `CERTIFICATE`";
    let Ok(chain) = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() else {
        return item.mistake(flaw(INVALID_PEM), help);
    };
    let Some(first) = chain.first() else { return item.mistake(flaw("which holds no certificates"), help) };
    let Some(times) = validity(first) else {
        return item.mistake(flaw("whose first certificate can't be read"), help);
    };
    warn_of_time(item, name, times);
    Some(chain)
}

/// Warns if a certificate is not valid now. This is no mistake: some clients may ignore it, and no client has an
/// advantage if the server does not start.
fn warn_of_time(item: &ConfigItem<'_>, name: &str, (begin, end): (Millis, Millis)) {
    let now = clock::now();
    let flaw = if now > end {
        format!("expired at {end}")
    } else if now < begin {
        format!("is not valid before {begin}")
    } else {
        return;
    };
    let message = format!("the certificate in {} {flaw}: clients will not accept it", quoted(name));
    item.file.warning(&item.span, message, "replace that file");
}

/// Reads the private key, and combines it with the chain.
fn certified(
    item: &ConfigItem<'_>,
    vault: &SecretResolver,
    chain: Option<Vec<CertificateDer<'static>>>,
) -> Option<CertifiedKey> {
    let (name, key) = private_key(item, vault)?;
    certified_key(item, name, key, chain?)
}

fn certified_key(
    item: &ConfigItem<'_>,
    name: &str,
    key: PrivateKeyDer<'static>,
    chain: Vec<CertificateDer<'static>>,
) -> Option<CertifiedKey> {
    let cert = item.name.replace("key", "cert");
    let flaw = match CertifiedKey::from_der(chain, key, &provider()) {
        Ok(certified) => return Some(certified),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            format!("which is not the key of the certificate in `{cert}`")
        }
        Err(Error::InvalidCertificate(_)) => {
            format!("whose certificate in `{cert}` can't be used: it must be X.509 version 3")
        }
        Err(_) => "whose key can't be used: use RSA with at least 2048 bits, P-256, P-384, P-521 or Ed25519".to_owned(),
    };
    item.mistake(format!("names {}, {flaw}", quoted(name)), "replace one of the two files")
}

/// Reads the private key in a file. Returns the path and the key.
fn private_key<'a>(item: &ConfigItem<'a>, vault: &SecretResolver) -> Option<(&'a str, PrivateKeyDer<'static>)> {
    if item.text()?.contains("-----BEGIN") {
        item.file.hide_if_guarded(&item.span);
        let message = format!("the secret `{}` must not be written in this file", item.name);
        item.file.mistake(&item.key, message, "write the path of the PEM file with the key");
        return None;
    }
    let (name, bytes) = endpoint::read(item, vault)?;
    if let Ok(meta) = std::fs::metadata(vault.dir.join(name)) {
        warn_if_readable(item, &quoted(name), &meta);
    }
    let help = "name a PEM file with one `PRIVATE KEY` that is not encrypted";
    match one_key(&Zeroizing::new(bytes)) {
        Ok(key) => Some((name, key)),
        Err(flaw) => item.mistake(format!("names {}, {flaw}", quoted(name)), help),
    }
}

/// Returns the single private key in a PEM file.
fn one_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, &'static str> {
    if pem.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED) {
        return Err("whose key is encrypted");
    }
    let mut keys = PrivateKeyDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| INVALID_PEM)?;
    match (keys.pop(), keys.is_empty()) {
        (None, _) => Err("which holds no private key"),
        (Some(_), false) => Err("which holds more than one private key"),
        (Some(key), true) => Ok(key),
    }
}

const INVALID_PEM: &str = "which is not PEM, or is incomplete";

/// This word is in a PEM file only if a key in it is encrypted (RFC 1421, section 4.6.1.1; RFC 7468, section 11).
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// Reads the certificate authorities of callers. A caller need not show a certificate, because it may have other
/// credentials.
fn clients(item: &ConfigItem<'_>, vault: &SecretResolver) -> Option<ClientAuth> {
    let authorities = endpoint::certificates(item, vault, "the certificates of callers")?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().map(|der| CertificateDer::from_slice(der)));
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).allow_unauthenticated();
    let hashes: Vec<u8> = authorities.iter().flat_map(|der| crypto::sha256(der)).collect();
    builder.build().ok().map(|verifier| ClientAuth { verifier, authorities_hash: crypto::sha256(&hashes) })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
