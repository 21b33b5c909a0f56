//! Byte-exact JSON objects: members in the given order, without white space.

use serde::Serialize;
use serde_json::Value;

/// A JSON object under construction.
pub(super) struct JsonObject(Vec<u8>);

impl JsonObject {
    pub(super) fn new() -> JsonObject {
        let mut text = Vec::with_capacity(256);
        text.push(b'{');
        JsonObject(text)
    }

    pub(super) fn string(self, name: &str, value: &str) -> JsonObject {
        self.member(name, value)
    }

    pub(super) fn number(self, name: &str, value: u64) -> JsonObject {
        self.member(name, &value)
    }

    pub(super) fn value(self, name: &str, value: &Value) -> JsonObject {
        self.member(name, value)
    }

    fn member(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> JsonObject {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        // Writing strings, numbers and JSON values to memory does not fail.
        let _ = serde_json::to_writer(&mut self.0, name);
        self.0.push(b':');
        let _ = serde_json::to_writer(&mut self.0, value);
        self
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push(b'}');
        // serde_json writes valid UTF-8.
        String::from_utf8(self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_escapes_only_what_must_be() {
        let text = JsonObject::new().string("b", "q\"\\\n\u{7f}é🚀").number("a", u64::MAX).finish();
        assert_eq!(text, "{\"b\":\"q\\\"\\\\\\n\u{7f}é🚀\",\"a\":18446744073709551615}");
        assert_eq!(JsonObject::new().finish(), "{}");
    }
}
