//! JSON objects exact to the byte: members in the order given, no white space.

use std::fmt::Write as _;

use serde_json::Value;

/// A JSON object being written.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Object {
        let mut text = String::with_capacity(256);
        text.push('{');
        Object(text)
    }

    pub(super) fn string(self, name: &str, value: &str) -> Object {
        self.value(name, &Value::from(value))
    }

    pub(super) fn number(self, name: &str, value: u64) -> Object {
        self.value(name, &Value::from(value))
    }

    pub(super) fn value(mut self, name: &str, value: &Value) -> Object {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        // Writing to a string does not fail.
        let _ = write!(self.0, "{}:{value}", Value::from(name));
        self
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_escapes_only_what_must_be() {
        let text = Object::new().string("b", "q\"\\\n\u{7f}é🚀").number("a", u64::MAX).finish();
        assert_eq!(text, "{\"b\":\"q\\\"\\\\\\n\u{7f}é🚀\",\"a\":18446744073709551615}");
        assert_eq!(Object::new().finish(), "{}");
    }
}
