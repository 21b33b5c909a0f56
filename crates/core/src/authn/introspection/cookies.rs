//! Selects the cookies (RFC 6265, section 4.2) that are passed on.

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Returns a `Cookie` header with the cookies of the request that have one of these names, unchanged. Returns `None` if
/// there are none.
pub(super) fn select_cookies(headers: &HeaderMap, names: &[String]) -> Option<(HeaderName, HeaderValue)> {
    // HTTP/2 may send the cookies in several headers (RFC 9113, section 8.2.3).
    let pairs = headers.get_all(COOKIE).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let wanted: Vec<_> =
        pairs.map(<[u8]>::trim_ascii).filter(|pair| names.iter().any(|own| has_name(own, pair))).collect();
    if wanted.is_empty() {
        return None;
    }
    // Values that came in headers are valid in one header.
    HeaderValue::from_bytes(&wanted.join(&b"; "[..])).ok().map(|value| (COOKIE, value))
}

fn has_name(name: &str, pair: &[u8]) -> bool {
    pair.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.trim_ascii_start().first() == Some(&b'='))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_the_named_cookies_are_passed_on() {
        let kept = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            select_cookies(&headers, &["sid".to_owned(), "sid2".to_owned()]).map(|(_, value)| value.as_bytes().to_vec())
        };
        assert_eq!(kept(&[]), None);
        assert_eq!(kept(&["", ";", "SID=1; xsid=2; sid; =sid; other=sid=3"]), None);
        assert_eq!(kept(&["theme=dark; sid=a=b; lang=en"]).unwrap(), b"sid=a=b");
        assert_eq!(kept(&["sid=", "sid2=\"x\""]).unwrap(), b"sid=; sid2=\"x\"");
        assert_eq!(kept(&[" sid=1;sid=2 ;sid2=\u{fe}"]).unwrap(), "sid=1; sid=2; sid2=\u{fe}".as_bytes());
    }
}
