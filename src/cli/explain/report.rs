//! The text form of a decision and its reasons.

use std::fmt::Write as _;

use super::super::moderation_check::ModerationCheck;
use crate::engine::{DecidedRequest, describe_denial};
use crate::policy::{ConsideredEntry, Effect, Explanation, RuleExplanation};

/// Formats the decision in a sentence, then each required permission: the roles, the bans, mutes and blocks, and the
/// rules.
pub(super) fn text(decided: &DecidedRequest, moderated: &ModerationCheck, steps: &[Explanation]) -> String {
    let mut text = format!("{}\n", moderated.sentence(decided));
    for step in steps {
        // Writing to a string does not fail.
        let _ = writeln!(text, "\n{}", format_headline(step, steps.len() == 1));
        write_list(&mut text, "roles", &step.standings);
        let considered: Vec<String> = step.considered.iter().map(format_considered_entry).collect();
        write_list(&mut text, "bans, mutes and blocks", &considered);
        write_rules(&mut text, step);
    }
    text
}

/// Formats the headline of one required permission. If there are several, it includes the reason.
fn format_headline(step: &Explanation, alone: bool) -> String {
    let place = step.conversation.as_ref().map(|place| format!(" in {place}")).unwrap_or_default();
    match &step.outcome {
        Ok(_) if alone => format!("✓ {}{place}", step.action),
        Err(_) if alone => format!("✗ {}{place}", step.action),
        Ok(rules) => format!("✓ {}{place}: allowed by {}", step.action, rules.join(", ")),
        Err(denial) => format!("✗ {}{place}: denied, as {}", step.action, describe_denial(denial)),
    }
}

fn format_considered_entry(ConsideredEntry { denies: counts, sentence }: &ConsideredEntry) -> String {
    format!("{} {sentence}", if *counts { '✗' } else { '·' })
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
fn write_rules(text: &mut String, step: &Explanation) {
    let (about, others): (Vec<_>, Vec<_>) = step.rules.iter().partition(|rule| rule.applies);
    let width = about.iter().map(|rule| rule.id.chars().count()).max().unwrap_or_default();
    let conditions = about.iter().flat_map(|rule| &rule.unmet_conditions).map(|miss| miss.condition.name().len());
    let column = conditions.max().unwrap_or_default();
    let lines: Vec<String> = about.iter().flat_map(|rule| rule_lines(rule, width, column)).collect();
    write_list(text, &format!("rules about {}", step.action), &lines);
    if about.is_empty() {
        let _ = writeln!(text, "  no rule is about {}", step.action);
    }
    if !others.is_empty() {
        let ids: Vec<&str> = others.iter().map(|rule| rule.id.as_str()).collect();
        let _ = writeln!(text, "  not about {}: {}", step.action, ids.join(", "));
    }
}

/// Returns a line for each condition that did not hold, or one line if all conditions held.
fn rule_lines(rule: &RuleExplanation, width: usize, column: usize) -> Vec<String> {
    let effect = rule.effect.as_str();
    if rule.matches() {
        let mark = if rule.effect == Effect::Allow { '✓' } else { '✗' };
        return vec![format!("{mark} {effect:<5} {:<width$}  matches", rule.id)];
    }
    let first = std::iter::once(format!("· {effect:<5} {:<width$}", rule.id));
    let heads = first.chain(std::iter::repeat(" ".repeat(width + 8)));
    let misses = rule.unmet_conditions.iter().map(|miss| {
        let spoiler = miss.spoiler.as_ref().map(|spoiler| format!("; {spoiler} spoils it")).unwrap_or_default();
        format!("{:<column$}  {}{spoiler}", miss.condition.name(), miss.needed)
    });
    heads.zip(misses).map(|(head, miss)| format!("{head}  {miss}")).collect()
}
