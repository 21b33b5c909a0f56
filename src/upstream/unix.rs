//! The client for a server on this machine that listens on a Unix socket.

use std::path::Path;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::handshake;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::client::{ClientError, error_chain, read};

/// Sends a request to the server at this socket and reads the answer, whatever its status, if it has at most `longest`
/// bytes. All of this may take up to `patience`.
///
/// # Errors
/// Returns an error if there is no complete answer in time.
pub async fn send(
    socket: &Path,
    request: Request<Full<Bytes>>,
    longest: usize,
    patience: Duration,
) -> Result<Response<Bytes>, ClientError> {
    timeout(patience, exchange(socket, request, longest)).await.unwrap_or(Err(ClientError::Slow(patience)))
}

/// Sends a request to the server at this socket, and returns the answer as soon as it begins. It must begin within
/// `patience`.
///
/// # Errors
/// Returns an error if the answer does not begin in time.
pub async fn open(
    socket: &Path,
    request: Request<Full<Bytes>>,
    patience: Duration,
) -> Result<Response<Incoming>, ClientError> {
    timeout(patience, begin(socket, request)).await.unwrap_or(Err(ClientError::Slow(patience)))
}

async fn exchange(
    socket: &Path,
    request: Request<Full<Bytes>>,
    longest: usize,
) -> Result<Response<Bytes>, ClientError> {
    read(begin(socket, request).await?, longest).await
}

async fn begin(socket: &Path, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    let stream = UnixStream::connect(socket).await.map_err(|error| ClientError::Broken(error.to_string()))?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| connection_error(&error))?;
    // The task ends when the answer has been read or dropped.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| connection_error(&error))
}

fn connection_error(error: &hyper::Error) -> ClientError {
    ClientError::Broken(error_chain(error))
}
