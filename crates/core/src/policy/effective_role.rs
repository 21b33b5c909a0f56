//! Which role someone has in a conversation, and by whose word.
//!
//! A room's channel has the role of the exact binding to the room, else of the longest namespace around the channel: of `r::*` or `r:*`,
//! in which the room itself does not lie.
//!
//! The sources are asked in order of precedence: registers first, then what another service tells, the caller's token last. The first
//! with a binding that covers the conversation decides alone, by its most specific scope. What another service tells of a conversation
//! is a binding for everyone: to no role for whom it leaves out.

use std::borrow::Cow;
use std::fmt;

use super::conversation_facts::ConversationFacts;
use super::entry_index::{EntryIndex, RoleBinding, RoleGrant, UserEntry};
use super::parts::split;
use crate::model::{ConversationKind, Pattern, Role, RoleHierarchy, unqualified};

/// What the policy needs to know of the world for one decision.
#[derive(Clone, Copy, Debug)]
pub struct DecisionData<'a> {
    /// What is known of people and conversations, in order of precedence: the policy file's register first.
    pub registers: &'a [&'a EntryIndex],
    /// What another service tells of conversations, each once. Comes after the registers and before the caller's token.
    pub told: &'a [ConversationFacts],
}

/// Someone's role in a conversation, or in all those of a pattern that no scope inside the pattern names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EffectiveRole {
    pub(super) role: Option<Role>,
    /// By whose word.
    pub(super) basis: RoleSource,
}

/// Someone's roles in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RolesInScope {
    /// The role that counts wherever nothing more special does.
    pub(super) whole: EffectiveRole,
    /// The role that counts in each part for which there is something more special.
    pub(super) parts: Vec<(Pattern, EffectiveRole)>,
}

/// By whose word someone has a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RoleSource {
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
pub(super) struct RoleQuery<'a> {
    pub(super) name: &'a str,
    pub(super) app: &'a str,
    /// What the person's own token claims; empty for everyone but the caller.
    pub(super) token: &'a [(Pattern, Role)],
    /// What who has no binding is.
    pub(super) default_role: Option<Role>,
    /// The roles that there are.
    pub(super) ladder: &'a RoleHierarchy,
}

/// A binding that was found, as far as deciding goes.
struct MatchedBinding<'a> {
    /// The conversation itself, where the binding names a part of a room.
    scope: Cow<'a, Pattern>,
    role: Option<Role>,
    listed: bool,
    /// It only says that a role was taken away.
    removed: bool,
    /// Which source it is from: the place in [`DecisionData::registers`], one past for what is told, two past for the token.
    source: usize,
}

impl<'a> DecisionData<'a> {
    /// The role that counts for a conversation, or for all those of a pattern that no scope inside the pattern names.
    pub(super) fn role(&self, person: RoleQuery<'_>, place: &Pattern) -> EffectiveRole {
        self.covering(person, &self.bindings(person, Some(place)), place)
    }

    /// The roles that count for a conversation, or over a pattern: by name they would be the same.
    pub(super) fn standing(&self, person: RoleQuery<'_>, asked: &Pattern) -> RolesInScope {
        let found = self.bindings(person, Some(asked));
        let whole = self.covering(person, &found, asked);
        if asked.exact().is_some() {
            return RolesInScope { whole, parts: Vec::new() };
        }
        let parts = split(asked, found.iter().map(|binding| &*binding.scope)).into_iter();
        RolesInScope { whole, parts: parts.map(|part| (part.clone(), self.role(person, &part))).collect() }
    }

    /// Someone's roles in all that an entry with this scope affects: for a room also in its channels.
    pub(super) fn standing_in_affected(&self, person: RoleQuery<'_>, scope: &Pattern) -> RolesInScope {
        let mut standing = self.standing(person, &scope.home());
        let channels = scope.affected().into_iter().skip(1);
        standing.parts.extend(channels.map(|part| (part.clone(), self.role(person, &part))));
        standing
    }

    /// Whether someone is remembered as the owner of a conversation that was forgotten and that is `here`.
    pub(super) fn is_remembered(
        &self,
        person: RoleQuery<'_>,
        place: &Pattern,
        here: fn(&Pattern, &Pattern) -> bool,
    ) -> bool {
        self.registers.iter().enumerate().any(|(source, register)| {
            register.about(person.name, person.app, Some(place)).any(|entry| match entry {
                UserEntry::Role(tenure) => {
                    let is_here = here(&tenure.scope, place);
                    tenure.held == RoleGrant::Remembered && is_here && !self.is_told_before(source, tenure, person.app)
                }
                _ => false,
            })
        })
    }

    /// The role that counts for what is in no conversation: that of scope `*`.
    pub(super) fn role_everywhere(&self, person: RoleQuery<'_>) -> EffectiveRole {
        self.covering(person, &self.bindings(person, None), &Pattern::Everything)
    }

    /// What each scope of a person's bindings says for good, after precedence: scopes that a stronger source covers are left out.
    /// `None` is no role, which must be told too: a wider scope's would take its place.
    pub(super) fn roles_within(&self, person: RoleQuery<'_>, asked: &Pattern) -> Vec<(Pattern, Option<Role>)> {
        let found = self.bindings(person, Some(asked));
        let overlapping = found.iter().filter(|binding| binding.scope.overlaps(asked));
        let roles = overlapping.filter_map(|binding| {
            let near = self.bindings(person, Some(&binding.scope));
            if near.iter().any(|other| other.source < binding.source && other.scope.covers(&binding.scope)) {
                return None;
            }
            let same_scope =
                |other: &&MatchedBinding<'_>| other.source == binding.source && other.scope == binding.scope;
            let mut same = near.iter().filter(same_scope);
            let role = if same.all(|other| other.removed) {
                self.covering(person, &near, &binding.scope).role
            } else {
                near.iter().filter(same_scope).map(|other| other.role).max().flatten()
            };
            Some((binding.scope.clone().into_owned(), role))
        });
        roles.collect()
    }

    /// The kind of a conversation, or of those in a pattern of which nothing is known but their ids.
    pub(super) fn kind(&self, place: &Pattern, app: &str) -> ConversationKind {
        self.known_kind(place, app).unwrap_or(ConversationKind::Group)
    }

    /// The kind of a conversation, where its id or somebody tells it. A room's channels are of the room's kind, and a name with Ably's qualifier is of
    /// the kind of the name behind it.
    pub(super) fn known_kind(&self, place: &Pattern, app: &str) -> Option<ConversationKind> {
        if ConversationKind::by_id(unqualified(place.prefix())) == ConversationKind::Temporary {
            return Some(ConversationKind::Temporary);
        }
        let home = place.home();
        let name = home.exact()?;
        let told = |name: &str| self.told.iter().find(|told| told.conversation() == name)?.kind();
        let filed = |name: &str| self.registers.iter().find_map(|register| register.kind(name, app));
        let known = |name: &str| filed(name).or_else(|| told(name));
        known(name).or_else(|| known(unqualified(name)))
    }

    /// Whether a register knows the conversation.
    pub(super) fn is_registered(&self, place: &Pattern, app: &str) -> bool {
        let home = place.home();
        home.exact().is_some_and(|name| self.registers.iter().any(|register| register.kind(name, app).is_some()))
    }

    /// The first conversation that a register knows to be of this kind, by name, whose name starts with `prefix` and is not before `from`.
    pub(super) fn next_of_kind(&self, kind: ConversationKind, app: &str, prefix: &str, from: &str) -> Option<&str> {
        self.registers.iter().filter_map(|register| register.next_of_kind(kind, app, prefix, from)).min()
    }

    /// What another service tells of this very conversation.
    pub(super) fn told_of(self, conversation: &Pattern) -> Option<&'a ConversationFacts> {
        self.told.iter().find(|told| told.scope == *conversation.home())
    }

    /// All bindings that may touch a place, in order of precedence; those for everywhere, where there is none.
    fn bindings<'b>(&'b self, person: RoleQuery<'b>, place: Option<&Pattern>) -> Vec<MatchedBinding<'b>> {
        let mut found = Vec::new();
        for (source, register) in self.registers.iter().enumerate() {
            for entry in register.about(person.name, person.app, place) {
                if let UserEntry::Role(tenure) = entry
                    && tenure.held != RoleGrant::Remembered
                    && !self.is_told_before(source, tenure, person.app)
                {
                    found.push(MatchedBinding {
                        scope: tenure.scope.home(),
                        role: tenure.role(person.ladder),
                        listed: tenure.listed,
                        removed: tenure.held == RoleGrant::Removed,
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
            Some(MatchedBinding { scope: Cow::Borrowed(&told.scope), role, listed: false, removed: false, source })
        }));
        let source = source + 1;
        found.extend(person.token.iter().map(|(scope, role)| MatchedBinding {
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
    fn is_told_before(&self, source: usize, tenure: &RoleBinding, app: &str) -> bool {
        let home = tenure.scope.home();
        tenure.listed && self.registers.iter().take(source).any(|register| register.kind(home.prefix(), app).is_some())
    }

    /// The role by the first source that covers `asked`: its most specific scope, of equal ones the strongest. Where all that this
    /// source says is that a role was taken away, the default role.
    fn covering(&self, person: RoleQuery<'_>, found: &[MatchedBinding<'_>], asked: &Pattern) -> EffectiveRole {
        let covering = || found.iter().filter(|binding| binding.scope.covers(asked));
        let by_default = |basis: RoleSource| EffectiveRole { role: person.default_role, basis };
        let Some(source) = covering().map(|binding| binding.source).min() else {
            return by_default(if person.default_role.is_some() { RoleSource::Default } else { RoleSource::Nothing });
        };
        let best = covering()
            .filter(|binding| binding.source == source && !binding.removed)
            .max_by_key(|binding| (binding.scope.specificity(), binding.role));
        best.map_or_else(
            || by_default(RoleSource::Removed),
            |best| EffectiveRole { role: best.role, basis: self.basis(best) },
        )
    }

    fn basis(&self, binding: &MatchedBinding<'_>) -> RoleSource {
        let scope = || binding.scope.clone().into_owned();
        match binding.role {
            _ if binding.source > self.registers.len() => RoleSource::Token(scope()),
            _ if binding.source == self.registers.len() => RoleSource::Told,
            None => RoleSource::Unlisted(scope()),
            Some(_) if binding.listed => RoleSource::List,
            Some(_) => RoleSource::Binding(scope()),
        }
    }
}

impl EffectiveRole {
    /// Whether a register has decided, so that neither other services nor tokens have a say.
    pub(super) fn is_filed(&self) -> bool {
        matches!(self.basis, RoleSource::List | RoleSource::Binding(_) | RoleSource::Unlisted(_) | RoleSource::Removed)
    }

    /// Whether it is by a binding that names a role which the policy does not list.
    pub(super) fn is_unlisted(&self) -> bool {
        matches!(self.basis, RoleSource::Unlisted(_))
    }

    /// In words that follow a name: "is member by the conversation's list".
    pub(super) fn describe(&self, ladder: &RoleHierarchy) -> String {
        match (self.role, &self.basis) {
            (None, RoleSource::Unlisted(scope)) => {
                format!("has no role (the binding to {scope} names a role that the policy does not list)")
            }
            (None, RoleSource::Told) => "has no role by the facts".to_owned(),
            (None, RoleSource::Removed) => "has no role (the one there was taken away)".to_owned(),
            (None, _) => "has no role".to_owned(),
            (Some(role), basis) => format!("is {}{basis}", ladder.word(role)),
        }
    }
}

impl RolesInScope {
    /// Every role that counts somewhere in the place.
    pub(super) fn roles(&self) -> impl Iterator<Item = &EffectiveRole> {
        std::iter::once(&self.whole).chain(self.parts.iter().map(|(_, role)| role))
    }

    /// In words that follow a name: "is member by a binding to chat:*, but guest in chat:vip".
    pub(super) fn describe(&self, ladder: &RoleHierarchy) -> String {
        let here = self.whole.describe(ladder);
        match self.parts.iter().find(|(_, part)| part.role != self.whole.role) {
            Some((place, EffectiveRole { role: Some(role), .. })) => {
                format!("{here}, but {} in {place}", ladder.word(*role))
            }
            Some((place, _)) => format!("{here}, but has no role in {place}"),
            None => here,
        }
    }
}

impl fmt::Display for RoleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoleSource::List => f.write_str(" by the conversation's list"),
            RoleSource::Binding(scope) => write!(f, " by a binding to {scope}"),
            RoleSource::Told => f.write_str(" by the facts"),
            RoleSource::Token(scope) => write!(f, " by the caller's token for {scope}"),
            RoleSource::Default => f.write_str(" by default"),
            RoleSource::Removed => f.write_str(" by default (the role there was taken away)"),
            RoleSource::Unlisted(_) | RoleSource::Nothing => Ok(()),
        }
    }
}
