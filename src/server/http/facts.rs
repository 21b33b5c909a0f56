//! Fetches the facts that the decision about a request depends on.

use super::context::RequestContext;
use super::error::ApiError;
use crate::engine::FactsQuery;
use crate::model::{Caller, SigningRequest};
use crate::moderation::ReplicaStale;
use crate::policy::ConversationFacts;

/// Why a request cannot be decided.
pub(super) struct UndecidedRequest {
    /// The reason, for the audit log.
    pub(super) reason: String,
    /// The error to answer with.
    pub(super) failure: ApiError,
}

impl<E: ToString + Into<ApiError>> From<E> for UndecidedRequest {
    fn from(error: E) -> UndecidedRequest {
        UndecidedRequest { reason: error.to_string(), failure: error.into() }
    }
}

/// Asks other servers for the facts that the decision depends on.
pub(super) async fn fetch_facts(
    exchange: &RequestContext,
    signing_request: &SigningRequest,
    caller: &Caller,
) -> Result<Vec<ConversationFacts>, UndecidedRequest> {
    let queries = facts_queries(exchange, signing_request, caller)?;
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    Ok(Box::pin(exchange.snapshot.upstreams.fetch_facts(queries, exchange.trace.as_ref())).await?)
}

/// Returns the facts queries that the decision needs, based on the current moderation entries.
fn facts_queries(
    exchange: &RequestContext,
    signing_request: &SigningRequest,
    caller: &Caller,
) -> Result<Vec<FactsQuery>, ReplicaStale> {
    let index = exchange.runtime.moderation.read()?;
    Ok(exchange.settings().engine.facts_queries(signing_request, caller, index.entries(), exchange.now))
}
