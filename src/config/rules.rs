//! `[[rules]]` of `policy.toml`.

use std::collections::HashSet;

use serde_json::Value;
use toml::de::DeValue;

use super::policy_names::PolicyNames;
use super::reader::{ConfigItem, Section, nearest, quoted};
use super::report::ByteRange;
use super::text::{identifier, warn_of_regular_expression};
use crate::model::{Action, ActionSet, CallerKind, ConversationKind, Role, Template, check_text};
use crate::policy::{ClientCondition, Effect, Rule, TargetCondition};

/// Values of the rule label in metrics that mean that no rule decided.
const RESERVED_METRIC_LABELS: [&str; 6] = ["none", "default", "ban", "mute", "block", "unknown-conversation"];

/// Reads all rules, and adds the place of each to `places`.
pub(super) fn rules(root: &mut Section<'_>, names: &PolicyNames<'_>, places: &mut Vec<ByteRange>) -> Vec<Rule> {
    let mut ids = HashSet::new();
    let mut rules = Vec::new();
    if !root.contains_key("rules") {
        let help = "add [[rules]] with id, effect and actions";
        root.file.warning(&root.span, "there is no rule, so nothing is allowed", help);
    }
    for section in root.sections("rules") {
        let place = section.span.clone();
        if let Some(rule) = rule(section, names, &mut ids) {
            rules.push(rule);
            places.push(place);
        }
    }
    rules
}

fn rule<'a>(mut section: Section<'a>, names: &PolicyNames<'_>, ids: &mut HashSet<&'a str>) -> Option<Rule> {
    let id = id(&mut section, ids);
    let effect = section.require("effect", "write effect = \"allow\" or effect = \"deny\"");
    let effect = effect.and_then(|item| item.keyword(&[("allow", Effect::Allow), ("deny", Effect::Deny)]));
    let actions = section.require("actions", "list them: actions = [\"join\"]; or all: actions = [\"*\"]");
    let actions = actions.and_then(|item| self::actions(&item));

    let mut rule = Rule::new(id.unwrap_or_default(), effect.unwrap_or(Effect::Deny), actions.unwrap_or_default());
    caller_conditions(&mut section, names, &mut rule);
    request_conditions(&mut section, names, &mut rule);
    rule.reason = section.get("reason").and_then(|item| reason(&item));
    if effect.is_some() {
        check_combinations(&mut section, &rule);
    }
    section.report_unknown_keys();
    (id.is_some() && effect.is_some() && actions.is_some()).then_some(rule)
}

/// Reads the id of the rule, which must be unique.
fn id<'a>(section: &mut Section<'a>, ids: &mut HashSet<&'a str>) -> Option<&'a str> {
    let item = section.require("id", "write an id, which answers, logs and tests show: id = \"owners-kick\"")?;
    let id = item.non_empty_text()?;
    if id.len() > 64 || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return item.mistake(format!("can't be {}", quoted(id)), "use at most 64 letters, digits, `-`, `_` and `.`");
    }
    if !ids.insert(id) {
        return item.mistake(format!("is already {} for another rule", quoted(id)), "give each rule its own id");
    }
    if RESERVED_METRIC_LABELS.contains(&id) {
        let message = format!("in metrics, this rule looks like {}, which means that no rule decided", quoted(id));
        item.file.warning(&item.span, message, "give the rule another id");
    }
    Some(id)
}

fn actions(item: &ConfigItem<'_>) -> Option<ActionSet> {
    let has_star = item.list()?.iter().any(|item| item.value.as_str() == Some("*"));
    let actions = if has_star {
        item.read_unique_list(star_or_excluded_action)?
    } else {
        vec![item.read_unique_list(action)?.into_iter().collect()]
    };
    Some(actions.into_iter().flat_map(ActionSet::iter).collect())
}

/// Reads an item of a list that has "*": "*" itself, or an action that "*" leaves out.
fn star_or_excluded_action(item: &ConfigItem<'_>) -> Option<ActionSet> {
    let star = ActionSet::all_by_default();
    if item.value.as_str() == Some("*") {
        return Some(star);
    }
    let action = action(item)?;
    if star.contains(action) {
        let left_out = Action::ALL.iter().filter(|action| !star.contains(**action));
        let left_out: Vec<String> = left_out.map(|action| quoted(action.as_str())).collect();
        let help = format!("leave it out; beside \"*\", only {} have an effect", left_out.join(", "));
        return item.mistake(format!("names {}, which \"*\" includes", quoted(action.as_str())), help);
    }
    Some(ActionSet::of(&[action]))
}

fn action(item: &ConfigItem<'_>) -> Option<Action> {
    let word = item.non_empty_text()?;
    Action::parse(word).or_else(|| {
        let help = match nearest(word, Action::ALL.iter().map(|action| action.as_str())) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => {
                "write an action such as \"join\" or \"kick\", an Ably operation such as \"publish\", or \"*\"".into()
            }
        };
        item.mistake(format!("names {}, which is not an action", quoted(word)), help)
    })
}

/// Reads the conditions on the caller and the user.
fn caller_conditions(section: &mut Section<'_>, names: &PolicyNames<'_>, rule: &mut Rule) {
    const KINDS: [(&str, CallerKind); 2] = [("user", CallerKind::User), ("service", CallerKind::Service)];
    rule.callers = section.get("callers").and_then(|item| item.read_unique_list(|item| item.keyword(&KINDS)));
    rule.services = section.get("services").and_then(|item| item.read_unique_list(service));
    rule.authenticators = section
        .get("authenticators")
        .and_then(|item| item.known_words("a configured authenticator", names.authenticators));
    rule.roles = section.get("roles").and_then(|item| roles(&item, names));
    rule.caller_roles = section.get("caller_roles").and_then(|item| roles(&item, names));
    let client = [("self", ClientCondition::Itself), ("any", ClientCondition::Anyone)];
    rule.client = section.get("client").and_then(|item| item.keyword(&client));
    rule.claims = section.get("claims").map(|item| claims(&item)).unwrap_or_default();
}

/// Reads the conditions on the requested action.
fn request_conditions(section: &mut Section<'_>, names: &PolicyNames<'_>, rule: &mut Rule) {
    rule.apps = section.get("apps").and_then(|item| item.known_words("a configured app", names.apps));
    let targets =
        [TargetCondition::Itself, TargetCondition::Others, TargetCondition::Outranked].map(|are| (are.as_str(), are));
    rule.targets = section.get("targets").and_then(|item| item.keyword(&targets));
    rule.kinds = section.get("kinds").and_then(|item| item.read_unique_list(kind));
    rule.conversations = section.get("conversations").and_then(|item| item.read_unique_list(template));
    let most = section.get("max_members").and_then(|item| item.integer(1..=100_000));
    rule.max_members = most.and_then(|most| usize::try_from(most).ok());
}

fn service(item: &ConfigItem<'_>) -> Option<String> {
    identifier(item, "write the id of an API key, or the subject of a service's token").map(str::to_owned)
}

fn roles(item: &ConfigItem<'_>, names: &PolicyNames<'_>) -> Option<Vec<Role>> {
    let words = item.known_words("one of this policy's roles", names.roles.names())?;
    words.iter().map(|word| names.roles.find(word)).collect()
}

/// Reads the kind of a conversation.
pub(super) fn kind(item: &ConfigItem<'_>) -> Option<ConversationKind> {
    item.keyword(&ConversationKind::ALL.map(|kind| (kind.as_str(), kind)))
}

fn template(item: &ConfigItem<'_>) -> Option<Template> {
    const HELP: &str = "write a name, \"ns:*\" or \"*\", with {client} or {claim:NAME} only as whole segments";
    let text = item.text()?;
    match Template::parse(text) {
        Ok(template) => {
            warn_of_regular_expression(item.file, &item.span, text);
            Some(template)
        }
        Err(flaw) => item.mistake(flaw, HELP),
    }
}

fn claims(item: &ConfigItem<'_>) -> Vec<(String, Value)> {
    let Some(section) = item.section("`claims`".to_owned()) else { return Vec::new() };
    let entries = section.entries();
    if entries.is_empty() {
        item.mistake::<()>("must not be empty", "name a claim and its value: claims = { tenant = \"acme\" }");
    }
    entries.iter().filter_map(|item| Some((item.name.to_owned(), claim_value(item)?))).collect()
}

/// Reads the value that a claim must have.
pub(super) fn claim_value(item: &ConfigItem<'_>) -> Option<Value> {
    match item.value {
        DeValue::String(text) => Some(Value::from(text.as_ref())),
        DeValue::Boolean(value) => Some(Value::from(*value)),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => Some(Value::from(number)),
            Err(_) => item.mistake("is out of range", "write a number of at most 63 bits, or a string"),
        },
        _ => item
            .wrong_type("a string, a whole number, or true or false", "write the one value that the claim must have"),
    }
}

/// Reads the reason that a denied caller gets: one line of at most 300 characters.
pub(super) fn reason(item: &ConfigItem<'_>) -> Option<String> {
    let text = item.non_empty_text()?;
    if let Err(flaw) = check_text(text) {
        return item.mistake(flaw.to_string(), "write one plain line; it is sent in answers and logs");
    }
    if text.chars().count() > 300 {
        return item
            .mistake("must be one line of at most 300 characters", "write less; it is sent in answers and logs");
    }
    Some(text.to_owned())
}

/// Checks the conditions that depend on each other.
fn check_combinations(section: &mut Section<'_>, rule: &Rule) {
    if rule.effect == Effect::Deny {
        refuse(section, "max_members", ALLOW_ONLY, ALLOW_ONLY_HELP);
        refuse(section, "claims", ALLOW_ONLY, ALLOW_ONLY_HELP);
    }
    check_trusted_authenticators(section, rule);
    let has_kind = |kind| rule.callers.as_ref().is_none_or(|kinds| kinds.contains(&kind));
    if !has_kind(CallerKind::Service) && rule.services.is_some() {
        let help = "write callers = [\"service\"], or leave `callers` out";
        refuse(section, "services", "can never match, as `callers` names no services", help);
    }
    if rule.effect == Effect::Allow && has_kind(CallerKind::User) && rule.services.is_none() {
        check_user_permissions(section, rule);
    }
}

const ALLOW_ONLY: &str = "is for allow rules only";
const ALLOW_ONLY_HELP: &str = "write an allow rule with this condition: requests that no rule allows are denied";

/// Checks that a rule does not allow users what only services may do.
fn check_user_permissions(section: &mut Section<'_>, rule: &Rule) {
    if rule.client() == ClientCondition::Anyone && section.get("caller_roles").is_none() {
        let help = "add caller_roles = [\"…\"] for the users that may act for others, or callers = [\"service\"]";
        refuse(section, "client", "would let every user act as anyone", help);
    }
    let only = ActionSet::SERVICES_ONLY.intersection(rule.actions);
    if let Some(action) = only.iter().next() {
        let help = "add callers = [\"service\"], or services = [\"…\"] for the services that may do this";
        let flaw = format!("names {} for users too, but it is only for services", quoted(action.as_str()));
        refuse(section, "actions", &flaw, help);
    }
}

/// Checks that a rule with conditions on claims names the trusted authenticators.
fn check_trusted_authenticators(section: &mut Section<'_>, rule: &Rule) {
    const HELP: &str = "add authenticators = [\"…\"]: the authenticators whose tokens are trusted";
    if section.get("authenticators").is_some() {
        return;
    }
    if !rule.claims.is_empty() {
        refuse(section, "claims", "needs `authenticators` beside it", HELP);
    }
    let filled = rule.conversations.iter().flatten().any(|template| template.source().contains("{claim:"));
    if filled && rule.effect == Effect::Allow {
        refuse(section, "conversations", "needs `authenticators` beside it for its {claim:…}", HELP);
    }
}

fn refuse(section: &mut Section<'_>, key: &'static str, flaw: &str, help: &str) {
    if let Some(item) = section.get(key) {
        item.mistake::<()>(flaw, help);
    }
}
