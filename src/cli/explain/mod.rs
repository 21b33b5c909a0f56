//! `explain`: shows the decision of the policy and its reasons: the roles of the users, the bans, mutes and blocks, and
//! for each rule the conditions that did not hold.

mod audit_line;
mod caller_arguments;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::ArgPredicate;
use clap::{ArgGroup, Command};
use hyper::Method;
use serde_json::{Map, Value, json};

use super::common::{CommandError, CommonArguments, escape_line, exit_code, parse_time, print_error};
use super::facts::{self, GivenFacts};
use super::moderate::{ServerArguments, ServerRequest, check_status};
use super::request_args::{MemberList, RequestArguments, SigningTime};
use super::store;
use crate::clock;
use crate::engine::RuntimeData;
use crate::model::Millis;
use crate::moderation::CommandCheck;
use crate::moderation::api::{ModerationParameters, ModerationResource};
use audit_line::LoggedRequest;
use caller_arguments::CallerArguments;

/// `explain`'s own arguments.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("who").required(true))]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: RequestArguments,
    /// Accepted, so that you can reuse the arguments of `sign`. They do not influence the policy.
    #[command(flatten)]
    _moment: SigningTime,
    #[command(flatten)]
    who: CallerArguments,
    /// The time of the decision: 2027-01-01T00:00:00Z, or milliseconds since 1970. Default: now.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Millis>,
    /// A JSON file with the facts that the server would get by [facts]: {"CONVERSATION": {"kind": …, "owner": …,
    /// "roles": {"USER": "ROLE"}}}.
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    facts: Option<PathBuf>,
    /// A file with moderation entries, as `store export` writes it. They count instead of the entries in the store.
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    entries: Option<PathBuf>,
    /// Start from the audit line with this request_id, in place of APP, ACTION and the caller.
    #[arg(long, value_name = "ID", group = "who", requires = "audit")]
    request: Option<String>,
    /// The audit log with this line.
    #[arg(long, value_name = "FILE", requires = "request")]
    audit: Option<PathBuf>,
    /// The server to ask, with --server. It has the current entries, and it asks for facts.
    #[command(flatten)]
    server: ServerArguments,
}

/// Lets `--request` replace the app and the action.
pub(super) fn make_positional_optional(command: Command) -> Command {
    let optional = |command: Command, name: &'static str| {
        command.mut_arg(name, |argument| {
            argument.required(false).required_unless_present("request").default_value_if(
                "request",
                ArgPredicate::IsPresent,
                "",
            )
        })
    };
    optional(optional(command, "app"), "action")
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let logged = arguments.logged_request()?;
    if let Some(action) = logged.as_ref().and_then(|line| line.lone_action.as_deref()) {
        print_lone_action_note(action);
    }
    let (asked, who) = logged.as_ref().map_or((&arguments.asked, &arguments.who), |line| (&line.asked, &line.who));
    let at = arguments.at.or(logged.as_ref().map(|line| line.at));
    let decided = if arguments.server.is_named() {
        ask_server(common, arguments, asked, who, at)?
    } else {
        explain(common, arguments, asked, who, at.unwrap_or_else(clock::now))?
    };
    common.print(|| report::text(&decided), || decided.to_string())?;
    Ok(exit_code(decided["allowed"] == true))
}

fn print_lone_action_note(action: &str) {
    let action = escape_line(action);
    print_error(&format!(
        "note: the audit line does not have the complete request: this explains the action {action} alone"
    ));
}

/// Explains the decision with the files of the configuration and with the store.
fn explain(
    common: &CommonArguments,
    arguments: &Arguments,
    asked: &RequestArguments,
    who: &CallerArguments,
    at: Millis,
) -> Result<Value, CommandError> {
    let settings = common.settings()?;
    let engine = &settings.engine;
    let app = asked.app(&engine.apps)?;
    let (caller, notes) = who.caller(engine, &asked.app, at)?;
    for note in notes {
        print_error(&format!("note: {}", escape_line(&note)));
    }
    let signing_request = asked.signing_request(app, &caller)?;
    for part in &signing_request.left_out {
        print_error(&format!("note: {} cannot be requested and is left out", escape_line(part)));
    }
    let facts = arguments.facts.as_deref().map_or(Ok(Map::new()), facts::read)?;
    let index = store::moderation(&settings, arguments.entries.as_deref())?;
    let moderation = index.entries();
    let given =
        GivenFacts::select(&facts, engine, &signing_request, &caller, moderation, at).map_err(CommandError::Failed)?;
    print_facts_notes(&facts, &given);
    let data = RuntimeData { moderation, facts: &given.facts };
    let steps = engine.explain(&signing_request, &caller, data, at);
    let decided = engine.decide(signing_request, caller, data, at);
    Ok(CommandCheck::run(engine, &decided, &index, &given.facts).json(&decided, &steps))
}

/// Asks a running server for the explanation. It has the current entries, and it asks for facts.
fn ask_server(
    common: &CommonArguments,
    arguments: &Arguments,
    asked: &RequestArguments,
    who: &CallerArguments,
    at: Option<Millis>,
) -> Result<Value, CommandError> {
    let parameters = ModerationParameters {
        user: who.user.clone(),
        service: who.service.clone(),
        authenticator: who.authenticator.clone(),
        roles: (!who.roles.is_empty()).then(|| who.roles.join(",")),
        app: Some(asked.app.clone()),
        action: Some(asked.action.clone()),
        client: asked.client_id.clone(),
        conversation: asked.conv_id.clone(),
        members: asked.members.as_ref().map(|MemberList(members)| json!(members).to_string()),
        capability: asked.capability.clone(),
        fields: asked.further_fields()?,
        at: at.map(|at| at.to_string()),
        ..ModerationParameters::default()
    };
    let request = ServerRequest { method: Method::GET, resource: ModerationResource::Explain, parameters };
    let answer = arguments.server.ask(common, &request)?;
    check_status(common, &answer)?;
    print_error(
        "note: the server does not know the token of the caller, whose claims and roles can change the decision",
    );
    Ok(answer.body)
}

impl Arguments {
    /// Reads the request from the audit log, if the arguments name one.
    fn logged_request(&self) -> Result<Option<LoggedRequest>, CommandError> {
        match (&self.request, &self.audit) {
            (Some(id), Some(file)) => audit_line::find(file, id).map(Some),
            _ => Ok(None),
        }
    }
}

/// Prints notes about missing facts that the server would ask for, and about given facts that it would not ask for.
fn print_facts_notes(facts: &Map<String, Value>, given: &GivenFacts) {
    for conversation in given.missing.iter().map(|name| escape_line(name)) {
        print_error(&format!("note: the server would ask for facts about {conversation}; give them with --facts"));
    }
    if !facts.is_empty() && given.facts.is_empty() && given.missing.is_empty() {
        print_error("note: the decision does not depend on facts: the server would not ask for them");
    }
}
