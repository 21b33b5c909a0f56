//! The parts that the descriptions of all operations share: examples, references, headers and parameters.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub(super) const JSON: &str = "application/json";

/// An example: a request, and the answer of the demonstration.
#[derive(Deserialize)]
pub(super) struct OperationExample {
    /// The name of the caller.
    caller: String,
    #[serde(default)]
    pub(super) by: ParameterLocation,
    /// The parameters in the path, if the other parameters are in the body.
    #[serde(default)]
    pub(super) path: Map<String, Value>,
    pub(super) request: Value,
    status: u16,
    answer: Value,
}

/// The location of the parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ParameterLocation {
    #[default]
    Body,
    Form,
    Query,
}

impl OperationExample {
    /// Returns a value of the request as an example, with the caller.
    pub(super) fn with_caller(&self, value: &Value) -> Value {
        json!({ "value": value, "x-caller": self.caller })
    }
}

/// Parses a part of the document. Tests check that each part can be parsed.
pub(super) fn parse_part<T: DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}

/// Returns `{"$ref": …}` to a component.
pub(super) fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// Returns the headers that every answer has.
pub(super) fn headers() -> Value {
    let names = ["Cache-Control", "X-Content-Type-Options", "X-Request-Id"];
    names.into_iter().map(|name| (name.to_owned(), reference("headers", name))).collect()
}

/// Returns a schema, with its examples if there are any.
pub(super) fn content(schema: &Value, examples: Map<String, Value>) -> Map<String, Value> {
    let mut content = Map::from_iter([("schema".to_owned(), schema.clone())]);
    if !examples.is_empty() {
        content.insert("examples".to_owned(), Value::Object(examples));
    }
    content
}

/// Returns a parameter. `value` returns its value in an example.
pub(super) fn parameter<'a>(
    name: &str,
    place: &str,
    schema: &Value,
    examples: impl Iterator<Item = (&'a String, &'a OperationExample)>,
    value: impl Fn(&'a OperationExample) -> Option<&'a Value>,
) -> Map<String, Value> {
    let values = examples.filter_map(|(key, example)| Some((key.clone(), example.with_caller(value(example)?))));
    let mut parameter = content(schema, values.collect());
    parameter.insert("name".to_owned(), json!(name));
    parameter.insert("in".to_owned(), json!(place));
    parameter
}

/// Returns the example answers with this status.
pub(super) fn answers<'a>(
    examples: impl Iterator<Item = (&'a String, &'a OperationExample)>,
    status: &str,
) -> Map<String, Value> {
    let with = examples.filter(|(_, example)| example.status.to_string() == status);
    with.map(|(name, example)| (name.clone(), json!({ "value": example.answer }))).collect()
}

/// Returns the response of an error: a reference to the component or, if there are examples, a copy of the component
/// with these examples.
pub(super) fn error_response(name: &str, component: &Value, examples: &Map<String, Value>) -> Value {
    if examples.is_empty() {
        return reference("responses", name);
    }
    let mut response = component.clone();
    for content in response["content"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        content["examples"] = Value::Object(examples.clone());
    }
    response
}
