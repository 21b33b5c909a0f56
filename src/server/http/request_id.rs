//! Request ids: the id that the caller sends if it is valid, otherwise a new id.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::{clock, crypto, random};

/// The header of the id.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The maximum length of an id from the caller, in characters.
const MAX_LENGTH: usize = 128;

/// The id of one request. It appears in the answer, in the audit log and in the program's log.
#[derive(Clone)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    /// Returns the id of the request header: 1 to 128 characters of `A-Z a-z 0-9 . _ -`. If the header is missing,
    /// repeated or not valid, returns a new id.
    pub(super) fn from_headers(headers: &HeaderMap) -> RequestId {
        let mut brought = headers.get_all(X_REQUEST_ID).iter();
        match (brought.next(), brought.next()) {
            (Some(id), None) if is_valid(id.as_bytes()) => RequestId(id.clone()),
            _ => RequestId::generate(),
        }
    }

    /// Returns a unique id that is not secret: the random prefix of this process and a counter.
    fn generate() -> RequestId {
        static PREFIX: LazyLock<u64> = LazyLock::new(|| random::bytes().map_or(clock::now().0, u64::from_be_bytes));
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = crypto::hex(&[PREFIX.to_be_bytes(), number.to_be_bytes()].concat());
        RequestId(HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none")))
    }

    pub(super) fn value(&self) -> &HeaderValue {
        &self.0
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

fn is_valid(id: &[u8]) -> bool {
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
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
        let long: &'static str = "a".repeat(MAX_LENGTH + 1).leak();
        for brought in [&[][..], &[""], &["a b"], &["{}"], &["é"], &[long], &["a", "b"]] {
            let fresh = id(brought);
            assert!(is_valid(fresh.as_bytes()) && !brought.contains(&fresh.as_str()), "{fresh}");
        }
        assert_ne!(id(&[]), id(&[]));
    }
}
