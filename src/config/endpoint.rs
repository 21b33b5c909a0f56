//! Servers that are asked while the program runs: where they are, whose certificates they may have, and what they are shown.

use http::Uri;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::reader::{ConfigItem, Section, quoted, unread};
use super::secret::SecretResolver;
use super::text;
use crate::authn::{BearerToken, is_safe};

/// An address that may be asked who is who.
pub(super) fn url(item: &ConfigItem<'_>) -> Option<Uri> {
    let url = text::url(item)?;
    if is_safe(&url) {
        return Some(url);
    }
    item.refuse("must be fetched by HTTPS, except from this machine", "write https://, a host and a path")
}

/// The address of an interface, with `tail` put behind it.
pub(super) fn api(item: &ConfigItem<'_>, tail: &str) -> Option<Uri> {
    let base = url(item)?;
    let text = format!("{}://{}{}{tail}", base.scheme_str()?, base.authority()?, base.path().trim_end_matches('/'));
    match text.parse() {
        Ok(url) if base.query().is_none() => Some(url),
        _ => item.refuse("must not have a query", "write the address alone, as in \"https://abc.api.example.com\""),
    }
}

/// Reads `ca`: the certificate authorities in a file.
pub(super) fn authorities(section: &mut Section<'_>, vault: &SecretResolver) -> Vec<Vec<u8>> {
    let item = section.get("ca");
    item.and_then(|item| certificates(&item, vault, "the server's")).unwrap_or_default()
}

/// Reads `bearer`.
pub(super) fn bearer(section: &mut Section<'_>, vault: &mut SecretResolver) -> Option<BearerToken> {
    vault.bearer(&section.get("bearer")?)
}

/// The certificates in a PEM file, in DER, each fit to be a trust anchor. `whose` certificates they sign is for the message.
pub(super) fn certificates(item: &ConfigItem<'_>, vault: &SecretResolver, whose: &str) -> Option<Vec<Vec<u8>>> {
    let (name, bytes) = read(item, vault)?;
    let mut roots = RootCertStore::empty();
    let read = CertificateDer::pem_slice_iter(&bytes).map(|certificate| {
        let certificate = certificate.ok()?;
        roots.add(certificate.clone()).ok()?;
        Some(certificate.to_vec())
    });
    match read.collect::<Option<Vec<_>>>() {
        Some(certificates) if !certificates.is_empty() => Some(certificates),
        _ => item.refuse(
            format!("names {}, which holds no certificates", quoted(name)),
            format!("name a PEM file with the certificates of those who sign {whose}, each as `CERTIFICATE`"),
        ),
    }
}

/// A file that is named by its path: the name and what it holds.
pub(super) fn read<'a>(item: &ConfigItem<'a>, vault: &SecretResolver) -> Option<(&'a str, Vec<u8>)> {
    let name = item.filled()?;
    match vault.read(name) {
        Ok(bytes) => Some((name, bytes)),
        Err(error) => item.refuse(
            format!("names {}, {}", quoted(name), unread(&error)),
            "write the path of a file that is there, relative to this file's directory",
        ),
    }
}
