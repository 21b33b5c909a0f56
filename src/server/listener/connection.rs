//! One connection with HTTP/1.1 or HTTP/2, from its first byte to its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::activity::{ConnectionActivity, ListenerPhase, RequestGuard};
use super::framing;
use super::http_connection::HttpConnection;
use super::timeout_stream::TimeoutStream;
use crate::authn::ConnectionPeer;
use crate::server::http::ResponseBody;

/// How long a connection may wait for its next request. Proxies keep idle connections for 60 seconds, so the proxy
/// closes first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a connection may stay open after the request to end, if no request is in progress.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves a connection to its end. It ends when the client closes it, when it has no request for too long, or some time
/// after the phase becomes [`ListenerPhase::Ending`].
///
/// The header timeout of hyper starts only when the HTTP version is known, and does not exist in HTTP/2. So a client
/// that sends nothing or reads nothing would keep its connection forever. This function has a timeout for the whole
/// connection: the first complete header must arrive within `patience`, and each further header within [`KEEP_ALIVE`].
/// [`TimeoutStream`] ends connections that receive or send too slowly.
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
    let stream = TimeoutStream::new(io, Arc::clone(&pulse), patience);
    let mut connection = HttpConnection::new(stream, counting_service(handler, peer, Arc::clone(&pulse)));
    let mut timer = pin!(sleep(patience));
    let (mut ending, mut seen) = (false, 0);
    loop {
        let news = tokio::select! {
            biased;
            result = &mut connection => return log_result(result),
            changed = phase.changed(), if !ending => Some(changed.is_err()),
            () = timer.as_mut() => None,
        };
        let quiet = news.is_none() && pulse.is_idle_since(&mut seen);
        if ending && quiet {
            return;
        }
        let phase = *phase.borrow_and_update();
        if !ending && (quiet || pulse.should_end(phase, news)) {
            ending = true;
            connection.graceful_shutdown();
        }
        if ending || phase == ListenerPhase::Ending {
            timer.as_mut().reset(Instant::now() + CLOSE_TIMEOUT);
        } else if news.is_none() {
            timer.as_mut().reset(Instant::now() + KEEP_ALIVE);
        }
    }
}

/// Wraps the handler as a hyper service, and counts its requests.
fn counting_service<H, F>(
    handler: H,
    peer: Arc<ConnectionPeer>,
    pulse: Arc<ConnectionActivity>,
) -> impl Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible, Future: Send + 'static>
where
    H: Fn(Arc<ConnectionPeer>, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let handler = Arc::new(handler);
    service_fn(move |request| {
        let beat = RequestGuard::new(&pulse, request.version());
        let (handler, peer, checked) = (Arc::clone(&handler), Arc::clone(&peer), framing::check(&request));
        async move {
            // The handler is called here, so that its large future is made where it stays.
            let mut answer = match checked {
                Ok(()) => handler(peer, request).await,
                Err(error) => framing::error_response(error, request),
            };
            if beat.is_last() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            beat.record_streaming(answer.body());
            answer.body_mut().attach_guard(beat);
            Ok(answer)
        }
    })
}

fn log_result(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!("a connection ended with an error: {error}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter, DuplexStream, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// Writes `begun` and reads until the connection ends. Returns the received text and the elapsed time.
    async fn read_until_end(begun: &[u8]) -> (String, Duration) {
        let (mut client, server) = duplex(1 << 16);
        let (_go_on, stop) = watch::channel(ListenerPhase::Open);
        let handler = |_, _| std::future::ready(Response::new(ResponseBody::from("answer")));
        let peer = Arc::new(ConnectionPeer::from_unix_socket(None));
        tokio::spawn(serve(server, peer, stop, PATIENCE, handler));
        client.write_all(begun).await.unwrap();
        let (start, mut answer) = (Instant::now(), Vec::new());
        client.read_to_end(&mut answer).await.unwrap();
        (String::from_utf8_lossy(&answer).into_owned(), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_header_must_come_soon() {
        for begun in [&b""[..], b"GET / HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let (_, after) = read_until_end(begun).await;
            assert!((PATIENCE..=PATIENCE + 2 * CLOSE_TIMEOUT).contains(&after), "{after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_kept_for_a_while() {
        let (answer, after) = read_until_end(b"GET / HTTP/1.1\r\n\r\n").await;
        assert!(answer.ends_with("answer"));
        assert!((KEEP_ALIVE..=PATIENCE + KEEP_ALIVE + 2 * CLOSE_TIMEOUT).contains(&after), "{after:?}");
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
        tokio::spawn(serve(server, Arc::new(ConnectionPeer::from_unix_socket(None)), stop, PATIENCE, handler));
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        sleep(4 * KEEP_ALIVE).await;
        sender.send("late".into()).await.unwrap();
        drop(sender);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.ends_with("\r\n4\r\nlate\r\n0\r\n\r\n"), "{answer}");
    }

    /// Sends a request `wait` after the listener began to end. Returns the answer and the time until the connection
    /// ended.
    async fn request_while_ending(wait: Duration) -> (String, Duration) {
        let (mut client, server) = duplex(1 << 16);
        let (listener, phase) = watch::channel(ListenerPhase::Open);
        let handler = |_, _| std::future::ready(Response::new(ResponseBody::from("answer")));
        tokio::spawn(serve(server, Arc::new(ConnectionPeer::from_unix_socket(None)), phase, PATIENCE, handler));
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
        let (answer, after) = request_while_ending(CLOSE_TIMEOUT / 2).await;
        assert!(answer.contains("connection: close") && answer.ends_with("answer"), "{answer}");
        assert!(after < CLOSE_TIMEOUT, "{after:?}");
        let (answer, after) = request_while_ending(2 * CLOSE_TIMEOUT).await;
        assert!(answer.is_empty() && after <= 2 * CLOSE_TIMEOUT, "{answer} {after:?}");
    }

    /// Writes `begun`, reads the answer and writes `further`. Returns the time from then until the connection ended.
    async fn time_after_further_bytes(begun: &[u8], further: &[u8]) -> Duration {
        let (mut client, server) = duplex(1 << 16);
        let (_go_on, stop) = watch::channel(ListenerPhase::Open);
        let handler = |_, _| std::future::ready(Response::new(ResponseBody::from("answer")));
        tokio::spawn(serve(server, Arc::new(ConnectionPeer::from_unix_socket(None)), stop, PATIENCE, handler));
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
        let after = time_after_further_bytes(b"GET / HTTP/1.1\r\n\r\n", b"GET / HT").await;
        assert!((PATIENCE..=PATIENCE + CLOSE_TIMEOUT).contains(&after), "{after:?}");
        // A second request follows at once, and then nothing.
        let after = time_after_further_bytes(b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n").await;
        assert!(after + PATIENCE >= KEEP_ALIVE, "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn in_http2_other_frames_begin_no_header() {
        let settings = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], b"\0\0\0\x04\0\0\0\0\0"].concat();
        let get = b"\0\0\x0b\x01\x05\0\0\0\x01\x82\x86\x84\x41\x06server";
        let window_update = b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01";
        let after = time_after_further_bytes(&[&settings[..], get].concat(), window_update).await;
        assert!(after + 4 * PATIENCE >= KEEP_ALIVE, "{after:?}");
    }

    /// Returns how long a connection over `io` waits for a client that reads almost nothing of the answer.
    async fn time_with_slow_reader(
        mut client: DuplexStream,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Duration {
        let (_go_on, stop) = watch::channel(ListenerPhase::Open);
        let handler = |_, _| std::future::ready(Response::new(ResponseBody::from("long".repeat(1000))));
        let serving =
            tokio::spawn(serve(io, Arc::new(ConnectionPeer::from_unix_socket(None)), stop, PATIENCE, handler));
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let start = Instant::now();
        // It does not help the client to read a little now and then.
        while !serving.is_finished() {
            let _ = client.read_u8().await;
            sleep(PATIENCE / 10).await;
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_is_not_kept_for_long() {
        let (client, server) = duplex(64);
        let after = time_with_slow_reader(client, server).await;
        assert!((PATIENCE..=PATIENCE + CLOSE_TIMEOUT).contains(&after), "{after:?}");
        // TLS accepts the whole answer at once, but then cannot send it.
        let (client, server) = duplex(64);
        let after = time_with_slow_reader(client, BufWriter::with_capacity(1 << 16, server)).await;
        assert!((PATIENCE..=PATIENCE + CLOSE_TIMEOUT).contains(&after), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn few_requests_may_be_in_progress_at_once() {
        let (mut client, server) = duplex(1 << 16);
        let (_go_on, stop) = watch::channel(ListenerPhase::Open);
        let handler = |_, _| std::future::ready(Response::new(ResponseBody::from("answer")));
        tokio::spawn(serve(server, Arc::new(ConnectionPeer::from_unix_socket(None)), stop, PATIENCE, handler));
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut frame = vec![0; 9];
        client.read_exact(&mut frame).await.unwrap();
        let mut settings = vec![0; frame[2].into()];
        client.read_exact(&mut settings).await.unwrap();
        assert!(settings.chunks(6).any(|setting| setting == [0, 3, 0, 0, 0, 32]), "{settings:?}");
    }
}
