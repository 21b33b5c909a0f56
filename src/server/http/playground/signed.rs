//! Rebuilds the string that was signed for an answer with the code that signs, and compares its MAC with the answer's.

use serde::{Deserialize, Serialize};

use crate::crypto::{base64_decode, base64url_decode};
use crate::model::{SigningRequest, Vendor};
use crate::vendor::App;
use crate::vendor::ably::{TokenParams, TokenRequestText};
use crate::vendor::leancloud::{self, StringToSign};
use crate::vendor::talkjs::UserId;

/// The string that was signed.
#[derive(Debug, Serialize)]
pub(super) struct SignedString {
    text: String,
    algorithm: &'static str,
    /// The name of the key, never the key itself.
    key: &'static str,
    /// Whether the MAC of the answer is the MAC of this text with one of the app's keys.
    matches: bool,
    /// The header and the claims of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<[String; 2]>,
}

/// A text, and the MAC that the answer contains for it.
type MacClaim = (String, Vec<u8>);

/// Returns the string that was signed for this answer to `ask`, or `None` if the answer cannot come from this app.
pub(super) fn signed_string(app: &App, signing_request: &SigningRequest, answer: &str) -> Option<SignedString> {
    let ((text, mac), token) = match app {
        App::LeanCloud(one) => (leancloud_claim(one, signing_request, answer)?, None),
        App::TalkJs(_) => {
            talkjs_signature_claim(answer).map(|claimed| (claimed, None)).or_else(|| talkjs_token_claim(answer))?
        }
        App::Ably(_) => {
            ably_token_request_claim(answer).map(|claimed| (claimed, None)).or_else(|| jwt_claim(answer))?
        }
    };
    let (algorithm, key) = match app.vendor() {
        Vendor::LeanCloud => ("HMAC-SHA1", "the app's master key"),
        Vendor::TalkJs => ("HMAC-SHA256", "the app's secret key"),
        Vendor::Ably => ("HMAC-SHA256", "the secret of the app's API key"),
    };
    let matches = app.verify(&text, &mac).is_some();
    Some(SignedString { text, algorithm, key, matches, token })
}

fn leancloud_claim(app: &leancloud::App, signing_request: &SigningRequest, answer: &str) -> Option<MacClaim> {
    #[derive(Deserialize)]
    struct Answer {
        signature: String,
        timestamp: u64,
        nonce: String,
    }
    let Answer { signature, timestamp, nonce } = serde_json::from_str(answer).ok()?;
    let message = StringToSign::new(app.app_id(), app.history(), signing_request, timestamp, &nonce).ok()?;
    Some((message.to_string(), hex::decode(signature).ok()?))
}

fn talkjs_signature_claim(answer: &str) -> Option<MacClaim> {
    #[derive(Deserialize)]
    struct Answer {
        user_id: String,
        signature: String,
    }
    let Answer { user_id, signature } = serde_json::from_str(answer).ok()?;
    Some((UserId::new(&user_id).ok()?.to_string(), hex::decode(signature).ok()?))
}

fn ably_token_request_claim(answer: &str) -> Option<MacClaim> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        key_name: String,
        ttl: Option<u64>,
        capability: Option<String>,
        client_id: Option<String>,
        timestamp: u64,
        nonce: String,
        mac: String,
    }
    let Answer { key_name, ttl, capability, client_id, timestamp, nonce, mac } = serde_json::from_str(answer).ok()?;
    let params = TokenParams { key_name, ttl, capability, client_id, timestamp, nonce };
    Some((TokenRequestText::new(&params).ok()?.to_string(), base64_decode(&mac)?))
}

fn talkjs_token_claim(answer: &str) -> Option<(MacClaim, Option<[String; 2]>)> {
    #[derive(Deserialize)]
    struct Answer {
        token: String,
    }
    let Answer { token: bare } = serde_json::from_str(answer).ok()?;
    jwt_claim(&bare)
}

/// Returns the signing input of a JSON Web Token (RFC 7515, section 5.1) with its MAC, and its header and claims.
fn jwt_claim(token: &str) -> Option<(MacClaim, Option<[String; 2]>)> {
    let (text, mac) = token.rsplit_once('.')?;
    let (header, claims) = text.split_once('.')?;
    let read = |part: &str| String::from_utf8(base64url_decode(part)?).ok();
    Some(((text.to_owned(), base64url_decode(mac)?), Some([read(header)?, read(claims)?])))
}
