//! The context of a request, with its id: the id that the caller sends if it is valid, otherwise a new id.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::authn::ConnectionPeer;
use crate::config::Settings;
use crate::model::Millis;
use crate::server::state::{ServerState, Snapshot};
use crate::telemetry::trace::TraceContext;
use crate::{clock, crypto, random};

/// The header with the id of a request.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The maximum length of a request id from the caller, in characters.
const MAX_ID_LENGTH: usize = 128;

/// The context of one request: the values that every step of answering it reads. Work that continues after the client
/// has left has a clone of it.
#[derive(Clone)]
pub(super) struct RequestContext {
    pub(super) runtime: Arc<ServerState>,
    /// The snapshot that was current when the request arrived. The request uses it until its end.
    pub(super) snapshot: Arc<Snapshot>,
    /// The peer of the connection.
    pub(super) peer: Arc<ConnectionPeer>,
    /// The IP address of the client, taken from forwarding headers as far as the proxies are trusted.
    pub(super) address: IpAddr,
    pub(super) id: RequestId,
    /// The trace context of the request, if the request has one.
    pub(super) trace: Option<Arc<TraceContext>>,
    pub(super) began: Instant,
    pub(super) now: Millis,
}

impl RequestContext {
    /// Returns the settings of the snapshot.
    pub(super) fn settings(&self) -> &Settings {
        &self.snapshot.settings
    }
}

/// The id of one request. It appears in the answer, in the audit log and in the program's log.
#[derive(Clone)]
pub(super) enum RequestId {
    /// The id that the caller sent.
    Received(HeaderValue),
    /// A new id, in hex.
    New([u8; 32]),
}

impl RequestId {
    /// Returns the id of the request header: 1 to 128 characters of `A-Z a-z 0-9 . _ -`. If the header is missing,
    /// repeated or not valid, returns a new id.
    pub(super) fn from_headers(headers: &HeaderMap) -> RequestId {
        let mut brought = headers.get_all(X_REQUEST_ID).iter();
        match (brought.next(), brought.next()) {
            (Some(id), None) if is_valid(id.as_bytes()) => RequestId::Received(id.clone()),
            _ => RequestId::generate(),
        }
    }

    /// Returns a unique id that is not secret: the random prefix of this process and a counter.
    fn generate() -> RequestId {
        static PREFIX: LazyLock<u64> = LazyLock::new(|| random::bytes().map_or(clock::now().0, u64::from_be_bytes));
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut id = [0; 32];
        for (place, half) in [*PREFIX, number].into_iter().enumerate() {
            crypto::write_hex(&mut id[16 * place..], &half.to_be_bytes());
        }
        RequestId::New(id)
    }

    pub(super) fn value(&self) -> HeaderValue {
        match self {
            RequestId::Received(id) => id.clone(),
            RequestId::New(id) => HeaderValue::from_bytes(id).unwrap_or(HeaderValue::from_static("none")),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            RequestId::Received(id) => id.to_str().unwrap_or_default(),
            RequestId::New(id) => str::from_utf8(id).unwrap_or_default(),
        }
    }
}

fn is_valid(id: &[u8]) -> bool {
    (1..=MAX_ID_LENGTH).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn id(brought: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for id in brought {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap());
        }
        RequestId::from_headers(&headers).as_str().to_owned()
    }

    #[test]
    fn a_valid_id_is_kept() {
        assert_eq!(id(&["Root=1-67.a_b"].map(|id| &id[5..])), "1-67.a_b");
    }

    #[test]
    fn any_other_id_is_replaced() {
        let long: &'static str = "a".repeat(MAX_ID_LENGTH + 1).leak();
        for brought in [&[][..], &[""], &["a b"], &["{}"], &["é"], &[long], &["a", "b"]] {
            let fresh = id(brought);
            assert!(is_valid(fresh.as_bytes()) && !brought.contains(&fresh.as_str()), "{fresh}");
        }
        assert_ne!(id(&[]), id(&[]));
    }
}
