//! A connection's bytes, with a time limit for a header that was begun and for an answer that isn't taken, and an eye on whoever reads an
//! answer without an end.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::connection::ConnectionActivity;

/// Fails a read when the rest of a header doesn't come within `patience`, and a write when what waits to be sent isn't all taken
/// within it.
pub(super) struct TimeoutStream<I> {
    io: I,
    pulse: Arc<ConnectionActivity>,
    patience: Duration,
    /// Whether something was read since an answer was last written.
    begun: bool,
    header: IoTimeout,
    answer: IoTimeout,
    /// What has come before it was asked for.
    ahead: Vec<u8>,
}

/// How much is read ahead at most, in bytes.
const AHEAD: usize = 256;

/// A time limit, while it runs.
#[derive(Default)]
struct IoTimeout(Option<Pin<Box<Sleep>>>);

impl<I> TimeoutStream<I> {
    pub(super) fn new(io: I, pulse: Arc<ConnectionActivity>, patience: Duration) -> TimeoutStream<I> {
        let (header, answer, ahead) = (IoTimeout::default(), IoTimeout::default(), Vec::new());
        TimeoutStream { io, pulse, patience, begun: false, header, answer, ahead }
    }

    /// What a read came to: only a header's beginning makes a client late with more.
    fn after_read(&mut self, context: &mut Context<'_>, read: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if read.is_ready() {
            self.begun = true;
            return read;
        }
        if self.begun && self.pulse.awaits_header() {
            return self.header.poll(context, self.patience);
        }
        self.header = IoTimeout::default();
        Poll::Pending
    }

    fn after_write(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.begun = false;
        if written.is_ready() { written } else { self.answer.poll(context, self.patience).map_ok(|()| 0) }
    }
}

impl<I: AsyncRead + Unpin> TimeoutStream<I> {
    /// Fails once the client has closed its side. hyper reads nothing while it answers, so as to answer whoever is done with sending;
    /// but to one who waits for what is still to happen, the answer would have no end. What comes instead is the next request: it is
    /// kept, and its client is still there.
    fn watch(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; AHEAD];
        let mut buffer = ReadBuf::new(&mut bytes);
        match Pin::new(&mut self.io).poll_read(context, &mut buffer) {
            Poll::Pending => Poll::Ready(Ok(())),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(Err(ErrorKind::ConnectionAborted.into())),
            Poll::Ready(read) => {
                self.ahead.extend_from_slice(buffer.filled());
                Poll::Ready(read)
            }
        }
    }

    /// Hands over what was read ahead, or reads.
    fn read(&mut self, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, to);
        }
        let count = self.ahead.len().min(to.remaining());
        to.put_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl IoTimeout {
    /// Starts it unless it runs; an error once the time is up.
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

    /// hyper flushes once all that waited has been written, and whenever it has looked for more. With TLS some of that may still wait
    /// below.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let paced = self.get_mut();
        let flushed = Pin::new(&mut paced.io).poll_flush(context);
        if flushed.is_pending() {
            return paced.answer.poll(context, paced.patience);
        }
        paced.answer = IoTimeout::default();
        ready!(flushed)?;
        if paced.pulse.is_streaming() { paced.watch(context) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
