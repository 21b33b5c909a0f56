//! What other programs sign for Stream by mistake.

use serde_json::Value;

use crate::model::{Action, Pattern};
use crate::vendor::foreign_token::ForeignToken;
use crate::vendor::variants::ForeignRequest;

/// Describes how the claims of a token differ from the expected claims.
pub(super) fn claim_differences(
    ttl_seconds: u64,
    foreign: &ForeignRequest<'_>,
    token: &ForeignToken<'_>,
) -> Vec<String> {
    let claims = &token.claims;
    let user = claims.difference("user_id", &foreign.request.client);
    let server = claims.get("server").map(|_| "`server` is present: the token has all rights of a server".to_owned());
    let calls = match (claims.get("call_cids"), expected_calls(foreign)) {
        (found, expected) if found == expected.as_ref() => None,
        (Some(_), None) => Some("`call_cids` is present, but the request names no calls".to_owned()),
        (_, expected) => Some(format!("`call_cids` must be {}", expected.unwrap_or_default())),
    };
    let issued = claims.get("iat").is_none().then(|| "`iat` is missing, so the token cannot be revoked".to_owned());
    let texts = [user, server, calls, issued];
    texts.into_iter().flatten().chain(token.check_times(foreign.now, foreign.at, ttl_seconds)).collect()
}

/// Returns the calls that the request names, or `None` if there are none.
fn expected_calls(foreign: &ForeignRequest<'_>) -> Option<Value> {
    let joined = foreign.request.required_actions.iter().filter(|need| need.action == Action::Join);
    let calls: Vec<&str> = joined.filter_map(|need| need.conversation.as_ref().and_then(Pattern::exact)).collect();
    (!calls.is_empty()).then(|| Value::from(calls))
}
