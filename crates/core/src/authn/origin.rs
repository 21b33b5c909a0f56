//! Detects requests that a browser sent for a page of another site. Such a page can make the browser send cookies,
//! certificates and the headers that proxies add. If the page uses a name of its own site that resolves to this server
//! (DNS rebinding), it can also read the answers.

use core::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

/// The header in which browsers say from which site a request comes (Fetch Metadata). Pages cannot change it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// An origin whose pages may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// This exact origin.
    Exact(String),
    /// Each `https` origin whose host has exactly one label before this text, which starts with a dot.
    Subdomains(String),
}

impl AllowedOrigin {
    /// Returns whether this is the value of `Origin` of an allowed page.
    pub fn matches(&self, origin: &HeaderValue) -> bool {
        match self {
            AllowedOrigin::Exact(exact) => origin == exact.as_str(),
            AllowedOrigin::Subdomains(domain) => {
                let host = origin.as_bytes().strip_prefix(b"https://");
                host.and_then(|host| host.strip_suffix(domain.as_bytes())).is_some_and(is_label)
            }
        }
    }
}

/// Returns whether this is one label of a host name, as browsers write it.
fn is_label(text: &[u8]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    (1..=63).contains(&text.len()) && text.iter().all(legal)
}

/// The host names of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnHosts {
    /// The configured names, in lower case and without ports.
    names: Option<Vec<String>>,
    /// Whether IP addresses and `localhost` are accepted, too. A page of another site cannot have these as its own
    /// name.
    with_addresses: bool,
}

/// The target of a request, and what the request says about the page that sent it.
#[derive(Clone, Copy, Debug)]
pub struct RequestTarget<'a> {
    /// The headers of the request.
    pub headers: &'a HeaderMap,
    /// The URI of the request, which names the host in HTTP/2.
    pub uri: &'a Uri,
    /// Whether the request came over HTTPS. If not, a proxy may have terminated TLS.
    pub is_https: bool,
}

/// The reason why a request is treated as a request of another site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossSite<'a> {
    /// A page of another origin sent the request, or a browser says so.
    Page,
    /// The request names this host, which is not configured.
    Host(&'a [u8]),
}

impl OwnHosts {
    /// Accepts only these names. Without a list, accepts IP addresses and `localhost`.
    pub fn from_names(names: Option<Vec<String>>) -> OwnHosts {
        OwnHosts { with_addresses: names.is_none(), names }
    }

    /// Accepts IP addresses, `localhost`, and these names.
    pub fn with_addresses(names: Option<Vec<String>>) -> OwnHosts {
        OwnHosts { names, with_addresses: true }
    }

    /// Returns whether names are configured. If so, requests to other names are refused.
    pub fn are_configured(&self) -> bool {
        self.names.is_some()
    }

    /// Returns whether the host of this authority (`host:port`) is one of the listener.
    fn contains(&self, authority: &[u8]) -> bool {
        let Ok(host) = std::str::from_utf8(authority).map(host_name) else { return false };
        self.with_addresses && is_address(host)
            || self.names.iter().flatten().any(|name| name.eq_ignore_ascii_case(host))
    }
}

impl<'a> RequestTarget<'a> {
    /// Returns the reason why the request is treated as a request of another site, if there is a reason. Pages of the
    /// `listed` origins are always accepted.
    pub fn cross_site(&self, own: &OwnHosts, listed: &[AllowedOrigin]) -> Option<CrossSite<'a>> {
        let mut origins = self.headers.get_all(ORIGIN).iter();
        let (origin, second) = (origins.next(), origins.next());
        if second.is_some() {
            return Some(CrossSite::Page);
        }
        if origin.is_some_and(|origin| listed.iter().any(|listed| listed.matches(origin))) {
            return None;
        }
        if own.are_configured()
            && let Some(host) = self.hosts().find(|host| !own.contains(host))
        {
            return Some(CrossSite::Host(host));
        }
        let is_same_site = |site: &HeaderValue| site == "same-origin" || site == "none";
        let is_near = self.headers.get_all(SEC_FETCH_SITE).iter().all(is_same_site);
        (!is_near || origin.is_some_and(|origin| !self.is_own_origin(origin, own))).then_some(CrossSite::Page)
    }

    /// Returns whether this is the origin to which the request was sent and the host belongs to the listener.
    fn is_own_origin(&self, origin: &HeaderValue, own: &OwnHosts) -> bool {
        let schemes = if self.is_https { &["https://"][..] } else { &["https://", "http://"] };
        let authority = schemes.iter().find_map(|scheme| origin.as_bytes().strip_prefix(scheme.as_bytes()));
        let host = self.hosts().next();
        authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host) && own.contains(host))
    }

    /// Returns all hosts that the request names. There is at most one if the caller has checked this.
    fn hosts(&self) -> impl Iterator<Item = &'a [u8]> {
        let headers = self.headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
        headers.chain(self.uri.authority().map(|authority| authority.as_str().as_bytes()))
    }
}

/// Returns the host in `host:port`, an IPv6 address without its brackets.
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
        OwnHosts::from_names(Some(vec!["signer.example.com".to_owned()]))
    }

    fn reason(own: &OwnHosts, is_https: bool, lines: &[(HeaderName, &str)]) -> &'static str {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        let target = RequestTarget { headers: &headers, uri: &Uri::from_static("/"), is_https };
        match target.cross_site(own, &[AllowedOrigin::Exact("https://app.example.com".to_owned())]) {
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
    fn own_and_listed_origins_are_not_cross_site() {
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
    fn a_wildcard_stands_for_exactly_one_label_with_tls() {
        let allowed = AllowedOrigin::Subdomains(".example.com".to_owned());
        let matches = |origin: &str| allowed.matches(&HeaderValue::from_str(origin).unwrap());
        for origin in ["https://app.example.com", "https://a-1.example.com", "https://xn--mnchen-3ya.example.com"] {
            assert!(matches(origin), "{origin}");
        }
        for origin in [
            "http://app.example.com",
            "https://example.com",
            "https://.example.com",
            "https://a.b.example.com",
            "https://app.example.com.evil.example",
            "https://evil.example/.example.com",
            "https://evil.example#.example.com",
            "https://evil:443@.example.com",
            "https://evilexample.com",
            "https://app.example.com:8443",
            "https://app.example.com/",
            "https://APP.example.com",
            "https://*.example.com",
            "capacitor://app.example.com",
            "null",
        ] {
            assert!(!matches(origin), "{origin}");
        }
    }

    #[test]
    fn with_tls_a_page_without_it_is_another_site() {
        assert_eq!(reason(&signer(), true, &[SIGNER, (ORIGIN, "https://signer.example.com")]), "own");
        assert_eq!(reason(&signer(), true, &[SIGNER, (ORIGIN, "http://signer.example.com")]), "page");
    }

    #[test]
    fn other_origins_are_cross_site() {
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
    fn an_unconfigured_host_is_always_refused() {
        for host in
            ["evil.example", "evil.example:7480", "signer.example.com.evil.example", "127.0.0.1", "localhost", ""]
        {
            assert_eq!(reason(&signer(), false, &[(HOST, host)]), "host", "{host}");
        }
        for host in ["signer.example.com", "SIGNER.example.com", "signer.example.com:7480"] {
            assert_eq!(reason(&signer(), false, &[(HOST, host)]), "own", "{host}");
        }
        assert_eq!(reason(&signer(), false, &[SIGNER, (HOST, "evil.example")]), "host");
        let allowed_origins = [(HOST, "evil.example"), (ORIGIN, "https://app.example.com")];
        assert_eq!(reason(&signer(), false, &allowed_origins), "own", "its page is no other site's, wherever it asks");
    }

    #[test]
    fn without_configured_hosts_no_name_is_the_own_origin_of_a_page() {
        let own = OwnHosts::from_names(None);
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
    fn host_name_removes_the_port() {
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
