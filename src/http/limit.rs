//! Lets a request in, or turns it away before anything is spent on it.

use hyper::header::HeaderMap;

use super::{Code, Exchange, Failure, address};
use crate::limits::Slot;

/// Counts the request for its address and takes one of the places for requests in progress, to be kept to the request's end.
pub(super) fn enter(exchange: &Exchange<'_>, headers: &HeaderMap) -> Result<Slot, Failure> {
    let limits = &exchange.snapshot.limits;
    limits.address(|| address::of(exchange.peer, headers, &exchange.settings.limits.trusted_proxies))?;
    limits.in_flight.take().ok_or_else(|| {
        let detail = "More requests are in progress than can be served well. Ask again shortly.";
        Failure::plain(Code::Overloaded, detail)
    })
}
