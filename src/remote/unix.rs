//! The client for a server on this machine that listens at a Unix socket.

use std::path::Path;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::client::{Trouble, chain, read};

/// Sends a request to the server at this socket and reads the answer, whatever its status, if it has at most `longest` bytes. All of it
/// may take up to `patience`.
///
/// # Errors
/// If there is none in time.
pub async fn send(
    socket: &Path,
    request: Request<Full<Bytes>>,
    longest: usize,
    patience: Duration,
) -> Result<Response<Bytes>, Trouble> {
    timeout(patience, exchange(socket, request, longest)).await.unwrap_or(Err(Trouble::Slow(patience)))
}

async fn exchange(
    socket: &Path,
    mut request: Request<Full<Bytes>>,
    longest: usize,
) -> Result<Response<Bytes>, Trouble> {
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    let stream = UnixStream::connect(socket).await.map_err(|error| Trouble::Broken(error.to_string()))?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let answered = async { read(sender.send_request(request).await.map_err(|error| broken(&error))?, longest).await };
    tokio::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        // What came before the end is still to be read.
        _ = connection => answered.await,
    }
}

fn broken(error: &hyper::Error) -> Trouble {
    Trouble::Broken(chain(error))
}
