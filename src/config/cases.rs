//! Files of test cases for a policy.

use std::path::Path;

use serde_json::{Map, Value, json};
use toml::de::DeValue;

use super::file::{ConfigFile, WHOLE_FILE};
use super::reader::{ConfigItem, Section};
use super::report::Report;
use super::source_files::read_text_file;
use crate::model::Millis;

/// A request and the expected decision of the policy.
#[derive(Clone, Debug)]
pub struct PolicyCase {
    /// The name of the case.
    pub name: String,
    /// The line where the case starts, counted from 1.
    pub line: usize,
    /// The caller.
    pub caller: CaseCaller,
    /// The roles in the token of the caller: `role` for all conversations, or `scope=role`.
    pub roles: Vec<String>,
    /// The name of the authenticator. `None`: the first authenticator that can accept the caller.
    pub authenticator: Option<String>,
    /// The app's name.
    pub app: String,
    /// The requested action.
    pub action: String,
    /// The user that the request is for. `None`: the caller.
    pub client_id: Option<String>,
    /// The conversation.
    pub conv_id: Option<String>,
    /// The users that the action affects.
    pub members: Option<Vec<String>>,
    /// The requested capability of an Ably token.
    pub capability: Option<Value>,
    /// The facts about conversations, by id: each in the format of a facts server, or `"unknown"`.
    pub facts: Map<String, Value>,
    /// The time of the request. `None`: now.
    pub at: Option<Millis>,
    /// Whether the policy must allow the request.
    pub allowed: bool,
    /// The id of the rule that must decide.
    pub rule: Option<String>,
}

/// The caller in a case.
#[derive(Clone, Debug)]
pub enum CaseCaller {
    /// A user with this id.
    User(String),
    /// A service with this id.
    Service(String),
}

/// Reads a file of test cases.
///
/// # Errors
/// Returns the report if the file has a mistake. The report has all mistakes.
pub fn read_cases(path: &Path) -> Result<Vec<PolicyCase>, Report> {
    let text = read_text_file(path, "the cases are in this file")?;
    let file = ConfigFile::new(path.display().to_string(), &text, false);
    let table = file.parse();
    let mut root = Section::root(&file, table.get_ref());
    let sections = root.sections("cases");
    if sections.is_empty() {
        file.missing(&WHOLE_FILE, "there is no case", "add some: [[cases]] with name, as, app, action and expect");
    }
    let cases: Vec<PolicyCase> = sections.into_iter().filter_map(|section| case(section, &text)).collect();
    root.report_unknown_keys();
    if file.has_mistakes() { Err(Report::new(file.into_problems())) } else { Ok(cases) }
}

fn case(mut section: Section<'_>, text: &str) -> Option<PolicyCase> {
    let line = text.get(..section.span.start).map_or(0, |before| before.matches('\n').count()) + 1;
    let name = word(section.require("name", "write a name for the case"));
    let caller = read_caller(&mut section);
    let app = word(section.require("app", "write the app's name in the configuration"));
    let action = word(section.require("action", "write the requested action: action = \"invite\""));
    let expected = section.require("expect", "write expect = \"allow\" or \"deny\"");
    let allowed = expected.and_then(|item| item.keyword(&[("allow", true), ("deny", false)]));
    let mut optional = |key| section.get(key).and_then(|item| item.text().map(str::to_owned));
    let [authenticator, client_id, conv_id, rule] =
        ["authenticator", "client_id", "conv_id", "rule"].map(&mut optional);
    let roles = section.get("roles").and_then(|item| texts(&item)).unwrap_or_default();
    let members = section.get("members").and_then(|item| texts(&item));
    let capability = section.get("capability").and_then(|item| capability(&item));
    let facts = section.get("facts").map_or(Some(Map::new()), |item| facts(&item));
    let at = section.get("at").and_then(|item| item.time());
    section.report_unknown_keys();
    Some(PolicyCase {
        name: name?,
        line,
        caller: caller?,
        roles,
        authenticator,
        app: app?,
        action: action?,
        client_id,
        conv_id,
        members,
        capability,
        facts: facts?,
        at,
        allowed: allowed?,
        rule,
    })
}

fn word(item: Option<ConfigItem<'_>>) -> Option<String> {
    item?.non_empty_text().map(str::to_owned)
}

fn read_caller(section: &mut Section<'_>) -> Option<CaseCaller> {
    match (section.get("as"), section.get("service")) {
        (Some(_), Some(service)) => {
            service.mistake("can't be used together with `as`", "a case has one caller: leave one of the two out")
        }
        (Some(user), None) => user.non_empty_text().map(|user| CaseCaller::User(user.to_owned())),
        (None, Some(service)) => service.non_empty_text().map(|id| CaseCaller::Service(id.to_owned())),
        (None, None) => {
            section.require("as", "write the caller: as = \"tom\" for a user, or service = \"orders\"");
            None
        }
    }
}

/// Reads a list of strings. It may be empty and may have a string twice, because test cases include such requests.
fn texts(item: &ConfigItem<'_>) -> Option<Vec<String>> {
    let elements = item.elements("write a list in brackets, as in [\"tom\"]")?;
    elements.iter().map(|element| element.text().map(str::to_owned)).collect()
}

fn capability(item: &ConfigItem<'_>) -> Option<Value> {
    let section = item.section("`capability`".to_owned())?;
    let channels = section.entries();
    let channels = channels.iter().map(|channel| Some((channel.name.to_owned(), json!(texts(channel)?))));
    channels.collect::<Option<Map<_, _>>>().map(Value::Object)
}

fn facts(item: &ConfigItem<'_>) -> Option<Map<String, Value>> {
    let section = item.section("`facts`".to_owned())?;
    section.entries().iter().map(|entry| Some((entry.name.to_owned(), json(entry)?))).collect()
}

/// Converts strings, and lists and tables of them, to JSON.
fn json(item: &ConfigItem<'_>) -> Option<Value> {
    match item.value {
        DeValue::Array(_) => item.elements("")?.iter().map(json).collect::<Option<Vec<_>>>().map(Value::from),
        DeValue::Table(_) => facts(item).map(Value::from),
        _ => item.text().map(Value::from),
    }
}
