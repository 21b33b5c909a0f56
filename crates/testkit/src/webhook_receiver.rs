//! A receiver of webhooks. It checks signatures with its own code.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::fake_server::{Seen, Server};
use crate::now;

/// A receiver with its accepted events. It accepts only events that are signed with its secret.
pub struct Receiver {
    /// The HTTP server.
    pub server: Server,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    /// Starts a receiver with this secret.
    pub async fn knowing(secret: &'static [u8]) -> Receiver {
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

    /// Returns the URL of the receiver.
    pub fn url(&self) -> String {
        format!("http://{}/hooks?tenant=a", self.server.address)
    }

    /// Returns the accepted events.
    pub fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }
}

/// Checks the signature over id, time and body, and the time, as the Standard Webhooks specification requires.
fn is_signed(seen: &Seen, secret: &[u8]) -> bool {
    let header = |name: &str| seen.headers[name].to_str().unwrap();
    let (id, time) = (header("webhook-id"), header("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(format!("{id}.{time}.{}", seen.body).as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let event: Value = serde_json::from_str(&seen.body).unwrap();
    let age = now().seconds().abs_diff(time.parse().unwrap());
    seen.method == "POST"
        && seen.headers["content-type"] == "application/json"
        && header("webhook-signature").split(' ').any(|signature| signature == expected)
        && event["id"] == id
        && age <= 300
}
