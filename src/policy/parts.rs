//! The parts of a pattern: it is decided about each of them by itself, so that a pattern is granted exactly when each of its names would be.
//!
//! Two names get the same decision if the same scopes hold them and their conversations have the same kind. So one decision is made for
//! each scope inside the pattern that an entry or a rule names, and one for all other names of the pattern.

use std::collections::BTreeSet;

use super::question::Case;
use super::register::{Entry, homes};
use super::rule::Effect;
use super::standing::Facts;
use crate::model::{Kind, Pattern, unqualified};

/// The parts of a pattern that these scopes make, without the pattern itself. Each stands for those of its names that no smaller part
/// holds.
pub(super) fn split<'s>(asked: &Pattern, scopes: impl IntoIterator<Item = &'s Pattern>) -> BTreeSet<Pattern> {
    let named = scopes.into_iter().flat_map(named_by);
    named.filter(|part| part != asked && asked.covers(part)).collect()
}

/// The scope, and its conversation with its channels. A scope with Ably's qualifier also touches the name behind that.
fn named_by(scope: &Pattern) -> impl Iterator<Item = Pattern> + use<> {
    let conversation = scope.room().or(scope.exact());
    let names = conversation.into_iter().flat_map(|name| BTreeSet::from([name, unqualified(name)]));
    let parts = names.flat_map(|name| Pattern::Exact(name.to_owned()).affected());
    let parts: Vec<Pattern> = parts.chain([scope.clone()]).collect();
    parts.into_iter()
}

/// The parts of a pattern in which a request may be decided otherwise than elsewhere in it. None for a single name.
pub(super) fn parts(case: Case<'_>, asked: &Pattern) -> BTreeSet<Pattern> {
    if asked.exact().is_some() {
        return BTreeSet::new();
    }
    let rules = case.policy.document().rules.iter();
    let rules: Vec<_> = rules.filter(|rule| rule.is_for_app(&case.ask.app)).collect();
    let has_kinds = rules.iter().any(|rule| rule.kinds.is_some());
    // Where one kind is left to look at, an allow rule that covers the rest of a part covers all of it.
    let telling = rules.iter().filter(|rule| rule.effect == Effect::Deny || has_kinds);
    let templates =
        telling.flat_map(|rule| rule.conversations.iter().flatten().map(|template| (rule.effect, template)));
    let filled = templates.filter_map(|(effect, template)| case.filled(effect, template, asked));
    let mut scopes: Vec<Pattern> = filled.collect();
    scopes.extend(role_scopes(case, asked));
    let mut parts = split(asked, &scopes);
    if has_kinds {
        scopes.push(Pattern::Under(Kind::TEMPORARY_PREFIX.to_owned()));
        parts = split(asked, &scopes);
        let kinds = Kinds { facts: case.facts, app: &case.ask.app, parts: &parts };
        let known = std::iter::once(asked).chain(&parts).flat_map(|part| kinds.examples(part));
        let known: Vec<Pattern> = known.collect();
        parts.extend(split(asked, &known));
    }
    parts
}

/// The scopes of the roles of everyone who has a part in the request.
fn role_scopes(case: Case<'_>, asked: &Pattern) -> Vec<Pattern> {
    let targets = case.ask.needs.iter().flat_map(|need| &need.targets).map(String::as_str);
    let people: BTreeSet<&str> = targets.chain([case.caller.subject.as_str(), case.ask.client.as_str()]).collect();
    let entries = people.into_iter().flat_map(|person| case.entries(person, Some(asked)));
    let filed = entries.filter(|entry| matches!(entry, Entry::Role(_))).map(Entry::scope);
    let told = case.facts.told.iter().map(|told| &told.scope);
    let claimed = case.caller.bindings.iter().map(|(scope, _)| scope);
    filed.chain(told).chain(claimed).cloned().collect()
}

/// Finds conversations of other kinds than most names of a part have.
struct Kinds<'a> {
    facts: Facts<'a>,
    app: &'a str,
    parts: &'a BTreeSet<Pattern>,
}

impl Kinds<'_> {
    /// Of each kind one known conversation that no smaller part holds, and rooms outside the part whose channels lie in it.
    fn examples(&self, part: &Pattern) -> Vec<Pattern> {
        if part.home().exact().is_some() {
            return Vec::new();
        }
        let rooms = homes(part.prefix()).into_iter().flatten().map(|room| Pattern::Exact(room.to_owned()));
        let rooms = rooms.filter(|room| self.facts.known_kind(room, self.app).is_some());
        let others = Kind::ALL.into_iter().filter(|kind| *kind != self.facts.kind(part, self.app));
        rooms.chain(others.filter_map(|kind| self.example(kind, part))).collect()
    }

    fn example(&self, kind: Kind, part: &Pattern) -> Option<Pattern> {
        let mut from = part.prefix().to_owned();
        loop {
            let name = self.facts.next_of_kind(kind, self.app, part.prefix(), &from)?;
            let found = Pattern::Exact(name.to_owned());
            let is_other = self.parts.contains(&found) || !part.covers(&found);
            from = match self.smaller(part, name) {
                Some(inner) => after_all_in(inner),
                None if is_other || self.facts.known_kind(&found, self.app) != Some(kind) => format!("{name}\0"),
                None => return Some(found),
            };
        }
    }

    /// The beginning of the widest namespace inside a part that holds a name and is a part itself.
    fn smaller<'n>(&self, part: &Pattern, name: &'n str) -> Option<&'n str> {
        let around = name.match_indices(':').filter_map(|(colon, _)| name.get(..=colon));
        let mut inside = around.filter(|prefix| prefix.len() > part.prefix().len());
        inside.find(|prefix| self.parts.contains(&Pattern::Under((*prefix).to_owned())))
    }
}

/// The least text that sorts after all names that begin with `prefix`, which ends with a colon.
fn after_all_in(prefix: &str) -> String {
    format!("{};", prefix.strip_suffix(':').unwrap_or(prefix))
}
