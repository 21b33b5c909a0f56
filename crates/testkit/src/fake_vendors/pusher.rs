//! A fake of Pusher's interface.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{APP_ID, Held, verify_mac};
use crate::fake_server::Seen;
use crate::now;

impl Held {
    pub(super) fn pusher(
        &mut self,
        seen: &Seen,
        path: &[&str],
        query: &BTreeMap<String, String>,
    ) -> Result<(u16, Value), String> {
        check_signature(seen, query)?;
        match (seen.method.as_str(), path) {
            ("POST", ["users", user, "terminate_connections"]) => {
                self.terminated.push((*user).to_owned());
                Ok((200, json!({ "ok": true })))
            }
            _ => Err("no such path at Pusher".to_owned()),
        }
    }
}

/// Checks the signature over the method, the path as it was sent and the parameters in their order.
fn check_signature(seen: &Seen, query: &BTreeMap<String, String>) -> Result<(), String> {
    const MD5_OF_EMPTY_OBJECT: &str = "99914b932bd37a50b983c5e7c90ae93b";
    let get = |name: &str| query.get(name).map(String::as_str).ok_or_else(|| format!("no {name}"));
    let is_right = seen.body == "{}"
        && get("body_md5")? == MD5_OF_EMPTY_OBJECT
        && get("auth_key")? == APP_ID
        && get("auth_version")? == "1.0";
    let age = get("auth_timestamp")?.parse::<u64>().map_err(|_| "no time")?.abs_diff(now().seconds());
    if !is_right || age > 600 {
        return Err("another request than the signed request".to_owned());
    }
    let pairs: Vec<String> = query
        .iter()
        .filter(|(name, _)| *name != "auth_signature")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let path = seen.path.split_once('?').map_or("", |(path, _)| path);
    let signature = get("auth_signature")?;
    let bytes: Vec<u8> = (0..signature.len() / 2)
        .filter_map(|at| u8::from_str_radix(signature.get(2 * at..2 * at + 2)?, 16).ok())
        .collect();
    verify_mac(format!("{}\n{path}\n{}", seen.method, pairs.join("&")).as_bytes(), &bytes)
}
