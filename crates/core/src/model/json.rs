//! A strict JSON reader. It rejects an object with duplicate members, because readers could disagree about its meaning.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads a JSON object. Rejects duplicate members at any depth.
///
/// # Errors
/// Returns the problem and its position, but never a part of the input.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    match serde_json::from_slice::<StrictValue>(bytes)?.0 {
        Value::Object(members) => Ok(members),
        _ => Err(Error::custom("expected an object")),
    }
}

/// Reads a JSON object that another server or an operator wrote. It can begin with a byte order mark, which is ignored
/// (RFC 8259, section 8.1).
///
/// # Errors
/// Returns an error in the same cases as [`parse_object`].
pub fn parse_document(bytes: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    parse_object(strip_bom(bytes))
}

/// Returns the text without a byte order mark.
pub fn strip_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Returns the approximate memory use of an object, in bytes. It is more likely too high than too low.
pub fn memory_size(members: &Map<String, Value>) -> usize {
    // A map allocates its entries in nodes of eleven.
    const ENTRIES: usize = 11 * (size_of::<String>() + size_of::<Value>());
    let own: usize = members.iter().map(|(name, value)| name.len() + memory_size_of_value(value)).sum();
    own + ENTRIES * members.len().div_ceil(6)
}

fn memory_size_of_value(value: &Value) -> usize {
    // A list may have allocated twice the space that it uses, and the smallest allocation is 32 bytes.
    const EACH: usize = 2 * size_of::<Value>();
    match value {
        Value::String(text) => EACH + text.len().max(32),
        Value::Array(items) => EACH + items.iter().map(memory_size_of_value).sum::<usize>(),
        Value::Object(members) => EACH + memory_size(members),
        _ => EACH,
    }
}

struct StrictValue(Value);

impl<'de> Deserialize<'de> for StrictValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StrictValue, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(StrictValue)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(StrictValue(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let StrictValue(value) = entries.next_value()?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("an object has the same member twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_serde_json_reads() {
        let text = br#"{"a": [1, -2, 3.5, null, true, "x\u00e9"], "b": {"c": {}}}"#;
        let expected: Value = serde_json::from_slice(text).unwrap();
        assert_eq!(Value::Object(parse_object(text).unwrap()), expected);
    }

    #[test]
    fn refuses_duplicates_at_any_depth_and_endless_nesting() {
        assert!(parse_object(br#"{"a": 1, "a": 1}"#).is_err());
        assert!(parse_object(br#"{"a": [{"b": 1, "\u0062": 2}]}"#).is_err());
        assert!(parse_object(b"[]").is_err());
        assert!(parse_object("[".repeat(20_000).as_bytes()).is_err());
    }

    #[test]
    fn small_values_are_heavier_than_their_text() {
        let weight = |text: &str| memory_size(&parse_object(text.as_bytes()).unwrap_or_default());
        assert_eq!(weight("{}"), 0);
        assert!((600..2000).contains(&weight(r#"{"id": "tom"}"#)));
        let list = |item: &str| format!("{{\"list\": [{}]}}", vec![item; 1000].join(","));
        for (item, least) in [("0", 32), ("\"\"", 64), ("[]", 32), ("{\"\":0}", 600)] {
            assert!(weight(&list(item)) >= 1000 * least, "{item}");
        }
        assert!(weight(&format!("{{\"{}\": 0}}", "x".repeat(5000))) > 5000);
    }
}
