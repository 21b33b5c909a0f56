//! `test`: tests the policy with the cases in a file.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::caller::AssumedCaller;
use super::common::{CommandError, CommonArguments, escape_line, exit_code};
use super::facts::GivenFacts;
use super::moderation_check::ModerationCheck;
use super::request_args::{MemberList, RequestArguments};
use crate::clock;
use crate::config::{self, CaseCaller, PolicyCase};
use crate::engine::{DecidedRequest, Engine, RuntimeData};
use crate::model::{CallerKind, Millis};
use crate::moderation::ModerationIndex;
use crate::policy::Permit;
use crate::vendor::ably::Capability;

/// `test`'s own arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = FORMAT)]
pub(super) struct Arguments {
    /// The file with the cases.
    file: PathBuf,
}

const FORMAT: &str = "\
A case:
  [[cases]]
  name = \"a manager cannot remove the owner\"
  as = \"bob\"                       # or service = \"orders\"
  roles = [\"chat:*=moderator\"]     # optional: roles that the caller's token gives
  app = \"leancloud\"
  action = \"kick\"
  conv_id = \"5f3c2a1b9e8d7c6b5a493827\"
  members = [\"alice\"]
  expect = \"deny\"                  # or \"allow\": the whole request is allowed
  rule = \"managers-kick\"           # optional: the rule that decides
Also: client_id, capability (a table), authenticator, at (a date and time), and the facts
that the server would ask for: facts = { CONVERSATION = { roles = { USER = \"ROLE\" } } }.";

/// The outcome of a case: the decision in a sentence, and the flaw if the case failed.
struct CaseOutcome<'c> {
    case: &'c PolicyCase,
    decision: Option<String>,
    failure: Option<String>,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let settings = common.settings()?;
    let cases = config::read_cases(&arguments.file)
        .map_err(|report| CommandError::Invalid(report.render(io::stderr().is_terminal())))?;
    let now = clock::now();
    let outcomes: Vec<CaseOutcome<'_>> = cases.iter().map(|case| run_case(&settings.engine, case, now)).collect();
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    let passed = outcomes.len() - failed;
    let json = || {
        let cases: Value = outcomes.iter().map(CaseOutcome::json).collect();
        json!({ "passed": passed, "failed": failed, "cases": cases }).to_string()
    };
    common.print(|| text(arguments, &outcomes) + &format!("{passed} passed, {failed} failed"), json)?;
    Ok(exit_code(failed == 0))
}

/// Formats a few lines for each case that failed.
fn text(arguments: &Arguments, outcomes: &[CaseOutcome<'_>]) -> String {
    let mut text = String::new();
    for CaseOutcome { case, decision, failure: flaw } in outcomes {
        let Some(flaw) = flaw else { continue };
        // Writing to a string does not fail.
        let file = arguments.file.display().to_string();
        let _ = writeln!(
            text,
            "✗ {} ({}:{}): {}",
            escape_line(&case.name),
            escape_line(&file),
            case.line,
            escape_line(flaw)
        );
        if let Some(decision) = decision {
            let _ = writeln!(text, "  {}", escape_line(decision));
        }
    }
    text
}

fn run_case<'c>(engine: &Engine, case: &'c PolicyCase, now: Millis) -> CaseOutcome<'c> {
    match decide_case(engine, case, now) {
        Ok((decided, moderated, notes)) => {
            let flaw = find_flaw(case, &decided, &moderated).map(|flaw| [vec![flaw], notes].concat().join("; "));
            CaseOutcome { case, decision: Some(moderated.sentence(&decided)), failure: flaw }
        }
        Err(flaw) => {
            CaseOutcome { case, decision: None, failure: Some(format!("the request is not possible: {flaw}")) }
        }
    }
}

fn decide_case(
    engine: &Engine,
    case: &PolicyCase,
    now: Millis,
) -> Result<(DecidedRequest, ModerationCheck, Vec<String>), String> {
    let (kind, subject) = match &case.caller {
        CaseCaller::User(name) => (CallerKind::User, name),
        CaseCaller::Service(id) => (CallerKind::Service, id),
    };
    let asked = request_arguments(case);
    let plain = |stop: CommandError| stop.message().to_owned();
    let app = asked.app(&engine.apps).map_err(plain)?;
    let supposed = AssumedCaller { kind, subject, authenticator: case.authenticator.as_deref(), roles: &case.roles };
    let (caller, notes) = supposed.build(engine, &case.app)?;
    let signing_request = asked.signing_request(app, &caller).map_err(plain)?;
    let at = case.at.unwrap_or(now);
    let index = ModerationIndex::default();
    let moderation = index.entries();
    let given = GivenFacts::select(&case.facts, engine, &signing_request, &caller, moderation, at)?;
    if let Some(conversation) = given.missing.first() {
        return Err(format!("it depends on the facts about {conversation}: add them to the case, as `facts`"));
    }
    let decided = engine.decide(signing_request, caller, RuntimeData { moderation, facts: &given.facts }, at);
    let moderated = ModerationCheck::run(engine, &decided, &index, &given.facts);
    Ok((decided, moderated, notes))
}

fn request_arguments(case: &PolicyCase) -> RequestArguments {
    RequestArguments {
        app: case.app.clone(),
        action: case.action.clone(),
        client_id: case.client_id.clone(),
        conv_id: case.conv_id.clone(),
        members: case.members.clone().map(MemberList),
        capability: case.capability.as_ref().map(Value::to_string),
        ttl: None,
    }
}

/// Returns how the outcome differs from the expectation. A capability that is granted in part is neither allowed nor
/// denied.
fn find_flaw(case: &PolicyCase, decided: &DecidedRequest, moderated: &ModerationCheck) -> Option<String> {
    let partly = |permit: &Permit| {
        Capability::from_grants(permit.granted()) != Capability::from_grants(&decided.request.requested_grants)
    };
    if !moderated.is_allowed() {
        return if case.allowed { Some("it should be allowed".to_owned()) } else { check_rule(case, None) };
    }
    match (&decided.outcome, case.allowed) {
        (Ok(permit), _) if partly(permit) => Some("it is allowed in part".to_owned()),
        (Ok(_), false) => Some("it should be denied".to_owned()),
        (Err(_), true) => Some("it should be allowed".to_owned()),
        (Ok(permit), true) => check_rule(case, permit.rules().iter().map(String::as_str)),
        (Err(denial), false) => check_rule(case, denial.rule()),
    }
}

fn check_rule<'r>(case: &PolicyCase, rules: impl IntoIterator<Item = &'r str>) -> Option<String> {
    let expected = case.rule.as_deref()?;
    let rules: Vec<&str> = rules.into_iter().collect();
    (!rules.contains(&expected)).then(|| format!("rule {expected} should decide it"))
}

impl CaseOutcome<'_> {
    fn json(&self) -> Value {
        json!({
            "name": self.case.name,
            "line": self.case.line,
            "passed": self.failure.is_none(),
            "decision": self.decision,
            "flaw": self.failure,
        })
    }
}
