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
            .map(|grant| (grant.resource.to_string(), grant.operations.intersection(ActionSet::CHANNEL_OPERATIONS)))
            .filter(|(_, operations)| !operations.is_empty())
            .collect();
        channels.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let add = |object: JsonObject, (name, operations): (String, ActionSet)| {
            object.strings(&name, &Capability::operation_words(operations))
        };
        Capability(channels.into_iter().fold(JsonObject::new(), add).finish())
    }

    /// Reads a capability's JSON and returns it in the canonical form.
    ///
    /// # Errors
    /// Returns an error if the text is not a capability or must not be requested.
    pub fn parse(text: &str) -> Result<Capability, InvalidRequest> {
        parse_grants(&Value::from(text))?.complete().map(|grants| Capability::from_grants(&grants))
    }

    /// Returns the names of these operations, sorted, or `*` for all operations.
    pub(crate) fn operation_words(operations: ActionSet) -> Vec<&'static str> {
        if operations == ActionSet::CHANNEL_OPERATIONS {
            return vec!["*"];
        }
        let mut words: Vec<&str> = operations.iter().map(Action::as_str).collect();
        words.sort_unstable();
        words
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

/// The grants of a capability, and the parts of it that cannot be requested.
#[derive(Debug, Default)]
pub(super) struct ParsedCapability {
    /// The grants in canonical order. `*` is expanded to all operations.
    pub(super) grants: Vec<RequestedGrant>,
    /// The parts that are not names of channels or operations, for the log: a channel, or an operation with its channel.
    pub(super) left_out: Vec<String>,
    /// What is wrong with the first of these parts.
    flaw: Option<InvalidRequest>,
}

impl ParsedCapability {
    /// Returns the grants.
    ///
    /// # Errors
    /// Returns an error if a part of the capability was left out.
    pub(super) fn complete(self) -> Result<Vec<RequestedGrant>, InvalidRequest> {
        self.flaw.map_or(Ok(self.grants), Err)
    }

    fn leave_out(&mut self, part: String, flaw: String) {
        self.left_out.push(part);
        self.flaw.get_or_insert_with(|| capability_error(flaw));
    }
}

/// Reads a capability: an object, or a string that contains the JSON of an object.
///
/// # Errors
/// Returns an error if the value has another form, or if no part of it can be requested.
pub(super) fn parse_grants(value: &Value) -> Result<ParsedCapability, InvalidRequest> {
    match value {
        Value::Object(channels) => from_object(channels),
        Value::String(text) => match json::parse_object(text.as_bytes()) {
            Ok(channels) => from_object(&channels),
            Err(error) => Err(capability_error(format!("must be a JSON object, but: {error}"))),
        },
        _ => Err(capability_error("must be an object, {\"channel\": [\"operation\"]}, or its JSON in a string")),
    }
}

fn from_object(channels: &Map<String, Value>) -> Result<ParsedCapability, InvalidRequest> {
    let mut parsed = ParsedCapability::default();
    let mut grants = BTreeMap::new();
    for (name, operations) in channels {
        let channel = quote_for_error(name);
        let in_channel = |flaw: String| format!("has, for the channel {channel}, {flaw}");
        let operations = operation_list(operations).map_err(|flaw| capability_error(in_channel(flaw)))?;
        let resource = match parse_channel(name) {
            Ok(resource) => resource,
            Err(flaw) => {
                parsed.leave_out(channel.clone(), format!("has the channel {channel}, which {flaw}"));
                continue;
            }
        };
        if operations.is_empty() {
            let flaw = in_channel("no operations: name some, or leave the channel out".to_owned());
            parsed.leave_out(channel.clone(), flaw);
            continue;
        }
        let has_star = operations.contains(&"*");
        let (operations, unknown): (Vec<_>, Vec<_>) =
            operations.into_iter().map(parse_operations).partition(Result::is_ok);
        if has_star && operations.len() > 1 {
            let flaw = "`*` beside other operations: use `*` alone".to_owned();
            return Err(capability_error(in_channel(flaw)));
        }
        for UnknownOperation { name, flaw } in unknown.into_iter().filter_map(Result::err) {
            parsed.leave_out(format!("{name} in {channel}"), in_channel(flaw));
        }
        let operations: ActionSet = operations.into_iter().flatten().flat_map(ActionSet::iter).collect();
        if !operations.is_empty() {
            grants.insert(name, RequestedGrant { resource, operations });
        }
    }
    match parsed.flaw {
        Some(flaw) if grants.is_empty() => Err(flaw),
        _ => Ok(ParsedCapability { grants: check_size(grants.into_values().collect())?, ..parsed }),
    }
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
/// Returns the flaw, in words that complete "the channel, which …".
pub fn parse_channel(name: &str) -> Result<Pattern, String> {
    check_identifier(name, MAX_CHANNEL_CHARS).map_err(|flaw| flaw.to_string())?;
    let pattern = Pattern::parse(name).map_err(|bad| bad.to_string())?;
    check_wildcard(name)?;
    if name.starts_with(':') {
        return Err("must not start with `:`".to_owned());
    }
    if name.starts_with('[') && pattern.exact().is_none() {
        return Err("must be asked for by its name, without a `*`, as it starts with `[`".to_owned());
    }
    Ok(pattern)
}

/// Checks the end of a channel pattern: Ably reads `*` as a wildcard only alone and after `:`. It reads `room-*` as the
/// name of one channel.
///
/// # Errors
/// Returns the flaw, in words that complete "the channel, which …".
pub fn check_wildcard(name: &str) -> Result<(), String> {
    let is_wildcard_of_ably = name == "*" || !name.ends_with('*') || name.ends_with(":*");
    is_wildcard_of_ably.then_some(()).ok_or_else(|| {
        "may end in `*` only after `:`, because Ably reads it elsewhere as a part of the name; name the channels"
            .to_owned()
    })
}

/// Returns the names of the operations.
fn operation_list(operations: &Value) -> Result<Vec<&str>, String> {
    let Value::Array(items) = operations else {
        return Err("a value that is not a list of operations".to_owned());
    };
    let words: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
    words.ok_or_else(|| "an operation that is not a string".to_owned())
}

/// An operation that is not known, perhaps because it is new. `name` is the name for the log.
struct UnknownOperation {
    name: String,
    flaw: String,
}

/// Returns the operation of this name, or all operations for `*`.
fn parse_operations(word: &str) -> Result<ActionSet, UnknownOperation> {
    if word == "*" {
        return Ok(ActionSet::CHANNEL_OPERATIONS);
    }
    if let Some(action) = Action::parse(word).filter(|action| action.is_channel_operation()) {
        return Ok(ActionSet::of(&[action]));
    }
    if !is_wordlike(word) {
        let name = "an operation that is not known".to_owned();
        return Err(UnknownOperation { flaw: name.clone(), name });
    }
    let nearest = nearest(word, ActionSet::CHANNEL_OPERATIONS.iter().map(Action::as_str)).unwrap_or_default();
    let name = quote_for_error(word);
    let flaw = format!("the unknown operation {name}; the nearest known operation is `{nearest}`");
    Err(UnknownOperation { name, flaw })
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
        Capability::from_grants(&parse_grants(value).unwrap().complete().unwrap()).to_string()
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
        let all: Vec<&str> = ActionSet::CHANNEL_OPERATIONS.iter().map(Action::as_str).collect();
        assert_eq!(canonical(&json!({"a": all})), r#"{"a":["*"]}"#);
    }

    #[test]
    fn grants_are_in_order_with_every_star_expanded() {
        let grants =
            parse_grants(&json!({"b": ["*"], "a:*": ["publish"], "a": ["publish"], "*": ["stats"]})).unwrap().grants;
        let order: Vec<String> = grants.iter().map(|grant| grant.resource.to_string()).collect();
        assert_eq!(order, ["*", "a", "a:*", "b"]);
        assert_eq!(grants.last().unwrap().operations, ActionSet::CHANNEL_OPERATIONS);
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
    fn what_cannot_be_requested_is_left_out_if_something_remains() {
        let asked = json!({
            "[chat]*": ["publish"], "foo*": ["*"], "chat:*:x": ["publish"],
            "chat:*": ["publish", "future-operation", "Zephyr7Quokka3"], "a": ["future-operation"],
            "b": [], "c": ["*", "future-operation"],
        });
        let parsed = parse_grants(&asked).unwrap();
        assert_eq!(Capability::from_grants(&parsed.grants).as_str(), r#"{"c":["*"],"chat:*":["publish"]}"#);
        let expected = [
            "`[chat]*`",
            "`future-operation` in `a`",
            "`b`",
            "`future-operation` in `c`",
            "`future-operation` in `chat:*`",
            "an operation that is not known in `chat:*`",
            "`chat:*:x`",
            "`foo*`",
        ];
        let mut left_out = parsed.left_out.clone();
        left_out.sort_unstable();
        let mut expected = expected.map(str::to_owned);
        expected.sort_unstable();
        assert_eq!(left_out, expected);
        assert!(parsed.complete().is_err(), "a token of another program is read strictly");
    }

    #[test]
    fn pairs_are_counted_after_expansion() {
        let stars = |channels: usize| (0..channels).map(|i| (i.to_string(), json!(["*"]))).collect::<Map<_, _>>();
        assert!(parse_grants(&Value::from(stars(5))).is_ok());
        assert!(error(&Value::from(stars(6))).contains("has 102 pairs"));
        let mut hundred = stars(5);
        hundred.insert(
            "more".to_owned(),
            json!(ActionSet::CHANNEL_OPERATIONS.iter().map(Action::as_str).take(15).collect::<Vec<_>>()),
        );
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
