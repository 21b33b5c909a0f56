//! A receiver of webhooks that checks signatures with code of its own.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chat_signer::clock;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::server::{Seen, Server};

/// A receiver, and what it has taken: only what was signed with the secrets that it knows.
pub(crate) struct Receiver {
    pub(crate) server: Server,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    pub(crate) async fn knowing(secret: &'static [u8]) -> Receiver {
        let taken: Arc<Mutex<Vec<Value>>> = Arc::default();
        let own = Arc::clone(&taken);
        let server = Server::start(move |seen| {
            if !is_signed(seen, secret) {
                return (401, Vec::new(), String::new());
            }
            own.lock().unwrap().push(serde_json::from_str(&seen.body).unwrap());
            (204, Vec::new(), String::new())
        })
        .await;
        Receiver { server, taken }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks?tenant=a", self.server.address)
    }

    pub(crate) fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }
}

/// As the standard says, from scratch: over id, time and body, and not from another time.
fn is_signed(seen: &Seen, secret: &[u8]) -> bool {
    let header = |name: &str| seen.headers[name].to_str().unwrap();
    let (id, time) = (header("webhook-id"), header("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(format!("{id}.{time}.{}", seen.body).as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let event: Value = serde_json::from_str(&seen.body).unwrap();
    let age = clock::now().seconds().abs_diff(time.parse().unwrap());
    seen.method == "POST"
        && seen.headers["content-type"] == "application/json"
        && header("webhook-signature").split(' ').any(|signature| signature == expected)
        && event["id"] == id
        && age <= 300
}
