//! Divides a pattern into parts. Each part is decided separately, so a pattern is granted exactly if each name in it
//! would be granted.
//!
//! Two names get the same decision if the same scopes contain them and their conversations have the same kind. So there
//! is one decision for each scope inside the pattern that an entry or a rule names, and one decision for all other
//! names of the pattern.

use std::collections::BTreeSet;

use super::effective_role::{DecisionData, split};
use super::entry_index::{EntryRef, UserEntryKind, rooms_outside};
use super::eval_context::EvalContext;
use super::rule::Effect;
use crate::model::{ConversationKind, Pattern, Template};

/// Returns the parts of a pattern where the decision may differ from the rest of the pattern. A single name has no parts.
pub(super) fn find_parts(context: EvalContext<'_>, asked: &Pattern) -> BTreeSet<Pattern> {
    if asked.exact().is_some() {
        return BTreeSet::new();
    }
    let has_kinds = context.has_kinds();
    let mut scopes = role_scopes(context, asked);
    let mut open = Vec::new();
    for rule in context.rules_naming_conversations() {
        for template in rule.conversations.iter().flatten() {
            match (rule.effect, context.fill_template(Effect::Allow, template, asked)) {
                // If no rule has `kinds`, an allow rule that covers the remaining names of a part covers the whole part.
                // So allow rules make parts only if a rule has `kinds`.
                (Effect::Allow, scope) => scopes.extend(scope.filter(|_| has_kinds)),
                (Effect::Deny, Some(scope)) => scopes.push(scope),
                (Effect::Deny, None) => open.push(template),
            }
        }
    }
    if has_kinds {
        scopes.push(Pattern::Namespace(ConversationKind::TEMPORARY_PREFIX.to_owned()));
    }
    let mut parts = split(asked, &scopes);
    let unnamed = if open.is_empty() { String::new() } else { unnamed_segment(context, &scopes, &open) };
    let open = OpenPattern { context, templates: &open, unnamed_segment: &unnamed };
    open.add_parts(asked, &mut parts);
    if has_kinds {
        let kinds =
            PatternKinds { facts: context.facts, app: &context.request.app, parts: &parts, open_templates: &open };
        let known = std::iter::once(asked).chain(&parts).flat_map(|part| kinds.examples(part));
        let known: Vec<Pattern> = known.collect();
        parts.extend(split(asked, &known));
    }
    parts
}

/// Templates of deny rules in which a placeholder without a usable value matches any segment.
struct OpenPattern<'a> {
    context: EvalContext<'a>,
    templates: &'a [&'a Template],
    /// A segment that no scope contains. It represents all such segments.
    unnamed_segment: &'a str,
}

impl OpenPattern<'_> {
    /// Adds the parts that the templates make inside the known parts. Repeats this until there are no new parts.
    fn add_parts(&self, asked: &Pattern, parts: &mut BTreeSet<Pattern>) {
        while !self.templates.is_empty() {
            let wide = std::iter::once(asked).chain(&*parts).filter(|part| part.exact().is_none());
            let scopes: Vec<Pattern> = wide.flat_map(|part| self.patterns_around(part)).collect();
            let before = parts.len();
            parts.extend(split(asked, &scopes));
            if parts.len() == before {
                return;
            }
        }
    }

    /// Returns the patterns that the templates match around a part: once with a segment that no scope contains, and
    /// once with the segment of a room's channels.
    fn patterns_around(&self, part: &Pattern) -> impl Iterator<Item = Pattern> {
        self.templates.iter().flat_map(|template| {
            let named_nowhere = self.context.fill_template_around(template, part, self.unnamed_segment);
            named_nowhere.into_iter().chain(self.context.fill_template(Effect::Deny, template, part))
        })
    }

    /// Returns whether one of the templates overlaps a name.
    fn overlaps_template(&self, template: &Template, name: &Pattern) -> bool {
        self.context.fill_template(Effect::Deny, template, name).is_some_and(|scope| scope.overlaps(name))
    }
}

/// Returns a segment that none of these scopes, templates and registered conversations contains.
fn unnamed_segment(context: EvalContext<'_>, scopes: &[Pattern], templates: &[&Template]) -> String {
    let texts = || scopes.iter().map(Pattern::prefix).chain(templates.iter().map(|template| template.source()));
    let is_registered = |segment: &str| {
        let mut places =
            templates.iter().filter_map(|one| context.fill_template_around(one, &Pattern::Everything, segment));
        places.any(|place| context.facts.is_registered(&place, &context.request.app))
    };
    let mut segment = "any".to_owned();
    while texts().any(|text| text.contains(&segment)) || is_registered(&segment) {
        segment.push('y');
    }
    segment
}

/// Returns the scopes of the roles of the caller, the client and the targets.
pub(super) fn role_scopes(context: EvalContext<'_>, asked: &Pattern) -> Vec<Pattern> {
    let targets = context.request.required_actions.iter().flat_map(|need| &need.targets).map(String::as_str);
    let people: BTreeSet<&str> =
        targets.chain([context.caller.subject.as_str(), context.request.client.as_str()]).collect();
    let entries = people.into_iter().flat_map(|role_query| context.entries_about(role_query, Some(asked)));
    let filed = entries.filter(|entry| entry.kind() == UserEntryKind::Role).map(EntryRef::scope);
    let told = context.facts.facts.iter().map(|told| &told.scope);
    let claimed = context.caller.bindings.iter().map(|(scope, _)| scope);
    filed.chain(told).chain(claimed).cloned().collect()
}

/// Finds conversations in a part whose kind differs from the kind of most names in the part.
struct PatternKinds<'a> {
    facts: DecisionData<'a>,
    app: &'a str,
    parts: &'a BTreeSet<Pattern>,
    open_templates: &'a OpenPattern<'a>,
}

impl PatternKinds<'_> {
    /// Returns, for each other kind, one known conversation that no smaller part contains, and one known conversation
    /// that each open template overlaps. Also returns the rooms outside the part whose channels are inside it.
    fn examples(&self, part: &Pattern) -> Vec<Pattern> {
        if part.home_conversation().exact().is_some() {
            return Vec::new();
        }
        let rooms = rooms_outside(part.prefix()).into_iter().flatten().map(|room| Pattern::Exact(room.to_owned()));
        let rooms = rooms.filter(|room| self.facts.known_kind(room, self.app).is_some());
        let others = ConversationKind::ALL.into_iter().filter(|kind| *kind != self.facts.kind(part, self.app));
        let examples = others.flat_map(|kind| {
            let any = self.example(kind, part, |_| true);
            let touched = self.open_templates.templates.iter().filter_map(move |template| {
                self.example(kind, part, |name| self.open_templates.overlaps_template(template, name))
            });
            any.into_iter().chain(touched)
        });
        rooms.chain(examples).collect()
    }

    fn example(&self, kind: ConversationKind, part: &Pattern, is_wanted: impl Fn(&Pattern) -> bool) -> Option<Pattern> {
        let mut from = part.prefix().to_owned();
        loop {
            let name = self.facts.next_of_kind(kind, self.app, part.prefix(), &from)?;
            let found = Pattern::Exact(name.to_owned());
            let is_other = self.parts.contains(&found) || !part.covers(&found);
            from = match self.widest_inner_namespace(part, name) {
                Some(inner) => end_of_prefix(inner),
                None if is_other || !is_wanted(&found) => format!("{name}\0"),
                None if self.facts.known_kind(&found, self.app) != Some(kind) => format!("{name}\0"),
                None => return Some(found),
            };
        }
    }

    /// Returns the prefix of the widest namespace that is inside `part`, contains `name`, and is itself a part.
    fn widest_inner_namespace<'n>(&self, part: &Pattern, name: &'n str) -> Option<&'n str> {
        let mut inside = Pattern::prefixes_around(name).filter(|prefix| prefix.len() > part.prefix().len());
        inside.find(|prefix| self.parts.contains(&Pattern::Namespace((*prefix).to_owned())))
    }
}

/// Returns a text that sorts after all names that begin with `prefix`, but not after other names that sort after the
/// prefix. The prefix must end with an ASCII character.
fn end_of_prefix(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    let next = end.pop().and_then(|last| char::from_u32(last as u32 + 1));
    end.extend(next);
    end
}
