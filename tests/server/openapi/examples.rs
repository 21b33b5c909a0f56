//! Every example.

use chat_signer::crypto::hex;
use serde_json::{Map, Value};

use crate::common::{Answer, Server, request};
use crate::openapi::document::{Document, credential, demonstration};
use crate::openapi::schema;

/// A request that the document has as an example.
#[derive(Debug)]
struct Example<'a> {
    method: String,
    /// As the document has it.
    path: &'a str,
    /// What is in the path in the place of the names in it.
    within: Vec<(String, String)>,
    name: &'a str,
    caller: &'a str,
    /// The media type of the body; `None` is the query.
    media: Option<&'a str>,
    values: Value,
}

#[test]
fn every_request_is_answered_as_it_says() {
    let server = demonstration();
    let document = Document::of(&server);
    let examples = examples(&document);
    assert!(examples.len() > 40, "{examples:?}");
    for example in &examples {
        let answer = ask(&server, example);
        document.check(&example.method, example.path, &answer);
        let expected = expected(&document, example);
        // What is told as it happens has not happened yet.
        if answer.header("content-type") != Some("text/event-stream") {
            assert_eq!(steady(&body(&answer)), steady(expected.1), "{example:?}");
        }
        assert_eq!(answer.status.to_string(), *expected.0, "{example:?}");
    }
}

#[test]
fn every_path_has_one_that_is_signed_or_says_why_not() {
    let server = demonstration();
    let document = Document::of(&server);
    let examples = examples(&document);
    for (method, path, operation) in document.operations() {
        let asked = examples.iter().any(|example| example.method == method && example.path == path);
        assert!(asked || operation["security"] == Value::Array(Vec::new()), "{method} {path} has no example");
    }
}

#[test]
fn every_value_fits_its_schema() {
    let server = demonstration();
    let document = Document::of(&server);
    let mut number = 0;
    for_each_object(&document.0, &mut |object| {
        let (Some(schema), Some(examples)) = (object.get("schema"), object.get("examples")) else { return };
        for (name, example) in examples.as_object().unwrap() {
            schema::check(&document, schema, &example["value"], name);
            number += 1;
        }
    });
    assert!(number > 100, "{number}");
}

#[test]
fn the_check_of_schemas_can_fail() {
    let document = Document(serde_json::json!({"components": {"schemas": {"Id": {"type": "string", "maxLength": 2}}}}));
    let schema = serde_json::json!({"type": "object", "required": ["id"], "additionalProperties": false,
        "properties": {"id": {"$ref": "#/components/schemas/Id"}, "n": {"anyOf": [{"const": 1}, {"enum": ["x"]}], "not": {"const": "x"}}}});
    let fits = |text: &str| schema::fits(&document, &schema, &serde_json::from_str(text).unwrap()).is_ok();
    for text in [r#"{"id": "ab"}"#, r#"{"id": "", "n": 1}"#] {
        assert!(fits(text), "{text}");
    }
    for text in ["{}", "[]", r#"{"id": "abc"}"#, r#"{"id": 1}"#, r#"{"id": "", "n": "x"}"#, r#"{"id": "", "m": 1}"#] {
        assert!(!fits(text), "{text}");
    }
}

fn examples(document: &Document) -> Vec<Example<'_>> {
    let operations = document.operations();
    operations.flat_map(|(method, path, operation)| of(&method, path, operation)).collect()
}

fn of<'a>(method: &str, path: &'a str, operation: &'a Value) -> Vec<Example<'a>> {
    let mut examples: Vec<Example<'a>> = Vec::new();
    for (media, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
        for (name, example) in content["examples"].as_object().into_iter().flatten() {
            let (method, caller) = (method.to_owned(), example["x-caller"].as_str().unwrap());
            let (values, within) = (example["value"].clone(), Vec::new());
            examples.push(Example { method, path, within, name, caller, media: Some(media), values });
        }
    }
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        for (name, example) in parameter["examples"].as_object().into_iter().flatten() {
            let key = parameter["name"].as_str().unwrap();
            if !examples.iter().any(|known| known.name == name) {
                let (method, caller) = (method.to_owned(), example["x-caller"].as_str().unwrap());
                let (values, within) = (Value::Object(Map::new()), Vec::new());
                examples.push(Example { method, path, within, name, caller, media: None, values });
            }
            let asked = examples.iter_mut().find(|known| known.name == name).unwrap();
            if parameter["in"] == "path" {
                asked.within.push((format!("{{{key}}}"), example["value"].as_str().unwrap().to_owned()));
            } else {
                asked.values[key] = example["value"].clone();
            }
        }
    }
    examples
}

/// The one answer by this example's name: its status and its value.
fn expected<'a>(document: &'a Document, example: &Example<'_>) -> (&'a String, &'a Value) {
    let responses = document.operation(&example.method, example.path)["responses"].as_object().unwrap().iter();
    let mut named = responses.flat_map(|(status, response)| {
        let contents = document.resolve(response)["content"].as_object().into_iter().flat_map(Map::values);
        contents.filter_map(move |content| Some((status, content["examples"].get(example.name)?)))
    });
    let (status, answer) = named.next().unwrap_or_else(|| panic!("there is no answer to {example:?}"));
    assert!(named.next().is_none(), "there are several answers to {example:?}");
    (status, &answer["value"])
}

fn ask(server: &Server, example: &Example<'_>) -> Answer {
    let mut headers = credential(example.caller);
    let path = example.within.iter().fold(example.path.to_owned(), |path, (name, value)| path.replace(name, value));
    let Some(media) = example.media else {
        return server.ask(&request(&example.method, &format!("{path}?{}", encoded(&example.values)), &headers, ""));
    };
    headers.extend(["content-type: ", media, "\r\n"]);
    let body = if media.ends_with("json") { example.values.to_string() } else { encoded(&example.values) };
    server.ask(&request(&example.method, &path, &headers, &body))
}

fn encoded(values: &Value) -> String {
    let escaped = |text: &str| text.bytes().flat_map(|byte| ['%'.to_string(), hex(&[byte])]).collect::<String>();
    let pairs = values.as_object().unwrap().iter();
    pairs
        .map(|(name, value)| {
            format!("{name}={}", escaped(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        })
        .collect::<Vec<_>>()
        .join("&")
}

fn body(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| Value::from(answer.body.as_str()))
}

/// Without what differs each time.
fn steady(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let steady = |(name, value): (&String, &Value)| {
                let fresh = [
                    "signature",
                    "auth",
                    "timestamp",
                    "nonce",
                    "msg",
                    "at",
                    "token",
                    "user_sig",
                    "expires_at",
                    "mac",
                    "request_id",
                    "line",
                    "change",
                    "version",
                    "oldest",
                    "now",
                    "build",
                    "session",
                    "policy",
                    "epoch",
                    "heard_ms",
                ];
                let value = if fresh.contains(&name.as_str()) { Value::Null } else { steady(value) };
                (name.clone(), value)
            };
            // The settings of the console are those of the demonstration.
            let object = object.iter().filter(|(name, _)| *name != "console");
            Value::Object(object.map(steady).collect())
        }
        Value::Array(items) => items.iter().map(steady).collect(),
        Value::String(text) if text.starts_with("eyJ") => Value::from("a token"),
        Value::String(text) => Value::from(without_lines(text)),
        other => other.clone(),
    }
}

/// Without the numbers of the policy file's lines.
fn without_lines(text: &str) -> String {
    let mut parts = text.split("line ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "line " + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

fn for_each_object<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| for_each_object(value, visit));
        }
        Value::Array(items) => items.iter().for_each(|value| for_each_object(value, visit)),
        _ => {}
    }
}
