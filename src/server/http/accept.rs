//! Selects the form of the answer that the caller prefers (RFC 9110, section 12.5.1).

use hyper::header::{ACCEPT, HeaderMap, HeaderName};

/// Returns the form of `offered` that the `Accept` header prefers. If several are equal, returns the first. Returns
/// `None` if the header excludes all of them. If the header is missing, empty or cannot be read, all forms are
/// acceptable.
pub(super) fn choose<T: Copy>(headers: &HeaderMap, offered: &[(&str, T)]) -> Option<T> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = values.filter(|value| !value.trim_matches([' ', ',', '\t']).is_empty()).peekable();
    if ranges.peek().is_none() {
        return offered.first().map(|(_, form)| *form);
    }
    let accept = ranges.collect::<Vec<_>>().join(",");
    // `max_by_key` returns the last of equal elements, so the order is reversed.
    let rated = offered.iter().rev().map(|(media, form)| (quality(&accept, media), form));
    rated.filter(|(quality, _)| *quality > 0).max_by_key(|(quality, _)| *quality).map(|(_, form)| *form)
}

/// Returns true if a header such as `Accept` or `Accept-Encoding` names this value. Ranges such as `*/*` do not name it.
pub(super) fn names(headers: &HeaderMap, header: &HeaderName, media: &str) -> bool {
    let values = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
        name.trim().eq_ignore_ascii_case(media) && weight(parameters) > 0
    })
}

/// Returns the weight of a media type in `accept`, in thousandths. The most specific matching range determines it.
fn quality(accept: &str, media: &str) -> u16 {
    let ranges = accept.split(',').filter_map(|range| {
        let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
        Some((specificity(name.trim(), media)?, weight(parameters)))
    });
    ranges.max().map_or(0, |(_, weight)| weight)
}

fn specificity(range: &str, media: &str) -> Option<u8> {
    let (kind, _) = media.split_once('/')?;
    match range.split_once('/')? {
        _ if range.eq_ignore_ascii_case(media) => Some(2),
        (asked, "*") if asked.eq_ignore_ascii_case(kind) => Some(1),
        ("*", "*") => Some(0),
        _ => None,
    }
}

fn weight(parameters: &str) -> u16 {
    let named = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let weight =
        named.filter(|(name, _)| name.eq_ignore_ascii_case("q")).find_map(|(_, q)| q.trim().parse::<f32>().ok());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped to the range first")]
    weight.map_or(1000, |q| (q.clamp(0.0, 1.0) * 1000.0) as u16)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn chosen(accept: &str) -> Option<&'static str> {
        let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
        choose(&headers, &[("application/json", "json"), ("text/plain", "text")])
    }

    #[test]
    fn the_first_form_is_the_default() {
        assert_eq!(choose(&HeaderMap::new(), &[("a/b", 1), ("c/d", 2)]), Some(1));
        assert_eq!(chosen("*/*"), Some("json"));
        assert_eq!([chosen(""), chosen(" , ")], [Some("json"); 2]);
        assert_eq!(chosen("text/html, */*;q=0.1"), Some("json"));
        assert_eq!(chosen("application/json, text/plain"), Some("json"));
    }

    #[test]
    fn a_preference_is_followed() {
        assert_eq!(chosen("text/plain"), Some("text"));
        assert_eq!(chosen("TEXT/*"), Some("text"));
        assert_eq!(chosen("application/json;q=0.5, text/plain;q=0.9"), Some("text"));
        assert_eq!(chosen("*/*, application/json; q=0"), Some("text"));
    }

    #[test]
    fn unacceptable_ranges_match_nothing() {
        assert_eq!(chosen("image/png"), None);
        assert_eq!(chosen("application/json;q=0"), None);
        assert_eq!(chosen("nonsense"), None);
    }
}
