//! Admits a request or rejects it before it costs anything.

use std::pin::pin;

use super::{ApiError, ErrorCode, RequestContext};
use crate::server::limits::AdmissionPermit;

/// Counts the request for its address and takes a permit for a request in progress. The caller keeps the permit until
/// the end of the request.
pub(super) fn enter(exchange: &RequestContext<'_>) -> Result<AdmissionPermit, ApiError> {
    let limits = &exchange.snapshot.limits;
    limits.check_address(exchange.address)?;
    limits.in_flight.try_acquire().ok_or_else(overloaded)
}

/// Waits for data from the client. If the data is not there yet, the request exchanges its permit for one of the
/// permits for waiting requests meanwhile. So slow clients do not keep out other clients.
pub(super) async fn wait_for_client<T>(
    exchange: &RequestContext<'_>,
    place: AdmissionPermit,
    data: impl Future<Output = Result<T, ApiError>>,
) -> Result<(T, AdmissionPermit), ApiError> {
    let limits = &exchange.snapshot.limits;
    let mut coming = pin!(data);
    tokio::select! {
        biased;
        here = &mut coming => return Ok((here?, place)),
        () = std::future::ready(()) => {}
    }
    let waiting = limits.waiting.try_acquire().ok_or_else(overloaded)?;
    drop(place);
    let here = coming.await?;
    drop(waiting);
    Ok((here, limits.in_flight.try_acquire().ok_or_else(overloaded)?))
}

fn overloaded() -> ApiError {
    ApiError::with_same_message(ErrorCode::Overloaded, "Too many requests are in progress. Retry shortly.")
}
