//! The protocol of a connection: HTTP/1.1, or HTTP/2 if its first bytes are the preface of HTTP/2. The connection then runs
//! as this protocol, without a further layer around it.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use super::timeout_stream::{HttpProtocol, TimeoutStream};
use crate::config::MAX_HEADER_BYTES;
use crate::server::http::ResponseBody;

/// The maximum number of requests in progress on one HTTP/2 connection.
const MAX_STREAMS: u32 = 32;

/// A connection that is served. As a future, it ends with the connection.
pub(super) struct HttpConnection<I, S>
where
    S: Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible>,
{
    state: ConnectionState<I, S>,
}

type Http1Connection<I, S> = http1::Connection<TokioIo<TimeoutStream<I>>, S>;
type Http2Connection<I, S> = http2::Connection<TokioIo<TimeoutStream<I>>, S, TokioExecutor>;

enum ConnectionState<I, S>
where
    S: Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible>,
{
    /// The first bytes have not arrived.
    New(Option<Box<(TimeoutStream<I>, S)>>),
    Http1(Pin<Box<Http1Connection<I, S>>>),
    Http2(Pin<Box<Http2Connection<I, S>>>),
}

impl<I, S> HttpConnection<I, S>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible>,
    S::Future: Send + 'static,
{
    /// Serves requests from this stream.
    pub(super) fn new(stream: TimeoutStream<I>, service: S) -> HttpConnection<I, S> {
        HttpConnection { state: ConnectionState::New(Some(Box::new((stream, service)))) }
    }

    /// Ends the connection after the requests in progress. A connection without a request ends at once.
    pub(super) fn graceful_shutdown(&mut self) {
        match &mut self.state {
            ConnectionState::New(new) => *new = None,
            ConnectionState::Http1(connection) => connection.as_mut().graceful_shutdown(),
            ConnectionState::Http2(connection) => connection.as_mut().graceful_shutdown(),
        }
    }
}

impl<I, S> Future for HttpConnection<I, S>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Output = Result<(), Box<dyn Error + Send + Sync>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let state = &mut self.get_mut().state;
        if let ConnectionState::New(new) = state {
            let Some((stream, _)) = new.as_deref_mut() else { return Poll::Ready(Ok(())) };
            let protocol = ready!(stream.poll_protocol(context))?;
            let Some((stream, service)) = new.take().map(|new| *new) else { return Poll::Ready(Ok(())) };
            *state = ConnectionState::begin(protocol, TokioIo::new(stream), service);
        }
        match state {
            ConnectionState::New(_) => Poll::Ready(Err(io::Error::from(io::ErrorKind::Other).into())),
            ConnectionState::Http1(connection) => connection.as_mut().poll(context).map_err(Into::into),
            ConnectionState::Http2(connection) => connection.as_mut().poll(context).map_err(Into::into),
        }
    }
}

impl<I, S> ConnectionState<I, S>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible>,
    S::Future: Send + 'static,
{
    fn begin(protocol: HttpProtocol, io: TokioIo<TimeoutStream<I>>, service: S) -> ConnectionState<I, S> {
        match protocol {
            HttpProtocol::Http1 => {
                let mut builder = http1::Builder::new();
                // A client that closes its sending side after the request still gets its answer. So hyper does not
                // watch for a closed connection. Answers are small, so they are copied behind their header.
                builder.max_buf_size(MAX_HEADER_BYTES.into()).half_close(true).writev(false);
                ConnectionState::Http1(Box::pin(builder.serve_connection(io, service)))
            }
            HttpProtocol::Http2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.max_header_list_size(MAX_HEADER_BYTES.into()).max_concurrent_streams(MAX_STREAMS);
                ConnectionState::Http2(Box::pin(builder.serve_connection(io, service)))
            }
        }
    }
}
