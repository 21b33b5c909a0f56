//! The endpoint that a team would write itself: `handwritten SECRET KEY ISSUER AUDIENCE LOG`. `benches/compare` compares
//! the signer with it. Prints the port that it listens on.
//!
//! It answers one route, `POST /v1/leancloud/invite`, as quickly as we can write it: one thread, HTTP/1.1 only, tokens
//! cached by their SHA-256, the JSON read into a struct, and the audit lines of all requests that are ready written at
//! once, before the answers. It has no policy, no moderation, no metrics, no limits, no reload and one kind of token. It
//! does not notice a log that hangs.
#![allow(missing_docs)]

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Instant;

use chat_signer::{clock, random};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local, yield_now};

const APP: &str = "demonstration-leancloud-app";
const BODY_LIMIT: usize = 64 << 10;
const MOST_TOKENS: usize = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [secret, key, issuer, audience, log] = arguments.as_slice() else {
        return Err("usage: handwritten SECRET KEY ISSUER AUDIENCE LOG".into());
    };
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    let endpoint = Endpoint {
        secret: DecodingKey::from_secret(&fs::read(secret)?),
        validation,
        tokens: RefCell::default(),
        key: Hmac::new_from_slice(fs::read_to_string(key)?.trim_end().as_bytes())?,
        log: AuditLog { file: OpenOptions::new().append(true).create(true).open(log)?, batch: RefCell::default() },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(Rc::new(endpoint)))
}

async fn serve(endpoint: Rc<Endpoint>) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let endpoint = Rc::clone(&endpoint);
        spawn_local(async move {
            let service = service_fn(move |request| answer(Rc::clone(&endpoint), request));
            // An interrupted connection concerns only its client.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(endpoint: Rc<Endpoint>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match endpoint.sign(request).await {
        Ok(body) => {
            let mut answer = Response::new(Full::from(body));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            answer
        }
        Err(status) => {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = status;
            answer
        }
    })
}

/// The user of each token that was verified, and the time until which the token is valid.
type KnownTokens = HashMap<[u8; 32], (Rc<str>, u64)>;

struct Endpoint {
    secret: DecodingKey,
    validation: Validation,
    tokens: RefCell<KnownTokens>,
    key: Hmac<Sha1>,
    log: AuditLog,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invite<'a> {
    #[serde(borrow)]
    conv_id: Cow<'a, str>,
    #[serde(borrow)]
    members: Vec<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    signature: &'a str,
    timestamp: u64,
    nonce: &'a str,
}

#[derive(Serialize)]
struct AuditLine<'a> {
    time: &'a str,
    decision: &'a str,
    user: &'a str,
    action: &'a str,
    conversation: &'a str,
    members: &'a [Cow<'a, str>],
    nonce: &'a str,
    latency_us: u128,
}

impl Endpoint {
    async fn sign(&self, request: Request<Incoming>) -> Result<Vec<u8>, StatusCode> {
        let (began, now) = (Instant::now(), clock::now());
        if request.uri().path() != "/v1/leancloud/invite" || request.method() != Method::POST {
            return Err(StatusCode::NOT_FOUND);
        }
        let user = self.user(&request, now.seconds())?;
        let body = Limited::new(request.into_body(), BODY_LIMIT).collect().await;
        let body = body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?.to_bytes();
        let mut invite: Invite<'_> = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
        let is_id = |id: &str| !id.is_empty() && id.len() <= 64 && !id.contains(':');
        if invite.members.is_empty() || !invite.members.iter().chain([&invite.conv_id]).all(|id| is_id(id)) {
            return Err(StatusCode::BAD_REQUEST);
        }
        invite.members.sort_unstable();
        let nonce = hex::encode(random::nonce().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?);
        let message = format!("{APP}:{user}:{}:{}:{}:{nonce}:invite", invite.conv_id, invite.members.join(":"), now.0);
        let signature = hex::encode(self.key.clone().chain_update(message).finalize().into_bytes());
        let line = AuditLine {
            time: &now.to_string(),
            decision: "allow",
            user: &user,
            action: "invite",
            conversation: &invite.conv_id,
            members: &invite.members,
            nonce: &nonce,
            latency_us: began.elapsed().as_micros(),
        };
        if !self.log.write(&line).await {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        let answer = Answer { signature: &signature, timestamp: now.0, nonce: &nonce };
        serde_json::to_vec(&answer).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns the user that the token names. A token that was verified before is only hashed.
    fn user(&self, request: &Request<Incoming>, now: u64) -> Result<Rc<str>, StatusCode> {
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or(StatusCode::UNAUTHORIZED)?;
        let id: [u8; 32] = Sha256::digest(token).into();
        if let Some((user, _)) = self.tokens.borrow().get(&id).filter(|(_, end)| now < *end) {
            return Ok(Rc::clone(user));
        }
        let claims = decode::<Claims>(token, &self.secret, &self.validation);
        let Claims { sub, exp } = claims.map_err(|_| StatusCode::UNAUTHORIZED)?.claims;
        let user: Rc<str> = sub.into();
        let mut tokens = self.tokens.borrow_mut();
        if tokens.len() >= MOST_TOKENS {
            tokens.clear();
        }
        tokens.insert(id, (Rc::clone(&user), exp));
        Ok(user)
    }
}

struct AuditLog {
    file: File,
    batch: RefCell<Batch>,
}

/// The lines of the requests that are ready.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    waiting: Vec<oneshot::Sender<bool>>,
}

impl AuditLog {
    /// Writes the line, together with the lines of all other requests that are ready. Returns whether it is written.
    async fn write(&self, line: &AuditLine<'_>) -> bool {
        let (written, is_written) = oneshot::channel();
        let is_first = {
            let batch = &mut *self.batch.borrow_mut();
            let is_first = batch.lines.is_empty();
            if serde_json::to_writer(&mut batch.lines, line).is_err() {
                return false;
            }
            batch.lines.push(b'\n');
            batch.waiting.push(written);
            is_first
        };
        if is_first {
            // The lines are written even if this client leaves.
            let _flush = FlushOnDrop(self);
            yield_now().await;
        }
        is_written.await.unwrap_or(false)
    }

    fn flush(&self) {
        let batch = &mut *self.batch.borrow_mut();
        let is_written = (&self.file).write_all(&batch.lines).is_ok();
        batch.lines.clear();
        for waiting in batch.waiting.drain(..) {
            // A client that has left does not wait.
            let _ = waiting.send(is_written);
        }
    }
}

struct FlushOnDrop<'a>(&'a AuditLog);

impl Drop for FlushOnDrop<'_> {
    fn drop(&mut self) {
        self.0.flush();
    }
}
