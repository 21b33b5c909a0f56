//! The trace that a request belongs to, from its headers (W3C Trace Context, level 1:
//! <https://www.w3.org/TR/trace-context/>).
//!
//! A trace connects the records of several programs about one request. Any client can write these headers, so nothing
//! else depends on them.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::{crypto, random};

/// The header that names the trace.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header with the data of tracing systems on the way.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The length of a `traceparent` of version 00, in bytes.
const LENGTH: usize = 55;

/// The maximum length of a forwarded `tracestate` in bytes, and its maximum number of entries. A longer value is
/// dropped completely.
const MAX_STATE_LENGTH: usize = 512;
const MAX_STATE_ENTRIES: usize = 32;

/// The place of a request in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace id: 32 hexadecimal digits.
    pub trace_id: String,
    /// The span id of the caller, which is the parent of this request: 16 hexadecimal digits.
    pub parent_id: String,
    /// The span id of this program: 16 hexadecimal digits.
    pub span_id: String,
    /// Whether the caller records the trace.
    pub is_sampled: bool,
    state: Option<HeaderValue>,
}

impl TraceContext {
    /// Reads the trace from these headers. Returns `None` if the headers have no valid trace, or if no random bytes are
    /// available for a new span id.
    pub fn from_headers(headers: &HeaderMap) -> Option<TraceContext> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let (parent, None) = (parents.next()?, parents.next()) else { return None };
        let (trace_id, parent_id, is_sampled) = parse(parent.to_str().ok()?)?;
        let (trace_id, parent_id) = (trace_id.to_owned(), parent_id.to_owned());
        Some(TraceContext {
            trace_id,
            parent_id,
            span_id: random_span_id()?,
            is_sampled,
            state: read_tracestate(headers),
        })
    }

    /// Adds the trace headers to a request to another server.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        let TraceContext { trace_id, span_id, is_sampled, state, .. } = self;
        let parent = format!("00-{trace_id}-{span_id}-{:02x}", u8::from(*is_sampled));
        let Ok(parent) = HeaderValue::try_from(parent) else { return };
        headers.insert(TRACEPARENT, parent);
        if let Some(state) = state {
            headers.insert(TRACESTATE, state.clone());
        }
    }
}

/// Parses the trace id, the span id of the caller, and whether the trace is recorded. From a later version it parses
/// only the fields that version 00 has.
fn parse(text: &str) -> Option<(&str, &str, bool)> {
    let (version, rest) = (text.get(..2)?, text.get(LENGTH..)?);
    let is_long_enough = if version == "00" { rest.is_empty() } else { rest.is_empty() || rest.starts_with('-') };
    let mut parts = text.get(..LENGTH)?.split('-');
    let (_, trace_id, parent_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_sound = is_long_enough
        && is_hex(version, 2)
        && version != "ff"
        && is_id(trace_id, 32)
        && is_id(parent_id, 16)
        && is_hex(flags, 2)
        && parts.next().is_none();
    is_sound.then_some((trace_id, parent_id, u8::from_str_radix(flags, 16).ok()? & 1 == 1))
}

fn is_id(text: &str, length: usize) -> bool {
    is_hex(text, length) && text.bytes().any(|byte| byte != b'0')
}

/// Returns whether the text has this length and only hexadecimal digits. Capital letters are not allowed.
fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn random_span_id() -> Option<String> {
    let bytes = random::nonce().ok()?;
    Some(crypto::hex(bytes.first_chunk::<8>()?)).filter(|id| is_id(id, 16))
}

/// Returns the data of the tracing systems on the way, unchanged.
fn read_tracestate(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines: Vec<_> = headers.get_all(TRACESTATE).iter().map(HeaderValue::to_str).collect::<Result<_, _>>().ok()?;
    let state = lines.join(",");
    let fits = (1..=MAX_STATE_LENGTH).contains(&state.len()) && state.split(',').count() <= MAX_STATE_ENTRIES;
    fits.then(|| HeaderValue::try_from(state).ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    fn of(lines: &[(&'static str, &str)]) -> Option<TraceContext> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        TraceContext::from_headers(&headers)
    }

    #[test]
    fn valid_headers_are_parsed() {
        for (text, is_sampled) in [
            (format!("00-{TRACE}-{PARENT}-01"), true),
            (format!("00-{TRACE}-{PARENT}-00"), false),
            (format!("00-{TRACE}-{PARENT}-02"), false),
            (format!("00-{TRACE}-{PARENT}-ff"), true),
            // Later versions can append fields after a dash.
            (format!("01-{TRACE}-{PARENT}-01"), true),
            (format!("cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like"), true),
            (format!("cc-{TRACE}-{PARENT}-01-"), true),
        ] {
            let trace = of(&[("traceparent", &text)]).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((trace.trace_id.as_str(), trace.parent_id.as_str()), (TRACE, PARENT), "{text}");
            assert_eq!(trace.is_sampled, is_sampled, "{text}");
            assert!(is_id(&trace.span_id, 16) && trace.span_id != PARENT, "{trace:?}");
        }
    }

    #[test]
    fn invalid_headers_are_ignored() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("00-{TRACE}-{PARENT}-01."),
            format!("01-{TRACE}-{PARENT}-01.more"),
            format!("01-{TRACE}-{PARENT}-011"),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("0-{TRACE}-{PARENT}-01"),
            format!("0A-{TRACE}-{PARENT}-01"),
            format!(".0-{TRACE}-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", PARENT.to_uppercase()),
            format!("00-{TRACE}-{PARENT}-0A"),
            format!("00-{TRACE}-{PARENT}-.0"),
            format!("00-{zeros}-{PARENT}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{PARENT}0-01", &TRACE[1..]),
            format!("00-{}g-{PARENT}-01", &TRACE[1..]),
            format!("00_{TRACE}_{PARENT}_01"),
            format!("00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-é"),
            format!("é0-{}-{PARENT}-01", &TRACE[1..]),
        ] {
            assert_eq!(of(&[("traceparent", &text)]), None, "{text}");
        }
        let sound = format!("00-{TRACE}-{PARENT}-01");
        assert_eq!(of(&[("traceparent", &sound), ("traceparent", &sound)]), None);
        assert_eq!(of(&[("tracestate", "a=1")]), None);
    }

    #[test]
    fn outgoing_requests_carry_the_trace() {
        let sound = format!("cc-{TRACE}-{PARENT}-ff-more");
        let told = |states: &[&str]| {
            let states = states.iter().map(|state| ("tracestate", *state));
            let trace = of(&[("traceparent", sound.as_str())].into_iter().chain(states).collect::<Vec<_>>()).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::from_static("another"));
            trace.add_headers(&mut headers);
            assert_eq!(headers[TRACEPARENT], format!("00-{TRACE}-{}-01", trace.span_id));
            headers.get(TRACESTATE).map(|state| state.to_str().unwrap().to_owned())
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&["a=1", "b@c=2,d=3"]).as_deref(), Some("a=1,b@c=2,d=3"));
        assert_eq!(told(&[&"x".repeat(512)]).map(|state| state.len()), Some(512));
        for dropped in ["", &"x".repeat(513), &["a=1"; 33].join(","), "é=1"] {
            assert_eq!(told(&[dropped]), None, "{dropped}");
        }
    }
}
