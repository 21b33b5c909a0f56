//! Reads a request body within limits of size and time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Bytes, Incoming};

use super::error::{ApiError, ErrorCode};

/// How many bytes of an unwanted body are read, and for how long. Without this, the client might not receive the
/// answer.
const DRAIN_LIMIT: u64 = 1 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Reads the whole body.
///
/// # Errors
/// Returns an error if the body is longer than `limit` bytes, takes longer than `patience`, or ends too early.
pub(super) async fn read(body: &mut Incoming, limit: usize, patience: Duration) -> Result<Bytes, ApiError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let mut collecting = pin!(collect(body, limit));
    // Most bodies are there already, so no timer is needed.
    let arrived = poll_fn(|context| Poll::Ready(collecting.as_mut().poll(context))).await;
    if let Poll::Ready(body) = arrived {
        return body;
    }
    tokio::time::timeout(patience, collecting).await.unwrap_or_else(|_| Err(too_slow(patience)))
}

/// Reads and discards the rest of a body in the background. If the connection were closed with unread data, the client
/// could lose the answer.
pub fn drain(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(tokio::time::timeout(DRAIN_TIME, async move {
        let mut left = DRAIN_LIMIT;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            left = left.checked_sub(length)?;
        }
        Some(())
    }));
}

/// Collects the body. Most bodies arrive in one frame, which is not copied.
async fn collect(body: &mut Incoming, limit: usize) -> Result<Bytes, ApiError> {
    let Some(first) = next_data(body).await? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        return Err(too_large(limit));
    }
    if body.is_end_stream() {
        return Ok(first);
    }
    let mut whole = first.to_vec();
    while let Some(more) = next_data(body).await? {
        if whole.len() + more.len() > limit {
            return Err(too_large(limit));
        }
        whole.extend_from_slice(&more);
    }
    Ok(whole.into())
}

/// Returns the next data frame. Trailers are skipped.
async fn next_data(body: &mut Incoming) -> Result<Option<Bytes>, ApiError> {
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| ApiError::new(ErrorCode::Malformed, "The body ended too early.", error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

fn too_large(limit: usize) -> ApiError {
    ApiError::with_same_message(ErrorCode::TooLarge, format!("The body must have at most {limit} bytes."))
}

fn too_slow(patience: Duration) -> ApiError {
    let detail = format!("The body did not arrive within {patience:?}.");
    ApiError::with_same_message(ErrorCode::Malformed, detail).with_status(StatusCode::REQUEST_TIMEOUT)
}
