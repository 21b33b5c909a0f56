//! What other programs sign for LiveKit by mistake.

use serde_json::Value;

use super::App;
use crate::model::Pattern;
use crate::vendor::foreign_token::ForeignToken;
use crate::vendor::variants::ForeignRequest;

/// Permissions that LiveKit grants if they are absent.
const GRANTED_IF_ABSENT: [&str; 3] = ["canPublish", "canSubscribe", "canPublishData"];

/// Describes how the claims of a token differ from the expected claims.
pub(super) fn claim_differences(
    app: &App,
    ttl_seconds: u64,
    foreign: &ForeignRequest<'_>,
    token: &ForeignToken<'_>,
) -> Vec<String> {
    let claims = &token.claims;
    let grant = claims.get("video");
    let flag = |name: &str| grant.and_then(|grant| grant.get(name));
    let room = foreign.request.conversation.as_ref().and_then(Pattern::exact).unwrap_or_default();
    let other_room = match flag("room").and_then(Value::as_str) {
        Some(found) if found == room => None,
        Some(_) => Some(format!("`video.room` is not \"{room}\"")),
        None => Some("`video.room` is missing, so the token is for every room".to_owned()),
    };
    let open = GRANTED_IF_ABSENT.iter().filter(|name| flag(name).is_none());
    let open = open.map(|name| format!("`video.{name}` is missing, and LiveKit grants it"));
    let texts =
        [claims.difference("iss", app.api_key()), claims.difference("sub", &foreign.request.client), other_room];
    let times = token.check_times(foreign.now, foreign.at, ttl_seconds);
    texts.into_iter().flatten().chain(open).chain(times).collect()
}
