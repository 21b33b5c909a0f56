//! `explain`: shows the decision of the policy and its reasons: the roles of the users, the bans, mutes and blocks, and
//! for each rule the conditions that did not hold.

mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgGroup;
use serde_json::{Map, Value};

use super::caller::{AssumedCaller, AssumedCallerWithNotes, identify_by_token};
use super::common::{CommandError, CommonArguments, escape_line, exit_code, print_error};
use super::facts::{self, GivenFacts};
use super::moderation_check::ModerationCheck;
use super::request_args::{RequestArguments, SigningTime};
use super::store;
use crate::clock;
use crate::engine::{DecidedRequest, Engine, RuntimeData};
use crate::model::{CallerKind, Millis, TimeError};
use crate::policy::Explanation;

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
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// A file with moderation entries, as `store export` writes it. They count instead of the entries in the store.
    #[arg(long, value_name = "FILE")]
    entries: Option<PathBuf>,
}

/// The arguments that describe the caller.
#[derive(Debug, clap::Args)]
struct CallerArguments {
    /// The name of the caller, if the caller is a user.
    #[arg(long = "as", value_name = "USER", group = "who")]
    user: Option<String>,
    /// The id of the caller, if the caller is a service.
    #[arg(long, value_name = "ID", group = "who")]
    service: Option<String>,
    /// A token of the caller. `explain` checks it and takes the caller from it.
    #[arg(long, value_name = "JWT", group = "who", conflicts_with_all = ["roles", "authenticator"])]
    token: Option<String>,
    /// Roles that the token of the caller gives: moderator, or chat:*=moderator.
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    roles: Vec<String>,
    /// The authenticator that identifies the caller. Default: the first that can.
    #[arg(long, value_name = "NAME")]
    authenticator: Option<String>,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let settings = common.settings()?;
    let engine = &settings.engine;
    let app = arguments.asked.app(&engine.apps)?;
    let at = arguments.at.unwrap_or_else(clock::now);
    let (caller, notes) = arguments.who.caller(engine, &arguments.asked.app, at)?;
    for note in notes {
        print_error(&format!("note: {}", escape_line(&note)));
    }
    let signing_request = arguments.asked.signing_request(app, &caller)?;
    let facts = arguments.facts.as_deref().map_or(Ok(Map::new()), facts::read)?;
    let index = store::moderation(&settings, arguments.entries.as_deref())?;
    let moderation = index.entries();
    let given =
        GivenFacts::select(&facts, engine, &signing_request, &caller, moderation, at).map_err(CommandError::Failed)?;
    print_facts_notes(&facts, &given);
    let world = RuntimeData { moderation, facts: &given.facts };
    let steps = engine.explain(&signing_request, &caller, world, at);
    let decided = engine.decide(signing_request, caller, world, at);
    let moderated = ModerationCheck::run(engine, &decided, &index, &given.facts);
    common.print(|| report::text(&decided, &moderated, &steps), || json(&decided, &moderated, &steps).to_string())?;
    Ok(exit_code(decided.outcome.is_ok() && moderated.is_allowed()))
}

fn json(decided: &DecidedRequest, moderated: &ModerationCheck, steps: &[Explanation]) -> Value {
    let mut json = decided.json(steps);
    if !moderated.is_allowed() {
        json["allowed"] = false.into();
        json["decision"] = moderated.sentence(decided).into();
        json["failed"] = moderated.json();
    }
    json
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

impl CallerArguments {
    fn caller(&self, engine: &Engine, app: &str, at: Millis) -> Result<AssumedCallerWithNotes, CommandError> {
        if let Some(token) = &self.token {
            let caller = identify_by_token(engine, token, app, at);
            return caller.map(|caller| (caller, Vec::new())).map_err(CommandError::Failed);
        }
        let (kind, subject) = match (&self.user, &self.service) {
            (_, Some(id)) => (CallerKind::Service, id),
            (Some(user), _) => (CallerKind::User, user),
            (None, None) => {
                return Err(CommandError::Usage("name the caller: --as USER, --service ID or --token JWT".to_owned()));
            }
        };
        let supposed =
            AssumedCaller { kind, subject, authenticator: self.authenticator.as_deref(), roles: &self.roles };
        supposed.build(engine, app).map_err(CommandError::Usage)
    }
}

/// Reads a point in time: RFC 3339, or milliseconds since the Unix epoch.
pub(super) fn parse_time(text: &str) -> Result<Millis, String> {
    if let Ok(millis) = text.parse() {
        return Ok(Millis(millis));
    }
    Millis::parse(text).map_err(|flaw| match flaw {
        TimeError::TooLate => format!("must not be after {}", Millis::LAST),
        TimeError::Invalid => "must be a time like 2027-01-01T00:00:00Z, or milliseconds since 1970".to_owned(),
    })
}
