//! The server's answer to a change, for people: a line for each user.

use std::process::ExitCode;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::common::{CommandError, CommonArguments, OutputFormat, escape_line, exit_code, print};
use super::server::ServerResponse;
use crate::moderation::api::{CommandReply, FailedTarget, ListPage, Problem};

/// The message if the server needs a credential and the command had none.
const NO_CREDENTIAL: &str = "the server needs a credential. Give an API key with --key-file FILE or in the variable \
                             CHAT_SIGNER_API_KEY, or a token with --token-file FILE or in the variable CHAT_SIGNER_TOKEN";

/// The targets of a change.
#[derive(Debug)]
pub(super) enum CommandTargets<'a> {
    /// These users, or the id of the conversation if the change is about a conversation.
    Named(Vec<&'a str>),
    /// The caller, whose name only the server knows.
    Caller,
}

impl<'a> CommandTargets<'a> {
    /// Returns these users as the targets.
    pub(super) fn named(users: &'a [String]) -> CommandTargets<'a> {
        CommandTargets::Named(users.iter().map(String::as_str).collect())
    }
}

/// The words for the effect of a change on a target. They follow its name.
#[derive(Debug)]
pub(super) struct EffectWords {
    /// After a change: `banned in all conversations, without an end`.
    pub(super) changed: String,
    /// If there was nothing to do: `was already banned …`.
    pub(super) unchanged: String,
}

/// Prints for which targets the change succeeded and for which it failed.
///
/// # Errors
/// Returns an error if the server refused the request, or if the answer does not mention each target exactly once.
pub(super) fn print_reply(
    common: &CommonArguments,
    answer: &ServerResponse,
    targets: &CommandTargets<'_>,
    effect: &EffectWords,
) -> Result<ExitCode, CommandError> {
    check_status(common, answer)?;
    let reply = CommandReply::deserialize(&answer.body)
        .ok()
        .filter(|reply| mentions_exactly(reply, targets))
        .ok_or_else(|| unexpected_answer(answer))?;
    common.print(|| text(&reply, effect), || answer.body.to_string())?;
    Ok(exit_code(reply.failed.is_empty()))
}

/// Checks the status of an answer.
///
/// # Errors
/// Returns an error with the reason of the server if the status is not a success.
pub(in crate::cli) fn check_status(common: &CommonArguments, answer: &ServerResponse) -> Result<(), CommandError> {
    if answer.status.is_success() {
        return Ok(());
    }
    if common.output == OutputFormat::Json {
        print(&answer.body.to_string())?;
    }
    let Problem { title, detail, code, request_id, .. } = Problem::deserialize(&answer.body).unwrap_or_default();
    let Some(detail) = detail.or(title) else { return Err(foreign_answer(answer.status)) };
    let detail =
        if answer.status == StatusCode::UNAUTHORIZED && !answer.had_credential { NO_CREDENTIAL } else { &*detail };
    let code = code.unwrap_or_else(|| answer.status.as_u16().to_string().into());
    let id = request_id.map_or_else(String::new, |id| format!(", request {id}"));
    Err(CommandError::Failed(format!("{detail} ({code}{id})")))
}

/// Builds the error for an error answer of another program.
fn foreign_answer(status: StatusCode) -> CommandError {
    CommandError::Failed(format!("the server answers {status}, but not in the form of chat-signer"))
}

/// Builds the error for an answer that does not match the request.
pub(super) fn unexpected_answer(answer: &ServerResponse) -> CommandError {
    CommandError::Failed(format!(
        "the answer of the server ({}) is not an answer of chat-signer's moderation interface: check that --server names \
         the right server",
        answer.status
    ))
}

/// Returns true if the reply mentions each target exactly once, and nothing else.
fn mentions_exactly(reply: &CommandReply, targets: &CommandTargets<'_>) -> bool {
    let failed = reply.failed.iter().map(|failed| &*failed.user);
    let mut mentioned: Vec<&str> = reply.succeeded.iter().map(String::as_str).chain(failed).collect();
    match targets {
        CommandTargets::Caller => mentioned.len() == 1,
        CommandTargets::Named(users) => {
            let mut users = users.clone();
            users.sort_unstable();
            mentioned.sort_unstable();
            mentioned == users
        }
    }
}

fn text(reply: &CommandReply, effect: &EffectWords) -> String {
    let done = reply.succeeded.iter().map(|user| {
        let words = if reply.unchanged.contains(user) { &effect.unchanged } else { &effect.changed };
        format!("✓ {}: {}", escape_line(user), escape_line(words))
    });
    let failed = reply.failed.iter().map(|FailedTarget { user, code, reason }| {
        let [user, code, reason] = [user, code, reason].map(|word| escape_line(word));
        format!("✗ {user}: {reason} ({code})")
    });
    done.chain(failed).collect::<Vec<_>>().join("\n")
}

/// Reads the answer as a page of a list. The entries can be of any kind.
///
/// # Errors
/// Returns an error if the answer has no list of entries.
pub(super) fn list_page(answer: &ServerResponse) -> Result<ListPage<Map<String, Value>>, CommandError> {
    ListPage::deserialize(&answer.body).map_err(|_| unexpected_answer(answer))
}

/// Formats a JSON value for a line of text. A string has no quotes.
pub(super) fn format_value(value: &Value) -> String {
    value.as_str().map_or_else(|| escape_line(&value.to_string()), escape_line)
}
