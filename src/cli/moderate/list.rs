//! `list`: shows the moderation entries of a running server.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{ValueEnum, value_parser};
use hyper::Method;
use serde_json::{Map, Value};

use super::super::common::{CommandError, CommonArguments, escape_line};
use super::answer::{check_status, format_value, list_page};
use super::conversation_resource;
use super::jobs::JobFilterArguments;
use super::server::{ServerArguments, ServerRequest};
use crate::moderation::EntryKind;
use crate::moderation::api::{ListPage, ModerationParameters, ModerationResource};

/// The arguments of `list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// What to show.
    #[arg(value_enum)]
    what: ListKind,
    /// The id of the conversation to show.
    #[arg(required_if_eq("what", "conversation"))]
    id: Option<String>,
    /// Show only entries about this user.
    #[arg(long)]
    user: Option<String>,
    /// Show only entries for this conversation.
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// Show only entries that apply to this app.
    #[arg(long)]
    app: Option<String>,
    /// Show only enforcements in this state: pending, dead-letter or done.
    #[arg(long)]
    state: Option<String>,
    #[command(flatten)]
    filter: JobFilterArguments,
    /// Show at most this number of entries.
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Show the next page: the value after `--after` in the last line of the page before.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// The user on whose behalf a service asks. If absent, the service asks for itself.
    #[arg(long = "as", value_name = "USER")]
    client: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListKind {
    Bans,
    Mutes,
    Roles,
    Blocks,
    Enforcements,
    Conversation,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let answer = arguments.server.ask(common, &arguments.request()?)?;
    check_status(common, &answer)?;
    let page = list_page(&answer)?;
    common.print(|| text(arguments.what, &page), || answer.body.to_string())?;
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn request(&self) -> Result<ServerRequest, CommandError> {
        let resource = self.resource()?;
        let parameters = ModerationParameters {
            user: self.user.clone(),
            conversation: self.conversation.clone(),
            app: self.app.clone(),
            state: self.state.clone(),
            limit: self.limit.map(|limit| limit.to_string()),
            after: self.after.clone(),
            client_id: self.client.clone(),
            ..self.filter.parameters()
        };
        Ok(ServerRequest { method: Method::GET, resource, parameters })
    }

    fn resource(&self) -> Result<ModerationResource, CommandError> {
        match (self.what.resource(), &self.id) {
            (None, id) => conversation_resource(id.as_deref().unwrap_or_default()),
            (Some(_), Some(id)) => {
                Err(CommandError::Usage(format!("unexpected argument `{id}`: to filter, use --user or --conversation")))
            }
            (Some(resource), None) => Ok(resource),
        }
    }
}

impl ListKind {
    /// Returns the resource of the list. `None`: it depends on the conversation.
    fn resource(self) -> Option<ModerationResource> {
        match self {
            ListKind::Bans => Some(ModerationResource::Entries(EntryKind::Bans)),
            ListKind::Mutes => Some(ModerationResource::Entries(EntryKind::Mutes)),
            ListKind::Roles => Some(ModerationResource::Entries(EntryKind::Roles)),
            ListKind::Blocks => Some(ModerationResource::Entries(EntryKind::Blocks)),
            ListKind::Enforcements => Some(ModerationResource::Enforcements),
            ListKind::Conversation => None,
        }
    }
}

/// Formats a line for each entry and, if there are more, how to get the next page.
fn text(what: ListKind, page: &ListPage<Map<String, Value>>) -> String {
    let mut text = String::new();
    for one in &page.entries {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", format_entry(what, one));
    }
    match &page.next {
        Some(next) => _ = writeln!(text, "there are more: --after {}", escape_line(next)),
        None if text.is_empty() => text.push_str("none"),
        None => {}
    }
    text
}

fn format_entry(what: ListKind, entry: &Map<String, Value>) -> String {
    let state = match what {
        ListKind::Roles if entry.get("role").is_none() => Some("role none"),
        ListKind::Conversation if entry.get("kind").is_none() => Some("forgotten"),
        ListKind::Roles
        | ListKind::Conversation
        | ListKind::Bans
        | ListKind::Mutes
        | ListKind::Blocks
        | ListKind::Enforcements => None,
    };
    describe(entry, state)
}

/// Formats an entry: the user, the usual members in order, the state, all other members, and the author.
pub(super) fn describe(entry: &Map<String, Value>, state: Option<&str>) -> String {
    const FIRST: [&str; 7] = ["conversation", "app", "role", "kind", "owner", "until", "reason"];
    const ELSEWHERE: [&str; 6] = ["user", "by", "at", "source", "line", "forgotten"];
    let member = |name: &str| entry.get(name).map(|value| format!("{} {}", escape_line(name), format_value(value)));
    let mut words: Vec<String> = entry.get("user").map(format_value).into_iter().collect();
    words.extend(FIRST.iter().filter_map(|name| member(name)));
    words.extend(state.map(str::to_owned));
    let others = entry.keys().map(String::as_str).filter(|name| !FIRST.contains(name) && !ELSEWHERE.contains(name));
    words.extend(others.filter_map(member));
    words.extend(format_author(entry));
    words.join(", ")
}

/// Formats the author of an entry, and the time when it was made.
fn format_author(entry: &Map<String, Value>) -> Option<String> {
    if let Some(line) = entry.get("line") {
        return Some(format!("by the policy file, line {}", format_value(line)));
    }
    let by = entry.get("by")?;
    let subject = by.get("subject").map(format_value).unwrap_or_default();
    let what =
        by.get("role").or_else(|| by.get("kind")).map(|what| format!(" ({})", format_value(what))).unwrap_or_default();
    let at = entry.get("at").map(|at| format!(" at {}", format_value(at))).unwrap_or_default();
    Some(format!("by {subject}{what}{at}"))
}
