//! `read-roster`: what the roster of a running server holds.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{ValueEnum, value_parser};
use hyper::Method;
use serde_json::Value;

use super::super::{CommandError, CommonArguments, line};
use super::answer::{entries, refused, word};
use super::follow::{self, EventFollower};
use super::server::{ServerArguments, ServerRequest};
use super::{conversation, query};

/// `read-roster`'s own arguments.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// What is shown; events as they happen, until it is interrupted.
    #[arg(value_enum)]
    what: ListKind,
    /// The conversation that is shown.
    #[arg(required_if_eq("what", "conversation"))]
    id: Option<String>,
    /// Only what is about this user.
    #[arg(long)]
    user: Option<String>,
    /// Only what is about this conversation.
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// Only what holds at this app.
    #[arg(long)]
    app: Option<String>,
    /// Of what is told to vendors and webhooks, only what is so: pending, set-aside or done.
    #[arg(long)]
    state: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Only what comes after this: what the page before it told, or an event's id.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// The user who looks, where a service asks. The service itself, if left out.
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
    Events,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    if arguments.what == ListKind::Events {
        return arguments.follow(common);
    }
    let answer = arguments.server.ask(common, &arguments.question()?)?;
    refused(common, &answer)?;
    let entries = entries(&answer)?;
    common.print(|| text(arguments.what, entries, answer.body.get("next")), || answer.body.to_string())?;
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    /// Prints events as they happen. A stream tells of everything: what chooses among entries has no place here.
    fn follow(&self, common: &CommonArguments) -> Result<ExitCode, CommandError> {
        let choosing = [
            ("--user", &self.user),
            ("--conversation", &self.conversation),
            ("--app", &self.app),
            ("--state", &self.state),
        ];
        let one = choosing.iter().find(|(_, given)| given.is_some()).map(|(flag, _)| *flag);
        if let Some(one) = one.or(self.id.as_deref()) {
            return Err(CommandError::Usage(format!("events are told whole: leave {one} out")));
        }
        let server = &self.server.server(common)?;
        let (client, last) = (self.client.as_deref(), self.after.clone());
        follow::run(EventFollower { common, server, client, last, left: self.limit })
    }

    fn question(&self) -> Result<ServerRequest, CommandError> {
        let limit = self.limit.map(|limit| limit.to_string());
        let fields = [
            ("user", self.user.as_deref()),
            ("conversation", self.conversation.as_deref()),
            ("app", self.app.as_deref()),
            ("state", self.state.as_deref()),
            ("limit", limit.as_deref()),
            ("after", self.after.as_deref()),
            ("client_id", self.client.as_deref()),
        ];
        let path = match (self.what, &self.id) {
            (ListKind::Conversation, id) => conversation(id.as_deref().unwrap_or_default())?,
            (_, Some(id)) => {
                return Err(CommandError::Usage(format!("`{id}` is one too many: filter by --user or --conversation")));
            }
            (what, None) => format!("/v1/roster/{}", what.word()),
        };
        Ok(ServerRequest { method: Method::GET, path: path + &query(&fields), body: None })
    }
}

impl ListKind {
    fn word(self) -> &'static str {
        match self {
            ListKind::Bans => "bans",
            ListKind::Mutes => "mutes",
            ListKind::Roles => "roles",
            ListKind::Blocks => "blocks",
            ListKind::Enforcements => "enforcements",
            ListKind::Conversation => "conversation",
            ListKind::Events => "events",
        }
    }
}

/// A line for each entry, and how to go on.
fn text(what: ListKind, entries: &[Value], next: Option<&Value>) -> String {
    let mut text = String::new();
    for one in entries {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", entry(what, one));
    }
    match next {
        Some(next) => _ = writeln!(text, "there are more: --after {}", word(next)),
        None if text.is_empty() => text.push_str("none"),
        None => {}
    }
    text
}

pub(super) fn entry(what: ListKind, entry: &Value) -> String {
    const FIRST: [&str; 7] = ["conversation", "app", "role", "kind", "owner", "until", "reason"];
    const TOLD_OTHERWISE: [&str; 6] = ["user", "by", "at", "source", "line", "forgotten"];
    let told = |name: &str| entry.get(name).map(|value| format!("{} {}", line(name), word(value)));
    let mut words: Vec<String> = entry.get("user").map(word).into_iter().collect();
    words.extend(FIRST.iter().filter_map(|name| told(name)));
    match what {
        ListKind::Roles if entry.get("role").is_none() => words.push("role none".to_owned()),
        ListKind::Conversation if entry.get("kind").is_none() => words.push("forgotten".to_owned()),
        _ => {}
    }
    let others = entry.as_object().into_iter().flat_map(|members| members.keys().map(String::as_str));
    let others = others.filter(|name| !FIRST.contains(name) && !TOLD_OTHERWISE.contains(name));
    words.extend(others.filter_map(told));
    words.extend(by(entry));
    words.join(", ")
}

/// By whose word it is there, and since when.
fn by(entry: &Value) -> Option<String> {
    if let Some(line) = entry.get("line") {
        return Some(format!("by the policy file, line {}", word(line)));
    }
    let by = entry.get("by")?;
    let subject = by.get("subject").map(word).unwrap_or_default();
    let what = by.get("role").or_else(|| by.get("kind")).map(|what| format!(" ({})", word(what))).unwrap_or_default();
    let at = entry.get("at").map(|at| format!(" at {}", word(at))).unwrap_or_default();
    Some(format!("by {subject}{what}{at}"))
}
