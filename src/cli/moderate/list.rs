//! `read-roster`: what the roster of a running server holds.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::ValueEnum;
use hyper::Method;
use serde_json::Value;

use super::super::{Common, Stop, line};
use super::answer::{list, refused, word};
use super::server::{Answer, Options, Question};
use super::{conversation, query};

/// `read-roster`'s own arguments.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// What is shown.
    #[arg(value_enum)]
    what: What,
    /// The conversation that is shown.
    #[arg(required_if_eq("what", "conversation"))]
    id: Option<String>,
    /// Only what is about this user.
    #[arg(long)]
    user: Option<String>,
    /// Only what is about this conversation.
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// The one app that a conversation's entry is about. All, if left out.
    #[arg(long)]
    app: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
    /// Only what comes after this, as the page before it told.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// The user who looks, where a service asks. The service itself, if left out.
    #[arg(long = "as", value_name = "USER")]
    client: Option<String>,
    #[command(flatten)]
    server: Options,
}

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Bans,
    Mutes,
    Roles,
    Blocks,
    Enforcements,
    Conversation,
}

pub(super) fn run(common: &Common, arguments: &Arguments) -> Result<ExitCode, Stop> {
    let answer = arguments.server.ask(common, &arguments.question()?)?;
    refused(common, &answer)?;
    common.print(|| text(arguments.what, &answer), || answer.body.to_string())?;
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn question(&self) -> Result<Question, Stop> {
        let limit = self.limit.map(|limit| limit.to_string());
        let fields = [
            ("user", self.user.as_deref()),
            ("conversation", self.conversation.as_deref()),
            ("app", self.app.as_deref()),
            ("limit", limit.as_deref()),
            ("after", self.after.as_deref()),
            ("client_id", self.client.as_deref()),
        ];
        let path = match (self.what, &self.id) {
            (What::Conversation, id) => conversation(id.as_deref().unwrap_or_default())?,
            (_, Some(id)) => {
                return Err(Stop::Usage(format!("`{id}` is one too many: filter by --user or --conversation")));
            }
            (what, None) => format!("/v1/roster/{}", what.word()),
        };
        Ok(Question { method: Method::GET, path: path + &query(&fields), body: None })
    }
}

impl What {
    fn word(self) -> &'static str {
        match self {
            What::Bans => "bans",
            What::Mutes => "mutes",
            What::Roles => "roles",
            What::Blocks => "blocks",
            What::Enforcements => "enforcements",
            What::Conversation => "conversation",
        }
    }
}

/// In which order an entry's members are shown; the others follow.
const ORDER: [&str; 9] = ["user", "conversation", "app", "role", "kind", "owner", "until", "reason", "by"];

/// A line for each entry, and how to go on.
fn text(what: What, answer: &Answer) -> String {
    if what == What::Conversation {
        return entry(&answer.body);
    }
    let mut text = String::new();
    for one in list(&answer.body, "entries") {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", entry(one));
    }
    if text.is_empty() {
        text.push_str("none\n");
    }
    if let Some(next) = answer.body.get("next").filter(|next| !next.is_null()) {
        let _ = writeln!(text, "there are more: --after {}", word(next));
    }
    text
}

fn entry(entry: &Value) -> String {
    let Some(members) = entry.as_object() else { return word(entry) };
    let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    let mut members: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
    members.sort_by_key(|(name, _)| place(name));
    let words = members.iter().map(|(name, value)| match (name.as_str(), value) {
        ("user", user) => word(user),
        ("by", Value::Object(by)) => format!("by {}", by.get("subject").map(word).unwrap_or_default()),
        (name, value) => format!("{} {}", line(name), word(value)),
    });
    words.collect::<Vec<_>>().join(", ")
}
