//! How long an answer is valid according to its headers (RFC 9111, sections 4.2 and 5.2.2).

use std::time::Duration;

use hyper::header::{AGE, CACHE_CONTROL, EXPIRES, HeaderMap, HeaderName};
use jiff::fmt::rfc2822::DateTimeParser;

use crate::model::Millis;

/// Returns how long the answer may be used, if its headers say so: `max-age` minus the time in caches on the way, or
/// else `Expires`.
pub(super) fn lifetime(headers: &HeaderMap, now: Millis) -> Option<Duration> {
    let directives = || values(headers, CACHE_CONTROL).flat_map(|value| value.split(',')).map(str::trim);
    if directives().any(|word| word.eq_ignore_ascii_case("no-store") || word.eq_ignore_ascii_case("no-cache")) {
        return Some(Duration::ZERO);
    }
    if let Some(seconds) = directives().find_map(max_age) {
        let age = values(headers, AGE).find_map(|value| value.trim().parse().ok()).unwrap_or(0);
        return Some(Duration::from_secs(seconds.saturating_sub(age)));
    }
    // If the date cannot be read, the answer has expired (RFC 9111, section 5.3).
    let until = values(headers, EXPIRES).next().map(|date| date_millis(date).unwrap_or(0))?;
    Some(Duration::from_millis(until.saturating_sub(now.0)))
}

fn max_age(directive: &str) -> Option<u64> {
    let (name, value) = directive.split_once('=')?;
    let digits = value.trim().trim_matches('"');
    name.trim().eq_ignore_ascii_case("max-age").then(|| digits.parse().unwrap_or(0))
}

fn date_millis(date: &str) -> Option<u64> {
    let time = DateTimeParser::new().parse_timestamp(date).ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

fn values(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn answers_say_how_long_they_are_good() {
        let seconds = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            lifetime(&headers, Millis(784_111_777_000)).map(|lifetime| lifetime.as_secs())
        };
        assert_eq!(seconds(&[]), None);
        assert_eq!(seconds(&[("cache-control", "public, max-age=3600, must-revalidate")]), Some(3600));
        assert_eq!(seconds(&[("cache-control", "Max-Age=\"60\"")]), Some(60));
        assert_eq!(seconds(&[("cache-control", "public"), ("cache-control", "max-age=60"), ("age", "20")]), Some(40));
        assert_eq!(seconds(&[("cache-control", "max-age=60"), ("age", "99")]), Some(0));
        assert_eq!(seconds(&[("cache-control", "max-age=60, no-store")]), Some(0));
        assert_eq!(seconds(&[("cache-control", "s-maxage=60")]), None);
        assert_eq!(seconds(&[("cache-control", "max-age=-1")]), Some(0));
        assert_eq!(seconds(&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT")]), Some(60));
        assert_eq!(seconds(&[("expires", "Sun, 06 Nov 1994 08:40:37 GMT")]), Some(0));
        assert_eq!(seconds(&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT"), ("cache-control", "max-age=5")]), Some(5));
        for expired in ["0", "-1", "soon"] {
            assert_eq!(seconds(&[("expires", expired)]), Some(0), "{expired}");
        }
    }
}
