//! What other programs sign for Centrifugo by mistake.

use crate::model::Pattern;
use crate::vendor::foreign_token::ForeignToken;
use crate::vendor::variants::ForeignRequest;

/// The claims that give a connection more than the policy decided about.
const WIDER_CLAIMS: [&str; 4] = ["channels", "subs", "expire_at", "caps"];

/// Describes how the claims of a token differ from the expected claims.
pub(super) fn claim_differences(
    ttl_seconds: u64,
    foreign: &ForeignRequest<'_>,
    token: &ForeignToken<'_>,
) -> Vec<String> {
    let claims = &token.claims;
    let channel = match foreign.request.conversation.as_ref().and_then(Pattern::exact) {
        Some(channel) => claims.difference("channel", channel),
        None => claims.get("channel").map(|_| "`channel` is present, but a connection token has none".to_owned()),
    };
    let wider = WIDER_CLAIMS.iter().filter(|name| claims.get(name).is_some());
    let wider = wider.map(|name| format!("`{name}` is present: chat-signer does not decide about it"));
    let texts = [claims.difference("sub", &foreign.request.client), channel];
    let times = token.check_times(foreign.now, foreign.at, ttl_seconds);
    texts.into_iter().flatten().chain(wider).chain(times).collect()
}
