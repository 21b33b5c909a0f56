//! Rules for moderators that can't be meant.

use super::has_targets;
use crate::model::{Action, ActionSet, CallerKind};
use crate::policy::rule::{Effect, Rule, TargetCondition};

/// What users could do with it to those above them. Giving and taking roles is held to ranks whatever a rule says.
const SANCTIONS: ActionSet = ActionSet::of(&[Action::Ban, Action::Unban, Action::Mute, Action::Unmute]);

/// What is about a place and not about people in it.
const PLACES: ActionSet = ActionSet::of(&[Action::ManageConversation, Action::ReadModeration]);

/// What of a rule that allows moderation goes further, or not as far, as its author will have thought.
pub(super) fn misjudged(rule: &Rule) -> Option<String> {
    if rule.effect == Effect::Deny {
        return None;
    }
    reaches_up(rule).or_else(|| never_for_places(rule))
}

fn reaches_up(rule: &Rule) -> Option<String> {
    let services_alone = rule.services.is_some() || rule.callers.as_deref() == Some(&[CallerKind::Service]);
    let held = matches!(rule.targets, Some(TargetCondition::Outranked | TargetCondition::Itself));
    let words = words(rule.actions.intersection(SANCTIONS));
    (!services_alone && !held && !words.is_empty()).then(|| {
        format!(
            "this rule lets users {words} whoever is in the conversation, its owner too: write `targets = \"outranked\"`"
        )
    })
}

/// With `targets`, a rule about people and places is never about the places.
fn never_for_places(rule: &Rule) -> Option<String> {
    let words = words(rule.actions.intersection(PLACES));
    let is_mixed = rule.targets.is_some() && rule.actions.iter().any(has_targets);
    (is_mixed && !words.is_empty()).then(|| {
        format!(
            "this rule never allows {words}, as it has `targets` and that touches nobody: give it a rule of its own"
        )
    })
}

fn words(actions: ActionSet) -> String {
    super::super::condition::alternatives(actions.iter().map(Action::as_str))
}
