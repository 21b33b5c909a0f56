//! Reads the parameters of a request from a JSON body, a form or a query.

use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::error::Category;
use serde_json::{Map, Value};

use super::error::{ApiError, ErrorCode};
use crate::crypto::percent_decode;
use crate::model::json;
use crate::vendor::Params;

/// The maximum length of a query, in bytes.
const QUERY_LIMIT: usize = 16 << 10;

/// The encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyEncoding {
    Json,
    Form,
}

/// Returns the encoding that the headers declare. Returns `None` if they declare none, which is valid for an empty
/// body.
///
/// # Errors
/// Returns an error unless the encoding is JSON in UTF-8, or a form if `forms` are accepted, and if the body is
/// compressed.
pub(super) fn body_encoding(headers: &HeaderMap, forms: bool) -> Result<Option<BodyEncoding>, ApiError> {
    check_not_compressed(headers)?;
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().unwrap_or_default(),
        _ => return Err(unsupported(forms)),
    };
    let (media, parameters) = value.split_once(';').unwrap_or((value, ""));
    match media.trim() {
        _ if !is_utf8(parameters) => Err(unsupported(forms)),
        media if media.eq_ignore_ascii_case("application/json") => Ok(Some(BodyEncoding::Json)),
        media if forms && media.eq_ignore_ascii_case("application/x-www-form-urlencoded") => {
            Ok(Some(BodyEncoding::Form))
        }
        _ => Err(unsupported(forms)),
    }
}

/// Refuses a compressed body. A small compressed body can have a size without limit.
fn check_not_compressed(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_plain = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Ok(());
    }
    let detail = "The body must not be compressed: send it without Content-Encoding.";
    Err(ApiError::with_same_message(ErrorCode::UnsupportedMediaType, detail))
}

/// Returns the parameters in a body. An empty body is read as `{}`.
pub(super) fn from_body(body: &[u8], encoding: Option<BodyEncoding>, forms: bool) -> Result<Params, ApiError> {
    match encoding {
        // curl declares every body as a form. JSON that is read as a form would be one unknown name, which is ignored.
        Some(BodyEncoding::Form) if body.trim_ascii_start().starts_with(b"{") => Err(json_as_form()),
        Some(BodyEncoding::Form) => match std::str::from_utf8(body) {
            Ok(text) => from_pairs(text, "form", is_signing_parameter),
            Err(_) => Err(ApiError::with_same_message(ErrorCode::Malformed, "The form is not UTF-8.")),
        },
        _ if body.is_empty() => Ok(Params { values: Map::new(), lenient: false }),
        Some(BodyEncoding::Json) => from_json(body),
        None => Err(unsupported(forms)),
    }
}

/// Returns the parameters in a query of a signing route.
pub(super) fn from_query(query: Option<&str>) -> Result<Params, ApiError> {
    from_query_filtered(query, is_signing_parameter)
}

/// Returns those parameters in a query for which `is_read` returns true.
pub(super) fn from_query_filtered(query: Option<&str>, is_read: fn(&str) -> bool) -> Result<Params, ApiError> {
    let query = query.unwrap_or_default();
    if query.len() > QUERY_LIMIT {
        let detail = format!("The query must have at most {QUERY_LIMIT} bytes. Use POST for more.");
        return Err(ApiError::with_same_message(ErrorCode::TooLarge, detail).with_status(StatusCode::URI_TOO_LONG));
    }
    from_pairs(query, "query", is_read)
}

fn unsupported(forms: bool) -> ApiError {
    let or_forms = if forms { " or application/x-www-form-urlencoded" } else { "" };
    let detail = format!("The Content-Type must be application/json{or_forms}, in UTF-8.");
    ApiError::with_same_message(ErrorCode::UnsupportedMediaType, detail)
}

fn json_as_form() -> ApiError {
    ApiError::with_same_message(
        ErrorCode::Malformed,
        "The form contains JSON. Send JSON with Content-Type: application/json.",
    )
}

fn is_utf8(parameters: &str) -> bool {
    let named = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let mut charsets = named.filter(|(name, _)| name.eq_ignore_ascii_case("charset"));
    charsets.all(|(_, charset)| charset.trim_matches('"').eq_ignore_ascii_case("utf-8"))
}

/// The messages of `serde_json` are not passed on, because they can quote the body.
fn from_json(body: &[u8]) -> Result<Params, ApiError> {
    if json::strip_bom(body).len() < body.len() {
        let detail = "The body is not JSON, because it begins with a byte order mark: send it without the mark.";
        return Err(ApiError::with_same_message(ErrorCode::Malformed, detail));
    }
    let values = json::parse_object(body).map_err(|error| {
        let wrong = match error.classify() {
            Category::Eof => "The JSON body ends too early",
            Category::Data => "The body must be a JSON object, and no object in it may have a duplicate member",
            Category::Syntax | Category::Io => "The body is not JSON",
        };
        let place = match error.line() {
            0 => String::new(),
            line => format!(", at line {line}, column {}", error.column()),
        };
        ApiError::with_same_message(ErrorCode::Malformed, format!("{wrong}{place}."))
    })?;
    Ok(Params { values, lenient: false })
}

/// Reads `name=value&…`. Names for which `is_read` returns false are ignored. A repeated name is refused, because
/// programs could disagree on which value applies.
fn from_pairs(text: &str, place: &'static str, is_read: fn(&str) -> bool) -> Result<Params, ApiError> {
    let mut values = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (decode(name), decode(value)) else {
            let detail = format!(
                "The {place} is not well encoded: two hex digits must follow each %, and the text must be UTF-8."
            );
            return Err(ApiError::with_same_message(ErrorCode::Malformed, detail));
        };
        if !is_read(&name) {
            continue;
        }
        if values.contains_key(&name) {
            let mut failure = ApiError::with_same_message(
                ErrorCode::InvalidField,
                format!("{name} is in the {place} more than once"),
            );
            failure.extensions.field = Some(name);
            return Err(failure);
        }
        values.insert(name, Value::String(value));
    }
    Ok(Params { values, lenient: true })
}

/// Returns true if any signing route that accepts queries or forms reads a parameter of this name. Other parameters can
/// have any value and can be repeated.
fn is_signing_parameter(name: &str) -> bool {
    let of_ably = matches!(name, "client_id" | "clientId" | "capability" | "ttl" | "timestamp" | "nonce" | "keyName");
    of_ably || matches!(name, "user_id" | "socket_id" | "channel_name")
}

/// Decodes form encoding strictly.
fn decode(text: &str) -> Option<String> {
    percent_decode(&text.replace('+', " "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_query_is_decoded() {
        let params =
            from_query(Some("client_id=tom%20m+%C3%A9&rnd=1&rnd=2&ttl=&&capability&userId=a&userId=b")).unwrap();
        assert!(params.lenient);
        let expected = serde_json::json!({"client_id": "tom m é", "ttl": "", "capability": ""});
        assert_eq!(Value::Object(params.values), expected);
    }

    #[test]
    fn a_query_that_could_be_read_in_two_ways_is_refused() {
        for query in ["ttl=%4", "ttl=%", "ttl=%zz", "ttl=%ff", "%ff=1", "ttl=1&ttl=1", "ttl=1&%74tl=2", "ttl=%+1"] {
            assert!(from_query(Some(query)).is_err(), "{query}");
        }
        let long = format!("ttl={}", "1".repeat(QUERY_LIMIT));
        assert_eq!(from_query(Some(&long)).err().unwrap().status, StatusCode::URI_TOO_LONG);
    }

    #[test]
    fn json_errors_do_not_quote_the_body() {
        let detail = |body: &str| from_json(body.as_bytes()).err().unwrap().detail;
        assert_eq!(
            detail("\u{feff}{}"),
            "The body is not JSON, because it begins with a byte order mark: send it without the mark."
        );
        assert_eq!(detail("{\"a\": canary}"), "The body is not JSON, at line 1, column 7.");
        assert_eq!(detail("{\n\"a\": \"canary"), "The JSON body ends too early, at line 2, column 12.");
        let object = "The body must be a JSON object, and no object in it may have a duplicate member";
        assert_eq!(detail("[1]"), format!("{object}."));
        assert!(detail("{\"canary\": 1, \"canary\": 2}").starts_with(object));
        assert!(!detail("{\"canary\": 1, \"canary\": 2}").contains("canary"));
    }

    #[test]
    fn content_types_are_distinguished() {
        let read =
            |value: &str, forms| body_encoding(&HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]), forms);
        assert_eq!(read("application/json", false).unwrap(), Some(BodyEncoding::Json));
        assert_eq!(read("Application/JSON; charset=\"UTF-8\"", false).unwrap(), Some(BodyEncoding::Json));
        assert_eq!(read("application/x-www-form-urlencoded", true).unwrap(), Some(BodyEncoding::Form));
        assert_eq!(body_encoding(&HeaderMap::new(), false).unwrap(), None);
        for value in [
            "application/x-www-form-urlencoded",
            "text/plain",
            "",
            "application/json; charset=latin1",
            "application/jsonx",
        ] {
            assert_eq!(read(value, false).unwrap_err().code, ErrorCode::UnsupportedMediaType, "{value}");
        }
    }
}
