//! Fake vendors. They keep the state that requests set, and record each request that a real vendor would refuse.

mod agora;
mod centrifugo;
mod livekit;
mod pusher;
mod stream;
mod tencent;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::fake_server::{Reply, Seen, Server};
use crate::now;

/// The id of the app in the configuration of most tests.
pub const APP_ID: &str = "fake-talkjs-app";
/// The key of the app in the configuration of most tests.
pub const KEY: &str = "fake-talkjs-secret-key-0123456789abcdef";
/// The keys of the Ably app.
pub const ABLY_KEYS: [&str; 2] = ["fakeapp.new:fake-new-secret", "fakeapp.old:fake-old-secret"];

/// The id of the app and its certificate at Agora, and its place at Agora Chat.
pub const AGORA: [&str; 4] =
    ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210", "fake-org", "fake-chat"];
/// The id of the app at Tencent.
pub const TENCENT_ID: u32 = 1_400_123_456;

/// A participant: access and notifications.
pub type Participant = (String, Value);

/// The state of a vendor.
#[derive(Default)]
pub struct Held {
    /// TalkJS: the participants of each conversation.
    pub participants: BTreeMap<String, BTreeMap<String, Participant>>,
    /// LeanCloud: the members of each conversation.
    pub members: BTreeMap<String, BTreeSet<String>>,
    /// LeanCloud: the black list of each conversation.
    pub blacklists: BTreeMap<String, BTreeSet<String>>,
    /// LeanCloud: the users who are silenced without end in each conversation.
    pub silenced: BTreeMap<String, BTreeSet<String>>,
    /// LeanCloud: the seconds for which a user is silenced in a conversation.
    pub briefly: BTreeMap<(String, String), u64>,
    /// LeanCloud: the users who were disconnected, with the reason.
    pub kicked: Vec<(String, String)>,
    /// Ably: the key and the user of each revocation.
    pub revoked: Vec<(String, String)>,
    /// Pusher: the users whose connections were terminated. Centrifugo and Agora: the users who were disconnected.
    pub terminated: Vec<String>,
    /// Stream: the users.
    pub users: BTreeMap<String, stream::User>,
    /// Stream: the channel, by type and id, and the user of each ban in a channel.
    pub channel_bans: BTreeSet<(String, String)>,
    /// Tencent and Agora: for how long a user cannot send in a conversation, or everywhere (`*`). The number is the number
    /// in the request.
    pub mutes: BTreeMap<(String, String), i64>,
    /// LiveKit: the permissions of each participant of each room.
    pub rooms: BTreeMap<String, BTreeMap<String, Value>>,
    /// LiveKit: how many times the user of a room has joined it again. The default is 0.
    pub rejoined: BTreeMap<(String, String), u32>,
    /// Tencent: the users who have no account.
    pub strangers: BTreeSet<String>,
    /// Centrifugo: the user and the channel of each ended subscription.
    pub unsubscribed: Vec<(String, String)>,
    /// Agora: the users, and whether they are active.
    pub accounts: BTreeMap<String, bool>,
    /// The reasons why a real vendor would have refused a request.
    complaints: Vec<String>,
}

/// A fake vendor with its HTTP server.
pub struct Vendor {
    /// The HTTP server.
    pub server: Server,
    held: Arc<Mutex<Held>>,
}

impl Vendor {
    /// Starts a vendor.
    pub async fn start() -> Vendor {
        let held: Arc<Mutex<Held>> = Arc::default();
        let shared = Arc::clone(&held);
        let server = Server::start(move |seen| shared.lock().unwrap().answer(seen)).await;
        Vendor { server, held }
    }

    /// Returns the URL of the vendor.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Gives access to the state.
    pub fn held<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        look(&mut self.held.lock().unwrap())
    }

    /// Adds a user to a conversation at TalkJS.
    pub fn join(&self, conversation: &str, user: &str, access: &str, notify: impl Into<Value>) {
        let participant = (access.to_owned(), notify.into());
        self.held(|held| {
            held.participants.entry(conversation.to_owned()).or_default().insert(user.to_owned(), participant)
        });
    }

    /// Returns the access of a user in a conversation at TalkJS.
    pub fn access(&self, conversation: &str, user: &str) -> Option<String> {
        self.held(|held| Some(held.participants.get(conversation)?.get(user)?.0.clone()))
    }

    /// Asserts that a real vendor would have accepted all requests.
    pub fn assert_content(&self) {
        self.held(|held| assert_eq!(held.complaints, Vec::<String>::new()));
    }
}

impl Held {
    fn answer(&mut self, seen: &Seen) -> Reply {
        let answer = self.route(seen);
        let (status, body) = answer.unwrap_or_else(|complaint| {
            self.complaints.push(format!("{} {}: {complaint}", seen.method, seen.path));
            (400, json!({ "code": 1 }))
        });
        (status, Vec::new(), body.to_string())
    }

    fn route(&mut self, seen: &Seen) -> Result<(u16, Value), String> {
        let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
        let segments: Vec<String> = path.trim_start_matches('/').split('/').map(decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err("the path leads elsewhere".to_owned());
        }
        if seen.headers.get("content-type").is_none_or(|kind| kind != "application/json") {
            return Err("not announced as JSON".to_owned());
        }
        let query: BTreeMap<String, String> =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), decoded(v))).collect();
        let body: Value = if seen.body.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&seen.body).map_err(|_| "a body that is not JSON")?
        };
        match segments.as_slice() {
            ["v1", APP_ID, rest @ ..] => {
                is_app_token(seen)?;
                self.talkjs(&seen.method, rest, &query, &body)
            }
            ["1.2", "rtm", rest @ ..] => {
                is_master(seen)?;
                self.leancloud(&seen.method, rest, &query, &body)
            }
            ["keys", name, "revokeTokens"] => self.ably(name, seen, &body),
            ["apps", APP_ID, rest @ ..] => self.pusher(seen, rest, &query),
            ["users" | "members" | "moderation" | "channels", ..] => self.stream(seen, &segments, &query, &body),
            ["v4", service, command] => self.tencent(seen, &format!("{service}/{command}"), &query, &body),
            ["twirp", "livekit.RoomService", method] => self.livekit(seen, method, &body),
            ["api", method] => self.centrifugo(seen, method, &body),
            [org, app, rest @ ..] if [*org, *app] == AGORA[2..] => self.agora(seen, rest, &body),
            _ => Err("no such path".to_owned()),
        }
    }

    fn talkjs(
        &mut self,
        method: &str,
        path: &[&str],
        query: &BTreeMap<String, String>,
        body: &Value,
    ) -> Result<(u16, Value), String> {
        let gone = Ok((404, json!({ "errorCode": "NOT_FOUND" })));
        match (method, path) {
            ("GET", ["conversations", id]) => match self.participants.get(*id) {
                Some(_) => Ok((200, self.conversation(id))),
                None => gone,
            },
            ("GET", ["users", user, "conversations"]) => {
                let most: usize = query["limit"].parse().unwrap();
                if most > 30 || query["orderBy"] != "createdAt" {
                    return Err("a page that TalkJS doesn't give".to_owned());
                }
                let own = self.participants.iter().filter(|(_, people)| people.contains_key(*user));
                let after = own.map(|(id, _)| id).filter(|id| query.get("startingAfter").is_none_or(|last| *id > last));
                let page: Vec<Value> = after.take(most).map(|id| self.conversation(id)).collect();
                Ok((200, json!({ "data": page })))
            }
            (_, ["conversations", id, "participants", user]) => {
                let Some(people) = self.participants.get_mut(*id) else { return gone };
                let access = body.get("access").and_then(Value::as_str);
                match method {
                    "DELETE" => _ = people.remove(*user),
                    "PUT" if matches!(access, Some("Read" | "ReadWrite")) => {
                        let notify = body.get("notify").cloned().unwrap_or(json!(true));
                        people.insert((*user).to_owned(), (access.unwrap_or_default().to_owned(), notify));
                    }
                    "PATCH" if matches!(access, Some("Read" | "ReadWrite" | "None")) => {
                        let Some(participant) = people.get_mut(*user) else { return gone };
                        access.unwrap_or_default().clone_into(&mut participant.0);
                    }
                    _ => return Err(format!("a body that TalkJS doesn't take: {body}")),
                }
                Ok((200, json!({})))
            }
            _ => Err("no such path at TalkJS".to_owned()),
        }
    }

    fn conversation(&self, id: &str) -> Value {
        let people = self.participants.get(id).into_iter().flatten();
        let people: serde_json::Map<_, _> = people
            .map(|(user, (access, notify))| (user.clone(), json!({ "access": access, "notify": notify })))
            .collect();
        json!({ "id": id, "participants": people })
    }

    fn leancloud(
        &mut self,
        method: &str,
        path: &[&str],
        query: &BTreeMap<String, String>,
        body: &Value,
    ) -> Result<(u16, Value), String> {
        let clients = || -> Result<Vec<String>, String> {
            let ids = body.get("client_ids").cloned().ok_or("no client_ids")?;
            serde_json::from_value(ids).map_err(|_| "client_ids are no list".to_owned())
        };
        match (method, path) {
            ("GET", ["all-conversations"]) => {
                let filter: Value = serde_json::from_str(&query["where"]).unwrap();
                let id = filter["objectId"].as_str().unwrap();
                let known = self.members.contains_key(id).then(|| json!({ "objectId": id }));
                Ok((200, json!({ "results": known.into_iter().collect::<Vec<_>>() })))
            }
            ("POST", ["clients", id, "kick"]) => {
                let reason = body["reason"].as_str().ok_or("no reason")?;
                if reason.chars().count() > 20 {
                    return Err("a reason that is too long".to_owned());
                }
                self.kicked.push(((*id).to_owned(), reason.to_owned()));
                Ok((200, json!({})))
            }
            ("GET", ["conversations", id, "members"]) => Ok((200, json!({ "result": self.members[*id] }))),
            ("POST", ["conversations", id, "members"]) => {
                self.members.get_mut(*id).unwrap().extend(clients()?);
                Ok((200, json!({})))
            }
            ("GET", ["conversations", id, list]) => Ok((200, json!({ "client_ids": self.list(list)?.get(*id) }))),
            ("POST", ["conversations", id, "temporary-silenceds"]) => {
                let (client, ttl) = (body["client_id"].as_str().ok_or("no client_id")?, body["ttl"].as_u64());
                let ttl = ttl.filter(|ttl| (1..=86_400).contains(ttl)).ok_or("a ttl that LeanCloud doesn't take")?;
                self.briefly.insert(((*id).to_owned(), client.to_owned()), ttl);
                Ok((200, json!({})))
            }
            ("DELETE", ["conversations", id, "temporary-silenceds"]) => {
                self.briefly.remove(&((*id).to_owned(), query["client_id"].clone()));
                Ok((200, json!({})))
            }
            ("POST", ["conversations", id, list]) => {
                self.list(list)?.entry((*id).to_owned()).or_default().extend(clients()?);
                if *list == "blacklists" {
                    let out = clients()?;
                    self.members.entry((*id).to_owned()).or_default().retain(|member| !out.contains(member));
                }
                Ok((200, json!({})))
            }
            ("DELETE", ["conversations", id, list]) => {
                let out = clients()?;
                self.list(list)?.entry((*id).to_owned()).or_default().retain(|client| !out.contains(client));
                Ok((200, json!({})))
            }
            _ => Err("no such path at LeanCloud".to_owned()),
        }
    }

    fn list(&mut self, name: &str) -> Result<&mut BTreeMap<String, BTreeSet<String>>, String> {
        match name {
            "blacklists" => Ok(&mut self.blacklists),
            "permanent-silenceds" => Ok(&mut self.silenced),
            _ => Err("no such list".to_owned()),
        }
    }

    fn ably(&mut self, name: &str, seen: &Seen, body: &Value) -> Result<(u16, Value), String> {
        let shown = seen.headers["authorization"].to_str().unwrap();
        let key = ABLY_KEYS.into_iter().find(|key| shown == format!("Basic {}", STANDARD.encode(key)));
        let own = key.and_then(|key| key.split_once(':')).is_some_and(|(own, _)| own == name);
        if !own || seen.method != "POST" {
            return Err("a key that is not its own".to_owned());
        }
        let targets: Vec<&str> = body["targets"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for target in &targets {
            let client = target.strip_prefix("clientId:").ok_or("another target than a client")?;
            self.revoked.push((name.to_owned(), client.to_owned()));
        }
        let results: Vec<Value> = targets.iter().map(|target| json!({ "target": target, "appliesAt": 1 })).collect();
        Ok((201, json!({ "successCount": results.len(), "failureCount": 0, "results": results })))
    }
}

/// Checks that the request has a token for servers that is signed with the key and expires within 31 seconds.
fn is_app_token(seen: &Seen) -> Result<(), String> {
    let token = bearer(seen)?;
    let payload = verified_claims(token)?;
    match (payload["tokenType"].as_str(), payload["iss"].as_str()) {
        (Some("app"), Some(APP_ID)) if (1..=31).contains(&seconds_left(&payload)) => Ok(()),
        _ => Err(format!("not a server's token for now: {payload}")),
    }
}

/// Returns the bearer token of a request.
fn bearer(seen: &Seen) -> Result<&str, String> {
    header(seen, "authorization").strip_prefix("Bearer ").ok_or_else(|| "no bearer token".to_owned())
}

/// Returns a header of a request as text.
fn header<'a>(seen: &'a Seen, name: &str) -> &'a str {
    seen.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Returns the claims of a token that is signed with the key and HMAC-SHA256.
fn verified_claims(token: &str) -> Result<Value, String> {
    let (signed, signature) = token.rsplit_once('.').ok_or("no token")?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "a signature that is not Base64")?;
    verify_mac(signed.as_bytes(), &signature)?;
    let (_, payload) = signed.split_once('.').ok_or("no payload")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap())
}

/// Checks that this is the HMAC-SHA256 with the key.
fn verify_mac(signed: &[u8], signature: &[u8]) -> Result<(), String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(signed);
    mac.verify_slice(signature).map_err(|_| "another signature".to_owned())
}

/// Returns the seconds until a token expires.
fn seconds_left(claims: &Value) -> u64 {
    claims["exp"].as_u64().unwrap_or_default().saturating_sub(now().seconds())
}

/// Returns a member of a body that must be a text.
fn text<'a>(body: &'a Value, member: &str) -> Result<&'a str, String> {
    body[member].as_str().ok_or_else(|| format!("no text {member} in {body}"))
}

fn is_master(seen: &Seen) -> Result<(), String> {
    let header =
        |name: &str| seen.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let is_right = header("x-lc-id") == APP_ID && header("x-lc-key") == format!("{KEY},master");
    if is_right { Ok(()) } else { Err("not with the master key".to_owned()) }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}
