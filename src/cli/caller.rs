//! The caller of `explain`, identified by a token.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use crate::authn::{IdentifyError, RequestCredentials};
use crate::engine::Engine;
use crate::model::{Caller, Millis};

/// Identifies the caller by a token in the same way as the server.
///
/// # Errors
/// Returns the reason if the token is refused, or if only the server can check it.
pub(super) fn identify_by_token(engine: &Engine, token: &str, app: &str, now: Millis) -> Result<Caller, String> {
    const ALTERNATIVE: &str = "and only the server does that; name the caller instead: --as or --service, with --roles";
    let refused = |why: &str| format!("the caller is refused: {why}");
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let value = value.map_err(|_| refused("the token holds more than ASCII"))?;
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    let identified = engine.authenticators.identify(&RequestCredentials::from_headers(&headers), app, now);
    identified.map(Arc::unwrap_or_clone).map_err(|unidentified| match unidentified {
        IdentifyError::Error(refusal) => refused(&refusal.log_message()),
        IdentifyError::Pending(lookup) => format!("cannot identify the caller: {lookup}, {ALTERNATIVE}"),
    })
}
