//! What other programs sign for Tencent by mistake.

use serde_json::Value;

use super::App;
use crate::crypto::base64_decode;
use crate::model::{Action, Millis, Pattern};
use crate::vendor::foreign_token::ForeignToken;
use crate::vendor::variants::ForeignRequest;

/// Describes how a UserSig differs from the expected one.
pub(super) fn differences(
    app: &App,
    ttl_seconds: u64,
    foreign: &ForeignRequest<'_>,
    token: &ForeignToken<'_>,
) -> Vec<String> {
    let document = &token.claims;
    let number = |name: &str| document.get(name).and_then(Value::as_u64);
    let other = |name: &str, right: u64| {
        let found = document.get(name).filter(|found| found.as_u64() != Some(right))?;
        Some(format!("`{name}` is {found}, not {right}"))
    };
    let issued = number("TLS.time").unwrap_or_default();
    let expiry = issued.saturating_add(number("TLS.expire").unwrap_or_default());
    let now = foreign.now.seconds();
    let all = [
        document.difference("TLS.ver", "2.0"),
        document.difference("TLS.identifier", &foreign.request.client),
        other("TLS.sdkappid", u64::from(app.sdk_app_id())),
        foreign.at.and_then(|at| other("TLS.time", at.seconds())),
        foreign.at.and_then(|_| other("TLS.expire", ttl_seconds)),
        (issued > now).then(|| format!("`TLS.time` is in the future: {}", Millis::from_seconds(issued))),
        (expiry <= now).then(|| format!("it has expired: {}", Millis::from_seconds(expiry))),
        ticket_difference(foreign, document.get("TLS.userbuf")),
    ];
    all.into_iter().flatten().collect()
}

/// Describes how the ticket differs from one for the room of the request. The privileges are not compared, because the
/// policy decides them.
fn ticket_difference(foreign: &ForeignRequest<'_>, ticket: Option<&Value>) -> Option<String> {
    if foreign.request.action != Action::Join {
        return ticket.map(|_| "`TLS.userbuf` is present: it is a PrivateMapKey, not a UserSig".to_owned());
    }
    let Some(found) = ticket.and_then(Value::as_str).and_then(base64_decode) else {
        return Some("`TLS.userbuf` is missing, so it is for no room".to_owned());
    };
    let room = foreign.request.conversation.as_ref().and_then(Pattern::exact).unwrap_or_default();
    let is_for_room = super::is_ticket_for(&found, &foreign.request.client, room);
    (!is_for_room).then(|| format!("`TLS.userbuf` is not for this user in the room \"{room}\""))
}
