//! Which role someone has in a conversation, and by whose word.
//!
//! The sources are asked in order of precedence: registers first, then what another service tells, the caller's token last. The first
//! with a binding that covers the conversation decides alone, by its most specific scope. What another service tells of a conversation
//! is a binding for everyone: to no role for whom it leaves out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::register::{Entry, Held, Register, Tenure, homes};
use super::told::Told;
use crate::model::{Kind, Ladder, Pattern, Role};

/// What the policy needs to know of the world for one decision.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What is known of people and conversations, in order of precedence: the policy file's register first.
    pub registers: &'a [&'a Register],
    /// What another service tells of conversations, each once. Comes after the registers and before the caller's token.
    pub told: &'a [Told],
}

/// Someone's role in a conversation, or in all of a pattern's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The role that counts wherever nothing more special does.
    pub(super) role: Option<Role>,
    /// By whose word.
    pub(super) basis: Basis,
    /// For a pattern: the role that counts in each part of it for which there is something more special.
    pub(super) parts: Vec<(Pattern, Option<Role>)>,
}

/// By whose word someone has a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// The conversation's own list of owner, managers and members.
    List,
    /// A binding with this scope.
    Binding(Pattern),
    /// A binding with this scope to a word that the policy does not list.
    Unlisted(Pattern),
    /// What another service tells of the conversation, whether that names the person or not.
    Told,
    /// The caller's own token, with this scope.
    Token(Pattern),
    /// The policy's `default_role`.
    Default,
    /// The policy's `default_role`, or nobody's, since the role there was taken away.
    Removed,
    /// Nobody's.
    Nothing,
}

/// Whose standing is asked for, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Person<'a> {
    pub(super) name: &'a str,
    pub(super) app: &'a str,
    /// What the person's own token claims; empty for everyone but the caller.
    pub(super) token: &'a [(Pattern, Role)],
    /// What who has no binding is.
    pub(super) default_role: Option<Role>,
    /// The roles that there are.
    pub(super) ladder: &'a Ladder,
}

/// A binding that was found, as far as deciding goes.
struct Found<'a> {
    /// The conversation itself, where the binding names a part of a room.
    scope: Cow<'a, Pattern>,
    role: Option<Role>,
    listed: bool,
    /// It only says that a role was taken away.
    removed: bool,
    /// Which source it is from: the place in [`Facts::registers`], one past for what is told, two past for the token.
    source: usize,
}

impl<'a> Facts<'a> {
    /// The roles that count for a conversation, or over a pattern: by name they would be the same.
    pub(super) fn standing(&self, person: Person<'_>, asked: &Pattern) -> Standing {
        let home = asked.home();
        let found = self.bindings(person, Some(&home));
        let (role, basis) = self.covering(person, &found, &home);
        let parts = if home.exact().is_some() { Vec::new() } else { self.parts(person, &found, &home) };
        Standing { role, basis, parts }
    }

    /// Whether anywhere in the place of a standing a binding counts that names a role which the policy does not list.
    pub(super) fn is_unlisted(&self, person: Person<'_>, standing: &Standing) -> bool {
        let is = |standing: &Standing| matches!(standing.basis, Basis::Unlisted(_));
        let mut without = standing.parts.iter().filter(|(_, role)| role.is_none());
        is(standing) || without.any(|(part, _)| is(&self.standing(person, part)))
    }

    /// Whether anywhere in a place somebody is remembered as the owner of a conversation that was forgotten.
    pub(super) fn is_remembered(&self, person: Person<'_>, place: &Pattern) -> bool {
        self.registers.iter().enumerate().any(|(source, register)| {
            register.about(person.name, person.app, Some(place)).any(|entry| match entry {
                Entry::Role(tenure) => {
                    let is_here = tenure.scope.home().overlaps(&place.home());
                    tenure.held == Held::Remembered && is_here && !self.is_told_before(source, tenure, person.app)
                }
                _ => false,
            })
        })
    }

    /// The parts of a pattern in which another role may count than throughout: those with a binding, and known rooms whose channels lie
    /// in it.
    fn parts(&self, person: Person<'_>, found: &[Found<'_>], asked: &Pattern) -> Vec<(Pattern, Option<Role>)> {
        let rooms = homes(asked.prefix()).into_iter().flatten().map(|name| Pattern::Exact(name.to_owned()));
        let rooms: Vec<Pattern> = rooms.filter(|room| self.knows(room, person.app)).collect();
        let role_in = |part: &Pattern| self.covering(person, &self.bindings(person, Some(part)), part).0;
        let mut parts: BTreeMap<&Pattern, Option<Role>> = rooms.iter().map(|room| (room, role_in(room))).collect();
        for binding in found {
            let scope = &*binding.scope;
            let is_room = scope.exact().is_some_and(|name| homes(asked.prefix()).contains(&Some(name)));
            let touches = is_room || asked.covers(scope) && scope != asked;
            match parts.get_mut(scope) {
                _ if !touches => {}
                // In its own scope nothing is more specific, and no source comes before the first.
                Some(role) if binding.source == 0 && !binding.removed => *role = binding.role.max(*role),
                Some(_) => {}
                None if binding.source == 0 && !binding.removed => drop(parts.insert(scope, binding.role)),
                None => drop(parts.insert(scope, role_in(scope))),
            }
        }
        parts.into_iter().map(|(part, role)| (part.clone(), role)).collect()
    }

    /// Whether a conversation has an entry of its own.
    fn knows(&self, conversation: &Pattern, app: &str) -> bool {
        self.registers.iter().any(|register| register.kind(conversation.prefix(), app).is_some())
    }

    /// The role that counts for what is in no conversation: that of scope `*`.
    pub(super) fn standing_everywhere(&self, person: Person<'_>) -> Standing {
        let found = self.bindings(person, None);
        let (role, basis) = self.covering(person, &found, &Pattern::Everything);
        Standing { role, basis, parts: Vec::new() }
    }

    /// What each scope of a person's bindings says for good, after precedence: scopes that a stronger source covers are left out.
    /// `None` is no role, which must be told too: a wider scope's would take its place.
    pub(super) fn roles_within(&self, person: Person<'_>, asked: &Pattern) -> Vec<(Pattern, Option<Role>)> {
        let found = self.bindings(person, Some(asked));
        let overlapping = found.iter().filter(|binding| binding.scope.overlaps(asked));
        let roles = overlapping.filter_map(|binding| {
            let near = self.bindings(person, Some(&binding.scope));
            if near.iter().any(|other| other.source < binding.source && other.scope.covers(&binding.scope)) {
                return None;
            }
            let same_scope = |other: &&Found<'_>| other.source == binding.source && other.scope == binding.scope;
            let mut same = near.iter().filter(same_scope);
            let role = if same.all(|other| other.removed) {
                self.covering(person, &near, &binding.scope).0
            } else {
                near.iter().filter(same_scope).map(|other| other.role).max().flatten()
            };
            Some((binding.scope.clone().into_owned(), role))
        });
        roles.collect()
    }

    /// The kind of a conversation.
    pub(super) fn kind(&self, name: &str, app: &str) -> Kind {
        self.known_kind(name, app).unwrap_or_else(|| Kind::by_id(name))
    }

    /// The kind of a conversation, where its id or somebody tells it.
    pub(super) fn known_kind(&self, name: &str, app: &str) -> Option<Kind> {
        if Kind::by_id(name) == Kind::Temporary {
            return Some(Kind::Temporary);
        }
        let filed = self.registers.iter().find_map(|register| register.kind(name, app));
        filed.or_else(|| self.told.iter().find(|told| told.conversation() == name)?.kind())
    }

    /// A conversation of this kind that overlaps a pattern, if one is known. What only a source that comes later says counts for nothing.
    pub(super) fn conversation_of_kind(&self, kind: Kind, app: &str, asked: &Pattern) -> Option<&str> {
        let mut filed = self.registers.iter().flat_map(|register| register.conversations_of_kind(kind, app, asked));
        let told = self.told.iter().filter(|told| told.scope.overlaps(asked)).map(Told::conversation);
        let is_of_kind = |name: &&str| self.known_kind(name, app) == Some(kind);
        filed.find(is_of_kind).or_else(|| told.filter(is_of_kind).min())
    }

    /// What another service tells of this very conversation.
    pub(super) fn told_of(self, conversation: &Pattern) -> Option<&'a Told> {
        self.told.iter().find(|told| told.scope == *conversation.home())
    }

    /// All bindings that may touch a place, in order of precedence; those for everywhere, where there is none.
    fn bindings<'b>(&'b self, person: Person<'b>, place: Option<&Pattern>) -> Vec<Found<'b>> {
        let mut found = Vec::new();
        for (source, register) in self.registers.iter().enumerate() {
            for entry in register.about(person.name, person.app, place) {
                if let Entry::Role(tenure) = entry
                    && tenure.held != Held::Remembered
                    && !self.is_told_before(source, tenure, person.app)
                {
                    found.push(Found {
                        scope: tenure.scope.home(),
                        role: tenure.role(person.ladder),
                        listed: tenure.listed,
                        removed: tenure.held == Held::Removed,
                        source,
                    });
                }
            }
        }
        // Services are in no conversation: nobody is asked about them.
        let told = self.told.iter().filter(|_| !person.name.is_empty());
        let near = told.filter(|told| place.is_some_and(|place| told.scope.overlaps(place)));
        let source = self.registers.len();
        found.extend(near.filter_map(|told| {
            let role = told.details.as_ref()?.role(person.name);
            Some(Found { scope: Cow::Borrowed(&told.scope), role, listed: false, removed: false, source })
        }));
        let source = source + 1;
        found.extend(person.token.iter().map(|(scope, role)| Found {
            scope: scope.home(),
            role: Some(*role),
            listed: false,
            removed: false,
            source,
        }));
        found
    }

    /// Whether this is a conversation's list of people, and an earlier register has an entry of its own for the conversation: then that
    /// one's list counts, whomever it leaves out. The policy file may come to name another owner than the one that was set at run time.
    fn is_told_before(&self, source: usize, tenure: &Tenure, app: &str) -> bool {
        let home = tenure.scope.home();
        tenure.listed && self.registers.iter().take(source).any(|register| register.kind(home.prefix(), app).is_some())
    }

    /// The role by the first source that covers `asked`: its most specific scope, of equal ones the strongest. Where all that this
    /// source says is that a role was taken away, the default role.
    fn covering(&self, person: Person<'_>, found: &[Found<'_>], asked: &Pattern) -> (Option<Role>, Basis) {
        let covering = || found.iter().filter(|binding| binding.scope.covers(asked));
        let Some(source) = covering().map(|binding| binding.source).min() else {
            let basis = if person.default_role.is_some() { Basis::Default } else { Basis::Nothing };
            return (person.default_role, basis);
        };
        let best = covering()
            .filter(|binding| binding.source == source && !binding.removed)
            .max_by_key(|binding| (binding.scope.specificity(), binding.role));
        best.map_or((person.default_role, Basis::Removed), |best| (best.role, self.basis(best)))
    }

    fn basis(&self, binding: &Found<'_>) -> Basis {
        let scope = || binding.scope.clone().into_owned();
        match binding.role {
            _ if binding.source > self.registers.len() => Basis::Token(scope()),
            _ if binding.source == self.registers.len() => Basis::Told,
            None => Basis::Unlisted(scope()),
            Some(_) if binding.listed => Basis::List,
            Some(_) => Basis::Binding(scope()),
        }
    }
}

impl Standing {
    /// Every role that counts somewhere in what was asked for.
    pub(super) fn roles(&self) -> impl Iterator<Item = Option<Role>> {
        std::iter::once(self.role).chain(self.parts.iter().map(|(_, role)| *role))
    }

    /// Whether a register has decided, so that neither other services nor tokens have a say.
    pub(super) fn is_filed(&self) -> bool {
        matches!(self.basis, Basis::List | Basis::Binding(_) | Basis::Unlisted(_) | Basis::Removed)
    }

    /// In words that follow a name: "is member by the conversation's list".
    pub(super) fn describe(&self, ladder: &Ladder) -> String {
        let here = match (self.role, &self.basis) {
            (None, Basis::Unlisted(scope)) => {
                format!("has no role (the binding to {scope} names a role that the policy does not list)")
            }
            (None, Basis::Told) => "has no role by the facts".to_owned(),
            (None, Basis::Removed) => "has no role (the one there was taken away)".to_owned(),
            (None, _) => "has no role".to_owned(),
            (Some(role), basis) => format!("is {}{basis}", ladder.word(role)),
        };
        match self.parts.iter().find(|(_, role)| *role != self.role) {
            Some((part, Some(role))) => format!("{here}, but {} in {part}", ladder.word(*role)),
            Some((part, None)) => format!("{here}, but has no role in {part}"),
            None => here,
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Basis::List => f.write_str(" by the conversation's list"),
            Basis::Binding(scope) => write!(f, " by a binding to {scope}"),
            Basis::Told => f.write_str(" by the facts"),
            Basis::Token(scope) => write!(f, " by the caller's token for {scope}"),
            Basis::Default => f.write_str(" by default"),
            Basis::Removed => f.write_str(" by default (the role there was taken away)"),
            Basis::Unlisted(_) | Basis::Nothing => Ok(()),
        }
    }
}
