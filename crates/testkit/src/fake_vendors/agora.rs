//! A fake of Agora Chat's interface.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chat_signer_core::secret::Secret;
use chat_signer_core::vendor::{Ttl, VendorApp, agora};
use serde_json::{Value, json};

use super::{AGORA, Held, bearer, text};
use crate::fake_server::Seen;
use crate::now;

impl Held {
    pub(super) fn agora(&mut self, seen: &Seen, path: &[&str], body: &Value) -> Result<(u16, Value), String> {
        check_app_token(bearer(seen)?)?;
        let gone = Ok((404, json!({ "error": "service_resource_not_found" })));
        match (seen.method.as_str(), path) {
            (_, ["users", user, ..]) if !self.accounts.contains_key(*user) => gone,
            ("GET", ["users", user]) => {
                Ok((200, json!({ "entities": [{ "username": user, "activated": self.accounts[*user] }] })))
            }
            ("POST", ["users", user, change @ ("activate" | "deactivate")]) => {
                self.accounts.insert((*user).to_owned(), *change == "activate");
                Ok((200, json!({})))
            }
            ("GET", ["users", user, "disconnect"]) => {
                self.terminated.push((*user).to_owned());
                Ok((200, json!({ "data": { "result": true } })))
            }
            ("POST", ["mutes"]) => {
                let time = body["chat"].as_i64().ok_or("no time")?;
                if body["groupchat"] != time || body["chatroom"] != time {
                    return Err("different times".to_owned());
                }
                let user = text(body, "username")?;
                if !self.accounts.contains_key(user) {
                    return gone;
                }
                self.mute("*", user, time);
                Ok((200, json!({ "data": { "result": "ok" } })))
            }
            (method, [collection @ ("chatgroups" | "chatrooms"), id, rest @ ..]) => {
                let place = format!("{collection}/{id}");
                if !self.members.contains_key(&place) {
                    return gone;
                }
                self.agora_conversation(method, &place, rest, body)
            }
            _ => Err("no such path at Agora".to_owned()),
        }
    }

    fn agora_conversation(
        &mut self,
        method: &str,
        place: &str,
        path: &[&str],
        body: &Value,
    ) -> Result<(u16, Value), String> {
        match (method, path) {
            ("POST", ["blocks", "users", user]) => {
                if !self.members.get_mut(place).unwrap().remove(*user) {
                    return Ok((403, json!({ "error": "forbidden_op" })));
                }
                self.blacklists.entry(place.to_owned()).or_default().insert((*user).to_owned());
            }
            ("DELETE", ["blocks", "users", user]) => {
                self.blacklists.entry(place.to_owned()).or_default().remove(*user);
            }
            ("POST", ["mute"]) => {
                let user = body["usernames"][0].as_str().ok_or("no user")?.to_owned();
                if !self.members[place].contains(&user) {
                    return Ok((403, json!({ "error": "forbidden_op" })));
                }
                self.mute(place, &user, body["mute_duration"].as_i64().ok_or("no time")?);
            }
            ("DELETE", ["mute", user]) => self.mute(place, user, 0),
            _ => return Err("no such path at Agora".to_owned()),
        }
        Ok((200, json!({ "data": { "result": true } })))
    }
}

/// Checks that the token administrates the Chat app, and that the certificate signed it.
fn check_app_token(token: &str) -> Result<(), String> {
    let [id, certificate, ..] = AGORA;
    let ttl = Ttl { min_seconds: 60, default_seconds: 60, max_seconds: 60 };
    let app = agora::App::new(Arc::from("agora"), id.to_owned(), &[Secret::new(certificate.as_bytes().to_vec())], ttl);
    let read = app.read_token(token)?;
    let mac = URL_SAFE_NO_PAD.decode(&read.signature).unwrap();
    let part = |name: &str| read.claims.get(name).cloned().unwrap_or_default();
    let expire = part("expire").as_u64().unwrap_or_default();
    let service = json!([{ "kind": "Chat", "privileges": { "2": expire }, "user": "" }]);
    let is_right = app.verify(&read.message, &mac) == Some(0)
        && part("app_id") == id
        && part("issued_at").as_u64().unwrap_or_default().abs_diff(now().seconds()) < 60
        && (1..=300).contains(&expire)
        && part("services") == service;
    if is_right { Ok(()) } else { Err(format!("not with the token of the app: {:?}", read.claims)) }
}
