//! Files of cases that a policy is held to.

use std::path::Path;

use serde_json::{Map, Value, json};
use toml::de::DeValue;

use super::file::{ConfigFile, THE_FILE};
use super::reader::{ConfigItem, Section};
use super::{Report, parse, source};
use crate::model::Millis;

/// A request, and what is expected of the policy.
#[derive(Clone, Debug)]
pub struct PolicyCase {
    /// What it is about.
    pub name: String,
    /// The line that it starts at, counted from 1.
    pub line: usize,
    /// Who calls.
    pub caller: CaseCaller,
    /// What roles the caller's token gives: `role` everywhere, or `scope=role`.
    pub roles: Vec<String>,
    /// Which authenticator vouches for the caller, if not the first that can.
    pub authenticator: Option<String>,
    /// The app's name.
    pub app: String,
    /// What is asked.
    pub action: String,
    /// For whom; for the caller, if it isn't said.
    pub client_id: Option<String>,
    /// Where.
    pub conv_id: Option<String>,
    /// Whom it touches.
    pub members: Option<Vec<String>>,
    /// What an Ably token is to be good for.
    pub capability: Option<Value>,
    /// What the server would find out about conversations: each as a backend would tell of it, or `"unknown"`.
    pub facts: Map<String, Value>,
    /// When; now, if it isn't said.
    pub at: Option<Millis>,
    /// Whether it should be allowed.
    pub allowed: bool,
    /// The rule that should decide.
    pub rule: Option<String>,
}

/// Who calls in a case.
#[derive(Clone, Debug)]
pub enum CaseCaller {
    /// A user of this name.
    User(String),
    /// A service of this id.
    Service(String),
}

/// Reads a file of cases.
///
/// # Errors
/// The report of every mistake in it.
pub fn cases(path: &Path) -> Result<Vec<PolicyCase>, Report> {
    let text = source(path, "this is the file of cases")?;
    let file = ConfigFile::new(path.display().to_string(), &text, false);
    let table = parse(&file, &text);
    let mut root = Section::root(&file, table.get_ref());
    let sections = root.sections("cases");
    if sections.is_empty() {
        file.missing(&THE_FILE, "there is no case", "add some: [[cases]] with name, as, app, action and expect");
    }
    let cases: Vec<PolicyCase> = sections.into_iter().filter_map(|section| case(section, &text)).collect();
    root.finish();
    if file.has_mistakes() { Err(Report::new(file.into_problems())) } else { Ok(cases) }
}

fn case(mut section: Section<'_>, text: &str) -> Option<PolicyCase> {
    let line = text.get(..section.span.start).map_or(0, |before| before.matches('\n').count()) + 1;
    let name = word(section.need("name", "write what the case is about"));
    let caller = caller(&mut section);
    let app = word(section.need("app", "write the app's name in the configuration"));
    let action = word(section.need("action", "write what is asked: action = \"invite\""));
    let expected = section.need("expect", "write expect = \"allow\" or \"deny\"");
    let allowed = expected.and_then(|item| item.word(&[("allow", true), ("deny", false)]));
    let mut optional = |key| section.get(key).and_then(|item| item.text().map(str::to_owned));
    let [authenticator, client_id, conv_id, rule] =
        ["authenticator", "client_id", "conv_id", "rule"].map(&mut optional);
    let roles = section.get("roles").and_then(|item| texts(&item)).unwrap_or_default();
    let members = section.get("members").and_then(|item| texts(&item));
    let capability = section.get("capability").and_then(|item| capability(&item));
    let facts = section.get("facts").map_or(Some(Map::new()), |item| facts(&item));
    let at = section.get("at").and_then(|item| item.time());
    section.finish();
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
    item?.filled().map(str::to_owned)
}

fn caller(section: &mut Section<'_>) -> Option<CaseCaller> {
    match (section.get("as"), section.get("service")) {
        (Some(_), Some(service)) => {
            service.refuse("stands beside `as`", "a case has one caller: leave one of them out")
        }
        (Some(user), None) => user.filled().map(|user| CaseCaller::User(user.to_owned())),
        (None, Some(service)) => service.filled().map(|id| CaseCaller::Service(id.to_owned())),
        (None, None) => {
            section.need("as", "write who calls: as = \"tom\" for a user, or service = \"orders\"");
            None
        }
    }
}

/// A list of texts, which may be empty and hold one twice: cases are about such requests, too.
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

/// As JSON has it: texts, and lists and tables of them.
fn json(item: &ConfigItem<'_>) -> Option<Value> {
    match item.value {
        DeValue::Array(_) => item.elements("")?.iter().map(json).collect::<Option<Vec<_>>>().map(Value::from),
        DeValue::Table(_) => facts(item).map(Value::from),
        _ => item.text().map(Value::from),
    }
}
