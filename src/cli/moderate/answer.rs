//! What a server says to a change, for people: a line for each user.

use std::process::ExitCode;

use serde::Deserialize;
use serde_json::Value;

use super::super::{CommandError, CommonArguments, OutputFormat, line, print, yes};
use super::server::ServerResponse;

/// Whom a change is asked for.
#[derive(Debug)]
pub(super) enum CommandTargets<'a> {
    /// These users; of what is about a conversation, its id.
    Named(Vec<&'a str>),
    /// Who asks, whom the server knows by its credential.
    Asker,
}

impl<'a> CommandTargets<'a> {
    /// These users.
    pub(super) fn named(users: &'a [String]) -> CommandTargets<'a> {
        CommandTargets::Named(users.iter().map(String::as_str).collect())
    }
}

/// For whom a change is made, and for whom not.
#[derive(Deserialize)]
struct CommandReply {
    succeeded: Vec<String>,
    failed: Vec<FailedTarget>,
}

#[derive(Deserialize)]
struct FailedTarget {
    user: String,
    code: String,
    reason: String,
}

/// Says what was done, and what was not. Nothing counts as done that the server doesn't tell of.
pub(super) fn done(
    common: &CommonArguments,
    answer: &ServerResponse,
    whom: &CommandTargets<'_>,
) -> Result<ExitCode, CommandError> {
    refused(common, answer)?;
    let told = CommandReply::deserialize(&answer.body)
        .ok()
        .filter(|told| told.is_about(whom))
        .ok_or_else(|| strange(answer))?;
    common.print(|| told.text(), || answer.body.to_string())?;
    Ok(yes(told.failed.is_empty()))
}

/// Ends the command where the server did nothing, with the reason that it gives.
pub(super) fn refused(common: &CommonArguments, answer: &ServerResponse) -> Result<(), CommandError> {
    if answer.status.is_success() {
        return Ok(());
    }
    if common.output == OutputFormat::Json {
        print(&answer.body.to_string())?;
    }
    let member = |name: &str| answer.body.get(name).and_then(Value::as_str);
    let Some(detail) = member("detail").or_else(|| member("title")) else {
        return Err(CommandError::No(format!("the server answers {}, and not as chat-signer does", answer.status)));
    };
    let code = member("code").map_or_else(|| answer.status.as_u16().to_string(), str::to_owned);
    let id = member("request_id").map_or_else(String::new, |id| format!(", request {id}"));
    Err(CommandError::No(format!("{detail} ({code}{id})")))
}

/// What to say of an answer that tells of something else than what was asked, or of nothing.
fn strange(answer: &ServerResponse) -> CommandError {
    CommandError::No(format!(
        "what the server answers, with {}, is not an answer of chat-signer's moderation interface: check that --server names the right server",
        answer.status
    ))
}

impl CommandReply {
    /// Whether it tells of each of them once, and of nobody else.
    fn is_about(&self, whom: &CommandTargets<'_>) -> bool {
        let failed = self.failed.iter().map(|failed| &*failed.user);
        let mut told: Vec<&str> = self.succeeded.iter().map(String::as_str).chain(failed).collect();
        match whom {
            CommandTargets::Asker => told.len() == 1,
            CommandTargets::Named(users) => {
                let mut users = users.clone();
                users.sort_unstable();
                told.sort_unstable();
                told == users
            }
        }
    }

    fn text(&self) -> String {
        let done = self.succeeded.iter().map(|user| format!("✓ {}", line(user)));
        let failed = self.failed.iter().map(|FailedTarget { user, code, reason }| {
            let [user, code, reason] = [user, code, reason].map(|word| line(word));
            format!("✗ {user}: {reason} ({code})")
        });
        done.chain(failed).collect::<Vec<_>>().join("\n")
    }
}

/// The entries of a list.
pub(super) fn entries(answer: &ServerResponse) -> Result<&[Value], CommandError> {
    let entries = answer.body.get("entries").and_then(Value::as_array);
    let entries = entries.filter(|entries| entries.iter().all(Value::is_object));
    entries.map(Vec::as_slice).ok_or_else(|| strange(answer))
}

/// A value in a line of text: a text without its quotes.
pub(super) fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| line(&value.to_string()), line)
}
