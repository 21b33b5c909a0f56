//! What other programs sign by mistake.

use serde_json::Value;

use super::{App, SigningJob};
use crate::vendor::foreign_token::ForeignToken;
use crate::vendor::variants::ForeignRequest;

/// Describes how the claims of a token differ from the expected claims. Claims that come from the caller's token are not
/// compared, because they are not known.
pub(super) fn claim_differences(
    app: &App,
    signing_job: &SigningJob,
    foreign: &ForeignRequest<'_>,
    token: &ForeignToken<'_>,
) -> Vec<String> {
    let request = foreign.request;
    let expected = app.fill(request, &request.requested_grants, signing_job).unwrap_or_default();
    let different = expected.iter().filter_map(|(name, right)| match token.claims.get(name) {
        Some(found) if found == right => None,
        Some(Value::String(_) | Value::Number(_) | Value::Bool(_)) | None if right.is_string() => {
            token.claims.difference(name, right.as_str().unwrap_or_default())
        }
        Some(_) => Some(format!("`{name}` must be {right}")),
        None => Some(format!("`{name}` is missing, and must be {right}")),
    });
    let header = token.header.get("alg").and_then(|_| app.key_id_difference(token));
    let other = token.claims.names().filter(|name| !expected.contains_key(*name) && !app.writes(name));
    let other = other.map(|name| format!("`{name}` is present, but the tokens of this app do not have it"));
    let times = token.check_times(foreign.now, foreign.at, signing_job.ttl_seconds);
    different.chain(header).chain(other).chain(times).collect()
}
