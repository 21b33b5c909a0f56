//! The text form of a decision and its reasons. It is made from the JSON form, which a server gives, too.

use std::fmt::Write as _;

use serde_json::Value;

/// Formats the decision in a sentence, then each required permission: the roles, the bans, mutes and blocks, and the
/// rules. Without the rules, formats the reasons that the server gives.
pub(super) fn text(decided: &Value) -> String {
    let mut text = match decided.get("decision").and_then(Value::as_str) {
        Some(sentence) => format!("{sentence}\n"),
        None => reasons(decided),
    };
    let steps = list(decided, "steps");
    for step in steps {
        // Writing to a string does not fail.
        let _ = writeln!(text, "\n{}", format_headline(step, steps.len() == 1));
        let roles: Vec<String> = list(step, "standings").iter().map(|role| word(role).to_owned()).collect();
        write_list(&mut text, "roles", &roles);
        let considered: Vec<String> = list(step, "considered").iter().map(format_considered_entry).collect();
        write_list(&mut text, "bans, mutes and blocks", &considered);
        write_rules(&mut text, step);
    }
    text
}

/// Formats the answer of a server to somebody who may not see the rules.
fn reasons(decided: &Value) -> String {
    let allowed = if is_true(decided, "allowed") { "allowed" } else { "denied" };
    let place = member(decided, "conversation").map(|place| format!(" in {place}")).unwrap_or_default();
    let mut text = format!("{allowed}: {}{place}\n", member(decided, "action").unwrap_or_default());
    for reason in list(decided, "words") {
        let details = ["user", "conversation", "until", "by", "reason"];
        let details = details.into_iter().filter_map(|name| Some(format!("{name} {}", member(reason, name)?)));
        let details = details.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "  {}: {details}", member(reason, "say").unwrap_or_default());
    }
    text.push_str("The server shows the rules to callers who may do `read-decisions`.\n");
    text
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_true(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or_default()
}

/// Formats the headline of one required permission. If there are several, it includes the reason.
fn format_headline(step: &Value, alone: bool) -> String {
    let action = member(step, "action").unwrap_or_default();
    let place = member(step, "conversation").map(|place| format!(" in {place}")).unwrap_or_default();
    let mark = if is_true(step, "allowed") { '✓' } else { '✗' };
    let reason = match (alone, member(step, "why"), member(step, "rule")) {
        (true, ..) => String::new(),
        (false, Some(why), _) => format!(": denied, as {why}"),
        (false, None, rules) => format!(": allowed by {}", rules.unwrap_or_default()),
    };
    format!("{mark} {action}{place}{reason}")
}

fn format_considered_entry(entry: &Value) -> String {
    let mark = if is_true(entry, "counts") { '✗' } else { '·' };
    format!("{mark} {}", member(entry, "sentence").unwrap_or_default())
}

fn write_list(text: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(text, "  {title}");
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
    }
}

/// Formats the rules about the action in the order of the file, then the names of the other rules.
fn write_rules(text: &mut String, step: &Value) {
    let action = member(step, "action").unwrap_or_default();
    let (about, others): (Vec<_>, Vec<_>) = list(step, "rules").iter().partition(|rule| is_true(rule, "applies"));
    let id = |rule: &&Value| member(rule, "id").unwrap_or_default().to_owned();
    let width = about.iter().map(|rule| id(rule).chars().count()).max().unwrap_or_default();
    let conditions = about.iter().flat_map(|rule| list(rule, "misses"));
    let column = conditions.filter_map(|miss| Some(member(miss, "condition")?.len())).max().unwrap_or_default();
    let lines: Vec<String> = about.iter().flat_map(|rule| rule_lines(rule, width, column)).collect();
    write_list(text, &format!("rules about {action}"), &lines);
    if about.is_empty() {
        let _ = writeln!(text, "  no rule is about {action}");
    }
    if !others.is_empty() {
        let ids: Vec<String> = others.iter().map(id).collect();
        let _ = writeln!(text, "  not about {action}: {}", ids.join(", "));
    }
}

/// Returns a line for each condition that did not hold, or one line if all conditions held.
fn rule_lines(rule: &Value, width: usize, column: usize) -> Vec<String> {
    let [effect, id] = ["effect", "id"].map(|name| member(rule, name).unwrap_or_default());
    if is_true(rule, "matches") {
        let mark = if effect == "allow" { '✓' } else { '✗' };
        return vec![format!("{mark} {effect:<5} {id:<width$}  matches")];
    }
    let first = std::iter::once(format!("· {effect:<5} {id:<width$}"));
    let heads = first.chain(std::iter::repeat(" ".repeat(width + 8)));
    let misses = list(rule, "misses").iter().map(|miss| {
        let [condition, needed] = ["condition", "needed"].map(|name| member(miss, name).unwrap_or_default());
        let spoiler = member(miss, "spoiler").map(|spoiler| format!("; {spoiler} spoils it")).unwrap_or_default();
        format!("{condition:<column$}  {needed}{spoiler}")
    });
    heads.zip(misses).map(|(head, miss)| format!("{head}  {miss}")).collect()
}
