//! Creates a token for the caller that the page selects.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::{ApiError, ErrorCode, RequestContext};
use super::deserialize_fields;
use crate::config::DemoCaller;
use crate::model;

/// The lifetime of a token, in seconds.
const LIFETIME_SECONDS: u64 = 3600;

/// The caller that the page selects.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    subject: String,
    #[serde(default)]
    roles: Vec<String>,
}

/// Returns the token and its expiry time in Unix seconds.
pub(super) fn create_token(
    exchange: &RequestContext<'_>,
    demo: &DemoCaller,
    asked: Map<String, Value>,
) -> Result<Value, ApiError> {
    let TokenBody { subject, roles } = deserialize_fields(asked)?;
    model::check_identifier(&subject, 255)
        .map_err(|flaw| ApiError::with_same_message(ErrorCode::InvalidField, format!("subject {flaw}")))?;
    let issued_at = exchange.now.seconds();
    let expires_at = issued_at.saturating_add(LIFETIME_SECONDS);
    let token = demo.token(&subject, &roles, issued_at, expires_at);
    let token = token.map_err(|error| {
        ApiError::with_same_message(ErrorCode::InvalidField, format!("roles cannot be put into the token: {error}"))
    })?;
    Ok(json!({ "token": token, "expires_at": expires_at }))
}
