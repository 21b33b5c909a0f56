//! Whether a browser sent a request for a page of another site. Such a page can make the browser send cookies, certificates and what
//! proxies add, and with a name of its own that resolves to this server (DNS rebinding) it can read the answers, too.

use core::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

/// What browsers say of the page that a request comes from (Fetch Metadata). Pages can't change it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The host names that are a listener's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnHosts {
    /// Those that are configured, in small letters and without ports.
    names: Option<Vec<String>>,
    /// Whether IP addresses and `localhost` are, too. No page elsewhere can have these for its own name.
    with_addresses: bool,
}

/// Where a request was sent to, and what it says of the page that had it sent.
#[derive(Clone, Copy, Debug)]
pub struct RequestTarget<'a> {
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// Its target, which in HTTP/2 names the host.
    pub uri: &'a Uri,
    /// Whether it came by HTTPS. Otherwise a proxy may have ended TLS.
    pub is_https: bool,
}

/// Why a request counts as another site's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossSite<'a> {
    /// A page of another origin had it sent, or a browser says so.
    Page,
    /// It was sent to this host, which is none of those configured.
    Host(&'a [u8]),
}

impl OwnHosts {
    /// These names alone; without a list, IP addresses and `localhost`.
    pub fn only(names: Option<Vec<String>>) -> OwnHosts {
        OwnHosts { with_addresses: names.is_none(), names }
    }

    /// IP addresses, `localhost`, and these names.
    pub fn with_addresses(names: Option<Vec<String>>) -> OwnHosts {
        OwnHosts { names, with_addresses: true }
    }

    /// Whether names are configured, so that requests to others are refused.
    pub fn are_configured(&self) -> bool {
        self.names.is_some()
    }

    /// Whether the host of this authority (`host:port`) is one of them.
    fn include(&self, authority: &[u8]) -> bool {
        let Ok(host) = std::str::from_utf8(authority).map(host_name) else { return false };
        self.with_addresses && is_address(host)
            || self.names.iter().flatten().any(|name| name.eq_ignore_ascii_case(host))
    }
}

impl<'a> RequestTarget<'a> {
    /// Why the request counts as another site's, if it does. Pages of the `listed` origins do not count as such.
    pub fn cross_site(&self, own: &OwnHosts, listed: &[String]) -> Option<CrossSite<'a>> {
        let mut origins = self.headers.get_all(ORIGIN).iter();
        let (origin, second) = (origins.next(), origins.next());
        if second.is_some() {
            return Some(CrossSite::Page);
        }
        if origin.is_some_and(|origin| listed.iter().any(|listed| origin == listed)) {
            return None;
        }
        if own.are_configured()
            && let Some(host) = self.hosts().find(|host| !own.include(host))
        {
            return Some(CrossSite::Host(host));
        }
        let is_near = |site: &HeaderValue| site == "same-origin" || site == "none";
        let is_near = self.headers.get_all(SEC_FETCH_SITE).iter().all(is_near);
        (!is_near || origin.is_some_and(|origin| !self.is_own(origin, own))).then_some(CrossSite::Page)
    }

    /// Whether this is the origin that the request itself was sent to, and its host is an own one.
    fn is_own(&self, origin: &HeaderValue, own: &OwnHosts) -> bool {
        let schemes = if self.is_https { &["https://"][..] } else { &["https://", "http://"] };
        let authority = schemes.iter().find_map(|scheme| origin.as_bytes().strip_prefix(scheme.as_bytes()));
        let host = self.hosts().next();
        authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host) && own.include(host))
    }

    /// Every host that the request names: no more than one, where that was checked.
    fn hosts(&self) -> impl Iterator<Item = &'a [u8]> {
        let headers = self.headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
        headers.chain(self.uri.authority().map(|authority| authority.as_str().as_bytes()))
    }
}

/// The host in `host:port`, an IPv6 address without its brackets.
pub fn host_name(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

fn is_address(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SIGNER: (HeaderName, &str) = (HOST, "signer.example.com");

    fn signer() -> OwnHosts {
        OwnHosts::only(Some(vec!["signer.example.com".to_owned()]))
    }

    fn reason(own: &OwnHosts, is_https: bool, lines: &[(HeaderName, &str)]) -> &'static str {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        let target = RequestTarget { headers: &headers, uri: &Uri::from_static("/"), is_https };
        match target.cross_site(own, &["https://app.example.com".to_owned()]) {
            None => "own",
            Some(CrossSite::Page) => "page",
            Some(CrossSite::Host(_)) => "host",
        }
    }

    fn is_cross(lines: &[(HeaderName, &str)]) -> bool {
        reason(&signer(), false, lines) != "own"
    }

    #[test]
    fn what_no_browser_sends_is_not_cross_site() {
        assert!(!is_cross(&[]));
        assert!(!is_cross(&[SIGNER]));
    }

    #[test]
    fn the_own_and_listed_origins_are_not() {
        for origin in [
            "https://signer.example.com",
            "http://signer.example.com",
            "https://SIGNER.example.com",
            "https://app.example.com",
        ] {
            assert!(!is_cross(&[SIGNER, (ORIGIN, origin)]), "{origin}");
            assert!(!is_cross(&[SIGNER, (ORIGIN, origin), (SEC_FETCH_SITE, "same-origin")]), "{origin}");
        }
        assert!(!is_cross(&[SIGNER, (ORIGIN, "https://app.example.com"), (SEC_FETCH_SITE, "cross-site")]));
        assert!(!is_cross(&[SIGNER, (SEC_FETCH_SITE, "none")]));
    }

    #[test]
    fn with_tls_a_page_without_it_is_another_site() {
        assert_eq!(reason(&signer(), true, &[SIGNER, (ORIGIN, "https://signer.example.com")]), "own");
        assert_eq!(reason(&signer(), true, &[SIGNER, (ORIGIN, "http://signer.example.com")]), "page");
    }

    #[test]
    fn all_others_are() {
        for origin in [
            "https://evil.example",
            "null",
            "",
            "http://app.example.com",
            "https://app.example.com:444",
            "https://app.example.com.evil.example",
            "https://signer.example.com:444",
            "https://signer.example.com.evil.example",
            "signer.example.com",
            "file://",
        ] {
            assert!(is_cross(&[SIGNER, (ORIGIN, origin)]), "{origin}");
            assert!(is_cross(&[SIGNER, (ORIGIN, origin), (SEC_FETCH_SITE, "same-origin")]), "{origin}");
            assert!(is_cross(&[(ORIGIN, origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", "", "Same-Origin", "same-origin, none", "whatever"] {
            assert!(is_cross(&[SIGNER, (SEC_FETCH_SITE, site)]), "{site}");
            assert!(is_cross(&[SIGNER, (ORIGIN, "https://signer.example.com"), (SEC_FETCH_SITE, site)]), "{site}");
        }
        assert!(is_cross(&[SIGNER, (SEC_FETCH_SITE, "same-origin"), (SEC_FETCH_SITE, "cross-site")]));
        assert!(is_cross(&[SIGNER, (ORIGIN, "https://app.example.com"), (ORIGIN, "https://app.example.com")]));
    }

    #[test]
    fn a_host_that_is_not_configured_is_refused_whoever_asks() {
        for host in
            ["evil.example", "evil.example:7480", "signer.example.com.evil.example", "127.0.0.1", "localhost", ""]
        {
            assert_eq!(reason(&signer(), false, &[(HOST, host)]), "host", "{host}");
        }
        for host in ["signer.example.com", "SIGNER.example.com", "signer.example.com:7480"] {
            assert_eq!(reason(&signer(), false, &[(HOST, host)]), "own", "{host}");
        }
        assert_eq!(reason(&signer(), false, &[SIGNER, (HOST, "evil.example")]), "host");
        let listed = [(HOST, "evil.example"), (ORIGIN, "https://app.example.com")];
        assert_eq!(reason(&signer(), false, &listed), "own", "its page is no other site's, wherever it asks");
    }

    #[test]
    fn without_configured_hosts_no_name_is_the_own_origin_of_a_page() {
        let own = OwnHosts::only(None);
        for host in ["127.0.0.1", "localhost", "localhost:7480", "[::1]:7480", "192.0.2.1:80"] {
            let origin = format!("http://{host}");
            assert_eq!(reason(&own, false, &[(HOST, host), (ORIGIN, &origin)]), "own", "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::1].evil.example"] {
            let origin = format!("http://{host}");
            assert_eq!(reason(&own, false, &[(HOST, host), (ORIGIN, &origin)]), "page", "{host}");
            assert_eq!(reason(&own, false, &[(HOST, host)]), "own", "{host}: a program's request");
        }
    }

    #[test]
    fn a_host_stands_before_its_port() {
        for (authority, host) in [
            ("signer.example.com:7480", "signer.example.com"),
            ("signer.example.com", "signer.example.com"),
            ("[::1]:80", "::1"),
            ("[::1]", "::1"),
            ("a:b", "a:b"),
            ("", ""),
        ] {
            assert_eq!(host_name(authority), host);
        }
    }
}
