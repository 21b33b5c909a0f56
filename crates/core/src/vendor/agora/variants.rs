//! What other programs sign for Agora by mistake.

use serde_json::{Value, json};

use super::{App, Operation};
use crate::model::{Millis, Pattern};
use crate::vendor::foreign_token::ForeignToken;
use crate::vendor::variants::ForeignRequest;

/// Describes how the parts of a token differ from the expected ones. The privileges to send, and the channels of
/// Signaling, are not compared, because the policy decides them.
pub(super) fn differences(
    app: &App,
    operation: Operation,
    ttl_seconds: u64,
    foreign: &ForeignRequest<'_>,
    token: &ForeignToken<'_>,
) -> Vec<String> {
    let parts = &token.claims;
    let number = |name: &str| parts.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (issued, lives, now) = (number("issued_at"), number("expire"), foreign.now.seconds());
    let expiry = issued.saturating_add(lives);
    let times = [
        (issued > now).then(|| format!("it was issued in the future: {}", Millis::from_seconds(issued))),
        (expiry <= now).then(|| format!("it has expired: {}", Millis::from_seconds(expiry))),
        foreign
            .at
            .filter(|at| at.seconds() != issued)
            .map(|at| format!("it was issued at {issued}, not {}", at.seconds())),
        foreign.at.filter(|_| lives != ttl_seconds).map(|_| format!("it lives for {lives} seconds, not {ttl_seconds}")),
    ];
    let kind = match operation {
        Operation::ChatToken => "Chat",
        Operation::RtmToken => "RTM2",
        Operation::RtcToken => "RTC",
    };
    let services = parts.get("services").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let app_id = parts.difference("app_id", app.app_id());
    let service = match services {
        [service] if service["kind"] == kind => service_differences(service, foreign),
        [service] => vec![format!("it is for {}, not for {kind}", service["kind"].as_str().unwrap_or_default())],
        _ => vec![format!("it is for {} services, not only for {kind}", services.len())],
    };
    app_id.into_iter().chain(times.into_iter().flatten()).chain(service).collect()
}

fn service_differences(service: &Value, foreign: &ForeignRequest<'_>) -> Vec<String> {
    let user = &service["user"];
    let room = foreign.request.conversation.as_ref().and_then(Pattern::exact);
    let all = [
        (user == "").then(|| "it names no user, so every user can use it".to_owned()),
        (user != "" && *user != foreign.request.client)
            .then(|| format!("it is for the user {user}, not \"{}\"", foreign.request.client)),
        room.filter(|room| service["channel"] != **room)
            .map(|room| format!("it is for the channel {}, not \"{room}\"", service["channel"])),
        (service["kind"] == "Chat" && service["privileges"].get("2").is_some())
            .then(|| "it has the privilege 2, which administrates the whole app".to_owned()),
        (service["privileges"].get("1") == Some(&json!(0)) || service["privileges"].get("1").is_none())
            .then(|| "it has no privilege 1 with a lifetime, so the user cannot enter".to_owned()),
    ];
    all.into_iter().flatten().collect()
}
