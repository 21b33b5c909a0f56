//! The text of a rule in TOML, as it can stand in the policy file.

use serde_json::{Value, json};

use crate::model::{Action, ActionSet, CallerKind, ConversationKind, Role, RoleHierarchy, Template};
use crate::policy::{ClientCondition, Rule, TargetCondition};

/// Returns the table of a rule.
pub(super) fn rule_text<'a>(rule: &'a Rule, role_hierarchy: &'a RoleHierarchy) -> String {
    let roles = |roles: Option<&'a [Role]>| list(roles, |role| role_hierarchy.name(*role));
    let client = |client| match client {
        ClientCondition::Itself => "self",
        ClientCondition::Anyone => "any",
    };
    let lines = [
        ("id", Some(text(&rule.id))),
        ("effect", Some(text(rule.effect.as_str()))),
        ("actions", Some(actions(rule.actions))),
        ("callers", list(rule.callers.as_deref(), |kind: &CallerKind| kind.as_str())),
        ("services", list(rule.services.as_deref(), String::as_str)),
        ("authenticators", list(rule.authenticators.as_deref(), String::as_str)),
        ("apps", list(rule.apps.as_deref(), String::as_str)),
        ("roles", roles(rule.roles.as_deref())),
        ("caller_roles", roles(rule.caller_roles.as_deref())),
        ("client", rule.client.map(|condition| text(client(condition)))),
        ("targets", rule.targets.map(TargetCondition::as_str).map(text)),
        ("kinds", list(rule.kinds.as_deref(), |kind: &ConversationKind| kind.as_str())),
        ("conversations", list(rule.conversations.as_deref(), Template::source)),
        ("max_members", rule.max_members.map(|number| number.to_string())),
        ("claims", (!rule.claims.is_empty()).then(|| claims(&rule.claims))),
        ("reason", rule.reason.as_deref().map(text)),
    ];
    let lines = lines.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}\n", value?)));
    format!("[[rules]]\n{}", lines.collect::<String>())
}

/// Returns a text in quotes. The escapes of JSON are also those of TOML.
fn text(text: &str) -> String {
    json!(text).to_string().replace('\u{7f}', "\\u007f")
}

fn list<'a, T>(items: Option<&'a [T]>, name: impl Fn(&'a T) -> &'a str) -> Option<String> {
    items.map(|items| format!("[{}]", items.iter().map(|item| text(name(item))).collect::<Vec<_>>().join(", ")))
}

/// Returns the list of actions, with `*` in place of those that it stands for.
fn actions(actions: ActionSet) -> String {
    let star = ActionSet::all_by_default();
    let has_star = actions.contains_all(star);
    let named = actions.iter().filter(|action| !has_star || !star.contains(*action)).map(Action::as_str);
    let words: Vec<String> = has_star.then_some("*").into_iter().chain(named).map(text).collect();
    format!("[{}]", words.join(", "))
}

fn claims(claims: &[(String, Value)]) -> String {
    let pairs = claims.iter().map(|(name, value)| match value.as_str() {
        Some(words) => format!("{} = {}", text(name), text(words)),
        None => format!("{} = {value}", text(name)),
    });
    format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
}
