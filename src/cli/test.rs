//! `test`: tests the policy with the cases in a file.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::common::{CommandError, CommonArguments, escape_line, exit_code, render_report};
use super::facts::GivenFacts;
use super::request_args::{MemberList, RequestArguments};
use crate::clock;
use crate::config::{self, CaseCaller, PolicyCase};
use crate::engine::{AssumedCaller, DecidedRequest, Engine, RuntimeData};
use crate::model::{CallerKind, Millis};
use crate::moderation::{CommandCheck, ModerationIndex};
use crate::policy::{DenyReason, Explanation, Permit};
use crate::vendor::Capability;

/// `test`'s own arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = FORMAT)]
pub(super) struct Arguments {
    /// The file with the cases.
    file: PathBuf,
    /// Also list the rules that decide nothing in any case.
    #[arg(long)]
    coverage: bool,
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
that the server would ask for: facts = { CONVERSATION = { roles = { USER = \"ROLE\" } } }.

Examples:
  chat-signer test cases.toml
  chat-signer test cases.toml --coverage";

/// The outcome of a case: the decision in a sentence, and the flaw if the case failed.
struct CaseOutcome<'c> {
    case: &'c PolicyCase,
    decision: Option<String>,
    failure: Option<String>,
    /// The failed conditions of the rules that the case is about.
    unmet_conditions: Vec<String>,
    /// The rules that decide in the case.
    rules: Vec<String>,
}

impl<'c> CaseOutcome<'c> {
    /// Returns the outcome of a case whose request cannot be decided.
    fn impossible(case: &'c PolicyCase, flaw: &str) -> CaseOutcome<'c> {
        let failure = Some(format!("the request is not possible: {flaw}"));
        CaseOutcome { case, decision: None, failure, unmet_conditions: Vec::new(), rules: Vec::new() }
    }
}

/// A decided case.
struct DecidedCase {
    decided: DecidedRequest,
    moderated: CommandCheck,
    /// Assumptions of the case that have no effect.
    notes: Vec<String>,
    steps: Vec<Explanation>,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let settings = common.settings()?;
    let cases = config::read_cases(&arguments.file).map_err(|report| CommandError::Invalid(render_report(&report)))?;
    let now = clock::now();
    let outcomes: Vec<CaseOutcome<'_>> = cases.iter().map(|case| run_case(&settings.engine, case, now)).collect();
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    let passed = outcomes.len() - failed;
    let uncovered = arguments.coverage.then(|| uncovered_rules(&settings.engine, &outcomes));
    let json = || json(&outcomes, passed, failed, uncovered.as_deref());
    let summary = || format!("{passed} passed, {failed} failed{}", describe_coverage(uncovered.as_deref()));
    common.print(|| text(arguments, &outcomes) + &summary(), json)?;
    Ok(exit_code(failed == 0))
}

/// Formats the outcomes for programs.
fn json(outcomes: &[CaseOutcome<'_>], passed: usize, failed: usize, uncovered: Option<&[&str]>) -> String {
    let cases: Value = outcomes.iter().map(CaseOutcome::json).collect();
    let mut json = json!({ "passed": passed, "failed": failed, "cases": cases });
    if let Some(rules) = uncovered {
        json["uncovered_rules"] = json!(rules);
    }
    json.to_string()
}

/// Returns the ids of the rules that decide nothing in any case, in the order of the file.
fn uncovered_rules<'e>(engine: &'e Engine, outcomes: &[CaseOutcome<'_>]) -> Vec<&'e str> {
    let covered: BTreeSet<&str> = outcomes.iter().flat_map(|outcome| &outcome.rules).map(String::as_str).collect();
    let rules = engine.policy.document().rules.iter().map(|rule| rule.id.as_str());
    rules.filter(|id| !covered.contains(id)).collect()
}

fn describe_coverage(uncovered: Option<&[&str]>) -> String {
    match uncovered {
        None => String::new(),
        Some([]) => "\nevery rule decides in some case".to_owned(),
        Some(rules) => format!("\nrules that decide in no case: {}", rules.join(", ")),
    }
}

/// Formats a few lines for each case that failed.
fn text(arguments: &Arguments, outcomes: &[CaseOutcome<'_>]) -> String {
    let mut text = String::new();
    for CaseOutcome { case, decision, failure, unmet_conditions, .. } in outcomes {
        let Some(flaw) = failure else { continue };
        let file = arguments.file.display().to_string();
        let (name, file, flaw) = (escape_line(&case.name), escape_line(&file), escape_line(flaw));
        // Writing to a string does not fail.
        let _ = writeln!(text, "✗ {name} ({file}:{}): {flaw}", case.line);
        for line in decision.iter().chain(unmet_conditions) {
            let _ = writeln!(text, "  {}", escape_line(line));
        }
    }
    text
}

fn run_case<'c>(engine: &Engine, case: &'c PolicyCase, now: Millis) -> CaseOutcome<'c> {
    match decide_case(engine, case, now) {
        Ok(done) => {
            let flaw = find_flaw(engine, case, &done);
            CaseOutcome {
                case,
                decision: Some(done.moderated.sentence(&done.decided)),
                unmet_conditions: if flaw.is_some() { unmet_conditions(case, &done.steps) } else { Vec::new() },
                failure: flaw.map(|flaw| [vec![flaw], done.notes].concat().join("; ")),
                rules: done.steps.iter().flat_map(deciding_rules).map(str::to_owned).collect(),
            }
        }
        Err(flaw) => CaseOutcome::impossible(case, &flaw),
    }
}

/// Returns the rules that allow or deny an action.
fn deciding_rules(step: &Explanation) -> Vec<&str> {
    match &step.outcome {
        Ok(rules) => rules.iter().map(String::as_str).collect(),
        Err(denial) => match &denial.reason {
            DenyReason::Rule { id, .. } => vec![id],
            DenyReason::Banned { .. }
            | DenyReason::TargetBanned { .. }
            | DenyReason::Muted { .. }
            | DenyReason::TargetBlocksConversation { .. }
            | DenyReason::BlockedByConversation { .. }
            | DenyReason::TargetBlockedByConversation { .. }
            | DenyReason::UnknownConversation
            | DenyReason::NoRuleMatched { .. } => Vec::new(),
        },
    }
}

/// Returns a line for each failed condition of the rule that should decide the case. If the case names no rule, this is
/// the rule that came nearest to allowing a denied action.
fn unmet_conditions(case: &PolicyCase, steps: &[Explanation]) -> Vec<String> {
    let mut lines = Vec::new();
    for step in steps {
        let nearest = step.outcome.as_ref().err().and_then(|denial| denial.rule());
        let id = case.rule.as_deref().or(nearest);
        let rule = step.rules.iter().find(|rule| Some(rule.id.as_str()) == id);
        let place = step.conversation.as_ref().map(|place| format!(" in {place}")).unwrap_or_default();
        let line =
            |condition, needed| format!("{} for {}{place}: {condition}: {needed}", id.unwrap_or_default(), step.action);
        lines.extend(
            rule.into_iter()
                .flat_map(|rule| rule.failures(step.action))
                .map(|(condition, needed)| line(condition, needed)),
        );
    }
    lines
}

fn decide_case(engine: &Engine, case: &PolicyCase, now: Millis) -> Result<DecidedCase, String> {
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
    let data = RuntimeData { moderation, facts: &given.facts };
    let steps = engine.explain(&signing_request, &caller, data, at);
    let decided = engine.decide(signing_request, caller, data, at);
    let moderated = CommandCheck::run(engine, &decided, &index, &given.facts);
    Ok(DecidedCase { decided, moderated, notes, steps })
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
        fields: Vec::new(),
    }
}

/// Returns how the outcome differs from the expectation. A capability that is granted in part is neither allowed nor
/// denied.
fn find_flaw(engine: &Engine, case: &PolicyCase, done: &DecidedCase) -> Option<String> {
    let DecidedCase { decided, moderated, .. } = done;
    let partly = |permit: &Permit| {
        Capability::from_grants(permit.granted()) != Capability::from_grants(&decided.request.requested_grants)
    };
    if !moderated.is_allowed() {
        return if case.allowed { Some("it should be allowed".to_owned()) } else { check_rule(engine, case, None) };
    }
    match (&decided.outcome, case.allowed) {
        (Ok(permit), _) if partly(permit) => Some("it is allowed in part".to_owned()),
        (Ok(_), false) => Some("it should be denied".to_owned()),
        (Err(_), true) => Some("it should be allowed".to_owned()),
        (Ok(permit), true) => check_rule(engine, case, permit.rules().iter().map(|rule| &**rule)),
        (Err(denial), false) => check_rule(engine, case, denial.rule()),
    }
}

fn check_rule<'r>(engine: &Engine, case: &PolicyCase, rules: impl IntoIterator<Item = &'r str>) -> Option<String> {
    let expected = case.rule.as_deref()?;
    if rules.into_iter().any(|rule| rule == expected) {
        return None;
    }
    let exists = engine.policy.document().rules.iter().any(|rule| rule.id == expected);
    Some(if exists {
        format!("rule {expected} should decide it")
    } else {
        format!("rule {expected} should decide it, but the policy has no such rule")
    })
}

impl CaseOutcome<'_> {
    fn json(&self) -> Value {
        json!({
            "name": self.case.name,
            "line": self.case.line,
            "passed": self.failure.is_none(),
            "decision": self.decision,
            "flaw": self.failure,
            "unmet_conditions": self.unmet_conditions,
        })
    }
}
