//! Settings of servers that the program calls while it runs: their addresses, their certificate authorities, and the
//! credentials that they get.

use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::reader::{ConfigItem, Section, quoted};
use super::secret::SecretResolver;
use super::source_files::describe_read_error;
use super::text;
use crate::authn::{BearerToken, HttpsProxy, ProxyException, is_trustworthy};
use crate::model::IpNetwork;

/// Reads the address of a server that may get credentials: HTTPS, or HTTP on this machine.
pub(super) fn url(item: &ConfigItem<'_>) -> Option<Uri> {
    let url = text::url(item)?;
    if is_trustworthy(&url) {
        return Some(url);
    }
    item.mistake("must use HTTPS, except on this machine", "write https://, a host and a path")
}

/// Reads the base address of an API, and appends `tail` to it.
pub(super) fn api(item: &ConfigItem<'_>, tail: &str) -> Option<Uri> {
    let base = url(item)?;
    let text = format!("{}://{}{}{tail}", base.scheme_str()?, base.authority()?, base.path().trim_end_matches('/'));
    match text.parse() {
        Ok(url) if base.query().is_none() => Some(url),
        _ => item.mistake("must not have a query", "write the address alone, as in \"https://abc.api.example.com\""),
    }
}

/// Reads `[proxy]`: the proxy for requests to other servers.
pub(super) fn proxy(root: &mut Section<'_>) -> Option<HttpsProxy> {
    let mut section = root.section("proxy")?;
    let url = section.require("https", "write the address of the proxy: https = \"http://proxy.example.com:3128\"");
    let url = url.and_then(|item| proxy_url(&item));
    let exceptions = section.get("no_proxy").map_or(Some(Vec::new()), |item| item.read_unique_list(proxy_exception));
    section.report_unknown_keys();
    Some(HttpsProxy { url: url?, exceptions: exceptions? })
}

/// Reads the address of the proxy. The connection to the proxy has no TLS, but what is sent through it has.
fn proxy_url(item: &ConfigItem<'_>) -> Option<Uri> {
    const HELP: &str = "write http://, a host and a port: \"http://proxy.example.com:3128\"";
    if item.non_empty_text()?.contains('@') {
        item.file.hide_if_guarded(&item.span);
        let message = format!("`{}` has a user or password, but credentials for a proxy are not supported", item.name);
        item.file.mistake(&item.key, message, HELP);
        return None;
    }
    let url = text::url(item)?;
    if url.scheme() == Some(&Scheme::HTTP) && url.port().is_some() && url.path() == "/" && url.query().is_none() {
        return Some(url);
    }
    item.mistake("is not the address of a proxy", HELP)
}

/// Reads a host name, which includes all names below it, an IP address or a network.
fn proxy_exception(item: &ConfigItem<'_>) -> Option<ProxyException> {
    let text = item.non_empty_text()?;
    let network = IpNetwork::parse(text).or_else(|| match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(_) => IpNetwork::parse(&format!("{text}/32")),
        IpAddr::V6(_) => IpNetwork::parse(&format!("{text}/128")),
    });
    match network {
        Some(network) => Some(ProxyException::Network(network)),
        None if text::is_dns_name(text) => Some(ProxyException::Host(text.to_owned())),
        None => {
            let help = "write a host name in small letters and without `*`, an IP address or a network: \"example.com\" includes all names below it";
            item.mistake(format!("has {}, which is not a host or a network", quoted(text)), help)
        }
    }
}

/// Reads `ca`: a file with certificate authorities.
pub(super) fn authorities(section: &mut Section<'_>, vault: &SecretResolver) -> Vec<Vec<u8>> {
    let item = section.get("ca");
    item.and_then(|item| certificates(&item, vault, "the certificate of the server")).unwrap_or_default()
}

/// Reads `bearer`.
pub(super) fn bearer(section: &mut Section<'_>, vault: &mut SecretResolver) -> Option<BearerToken> {
    vault.bearer(&section.get("bearer")?)
}

/// Reads the certificates in a PEM file, in DER. Each must be usable as a trust anchor. `whose` names the certificates
/// that they sign, for the message.
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
        _ => {
            let authorities = format!("the certificates of the authorities that sign {whose}");
            let help = format!("name a PEM file with {authorities}, each as `CERTIFICATE`");
            item.mistake(format!("names {}, which holds no certificates", quoted(name)), help)
        }
    }
}

/// Reads a file by its path. Returns the path and the content.
pub(super) fn read<'a>(item: &ConfigItem<'a>, vault: &SecretResolver) -> Option<(&'a str, Vec<u8>)> {
    let name = item.non_empty_text()?;
    match vault.read(item, name) {
        Ok(bytes) => Some((name, bytes)),
        Err(error) => item.mistake(
            format!("names {}, {}", quoted(name), describe_read_error(&error)),
            "write the path of an existing file, relative to this file's directory",
        ),
    }
}
