//! Servers elsewhere that have a say in who a caller is.

use core::net::IpAddr;
use std::fmt;
use std::path::PathBuf;

use http::Uri;

use crate::secret::Secret;

/// A server to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where; see [`is_safe`].
    pub url: Uri,
    /// The certificate authorities that its certificate may come from, in DER. Without any, those that browsers trust.
    pub authorities: Vec<Vec<u8>>,
    /// What it is shown as a bearer token, if it wants one.
    pub bearer: Option<BearerToken>,
}

impl fmt::Display for Endpoint {
    /// Without the query, which is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}{}", self.url.scheme_str().unwrap_or("https"), self.url.path())
    }
}

/// A token to show.
#[derive(Clone, PartialEq, Eq)]
pub enum BearerToken {
    /// This one.
    Fixed(Secret),
    /// The one that the file holds at that time: those of Kubernetes change every hour.
    File(PathBuf),
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(…)")
    }
}

/// Whether what is asked there can be believed: over HTTPS, or on this machine.
pub fn is_safe(url: &Uri) -> bool {
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
    fn only_https_and_this_machine_are_safe() {
        let safe = |url: &str| is_safe(&url.parse().unwrap());
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
