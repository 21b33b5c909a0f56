//! Whether a page of another site made the browser send a request.

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::{Request, Uri};

use super::Exchange;

/// What browsers say of the page that a request comes from (Fetch Metadata). Pages can't change it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a page of another site, whose origin is not listed, made the browser send it. Requests that no browser sends are not.
pub(super) fn is<B>(exchange: &Exchange<'_>, request: &Request<B>) -> bool {
    let listed = exchange.settings.server.cors.as_ref().map_or(&[][..], |cors| &cors.origins);
    is_from(request.headers(), Own::of(exchange, request), listed)
}

/// Whether a page of any other origin than our own, listed or not, made the browser send it.
pub(super) fn is_foreign<B>(exchange: &Exchange<'_>, request: &Request<B>) -> bool {
    is_from(request.headers(), Own::of(exchange, request), &[])
}

/// Where the request was sent to, besides its `Host`.
#[derive(Clone, Copy)]
struct Own<'a> {
    uri: &'a Uri,
    /// Whether it came here by HTTPS. Otherwise something in front may have ended TLS.
    is_https: bool,
}

fn is_from(headers: &HeaderMap, own: Own<'_>, listed: &[String]) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (_, Some(_)) => return true,
        (origin, None) => origin,
    };
    if origin.is_some_and(|origin| listed.iter().any(|listed| origin == listed)) {
        return false;
    }
    let near = |site: &HeaderValue| site == "same-origin" || site == "none";
    origin.is_some_and(|origin| !own.is(origin, headers)) || !headers.get_all(SEC_FETCH_SITE).iter().all(near)
}

impl<'a> Own<'a> {
    fn of<B>(exchange: &Exchange<'_>, request: &'a Request<B>) -> Own<'a> {
        Own { uri: request.uri(), is_https: exchange.peer.tls.is_some() }
    }

    /// Whether this is the origin that the request itself was sent to.
    fn is(self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        let schemes = if self.is_https { &["https://"][..] } else { &["https://", "http://"] };
        let authority = schemes.iter().find_map(|scheme| origin.as_bytes().strip_prefix(scheme.as_bytes()));
        let host = headers.get(HOST).map(HeaderValue::as_bytes);
        let host = host.or_else(|| self.uri.authority().map(|authority| authority.as_str().as_bytes()));
        authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn is_cross(lines: &[(HeaderName, &str)]) -> bool {
        is_cross_at(false, lines)
    }

    fn is_cross_at(is_https: bool, lines: &[(HeaderName, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        is_from(&headers, Own { uri: &Uri::from_static("/"), is_https }, &["https://app.example.com".to_owned()])
    }

    const OWN: (HeaderName, &str) = (HOST, "signer.example.com");

    #[test]
    fn what_no_browser_sends_is_not_cross_site() {
        assert!(!is_cross(&[]));
        assert!(!is_cross(&[OWN]));
    }

    #[test]
    fn the_own_and_listed_origins_are_not() {
        for origin in [
            "https://signer.example.com",
            "http://signer.example.com",
            "https://SIGNER.example.com",
            "https://app.example.com",
        ] {
            assert!(!is_cross(&[OWN, (ORIGIN, origin)]), "{origin}");
            assert!(!is_cross(&[OWN, (ORIGIN, origin), (SEC_FETCH_SITE, "same-origin")]), "{origin}");
        }
        assert!(!is_cross(&[OWN, (ORIGIN, "https://app.example.com"), (SEC_FETCH_SITE, "cross-site")]));
        assert!(!is_cross(&[OWN, (SEC_FETCH_SITE, "none")]));
    }

    #[test]
    fn with_tls_a_page_without_it_is_another_site() {
        assert!(!is_cross_at(true, &[OWN, (ORIGIN, "https://signer.example.com")]));
        assert!(is_cross_at(true, &[OWN, (ORIGIN, "http://signer.example.com")]));
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
            assert!(is_cross(&[OWN, (ORIGIN, origin)]), "{origin}");
            assert!(is_cross(&[OWN, (ORIGIN, origin), (SEC_FETCH_SITE, "same-origin")]), "{origin}");
            assert!(is_cross(&[(ORIGIN, origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", "", "Same-Origin", "same-origin, none", "whatever"] {
            assert!(is_cross(&[OWN, (SEC_FETCH_SITE, site)]), "{site}");
            assert!(is_cross(&[OWN, (ORIGIN, "https://signer.example.com"), (SEC_FETCH_SITE, site)]), "{site}");
        }
        assert!(is_cross(&[OWN, (SEC_FETCH_SITE, "same-origin"), (SEC_FETCH_SITE, "cross-site")]));
        assert!(is_cross(&[OWN, (ORIGIN, "https://app.example.com"), (ORIGIN, "https://app.example.com")]));
    }
}
