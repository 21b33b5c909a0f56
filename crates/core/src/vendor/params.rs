//! The parameters of a request, each with a single correct type.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Map, Value};

use super::invalid_request::{InvalidRequest, is_wordlike, nearest, quote_for_error};
use crate::model::{Action, ActionSet, Caller, CallerKind, Pattern, RequestedGrant, check_identifier};

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub struct Params {
    /// The values by name.
    pub values: Map<String, Value>,
    /// Whether the parameters come from a lenient source: a query or form, or a client whose JSON is read in the same
    /// way. In a query or form all values are strings. If this is set, unknown names are ignored, and `null` means
    /// absent.
    pub lenient: bool,
}

/// The lifetimes of tokens, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// The shortest lifetime. Ably apps raise a shorter requested lifetime to it. TalkJS apps reject a shorter request.
    pub min_seconds: u64,
    /// The lifetime if the request names none.
    pub default_seconds: u64,
    /// The longest lifetime. A longer requested lifetime is cut to it.
    pub max_seconds: u64,
}

/// Reads the name of a conversation, or a pattern.
///
/// # Errors
/// Returns the flaw, in words that complete "the name …".
pub(super) fn parse_conversation(name: &str) -> Result<Pattern, String> {
    check_identifier(name, 255).map_err(|flaw| flaw.to_string())?;
    Pattern::parse(name).map_err(|flaw| flaw.to_string())
}

impl Ttl {
    /// Returns the longest lifetime.
    pub(super) fn longest(&self) -> Duration {
        Duration::from_secs(self.max_seconds)
    }

    /// Returns the requested lifetime in seconds, from the field `ttl`. A longer lifetime than the longest is cut.
    ///
    /// # Errors
    /// Returns an error if the field is not a duration, or if it is shorter than the shortest lifetime.
    pub(super) fn requested_seconds(&self, params: &Params) -> Result<u64, InvalidRequest> {
        match params.seconds("ttl")? {
            Some(ttl) if ttl < self.min_seconds.saturating_mul(1000) => {
                Err(InvalidRequest::new("ttl", format!("must be at least {} seconds", self.min_seconds)))
            }
            Some(ttl) => Ok((ttl / 1000).min(self.max_seconds)),
            None => Ok(self.default_seconds.min(self.max_seconds)),
        }
    }
}

/// A minute, in milliseconds.
pub(super) const MINUTE: u64 = 60 * 1000;

impl Params {
    /// Rejects unknown names, unless the parameters are lenient.
    ///
    /// # Errors
    /// Returns an error that names an unknown parameter.
    pub fn reject_unknown(&self, known: &[&str]) -> Result<(), InvalidRequest> {
        let unknown = self.values.keys().find(|name| !known.contains(&name.as_str()));
        match unknown {
            Some(name) if !self.lenient => Err(unknown_field(name, known)),
            _ => Ok(()),
        }
    }

    /// Returns the value of the field, of any type.
    pub fn value(&self, field: &str) -> Option<&Value> {
        self.values.get(field).filter(|value| !(self.lenient && value.is_null()))
    }

    /// Returns the string in the field.
    ///
    /// # Errors
    /// Returns an error if the value is not a string.
    pub fn text(&self, field: &str) -> Result<Option<&str>, InvalidRequest> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(InvalidRequest::new(field, format!("must be a string, not {}", json_type_name(other)))),
        }
    }

    /// Returns the list of strings in the field.
    ///
    /// # Errors
    /// Returns an error if the value is not a list of strings.
    pub fn list(&self, field: &str) -> Result<Option<Vec<String>>, InvalidRequest> {
        let items = match self.value(field) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(other) => {
                return Err(InvalidRequest::new(
                    field,
                    format!("must be a list of strings, not {}", json_type_name(other)),
                ));
            }
        };
        let text = |(place, item): (usize, &Value)| match item {
            Value::String(text) => Ok(text.clone()),
            other => Err(InvalidRequest::new(
                format!("{field}[{place}]"),
                format!("must be a string, not {}", json_type_name(other)),
            )),
        };
        items.iter().enumerate().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// Returns a duration in milliseconds. The field holds a whole number of seconds or a text with a unit.
    pub(super) fn seconds(&self, field: &str) -> Result<Option<u64>, InvalidRequest> {
        let seconds = |value: &Value| match value {
            Value::String(text) if self.lenient => parse_digits(text),
            other => other.as_u64(),
        };
        let to_milliseconds = |value: &Value| seconds(value).map(|seconds| seconds.saturating_mul(1000));
        self.duration(field, to_milliseconds, "a whole number of seconds")
    }

    /// Returns a duration in milliseconds. The field holds a number of milliseconds or a text with a unit. Decimals are
    /// dropped.
    pub(super) fn milliseconds(&self, field: &str) -> Result<Option<u64>, InvalidRequest> {
        let milliseconds = |value: &Value| match value {
            Value::String(text) if self.lenient => whole_part(text),
            Value::Number(number) => whole_part(&number.to_string()),
            _ => None,
        };
        self.duration(field, milliseconds, "a number of milliseconds")
    }

    /// Returns a duration in milliseconds: the value that `plain` reads, or a text with a unit.
    fn duration(
        &self,
        field: &str,
        plain: impl Fn(&Value) -> Option<u64>,
        units: &str,
    ) -> Result<Option<u64>, InvalidRequest> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        let duration = plain(value).or_else(|| with_unit(value.as_str()?));
        let message = || format!("must be {units}, or a text with a unit, as \"30m\"");
        duration.map(Some).ok_or_else(|| InvalidRequest::new(field, message()))
    }

    /// Returns the parameters without those that are `""` or null, or the text "null" or "undefined". Some SDKs send the
    /// names of parameters that are not set, and apps in JavaScript turn a missing value into a text.
    pub(super) fn without_empty(&self) -> Cow<'_, Params> {
        let is_empty = |value: &Value| match value {
            Value::Null => true,
            Value::String(text) => ["", "null", "undefined"].contains(&text.as_str()),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
        };
        if !self.values.values().any(is_empty) {
            return Cow::Borrowed(self);
        }
        let mut filled = self.clone();
        filled.values.retain(|_, value| !is_empty(value));
        Cow::Owned(filled)
    }
}

/// The most channels in a token. A larger token can be too long for a request.
const MAX_CHANNELS: usize = 50;

/// Reads the field `channels`: an object with a list of operations for each channel. `parse` reads a name; its error
/// completes "the name …".
pub(super) fn requested_channels(
    params: &Params,
    allowed: ActionSet,
    parse: fn(&str) -> Result<Pattern, String>,
) -> Result<Vec<RequestedGrant>, InvalidRequest> {
    let wrong = |message: String| InvalidRequest::new("channels", message);
    let words = || allowed.iter().map(|action| format!("`{action}`")).collect::<Vec<_>>().join(" and ");
    let needs_lists = || wrong(format!("must have a list of {} for each channel", words()));
    let Some(Value::Object(channels)) = params.value("channels") else {
        let form = "must be an object with a list of operations for each channel, as {\"lobby\": [\"subscribe\"]}";
        return Err(wrong(form.to_owned()));
    };
    if channels.is_empty() || channels.len() > MAX_CHANNELS {
        return Err(wrong(format!("must have 1 to {MAX_CHANNELS} channels")));
    }
    let operation = |word: &Value| Action::parse(word.as_str()?).filter(|action| allowed.contains(*action));
    let grant = |(name, operations): (&String, &Value)| {
        let resource = parse(name).map_err(|flaw| wrong(format!("has a name that {flaw}")))?;
        let operations = operations.as_array().filter(|list| !list.is_empty()).ok_or_else(needs_lists)?;
        let operations = operations.iter().map(operation).collect::<Option<_>>().ok_or_else(needs_lists)?;
        Ok(RequestedGrant { resource, operations })
    };
    channels.iter().map(grant).collect()
}

fn unknown_field(name: &str, known: &[&str]) -> InvalidRequest {
    if !is_wordlike(name) {
        let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
        return InvalidRequest::new("body", format!("has a field that is not known here; known fields: {known}"));
    }
    let message = match nearest(name, known.iter().copied()) {
        Some(known) => format!("is not known here; the nearest known field is `{known}`"),
        None => "is not known here: the request takes no fields".to_owned(),
    };
    InvalidRequest::new(name, message)
}

/// Returns the named client. If no client is named and the caller is a user, returns the caller.
pub(super) fn client_or_caller<'a>(
    field: &str,
    named: Option<&'a str>,
    caller: Option<&'a Caller>,
) -> Result<&'a str, InvalidRequest> {
    match (named, caller) {
        (Some(client), _) => Ok(client),
        (None, Some(caller)) if caller.kind == CallerKind::User => Ok(&caller.subject),
        (None, Some(_)) => Err(InvalidRequest::new(field, "must be given: a service must name the client")),
        (None, None) => Err(InvalidRequest::new(field, "must be given")),
    }
}

/// Checks an identifier against the rules that all vendors share.
pub(super) fn check_identifier_of(field: &str, id: &str, max: usize) -> Result<(), InvalidRequest> {
    check_identifier(id, max).map_err(|flaw| InvalidRequest::new(field, flaw.to_string()))
}

/// Rejects `*` as the name of a client or member, because no client has this name.
pub(super) fn reject_star(field: &str, id: &str) -> Result<(), InvalidRequest> {
    if id == "*" {
        return Err(InvalidRequest::new(field, format!("must name one client, not {}", quote_for_error(id))));
    }
    Ok(())
}

fn parse_digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Returns the part of a number before its decimals, if the text is a number.
fn whole_part(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    parse_digits(decimals)?;
    parse_digits(whole)
}

/// Reads `"500ms"`, `"30s"`, `"10m"`, `"1h"` or `"1d"` as milliseconds.
fn with_unit(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => MINUTE,
        "h" => 60 * MINUTE,
        "d" => 24 * 60 * MINUTE,
        _ => return None,
    };
    parse_digits(number).map(|number| number.saturating_mul(unit))
}

pub(super) fn json_type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn params(values: Value, lenient: bool) -> Params {
        let Value::Object(values) = values else { unreachable!() };
        Params { values, lenient }
    }

    #[test]
    fn unknown_names_are_refused_with_the_nearest_or_ignored() {
        let error = params(json!({"clientid": "tom"}), false).reject_unknown(&["client_id", "conv_id"]).unwrap_err();
        assert_eq!(error.to_string(), "clientid is not known here; the nearest known field is `client_id`");
        assert_eq!(params(json!({"rnd": "1"}), true).reject_unknown(&["client_id"]), Ok(()));
        let error = params(json!({"rn": "1"}), false).reject_unknown(&[]).unwrap_err();
        assert_eq!(error.to_string(), "rn is not known here: the request takes no fields");
    }

    #[test]
    fn a_name_that_may_be_a_secret_is_not_repeated() {
        for name in ["x".repeat(33), "Zephyr7Quokka3".to_owned(), "a.b".to_owned(), "a b".to_owned(), "é".to_owned()] {
            let error = params(json!({name: 1}), false).reject_unknown(&["client_id", "conv_id"]).unwrap_err();
            assert_eq!(error.to_string(), "body has a field that is not known here; known fields: client_id, conv_id");
        }
    }

    #[test]
    fn each_type_is_told_by_name() {
        let params = params(json!({"text": 1, "list": "a", "items": ["a", null], "null": null}), false);
        assert_eq!(params.text("text").unwrap_err().to_string(), "text must be a string, not a number");
        assert_eq!(params.text("null").unwrap_err().to_string(), "null must be a string, not null");
        assert_eq!(params.list("list").unwrap_err().to_string(), "list must be a list of strings, not a string");
        assert_eq!(params.list("items").unwrap_err().to_string(), "items[1] must be a string, not null");
        assert_eq!(params.text("absent"), Ok(None));
    }

    #[test]
    fn null_is_absent_where_reading_is_lenient() {
        assert_eq!(params(json!({"text": null}), true).text("text"), Ok(None));
    }

    #[test]
    fn durations_are_numbers_or_carry_their_unit() {
        let read = |value: Value, lenient| params(json!({"ttl": value}), lenient).seconds("ttl");
        assert_eq!(read(json!(600), false), Ok(Some(600_000)));
        assert_eq!(read(json!("1h"), true), Ok(Some(3_600_000)));
        assert_eq!(read(json!("600"), true), Ok(Some(600_000)));
        assert_eq!(read(json!(u64::MAX), false), Ok(Some(u64::MAX)));
        assert_eq!(read(json!("99999999999999999999999h"), false), Ok(Some(u64::MAX)));
        for bad in [json!("600"), json!(-1), json!(1.5), json!(true), json!(null), json!("m"), json!("1 h"), json!("")]
        {
            let error = read(bad.clone(), false).unwrap_err();
            assert!(error.message.starts_with("must be a whole number of seconds"), "{bad}");
        }
        assert!(read(json!("-600"), true).is_err());
        assert!(read(json!("600.0"), true).is_err());
    }

    #[test]
    fn milliseconds_may_have_decimals() {
        let read = |value: Value, lenient| params(json!({"ttl": value}), lenient).milliseconds("ttl");
        for (value, lenient) in [
            (json!(3600), false),
            (json!(3600.0), false),
            (json!(3600.9), false),
            (json!("3600.000000"), true),
            (json!("3600"), true),
            (json!("3600ms"), false),
        ] {
            assert_eq!(read(value.clone(), lenient), Ok(Some(3600)), "{value}");
        }
        assert_eq!(read(json!("30m"), false), Ok(Some(1_800_000)));
        assert_eq!(read(json!("99999999999999999999999.5"), true), Ok(Some(u64::MAX)));
        let strict = [json!("3600"), json!(-1.0), json!(1e300), json!(true), json!([3600]), json!("1.5h")];
        let lenient = ["-1", "+1", "1.", ".5", "1.5.0", "1e6", "0x10", "1,5", "NaN", " 1"].map(Value::from);
        for (value, lenient) in strict.map(|value| (value, false)).into_iter().chain(lenient.map(|value| (value, true)))
        {
            let error = read(value.clone(), lenient).unwrap_err();
            assert!(error.message.starts_with("must be a number of milliseconds"), "{value}");
        }
    }

    #[test]
    fn what_is_empty_can_be_left_out() {
        let sent = params(json!({"ttl": "", "clientId": null, "capability": {}, "client_id": " "}), true);
        let filled: Vec<_> = sent.without_empty().values.keys().cloned().collect();
        assert_eq!(filled, ["capability", "client_id"]);
        let full = params(json!({"ttl": 0}), false);
        assert!(matches!(full.without_empty(), Cow::Borrowed(_)));
    }
}
