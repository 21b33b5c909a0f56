//! The activity of a connection, and the phase of its listener. Together they decide when the connection ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hyper::Version;

use crate::server::http::ResponseBody;

/// The phase of a listener. Its connections follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenerPhase {
    /// Normal operation.
    Open,
    /// The listener will end soon. Clients are asked to open a new connection, if possible to another server.
    Draining,
    /// The listener accepts no more connections, and its connections end.
    Ending,
}

/// The activity of a connection: how many requests began and ended.
pub(super) struct ConnectionActivity {
    requests_begun: AtomicU64,
    requests_ended: AtomicU64,
    /// True in HTTP/2, where frames other than requests can arrive at any time.
    is_http2: AtomicBool,
    /// True if the client should continue on another connection.
    is_draining: AtomicBool,
    /// True if an HTTP/1.1 answer is an event stream that is still open.
    streaming: AtomicBool,
}

impl ConnectionActivity {
    pub(super) fn new(winding: bool) -> ConnectionActivity {
        let (begun, ended) = (AtomicU64::new(0), AtomicU64::new(0));
        let [framed, streaming] = [const { AtomicBool::new(false) }; 2];
        ConnectionActivity {
            requests_begun: begun,
            requests_ended: ended,
            is_http2: framed,
            is_draining: AtomicBool::new(winding),
            streaming,
        }
    }

    /// Returns true if the connection should end in this phase. `news` is `None` if the timer fired. Otherwise the
    /// phase changed, and `news` says whether the listener is gone.
    ///
    /// An HTTP/2 client is informed at once. An HTTP/1.1 client is informed with its next answer, because it may be
    /// about to send a request. For the same reason a new connection has a moment for its first request.
    pub(super) fn should_end(&self, phase: ListenerPhase, news: Option<bool>) -> bool {
        let has_begun = self.requests_begun.load(Ordering::Acquire) > 0;
        self.is_draining.store(phase != ListenerPhase::Open, Ordering::Relaxed);
        match phase {
            _ if news == Some(true) => true,
            ListenerPhase::Open => false,
            ListenerPhase::Draining => news.is_some() && self.is_http2.load(Ordering::Relaxed),
            ListenerPhase::Ending => news.is_none() || has_begun,
        }
    }

    /// Returns true if no request is in progress and none has begun since the count was `seen`. Updates `seen`.
    pub(super) fn is_idle_since(&self, seen: &mut u64) -> bool {
        let ended = self.requests_ended.load(Ordering::Acquire);
        let begun = self.requests_begun.load(Ordering::Acquire);
        std::mem::replace(seen, begun) == begun && begun == ended
    }

    /// Returns true if the next bytes can only be the header of a further request.
    pub(super) fn awaits_header(&self) -> bool {
        let ended = self.requests_ended.load(Ordering::Acquire);
        let begun = self.requests_begun.load(Ordering::Acquire);
        begun > 0 && begun == ended && !self.is_http2.load(Ordering::Relaxed)
    }

    /// Returns true if an answer without a known end is in progress. Its client may leave at any time.
    pub(super) fn is_streaming(&self) -> bool {
        self.streaming.load(Ordering::Relaxed)
    }
}

/// A request in progress.
pub(super) struct RequestGuard(Arc<ConnectionActivity>);

impl RequestGuard {
    pub(super) fn new(pulse: &Arc<ConnectionActivity>, version: Version) -> RequestGuard {
        pulse.is_http2.store(version == Version::HTTP_2, Ordering::Relaxed);
        pulse.requests_begun.fetch_add(1, Ordering::Release);
        RequestGuard(Arc::clone(pulse))
    }

    /// Returns true if the client should send no further request on this connection. HTTP/2 has no header for this.
    pub(super) fn is_last(&self) -> bool {
        self.0.is_draining.load(Ordering::Relaxed) && !self.0.is_http2.load(Ordering::Relaxed)
    }

    /// Records whether the answer is a stream. In HTTP/2, hyper notices a client that leaves.
    pub(super) fn record_streaming(&self, answer: &ResponseBody) {
        let is_streamed = matches!(answer, ResponseBody::Streamed(_)) && !self.0.is_http2.load(Ordering::Relaxed);
        self.0.streaming.store(is_streamed, Ordering::Relaxed);
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.streaming.store(false, Ordering::Relaxed);
        self.0.requests_ended.fetch_add(1, Ordering::Release);
    }
}
