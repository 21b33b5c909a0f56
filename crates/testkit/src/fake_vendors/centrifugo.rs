//! A fake of Centrifugo's server interface.

use serde_json::{Value, json};

use super::{Held, KEY, header, text};
use crate::fake_server::Seen;

impl Held {
    pub(super) fn centrifugo(&mut self, seen: &Seen, method: &str, body: &Value) -> Result<(u16, Value), String> {
        if header(seen, "x-api-key") != KEY || seen.method != "POST" {
            return Err("not with the key".to_owned());
        }
        let user = text(body, "user")?.to_owned();
        match method {
            "disconnect" => self.terminated.push(user),
            "unsubscribe" => {
                let channel = text(body, "channel")?.to_owned();
                if channel.starts_with("unknown:") {
                    return Ok((200, json!({ "error": { "code": 102, "message": "unknown channel" } })));
                }
                self.unsubscribed.push((user, channel));
            }
            _ => return Err("no such method at Centrifugo".to_owned()),
        }
        Ok((200, json!({ "result": {} })))
    }
}
