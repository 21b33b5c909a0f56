//! The byte stream of a connection, with time limits: for a started header, and for an answer that the client does not
//! read. During an answer without an end, it also notices a client that leaves.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::activity::ConnectionActivity;

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HttpProtocol {
    /// HTTP/1.0 or HTTP/1.1, or something else, which the parser of HTTP/1.1 refuses.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A stream with time limits. A read fails if the rest of a header does not arrive within `patience`. A write fails if
/// the client does not accept all waiting bytes within `patience`.
pub(super) struct TimeoutStream<I> {
    io: I,
    activity: Arc<ConnectionActivity>,
    timeout: Duration,
    /// True if something was read since the last write of an answer.
    has_read: bool,
    header: IoTimeout,
    answer: IoTimeout,
    /// Bytes that were read ahead of a request for them.
    read_ahead: Vec<u8>,
}

/// The maximum number of bytes to read ahead.
const MAX_READ_AHEAD: usize = 256;

/// A time limit. `None` if it does not run.
#[derive(Default)]
struct IoTimeout(Option<Pin<Box<Sleep>>>);

impl<I> TimeoutStream<I> {
    pub(super) fn new(io: I, pulse: Arc<ConnectionActivity>, patience: Duration) -> TimeoutStream<I> {
        let (header, answer, ahead) = (IoTimeout::default(), IoTimeout::default(), Vec::new());
        TimeoutStream { io, activity: pulse, timeout: patience, has_read: false, header, answer, read_ahead: ahead }
    }

    /// Applies the time limit after a read. It runs only if the client has started a header.
    fn after_read(&mut self, context: &mut Context<'_>, read: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if read.is_ready() {
            self.has_read = true;
            return read;
        }
        if self.has_read && self.activity.awaits_header() {
            return self.header.poll(context, self.timeout);
        }
        self.header = IoTimeout::default();
        Poll::Pending
    }

    fn after_write(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.has_read = false;
        if written.is_ready() { written } else { self.answer.poll(context, self.timeout).map_ok(|()| 0) }
    }
}

impl<I: AsyncRead + Unpin> TimeoutStream<I> {
    /// Fails when the client has closed its sending side.
    ///
    /// hyper reads nothing during an answer, so a client that only closes its sending side still gets its answer. But
    /// an event stream to a client that has left would never end. If bytes arrive, they are the next request: the
    /// client is still there, and the bytes are kept.
    fn watch_for_disconnect(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.read_ahead.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; MAX_READ_AHEAD];
        let mut buffer = ReadBuf::new(&mut bytes);
        match Pin::new(&mut self.io).poll_read(context, &mut buffer) {
            Poll::Pending => Poll::Ready(Ok(())),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(Err(ErrorKind::ConnectionAborted.into())),
            Poll::Ready(read) => {
                self.read_ahead.extend_from_slice(buffer.filled());
                Poll::Ready(read)
            }
        }
    }

    /// Reads ahead until it is known which protocol the client uses. A client that closes its sending side uses HTTP/1.1,
    /// whose parser reports the missing bytes.
    pub(super) fn poll_protocol(&mut self, context: &mut Context<'_>) -> Poll<io::Result<HttpProtocol>> {
        while PREFACE.starts_with(&self.read_ahead) {
            if self.read_ahead.len() == PREFACE.len() {
                return Poll::Ready(Ok(HttpProtocol::Http2));
            }
            let mut bytes = [0; PREFACE.len()];
            let mut buffer = ReadBuf::new(&mut bytes[self.read_ahead.len()..]);
            ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
            self.read_ahead.extend_from_slice(buffer.filled());
        }
        Poll::Ready(Ok(HttpProtocol::Http1))
    }

    /// Returns the bytes that were read ahead. If there are none, reads from the connection.
    fn read(&mut self, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read_ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, to);
        }
        let count = self.read_ahead.len().min(to.remaining());
        to.put_slice(&self.read_ahead[..count]);
        self.read_ahead.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl IoTimeout {
    /// Starts the time limit if it does not run. Fails when the time is up.
    fn poll(&mut self, context: &mut Context<'_>, patience: Duration) -> Poll<io::Result<()>> {
        ready!(self.0.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for TimeoutStream<I> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let paced = self.get_mut();
        let read = paced.read(context, to);
        paced.after_read(context, read)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimeoutStream<I> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let paced = self.get_mut();
        let written = Pin::new(&mut paced.io).poll_write(context, bytes);
        paced.after_write(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let paced = self.get_mut();
        let written = Pin::new(&mut paced.io).poll_write_vectored(context, bytes);
        paced.after_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// Flushes. hyper flushes after it has written all waiting bytes, and each time it has looked for more. With TLS,
    /// some of the bytes may still wait in the TLS layer.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let paced = self.get_mut();
        let flushed = Pin::new(&mut paced.io).poll_flush(context);
        if flushed.is_pending() {
            return paced.answer.poll(context, paced.timeout);
        }
        paced.answer = IoTimeout::default();
        ready!(flushed)?;
        if paced.activity.is_streaming() { paced.watch_for_disconnect(context) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
