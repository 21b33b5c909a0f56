//! What a server says to a change, for people: a line for each user.

use std::process::ExitCode;

use serde_json::Value;

use super::super::{Common, Output, Stop, line, print, yes};
use super::server::Answer;

/// Says what was done, and what was not.
pub(super) fn done(common: &Common, answer: &Answer) -> Result<ExitCode, Stop> {
    refused(common, answer)?;
    let body = &answer.body;
    let all = list(body, "failed").is_empty();
    common.print(|| text(body), || body.to_string())?;
    Ok(yes(all))
}

/// Ends the command where the server did nothing, with the reason that it gives.
pub(super) fn refused(common: &Common, answer: &Answer) -> Result<(), Stop> {
    if answer.status.is_success() {
        return Ok(());
    }
    if common.output == Output::Json {
        print(&answer.body.to_string())?;
    }
    let member = |name: &str| answer.body.get(name).and_then(Value::as_str);
    let Some(detail) = member("detail").or_else(|| member("title")) else {
        return Err(Stop::No(format!("the server answers {}, and not as chat-signer does", answer.status)));
    };
    let code = member("code").map_or_else(|| answer.status.as_u16().to_string(), str::to_owned);
    let id = member("request_id").map_or_else(String::new, |id| format!(", request {id}"));
    Err(Stop::No(format!("{detail} ({code}{id})")))
}

fn text(body: &Value) -> String {
    let done = list(body, "succeeded").iter().map(|user| format!("✓ {}", word(user)));
    let failed = list(body, "failed").iter().map(|failed| {
        let [user, code, reason] =
            ["user", "code", "reason"].map(|name| failed.get(name).map(word).unwrap_or_default());
        format!("✗ {user}: {reason} ({code})")
    });
    let lines: Vec<String> = done.chain(failed).collect();
    if lines.is_empty() { "✓ done".to_owned() } else { lines.join("\n") }
}

/// The list of this name, if there is one.
pub(super) fn list<'v>(body: &'v Value, name: &str) -> &'v [Value] {
    body.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A value in a line of text: a text without its quotes.
pub(super) fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| line(&value.to_string()), line)
}
