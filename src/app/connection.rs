//! One connection, in HTTP/1.1 or HTTP/2, from its first byte to its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::framing;
use super::timeout_stream::TimeoutStream;
use crate::authn::ConnectionPeer;
use crate::http::ResponseBody;

/// The longest header section, in bytes. A token may have 8 KiB, and cookies come by the way.
const HEADER_LIMIT: u16 = 32 << 10;

/// How many requests one HTTP/2 connection may have in progress.
const STREAMS: u32 = 32;

/// How long a connection may wait for its next request. Longer than the 60 seconds for which proxies keep theirs, so that it is
/// they who close.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a connection that was asked to end may take if no request is in progress.
const LINGER: Duration = Duration::from_secs(1);

/// How the listener goes on, for its connections to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenerPhase {
    /// As always.
    Open,
    /// It will end soon: whoever has a connection is told to make another, elsewhere if possible.
    Winding,
    /// It takes no more connections, and those that it has end.
    Ending,
}

/// Serves a connection to its end, which comes when the client closes it, when it has been without a request for too long, or some
/// time after the `phase` says so.
///
/// hyper's own time-out for headers starts only after it knows the version, and not at all in HTTP/2; a client that just sits
/// there, or doesn't read, would stay for ever. This one is for the connection as a whole: within `patience` there must be a first
/// whole header, and then a further one every [`KEEP_ALIVE`]. [`TimeoutStream`] sees to what comes or goes too slowly meanwhile.
pub(super) async fn serve<I, H, F>(
    io: I,
    peer: Arc<ConnectionPeer>,
    mut phase: watch::Receiver<ListenerPhase>,
    patience: Duration,
    handler: H,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Arc<ConnectionPeer>, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let pulse = Arc::new(ConnectionActivity::new(*phase.borrow() != ListenerPhase::Open));
    let builder = builder();
    let io = TokioIo::new(TimeoutStream::new(io, Arc::clone(&pulse), patience));
    let mut connection = pin!(builder.serve_connection(io, counted(handler, peer, Arc::clone(&pulse))));
    let mut timer = pin!(sleep(patience));
    let (mut ending, mut seen) = (false, 0);
    loop {
        let news = tokio::select! {
            biased;
            result = connection.as_mut() => return log(result),
            changed = phase.changed(), if !ending => Some(changed.is_err()),
            () = timer.as_mut() => None,
        };
        let quiet = news.is_none() && pulse.is_quiet_since(&mut seen);
        if ending && quiet {
            return;
        }
        let phase = *phase.borrow_and_update();
        if !ending && (quiet || pulse.ends(phase, news)) {
            ending = true;
            connection.as_mut().graceful_shutdown();
        }
        if ending || phase == ListenerPhase::Ending {
            timer.as_mut().reset(Instant::now() + LINGER);
        } else if news.is_none() {
            timer.as_mut().reset(Instant::now() + KEEP_ALIVE);
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // A client that closes its half after the request still gets its answer, and no request is made to watch for that.
    builder.http1().max_buf_size(HEADER_LIMIT.into()).half_close(true);
    builder.http2().max_header_list_size(HEADER_LIMIT.into()).max_concurrent_streams(STREAMS);
    builder
}

/// The handler as hyper wants it, with its requests counted.
fn counted<H, F>(
    handler: H,
    peer: Arc<ConnectionPeer>,
    pulse: Arc<ConnectionActivity>,
) -> impl Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible, Future: Send + 'static>
where
    H: Fn(Arc<ConnectionPeer>, Request<Incoming>) -> F,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    service_fn(move |request| {
        let beat = RequestGuard::new(&pulse, request.version());
        let answer = match framing::check(&request) {
            Ok(()) => Ok(handler(Arc::clone(&peer), request)),
            Err(error) => Err(framing::refuse(error, request)),
        };
        async move {
            let mut answer = match answer {
                Ok(answer) => answer.await,
                Err(refusal) => refusal,
            };
            if beat.is_last() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            beat.goes_on(answer.body());
            answer.body_mut().keep(beat);
            Ok(answer)
        }
    })
}

fn log(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!("a connection ended badly: {error}");
    }
}

/// How many requests a connection has begun and ended.
pub(super) struct ConnectionActivity {
    begun: AtomicU64,
    ended: AtomicU64,
    /// Whether it is in HTTP/2, where other things than a request may come at any time.
    framed: AtomicBool,
    /// Whether the client is to go on in another connection.
    winding: AtomicBool,
    /// Whether it is in HTTP/1.1 and an answer goes on that comes as time goes by.
    streaming: AtomicBool,
}

impl ConnectionActivity {
    fn new(winding: bool) -> ConnectionActivity {
        let (begun, ended) = (AtomicU64::new(0), AtomicU64::new(0));
        let [framed, streaming] = [const { AtomicBool::new(false) }; 2];
        ConnectionActivity { begun, ended, framed, winding: AtomicBool::new(winding), streaming }
    }

    /// Whether the connection is to end now that this is the phase. `news` is whether the listener is gone, if that is what is heard.
    ///
    /// A client in HTTP/2 is told so at once; one in HTTP/1.1 only with its next answer, as it may be about to send a request. For the
    /// same reason a new connection has a moment for its first one.
    fn ends(&self, phase: ListenerPhase, news: Option<bool>) -> bool {
        let has_begun = self.begun.load(Ordering::Acquire) > 0;
        self.winding.store(phase != ListenerPhase::Open, Ordering::Relaxed);
        match phase {
            _ if news == Some(true) => true,
            ListenerPhase::Open => false,
            ListenerPhase::Winding => news.is_some() && self.framed.load(Ordering::Relaxed),
            ListenerPhase::Ending => news.is_none() || has_begun,
        }
    }

    /// Whether nothing is in progress and nothing has begun since the count was `seen`, which is brought up to date.
    fn is_quiet_since(&self, seen: &mut u64) -> bool {
        let ended = self.ended.load(Ordering::Acquire);
        let begun = self.begun.load(Ordering::Acquire);
        std::mem::replace(seen, begun) == begun && begun == ended
    }

    /// Whether what comes next can only be the header of a further request.
    pub(super) fn awaits_header(&self) -> bool {
        let ended = self.ended.load(Ordering::Acquire);
        let begun = self.begun.load(Ordering::Acquire);
        begun > 0 && begun == ended && !self.framed.load(Ordering::Relaxed)
    }

    /// Whether an answer goes on of which nobody knows how long it will, to a client that may leave meanwhile.
    pub(super) fn is_streaming(&self) -> bool {
        self.streaming.load(Ordering::Relaxed)
    }
}

/// A request in progress.
struct RequestGuard(Arc<ConnectionActivity>);

impl RequestGuard {
    fn new(pulse: &Arc<ConnectionActivity>, version: Version) -> RequestGuard {
        pulse.framed.store(version == Version::HTTP_2, Ordering::Relaxed);
        pulse.begun.fetch_add(1, Ordering::Release);
        RequestGuard(Arc::clone(pulse))
    }
}

impl RequestGuard {
    /// Whether the client is to send no further request in this connection. HTTP/2 has no header for that.
    fn is_last(&self) -> bool {
        self.0.winding.load(Ordering::Relaxed) && !self.0.framed.load(Ordering::Relaxed)
    }

    /// Notes that its answer is of this sort. In HTTP/2 whoever leaves is noticed anyway.
    fn goes_on(&self, answer: &ResponseBody) {
        let is_streamed = matches!(answer, ResponseBody::Streamed(_)) && !self.0.framed.load(Ordering::Relaxed);
        self.0.streaming.store(is_streamed, Ordering::Relaxed);
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.streaming.store(false, Ordering::Relaxed);
        self.0.ended.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter, DuplexStream, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// Writes `begun`, reads until the connection ends, and tells what came and after how long.
    async fn until_end(begun: &[u8]) -> (String, Duration) {
        let (mut client, server) = duplex(1 << 16);
        let (_go_on, stop) = watch::channel(ListenerPhase::Open);
        let handler = |_, _| std::future::ready(Response::new(ResponseBody::from("answer")));
        let peer = Arc::new(ConnectionPeer::unix(None));
        tokio::spawn(serve(server, peer, stop, PATIENCE, handler));
        client.write_all(begun).await.unwrap();
        let (start, mut answer) = (Instant::now(), Vec::new());
        client.read_to_end(&mut answer).await.unwrap();
        (String::from_utf8_lossy(&answer).into_owned(), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_header_must_come_soon() {
        for begun in [&b""[..], b"GET / HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let (_, after) = until_end(begun).await;
            assert!((PATIENCE..=PATIENCE + 2 * LINGER).contains(&after), "{after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_kept_for_a_while() {
        let (answer, after) = until_end(b"GET / HTTP/1.1\r\n\r\n").await;
        assert!(answer.ends_with("answer"));
        assert!((KEEP_ALIVE..=PATIENCE + KEEP_ALIVE + 2 * LINGER).contains(&after), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_still_to_come_keeps_its_connection() {
        let (mut client, server) = duplex(1 << 16);
        let (_go_on, stop) = watch::channel(ListenerPhase::Open);
        let (sender, pieces) = tokio::sync::mpsc::channel(1);
        let pieces = std::sync::Mutex::new(Some(pieces));
        let handler = move |_, _| {
            let body = pieces.lock().unwrap().take().map_or_else(ResponseBody::default, ResponseBody::streamed);
            std::future::ready(Response::new(body))
        };
        tokio::spawn(serve(server, Arc::new(ConnectionPeer::unix(None)), stop, PATIENCE, handler));
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        sleep(4 * KEEP_ALIVE).await;
        sender.send("late".into()).await.unwrap();
        drop(sender);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.ends_with("\r\n4\r\nlate\r\n0\r\n\r\n"), "{answer}");
    }

    /// What comes if a request is sent so long after the listener began to end, and after how long the connection has ended.
    async fn at_the_end(wait: Duration) -> (String, Duration) {
        let (mut client, server) = duplex(1 << 16);
        let (listener, phase) = watch::channel(ListenerPhase::Open);
        let handler = |_, _| std::future::ready(Response::new(ResponseBody::from("answer")));
        tokio::spawn(serve(server, Arc::new(ConnectionPeer::unix(None)), phase, PATIENCE, handler));
        tokio::task::yield_now().await;
        let start = Instant::now();
        listener.send_replace(ListenerPhase::Ending);
        sleep(wait).await;
        let (mut answer, _) = (Vec::new(), client.write_all(b"GET / HTTP/1.1\r\n\r\n").await);
        let _ = client.read_to_end(&mut answer).await;
        (String::from_utf8_lossy(&answer).into_owned(), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_new_at_the_end_has_a_moment_for_its_request() {
        let (answer, after) = at_the_end(LINGER / 2).await;
        assert!(answer.contains("connection: close") && answer.ends_with("answer"), "{answer}");
        assert!(after < LINGER, "{after:?}");
        let (answer, after) = at_the_end(2 * LINGER).await;
        assert!(answer.is_empty() && after <= 2 * LINGER, "{answer} {after:?}");
    }

    /// Writes `begun`, reads up to the end of the answer, writes `further`, and tells after how long the connection ended.
    async fn after_further(begun: &[u8], further: &[u8]) -> Duration {
        let (mut client, server) = duplex(1 << 16);
        let (_go_on, stop) = watch::channel(ListenerPhase::Open);
        let handler = |_, _| std::future::ready(Response::new(ResponseBody::from("answer")));
        tokio::spawn(serve(server, Arc::new(ConnectionPeer::unix(None)), stop, PATIENCE, handler));
        client.write_all(begun).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"answer") {
            answer.push(client.read_u8().await.unwrap());
        }
        sleep(3 * PATIENCE).await;
        let start = Instant::now();
        client.write_all(further).await.unwrap();
        let _ = client.read_to_end(&mut answer).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_further_header_must_come_soon_once_it_is_begun() {
        let after = after_further(b"GET / HTTP/1.1\r\n\r\n", b"GET / HT").await;
        assert!((PATIENCE..=PATIENCE + LINGER).contains(&after), "{after:?}");
        // One that follows at once, and then nothing.
        let after = after_further(b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n").await;
        assert!(after + PATIENCE >= KEEP_ALIVE, "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn in_http2_other_frames_begin_no_header() {
        let settings = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], b"\0\0\0\x04\0\0\0\0\0"].concat();
        let get = b"\0\0\x0b\x01\x05\0\0\0\x01\x82\x86\x84\x41\x06server";
        let window_update = b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01";
        let after = after_further(&[&settings[..], get].concat(), window_update).await;
        assert!(after + 4 * PATIENCE >= KEEP_ALIVE, "{after:?}");
    }

    /// How long an answer may wait on a connection over `io`, whose other end takes next to nothing of it.
    async fn untaken(mut client: DuplexStream, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Duration {
        let (_go_on, stop) = watch::channel(ListenerPhase::Open);
        let handler = |_, _| std::future::ready(Response::new(ResponseBody::from("long".repeat(1000))));
        let serving = tokio::spawn(serve(io, Arc::new(ConnectionPeer::unix(None)), stop, PATIENCE, handler));
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let start = Instant::now();
        // Taking a little now and then doesn't help.
        while !serving.is_finished() {
            let _ = client.read_u8().await;
            sleep(PATIENCE / 10).await;
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_is_not_kept_for_long() {
        let (client, server) = duplex(64);
        let after = untaken(client, server).await;
        assert!((PATIENCE..=PATIENCE + LINGER).contains(&after), "{after:?}");
        // TLS takes the whole answer at once, and then can't get rid of it.
        let (client, server) = duplex(64);
        let after = untaken(client, BufWriter::with_capacity(1 << 16, server)).await;
        assert!((PATIENCE..=PATIENCE + LINGER).contains(&after), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn few_requests_may_be_in_progress_at_once() {
        let (mut client, server) = duplex(1 << 16);
        let (_go_on, stop) = watch::channel(ListenerPhase::Open);
        let handler = |_, _| std::future::ready(Response::new(ResponseBody::from("answer")));
        tokio::spawn(serve(server, Arc::new(ConnectionPeer::unix(None)), stop, PATIENCE, handler));
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut frame = vec![0; 9];
        client.read_exact(&mut frame).await.unwrap();
        let mut settings = vec![0; frame[2].into()];
        client.read_exact(&mut settings).await.unwrap();
        assert!(settings.chunks(6).any(|setting| setting == [0, 3, 0, 0, 0, 32]), "{settings:?}");
    }
}
