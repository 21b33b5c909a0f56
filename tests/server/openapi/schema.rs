//! Just enough of JSON Schema to hold our own document to it. Patterns are not looked at.

use serde_json::{Map, Value};

use crate::openapi::document::Document;

/// Holds a value to a schema.
pub(crate) fn check(document: &Document, schema: &Value, value: &Value, what: &str) {
    if let Err(flaw) = fits(document, schema, value) {
        panic!("{flaw}: {what}");
    }
}

/// Whether a value fits, and if not, why.
pub(crate) fn fits(document: &Document, schema: &Value, value: &Value) -> Result<(), String> {
    let schema = schema.as_object().ok_or_else(|| format!("no schema: {schema}"))?;
    for (keyword, operand) in schema {
        if !holds(document, schema, keyword, operand, value) {
            return Err(format!("{value} doesn't fit {keyword}: {operand}"));
        }
    }
    Ok(())
}

fn holds(document: &Document, schema: &Map<String, Value>, keyword: &str, operand: &Value, value: &Value) -> bool {
    let fits = |schema: &Value, value: &Value| fits(document, schema, value).is_ok();
    let list = || operand.as_array().unwrap().iter();
    let number = || operand.as_u64().unwrap();
    let length = |length: Option<usize>| length.map(|length| length as u64);
    let characters = || length(value.as_str().map(|text| text.chars().count()));
    let items = || length(value.as_array().map(Vec::len));
    match keyword {
        "description" | "format" | "pattern" => true,
        "$ref" => {
            assert!(document.resolve(&Value::Object(schema.clone())).is_object());
            fits(document.resolve(&Value::Object(schema.clone())), value)
        }
        "allOf" => list().all(|one| fits(one, value)),
        "anyOf" => list().any(|one| fits(one, value)),
        "not" => !fits(operand, value),
        "const" => value == operand,
        "enum" => list().any(|one| one == value),
        "type" if operand.is_array() => list().any(|one| is(one, value)),
        "type" => is(operand, value),
        "required" => {
            value.as_object().is_none_or(|object| list().all(|name| object.contains_key(name.as_str().unwrap())))
        }
        "properties" => members(value).all(|(name, value)| operand.get(name).is_none_or(|schema| fits(schema, value))),
        "additionalProperties" => {
            let mut others = members(value)
                .filter(|(name, _)| schema.get("properties").is_none_or(|known| known.get(name).is_none()));
            others.all(|(_, value)| operand.as_bool().unwrap_or_else(|| fits(operand, value)))
        }
        "minProperties" => value.as_object().is_none_or(|object| object.len() as u64 >= number()),
        "maxProperties" => value.as_object().is_none_or(|object| object.len() as u64 <= number()),
        "items" => value.as_array().into_iter().flatten().all(|item| fits(operand, item)),
        "minItems" => items().is_none_or(|items| items >= number()),
        "maxItems" => items().is_none_or(|items| items <= number()),
        "minLength" => characters().is_none_or(|characters| characters >= number()),
        "maxLength" => characters().is_none_or(|characters| characters <= number()),
        "maximum" => value.as_u64().is_none_or(|value| value <= number()),
        "minimum" => value.as_u64().is_none_or(|value| value >= number()),
        other => panic!("the keyword {other} is not known here"),
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other} is not known here"),
    }
}
