//! The other servers that the authenticators ask.

use core::net::IpAddr;
use std::fmt;
use std::path::PathBuf;

use http::Uri;
use http::uri::Scheme;

use super::origin::host_name;
use crate::model::IpNetwork;
use crate::secret::Secret;

/// The address and the credentials of another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL of the server; see [`is_trustworthy`].
    pub url: Uri,
    /// The certificate authorities that are trusted for the server, in DER. If there are none, the public authorities
    /// that browsers trust are used.
    pub authorities: Vec<Vec<u8>>,
    /// The bearer token that the program sends to the server, if the server needs one.
    pub bearer: Option<BearerToken>,
    /// The host to which the program may send requests without TLS, if the configuration names one.
    pub plain_http_host: Option<String>,
    /// The proxy through which the program connects to the server, if the configuration has one.
    pub proxy: Option<HttpsProxy>,
}

/// A proxy for connections with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsProxy {
    /// The `http` address of the proxy.
    pub url: Uri,
    /// The servers to which the program connects directly.
    pub exceptions: Vec<ProxyException>,
}

/// Servers that are not behind a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyException {
    /// This host name and all names below it.
    Host(String),
    /// The addresses of a network.
    Network(IpNetwork),
}

impl HttpsProxy {
    /// Returns whether the program connects to this URL through the proxy. It connects directly to servers on this
    /// machine.
    pub fn is_for(&self, url: &Uri) -> bool {
        let host = url.host().unwrap_or_default();
        url.scheme() == Some(&Scheme::HTTPS)
            && !is_loopback(host)
            && !self.exceptions.iter().any(|one| one.contains(host))
    }
}

impl ProxyException {
    fn contains(&self, host: &str) -> bool {
        match self {
            ProxyException::Host(name) => {
                let above = host.strip_suffix(name.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            ProxyException::Network(network) => {
                host_name(host).parse().is_ok_and(|address: IpAddr| network.contains(address))
            }
        }
    }
}

impl Endpoint {
    /// Returns the endpoint at this URL, with the public authorities, without credentials, and without a proxy.
    pub fn new(url: Uri) -> Endpoint {
        Endpoint { url, authorities: Vec::new(), bearer: None, plain_http_host: None, proxy: None }
    }

    /// Returns whether the program may send requests to this URL.
    pub fn may_ask(&self, url: &Uri) -> bool {
        is_trustworthy(url) || self.is_plain_http_host(url)
    }

    /// Returns whether the program may send requests to this URL, which an answer of the endpoint names. Only a server
    /// on this machine may name a program on this machine.
    pub fn may_refer_to(&self, url: &Uri) -> bool {
        let is_local = |url: &Uri| is_trustworthy(url) && url.scheme() == Some(&Scheme::HTTP);
        is_trustworthy(url) && (!is_local(url) || is_local(&self.url)) || self.is_plain_http_host(url)
    }

    fn is_plain_http_host(&self, url: &Uri) -> bool {
        url.scheme() == Some(&Scheme::HTTP) && url.host().is_some() && url.host() == self.plain_http_host.as_deref()
    }
}

impl fmt::Display for Endpoint {
    /// Omits the query, which may hold private data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}{}", self.url.scheme_str().unwrap_or("https"), self.url.path())
    }
}

/// A bearer token for a server.
#[derive(Clone, PartialEq, Eq)]
pub enum BearerToken {
    /// A fixed token.
    Fixed(Secret),
    /// The token that is in the file at the time of the request. For example, Kubernetes replaces its tokens every
    /// hour.
    File(PathBuf),
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

/// Returns whether the answers from this URL can be trusted: the connection uses HTTPS, or the server is on this
/// machine.
pub fn is_trustworthy(url: &Uri) -> bool {
    match (url.scheme_str(), url.host()) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => is_loopback(host),
        _ => false,
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_proxy_is_for_https_except_for_listed_hosts() {
        let network = IpNetwork::parse("10.0.0.0/8").unwrap();
        let exceptions = vec![ProxyException::Host("svc.cluster.local".to_owned()), ProxyException::Network(network)];
        let proxy = HttpsProxy { url: Uri::from_static("http://proxy.example.com:3128"), exceptions };
        let is_for = |url: &str| proxy.is_for(&url.parse().unwrap());
        for url in [
            "https://id.example.com/",
            "https://id.example.com:8443/",
            "https://notsvc.cluster.local/",
            "https://svc.cluster.local.example.com/",
            "https://192.0.2.1/",
            "https://[2001:db8::1]/",
        ] {
            assert!(is_for(url), "{url}");
        }
        for url in [
            "http://id.example.com/",
            "https://svc.cluster.local/",
            "https://id.auth.svc.cluster.local/",
            "https://10.1.2.3/",
            "https://localhost/",
            "https://127.0.0.1:8443/",
            "https://[::1]/",
        ] {
            assert!(!is_for(url), "{url}");
        }
    }

    #[test]
    fn only_https_and_this_machine_are_safe() {
        let safe = |url: &str| is_trustworthy(&url.parse().unwrap());
        for url in [
            "https://id.example.com/",
            "http://localhost:80/",
            "http://127.0.0.1:8080/jwks",
            "http://[::1]/",
            "https://[::1]/",
        ] {
            assert!(safe(url), "{url}");
        }
        for url in [
            "http://id.example.com/",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "http://10.0.0.1/",
            "http://[::ffff:10.0.0.1]/",
            "ftp://localhost/",
            "/jwks",
            "localhost:80",
        ] {
            assert!(!safe(url), "{url}");
        }
    }
}
