//! A fake of Stream's interface.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{APP_ID, Held, header, seconds_left, text, verified_claims};
use crate::fake_server::Seen;

/// A user at Stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    /// Whether the user is deactivated.
    pub deactivated: bool,
    /// Whether the user cannot send.
    pub banned: bool,
    /// The time before which tokens are revoked.
    pub revoked_before: Option<String>,
}

impl Held {
    pub(super) fn stream(
        &mut self,
        seen: &Seen,
        path: &[&str],
        query: &BTreeMap<String, String>,
        body: &Value,
    ) -> Result<(u16, Value), String> {
        check_token(seen, query)?;
        match (seen.method.as_str(), path) {
            ("GET", ["users"]) => {
                let payload = payload(query)?;
                let id = payload["filter_conditions"]["id"]["$in"][0].as_str().ok_or("no user")?;
                if payload["include_deactivated_users"] != true {
                    return Err("no question about deactivated users".to_owned());
                }
                let users: Vec<Value> = self.users.get(id).map(|user| shown(id, user)).into_iter().collect();
                Ok((200, json!({ "users": users })))
            }
            ("GET", ["members"]) => {
                let payload = payload(query)?;
                let channel = format!("{}:{}", text(&payload, "type")?, text(&payload, "id")?);
                let user = text(&payload["filter_conditions"], "id")?;
                let Some(members) = self.members.get(&channel) else { return Ok((404, json!({ "code": 16 }))) };
                let banned = self.channel_bans.contains(&(channel, user.to_owned()));
                let member = members.contains(user).then(|| json!({ "user_id": user, "banned": banned }));
                Ok((200, json!({ "members": member.into_iter().collect::<Vec<_>>() })))
            }
            ("POST", ["channels", kind, id]) => {
                let members = self.members.get_mut(&format!("{kind}:{id}")).ok_or("no such channel")?;
                for user in body["remove_members"].as_array().into_iter().flatten() {
                    members.remove(user.as_str().unwrap());
                }
                members.extend(
                    body["add_members"].as_array().into_iter().flatten().map(|user| user.as_str().unwrap().to_owned()),
                );
                Ok((200, json!({})))
            }
            (_, ["moderation", "ban"]) => self.change_ban(seen, query, body),
            (_, ["users", ..]) => self.change_user(seen, &path[1..], body),
            _ => Err("no such path at Stream".to_owned()),
        }
    }

    fn change_user(&mut self, seen: &Seen, path: &[&str], body: &Value) -> Result<(u16, Value), String> {
        match (seen.method.as_str(), path) {
            ("POST", []) => {
                for id in body["users"].as_object().ok_or("no users")?.keys() {
                    self.users.entry(id.clone()).or_default();
                }
            }
            ("PATCH", []) => {
                let change = &body["users"][0];
                let user = self.users.get_mut(text(change, "id")?).ok_or("no such user")?;
                user.revoked_before = Some(text(&change["set"], "revoke_tokens_issued_before")?.to_owned());
            }
            ("POST", [id, change @ ("deactivate" | "reactivate")]) => {
                let user = self.users.get_mut(*id).ok_or("no such user")?;
                if user.deactivated == (*change == "deactivate") {
                    return Err("a user who already is so".to_owned());
                }
                user.deactivated = *change == "deactivate";
            }
            _ => return Err("no such path at Stream".to_owned()),
        }
        Ok((200, json!({})))
    }

    fn change_ban(
        &mut self,
        seen: &Seen,
        query: &BTreeMap<String, String>,
        body: &Value,
    ) -> Result<(u16, Value), String> {
        let in_query = json!(query);
        let (place, banned) = match seen.method.as_str() {
            "POST" if self.users.contains_key(text(body, "banned_by_id")?) => (body, true),
            "DELETE" => (&in_query, false),
            _ => return Err("a ban without an author".to_owned()),
        };
        let user = text(place, "target_user_id")?.to_owned();
        if !self.users.contains_key(&user) {
            return Err("no such user".to_owned());
        }
        match place["type"].as_str().zip(place["id"].as_str()) {
            None => self.users.get_mut(&user).unwrap().banned = banned,
            Some((kind, id)) if banned => _ = self.channel_bans.insert((format!("{kind}:{id}"), user)),
            Some((kind, id)) => _ = self.channel_bans.remove(&(format!("{kind}:{id}"), user)),
        }
        Ok((200, json!({})))
    }
}

fn shown(id: &str, user: &User) -> Value {
    let deactivated_at = user.deactivated.then_some("2027-01-01T00:00:00Z");
    json!({ "id": id, "banned": user.banned, "deactivated_at": deactivated_at })
}

fn payload(query: &BTreeMap<String, String>) -> Result<Value, String> {
    serde_json::from_str(query.get("payload").ok_or("no payload")?).map_err(|_| "a payload without JSON".to_owned())
}

/// Checks that the request has the token of a server and the key of the app.
fn check_token(seen: &Seen, query: &BTreeMap<String, String>) -> Result<(), String> {
    let claims = verified_claims(header(seen, "authorization"))?;
    let is_right = claims["server"] == true
        && claims.get("user_id").is_none()
        && (1..=61).contains(&seconds_left(&claims))
        && header(seen, "stream-auth-type") == "jwt"
        && query.get("api_key").is_some_and(|key| key == APP_ID);
    if is_right { Ok(()) } else { Err(format!("not with the token of a server: {claims}")) }
}
