//! Ably's capabilities: the operations that a client may perform on each channel.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::model::{Action, ActionSet, Pattern, RequestedGrant, check_identifier, json};
use crate::vendor::invalid_request::{InvalidRequest, is_wordlike, nearest, quote_for_error};
use crate::vendor::signing_input::JsonObject;

/// The longest name or pattern of a channel, in characters.
const MAX_CHANNEL_CHARS: usize = 255;

/// How many pairs of channel and operation a request may contain. The policy decides each pair separately.
const MAX_PAIRS: usize = 100;

/// A capability in the canonical form that is signed: JSON without white space, with channels and operations in
/// ascending order of code points, and with `*` for all operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability(String);

impl Capability {
    /// Makes the capability of these grants. A channel without operations is left out, because Ably rejects empty
    /// lists.
    pub fn from_grants(grants: &[RequestedGrant]) -> Capability {
        let mut channels: Vec<(String, ActionSet)> = grants
            .iter()
            .map(|grant| (grant.resource.to_string(), grant.operations.intersection(ActionSet::ABLY)))
            .filter(|(_, operations)| !operations.is_empty())
            .collect();
        channels.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let add = |object: JsonObject, (name, operations): (String, ActionSet)| {
            object.value(&name, &operation_names(operations))
        };
        Capability(channels.into_iter().fold(JsonObject::new(), add).finish())
    }

    /// Reads a capability's JSON and returns it in the canonical form.
    ///
    /// # Errors
    /// Returns an error if the text is not a capability or must not be requested.
    pub fn parse(text: &str) -> Result<Capability, InvalidRequest> {
        parse_grants(&Value::from(text)).map(|grants| Capability::from_grants(&grants))
    }

    /// Returns whether the capability allows nothing.
    pub fn is_empty(&self) -> bool {
        self.0 == "{}"
    }

    /// Returns the JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn operation_names(operations: ActionSet) -> Value {
    if operations == ActionSet::ABLY {
        return Value::from(vec!["*"]);
    }
    let mut words: Vec<&str> = operations.iter().map(Action::as_str).collect();
    words.sort_unstable();
    Value::from(words)
}

/// Reads a capability: an object, or a string that contains the JSON of an object. The result is in canonical order,
/// and `*` is expanded to all operations.
pub(super) fn parse_grants(value: &Value) -> Result<Vec<RequestedGrant>, InvalidRequest> {
    match value {
        Value::Object(channels) => from_object(channels),
        Value::String(text) => match json::parse_object(text.as_bytes()) {
            Ok(channels) => from_object(&channels),
            Err(error) => Err(capability_error(format!("must be a JSON object, but: {error}"))),
        },
        _ => Err(capability_error("must be an object, {\"channel\": [\"operation\"]}, or its JSON in a string")),
    }
}

fn from_object(channels: &Map<String, Value>) -> Result<Vec<RequestedGrant>, InvalidRequest> {
    let mut grants = BTreeMap::new();
    for (name, operations) in channels {
        let resource = parse_channel(name)
            .map_err(|flaw| capability_error(format!("has the channel {}, which {flaw}", quote_for_error(name))))?;
        let operations = parse_operations(operations)
            .map_err(|flaw| capability_error(format!("has, for the channel {}, {flaw}", quote_for_error(name))))?;
        grants.insert(name, RequestedGrant { resource, operations });
    }
    check_size(grants.into_values().collect())
}

/// Checks that a capability has at least one pair of channel and operation and not too many.
pub(super) fn check_size(grants: Vec<RequestedGrant>) -> Result<Vec<RequestedGrant>, InvalidRequest> {
    let pairs: usize = grants.iter().map(|grant| grant.operations.len()).sum();
    match pairs {
        0 => Err(capability_error("must name at least one channel")),
        1..=MAX_PAIRS => Ok(grants),
        _ => Err(capability_error(format!(
            "has {pairs} pairs of channel and operation; at most {MAX_PAIRS} may be asked for"
        ))),
    }
}

/// Reads a channel's name or pattern.
///
/// # Errors
/// Returns what is wrong, in words that complete "the channel, which …".
pub fn parse_channel(name: &str) -> Result<Pattern, String> {
    check_identifier(name, MAX_CHANNEL_CHARS).map_err(|flaw| flaw.to_string())?;
    let pattern = Pattern::parse(name).map_err(|bad| bad.to_string())?;
    if name.starts_with(':') {
        return Err("must not start with `:`".to_owned());
    }
    if name.starts_with('[') && pattern.exact().is_none() {
        return Err("must be asked for by its name, without a `*`, as it starts with `[`".to_owned());
    }
    Ok(pattern)
}

fn parse_operations(operations: &Value) -> Result<ActionSet, String> {
    let Value::Array(items) = operations else {
        return Err("a value that is not a list of operations".to_owned());
    };
    let words: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
    let words = words.ok_or("an operation that is not a string")?;
    match words.as_slice() {
        [] => Err("no operations: name some, or leave the channel out".to_owned()),
        ["*"] => Ok(ActionSet::ABLY),
        several if several.contains(&"*") => Err("`*` beside other operations: use `*` alone".to_owned()),
        several => several.iter().map(|word| parse_operation(word)).collect(),
    }
}

fn parse_operation(word: &str) -> Result<Action, String> {
    if let Some(action) = Action::parse(word).filter(|action| action.is_ably_operation()) {
        return Ok(action);
    }
    if !is_wordlike(word) {
        return Err("an operation that is not known".to_owned());
    }
    let nearest = nearest(word, ActionSet::ABLY.iter().map(Action::as_str)).unwrap_or_default();
    Err(format!("the unknown operation {}; the nearest known operation is `{nearest}`", quote_for_error(word)))
}

fn capability_error(message: impl Into<String>) -> InvalidRequest {
    InvalidRequest::new("capability", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn canonical(value: &Value) -> String {
        Capability::from_grants(&parse_grants(value).unwrap()).to_string()
    }

    fn error(value: &Value) -> String {
        parse_grants(value).unwrap_err().to_string()
    }

    #[test]
    fn there_is_one_form() {
        assert_eq!(
            canonical(&json!({"b": ["subscribe", "publish", "subscribe"], "a:*": ["*"], "a": ["history"]})),
            r#"{"a":["history"],"a:*":["*"],"b":["publish","subscribe"]}"#
        );
        let text = Value::from(r#" { "é\u0022" : [ "stats" ] } "#);
        assert_eq!(canonical(&text), r#"{"é\"":["stats"]}"#);
        let all: Vec<&str> = ActionSet::ABLY.iter().map(Action::as_str).collect();
        assert_eq!(canonical(&json!({"a": all})), r#"{"a":["*"]}"#);
    }

    #[test]
    fn grants_are_in_order_with_every_star_expanded() {
        let grants = parse_grants(&json!({"b": ["*"], "a:*": ["publish"], "a": ["publish"], "*": ["stats"]})).unwrap();
        let order: Vec<String> = grants.iter().map(|grant| grant.resource.to_string()).collect();
        assert_eq!(order, ["*", "a", "a:*", "b"]);
        assert_eq!(grants.last().unwrap().operations, ActionSet::ABLY);
    }

    #[test]
    fn what_ably_would_refuse_or_read_otherwise_is_refused() {
        for (value, says) in [
            (json!({}), "must name at least one channel"),
            (json!(null), "must be an object"),
            (json!(["publish"]), "must be an object"),
            (json!({"a": []}), "no operations"),
            (json!({"a": "publish"}), "not a list"),
            (json!({"a": [1]}), "not a string"),
            (json!({"a": ["*", "publish"]}), "use `*` alone"),
            (
                json!({"a": ["subscibe"]}),
                "the unknown operation `subscibe`; the nearest known operation is `subscribe`",
            ),
            (json!({"a": ["login"]}), "the unknown operation `login`"),
            (json!({"a": ["Zephyr7Quokka3"]}), "for the channel `a`, an operation that is not known"),
            (json!({"a": ["Publish"]}), "nearest known operation is `publish`"),
            (json!({"": ["publish"]}), "must not be empty"),
            (json!({":a": ["publish"]}), "must not start with `:`"),
            (json!({":*": ["publish"]}), "must name the namespace"),
            (json!({"a*": ["publish"]}), "has the channel `a*`, which may hold a `*` only alone"),
            (json!({"[q]chat:*": ["publish"]}), "has the channel `[q]chat:*`, which must be asked for by its name"),
            (json!({"[meta]log:*": ["publish"]}), "must be asked for by its name"),
            (json!({"a:*:b": ["publish"]}), "only alone or as the last segment"),
            (json!({"[*]*": ["publish"]}), "only alone or as the last segment"),
            (json!({"a\nb": ["publish"]}), "has the channel `a\\nb`, which must not hold control characters"),
            (json!({" a": ["publish"]}), "white space"),
            (json!({"x".repeat(256): ["publish"]}), "at most 255 characters"),
            (json!("{"), "must be a JSON object"),
            (json!("[]"), "must be a JSON object"),
            (json!(r#"{"a":["publish"],"a":["history"]}"#), "has the same member twice"),
            (json!("[".repeat(20_000)), "must be a JSON object"),
        ] {
            let error = error(&value);
            assert!(error.starts_with("capability ") && error.contains(says), "{error}");
        }
        assert!(parse_grants(&json!({"[meta]log": ["subscribe"], "x".repeat(255): ["publish"]})).is_ok());
    }

    #[test]
    fn pairs_are_counted_after_expansion() {
        let stars = |channels: usize| (0..channels).map(|i| (i.to_string(), json!(["*"]))).collect::<Map<_, _>>();
        assert!(parse_grants(&Value::from(stars(5))).is_ok());
        assert!(error(&Value::from(stars(6))).contains("has 102 pairs"));
        let mut hundred = stars(5);
        hundred
            .insert("more".to_owned(), json!(ActionSet::ABLY.iter().map(Action::as_str).take(15).collect::<Vec<_>>()));
        assert!(parse_grants(&Value::from(hundred)).is_ok());
    }

    #[test]
    fn what_is_not_granted_is_not_said() {
        let grant = |name: &str, operations| RequestedGrant { resource: Pattern::parse(name).unwrap(), operations };
        let capability = Capability::from_grants(&[
            grant("b", ActionSet::of(&[Action::Publish, Action::Login])),
            grant("a", ActionSet::EMPTY),
            grant("0", ActionSet::of(&[Action::AppToken])),
        ]);
        assert_eq!(capability.as_str(), r#"{"b":["publish"]}"#);
        assert!(Capability::from_grants(&[grant("a", ActionSet::EMPTY)]).is_empty());
        assert!(!capability.is_empty());
    }
}
