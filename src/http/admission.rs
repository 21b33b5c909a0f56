//! Lets a request in, or turns it away before anything is spent on it.

use std::pin::pin;

use super::{ApiError, ErrorCode, RequestContext};
use crate::limits::AdmissionPermit;

/// Counts the request for its address and takes one of the places for requests in progress, to be kept to the request's end.
pub(super) fn enter(exchange: &RequestContext<'_>) -> Result<AdmissionPermit, ApiError> {
    let limits = &exchange.snapshot.limits;
    limits.address(exchange.address)?;
    limits.in_flight.take().ok_or_else(overloaded)
}

/// Waits for something that the client is to send. Unless that is there already, the request gives up its place meanwhile for one
/// among those that wait: slow clients must not keep out the others.
pub(super) async fn wait<T>(
    exchange: &RequestContext<'_>,
    place: AdmissionPermit,
    coming: impl Future<Output = Result<T, ApiError>>,
) -> Result<(T, AdmissionPermit), ApiError> {
    let limits = &exchange.snapshot.limits;
    let mut coming = pin!(coming);
    tokio::select! {
        biased;
        here = &mut coming => return Ok((here?, place)),
        () = std::future::ready(()) => {}
    }
    let waiting = limits.waiting.take().ok_or_else(overloaded)?;
    drop(place);
    let here = coming.await?;
    drop(waiting);
    Ok((here, limits.in_flight.take().ok_or_else(overloaded)?))
}

fn overloaded() -> ApiError {
    ApiError::plain(ErrorCode::Overloaded, "More requests are in progress than can be served well. Ask again shortly.")
}
