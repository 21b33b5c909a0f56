//! Warns about single rules that are probably mistakes: rules for moderators, and deny rules with placeholders.

use super::has_targets;
use crate::model::{Action, ActionSet, CallerKind};
use crate::policy::rule::{Effect, Rule, TargetCondition};
use crate::policy::rule_match::alternatives;

/// The actions that need `targets`, because users could otherwise use them against users with a higher rank. `set-role`
/// is not among them, because it is always limited by rank.
const SANCTIONS: ActionSet = ActionSet::of(&[Action::Ban, Action::Unban, Action::Mute, Action::Unmute]);

/// Returns a warning if a rule allows more moderation, or less, than its author probably intended.
pub(super) fn lint_moderation_rule(rule: &Rule) -> Option<String> {
    if rule.effect == Effect::Deny {
        return None;
    }
    lacks_rank_limit(rule).or_else(|| targets_exclude_actions(rule))
}

fn lacks_rank_limit(rule: &Rule) -> Option<String> {
    let services_alone = rule.services.is_some() || rule.callers.as_deref() == Some(&[CallerKind::Service]);
    let held = matches!(rule.targets, Some(TargetCondition::Outranked | TargetCondition::Itself));
    let words = action_names(rule.actions.intersection(SANCTIONS));
    (!services_alone && !held && !words.is_empty()).then(|| {
        format!(
            "this rule lets users {words} everyone in the conversation, even its owner: write `targets = \"outranked\"`"
        )
    })
}

/// Warns if a rule has `targets` and also actions that have no targets: the rule never allows these actions.
fn targets_exclude_actions(rule: &Rule) -> Option<String> {
    let words = action_names(rule.actions.intersection(ActionSet::MODERATION_WITHOUT_TARGETS));
    let is_mixed = rule.targets.is_some() && rule.actions.iter().any(has_targets);
    (is_mixed && !words.is_empty()).then(|| {
        format!(
            "this rule never allows {words}, because it has `targets`: write a separate rule without `targets` for it"
        )
    })
}

fn action_names(actions: ActionSet) -> String {
    alternatives(actions.iter().map(Action::as_str))
}

/// Returns a warning if a deny rule may match more conversations than its author expects.
pub(super) fn lint_placeholders(rule: &Rule) -> Option<String> {
    let templates = rule.conversations.iter().flatten().filter(|_| rule.effect == Effect::Deny);
    let with_claims: Vec<_> = templates.filter(|template| template.claims().next().is_some()).collect();
    let claims =
        alternatives(with_claims.iter().flat_map(|template| template.claims()).map(|claim| format!("`{claim}`")));
    let patterns = alternatives(with_claims.iter().map(|template| format!("`{}`", template.source())));
    (!with_claims.is_empty()).then(|| {
        format!(
            "in this deny rule, {patterns} matches any segment in place of a claim that the caller's token lacks or whose \
             value is not one segment: callers without {claims} are denied all these conversations; to exclude such \
             callers, add `callers` or `authenticators`"
        )
    })
}
