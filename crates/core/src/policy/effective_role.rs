//! Finds the role of a user in a conversation, and the source of this role.
//!
//! For a room's channel, an exact binding to the room counts. Otherwise the longest namespace around the channel
//! counts: of `r::*` or `r:*`, for example, which do not contain the room itself.
//!
//! The sources have this precedence: the entries of the policy file, the moderation entries, the facts, the caller's
//! token. The first source with a binding that covers the conversation decides, by its most specific scope. Facts about
//! a conversation work like a binding for every user: a user that the facts do not name has no role there.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use super::conversation_facts::ConversationFacts;
use super::entry_index::{EntryIndex, EntryRef, RoleGrant, UserEntryKind};
use crate::model::{ConversationKind, Pattern, Role, RoleHierarchy, room, unqualified};

/// The data about users and conversations for one decision.
#[derive(Clone, Copy, Debug)]
pub struct DecisionData<'a> {
    /// The entries of the policy file.
    pub file: &'a EntryIndex,
    /// The moderation entries, which were made at run time.
    pub runtime: Option<&'a EntryIndex>,
    /// The facts about conversations, at most one for each conversation.
    pub facts: &'a [ConversationFacts],
}

/// The source of a role, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RoleSource {
    /// The entries of the policy file.
    File,
    /// The moderation entries.
    Runtime,
    /// The facts about the conversation.
    Facts,
    /// The caller's token.
    Token,
}

/// A user's role in a conversation, or in those names of a pattern that no scope inside the pattern names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EffectiveRole {
    pub(super) role: Option<Role>,
    /// The reason for the role.
    pub(super) reason: RoleReason,
}

/// A user's roles in a conversation or pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RolesInScope {
    /// The role where no more specific binding applies.
    pub(super) whole: EffectiveRole,
    /// The role in each part that has a more specific binding.
    pub(super) parts: Vec<(Pattern, EffectiveRole)>,
}

/// The reason why a user has a role, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RoleReason {
    /// The conversation's list of owner, managers and members.
    List,
    /// A binding with this scope.
    Binding(Pattern),
    /// A binding with this scope to a role that the policy does not list.
    Unlisted(Pattern),
    /// The facts about the conversation, even if they do not name the user.
    Facts,
    /// The caller's token, with this scope.
    Token(Pattern),
    /// The policy's `default_role`.
    Default,
    /// The role there was removed. So the policy's `default_role` counts, or no role.
    Removed,
    /// No source gives a role.
    None,
}

/// The user and the app of a role lookup.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoleQuery<'a> {
    pub(super) name: &'a str,
    pub(super) app: &'a str,
    /// The roles that the user's token claims. Empty for everyone except the caller.
    pub(super) token: &'a [(Pattern, Role)],
    /// The role of a user without a binding.
    pub(super) default_role: Option<Role>,
    /// The roles of the policy.
    pub(super) role_hierarchy: &'a RoleHierarchy,
}

/// A binding that was found, with the data that the decision needs.
struct MatchedBinding<'a> {
    /// The scope. If the binding names a channel of a room, this is the room.
    scope: Cow<'a, Pattern>,
    role: Option<Role>,
    listed: bool,
    /// Whether the binding only says that a role was removed.
    removed: bool,
    source: RoleSource,
}

/// The entries about a user that may overlap a place, in order of precedence. Most users have none, and then nothing is
/// allocated.
pub(super) struct NearEntries<'a>(Vec<(RoleSource, EntryRef<'a>)>);

impl<'a> NearEntries<'a> {
    /// Returns the entries of this kind.
    pub(super) fn of_kind(&self, kind: UserEntryKind) -> impl Iterator<Item = EntryRef<'a>> {
        self.0.iter().map(|(_, entry)| *entry).filter(move |entry| entry.kind() == kind)
    }
}

impl<'a> DecisionData<'a> {
    /// The data of a policy file alone.
    pub fn file_only(file: &'a EntryIndex) -> DecisionData<'a> {
        DecisionData { file, runtime: None, facts: &[] }
    }

    /// The entries, by precedence.
    pub(super) fn entries(&self) -> impl Iterator<Item = &'a EntryIndex> + use<'a> {
        self.entries_by_source().map(|(_, entries)| entries)
    }

    fn entries_by_source(&self) -> impl Iterator<Item = (RoleSource, &'a EntryIndex)> + use<'a> {
        let runtime = self.runtime.map(|entries| (RoleSource::Runtime, entries));
        std::iter::once((RoleSource::File, self.file)).chain(runtime)
    }

    /// Returns the entries about a user that may overlap `place`, or those for everywhere if there is no place.
    pub(super) fn near_entries(&self, user: &str, app: &'a str, place: Option<&Pattern>) -> NearEntries<'a> {
        let mut near = Vec::new();
        for (source, entry_index) in self.entries_by_source() {
            near.extend(entry_index.entries_near(user, app, place).map(|entry| (source, entry)));
        }
        NearEntries(near)
    }

    /// Returns the role in a conversation, or in those names of a pattern that no scope inside the pattern names.
    pub(super) fn role(&self, role_query: RoleQuery<'_>, place: &Pattern) -> EffectiveRole {
        covering_role(role_query, &self.bindings(role_query, Some(place)), place)
    }

    /// Returns the same role as [`role`](Self::role), or as [`role_everywhere`](Self::role_everywhere) without a place.
    /// `entries` are the entries about the user near the place.
    pub(super) fn role_by_entries(
        &self,
        role_query: RoleQuery<'_>,
        place: Option<&Pattern>,
        entries: &NearEntries<'_>,
    ) -> EffectiveRole {
        let found = self.bindings_among(role_query, place, entries);
        covering_role(role_query, &found, place.unwrap_or(&Pattern::Everything))
    }

    /// Returns the roles in a conversation or in all parts of a pattern. They agree with the roles of the single names.
    pub(super) fn roles_in_scope(&self, role_query: RoleQuery<'_>, asked: &Pattern) -> RolesInScope {
        let found = self.bindings(role_query, Some(asked));
        let whole = covering_role(role_query, &found, asked);
        if asked.exact().is_some() {
            return RolesInScope { whole, parts: Vec::new() };
        }
        let parts = split(asked, found.iter().map(|binding| &*binding.scope)).into_iter();
        RolesInScope { whole, parts: parts.map(|part| (part.clone(), self.role(role_query, &part))).collect() }
    }

    /// Returns the user's roles in everything that an entry with this scope affects. For a room, this includes its
    /// channels.
    pub(super) fn roles_in_affected(&self, role_query: RoleQuery<'_>, scope: &Pattern) -> RolesInScope {
        let mut roles = self.roles_in_scope(role_query, &scope.home_conversation());
        let channels = scope.affected_patterns().into_iter().skip(1);
        roles.parts.extend(channels.map(|part| (part.clone(), self.role(role_query, &part))));
        roles
    }

    /// Returns whether the user is the remembered owner of a conversation that was forgotten and that matches `here`.
    pub(super) fn is_remembered_owner(
        &self,
        role_query: RoleQuery<'_>,
        place: &Pattern,
        here: fn(&Pattern, &Pattern) -> bool,
    ) -> bool {
        self.entries_by_source().any(|(source, entry_index)| {
            entry_index.entries_near(role_query.name, role_query.app, Some(place)).any(|entry| {
                entry.is_remembered()
                    && here(entry.scope(), place)
                    && !self.is_overridden_by_earlier_list(source, entry, role_query.app)
            })
        })
    }

    /// Returns the role for actions without a conversation: the role at scope `*`.
    pub(super) fn role_everywhere(&self, role_query: RoleQuery<'_>) -> EffectiveRole {
        covering_role(role_query, &self.bindings(role_query, None), &Pattern::Everything)
    }

    /// Returns the role that each scope of a person's bindings gives, after precedence. Scopes that a stronger source
    /// covers are left out. `None` means "no role". It is included because otherwise the role of a wider scope would
    /// count.
    pub(super) fn roles_within(&self, role_query: RoleQuery<'_>, asked: &Pattern) -> Vec<(Pattern, Option<Role>)> {
        let found = self.bindings(role_query, Some(asked));
        let overlapping = found.iter().filter(|binding| binding.scope.overlaps(asked));
        let roles = overlapping.filter_map(|binding| {
            let near = self.bindings(role_query, Some(&binding.scope));
            if near.iter().any(|other| other.source < binding.source && other.scope.covers(&binding.scope)) {
                return None;
            }
            let same_scope =
                |other: &&MatchedBinding<'_>| other.source == binding.source && other.scope == binding.scope;
            let mut same = near.iter().filter(same_scope);
            let role = if same.all(|other| other.removed) {
                covering_role(role_query, &near, &binding.scope).role
            } else {
                near.iter().filter(same_scope).map(|other| other.role).max().flatten()
            };
            Some((binding.scope.clone().into_owned(), role))
        });
        roles.collect()
    }

    /// Returns the kind of a conversation. For a pattern, returns the kind of the conversations of which only the id is
    /// known.
    pub(super) fn kind(&self, place: &Pattern, app: &str) -> ConversationKind {
        self.known_kind(place, app).unwrap_or(ConversationKind::Group)
    }

    /// Returns the kind of a conversation if its id, an entry or the facts give it. A room's channels have the kind of
    /// the room. A name with Ably's qualifier has the kind of the name after the qualifier.
    pub(super) fn known_kind(&self, place: &Pattern, app: &str) -> Option<ConversationKind> {
        if ConversationKind::from_id(unqualified(place.prefix())) == ConversationKind::Temporary {
            return Some(ConversationKind::Temporary);
        }
        let home = place.home_conversation();
        let name = home.exact()?;
        let told = |name: &str| self.facts.iter().find(|told| told.conversation() == name)?.kind();
        let filed = |name: &str| self.entries().find_map(|entry_index| entry_index.kind(name, app));
        let known = |name: &str| filed(name).or_else(|| told(name));
        let own = unqualified(name);
        known(name).or_else(|| if own == name { None } else { known(own) })
    }

    /// Returns whether an entry gives the kind of the conversation.
    pub(super) fn is_registered(&self, place: &Pattern, app: &str) -> bool {
        let home = place.home_conversation();
        home.exact().is_some_and(|name| self.entries().any(|entry_index| entry_index.kind(name, app).is_some()))
    }

    /// Returns the first conversation, sorted by name, that has an entry with this kind, whose name starts with
    /// `prefix` and does not sort before `from`.
    pub(super) fn next_of_kind(&self, kind: ConversationKind, app: &str, prefix: &str, from: &str) -> Option<&str> {
        self.entries().filter_map(|entry_index| entry_index.next_of_kind(kind, app, prefix, from)).min()
    }

    /// Returns the facts about exactly this conversation.
    pub(super) fn facts_about(self, conversation: &Pattern) -> Option<&'a ConversationFacts> {
        self.facts.iter().find(|told| told.scope == *conversation.home_conversation())
    }

    /// Returns all bindings that may overlap a conversation or pattern, in order of precedence. Without a place,
    /// returns the bindings for everywhere.
    fn bindings<'b>(&'b self, role_query: RoleQuery<'b>, place: Option<&Pattern>) -> Vec<MatchedBinding<'b>> {
        let data: &DecisionData<'b> = self;
        let near = data.near_entries(role_query.name, role_query.app, place);
        self.bindings_among(role_query, place, &near)
    }

    /// Returns the bindings among the entries about the user near the place, and those of facts and tokens.
    fn bindings_among<'b>(
        &'b self,
        role_query: RoleQuery<'b>,
        place: Option<&Pattern>,
        entries: &NearEntries<'b>,
    ) -> Vec<MatchedBinding<'b>> {
        let mut found = Vec::new();
        for (source, entry) in entries.0.iter().copied() {
            if entry.kind() == UserEntryKind::Role
                && !entry.is_remembered()
                && !self.is_overridden_by_earlier_list(source, entry, role_query.app)
            {
                found.push(MatchedBinding {
                    scope: entry.scope().home_conversation(),
                    role: entry.role(role_query.role_hierarchy),
                    listed: entry.is_listed(),
                    removed: entry.grant() == Some(RoleGrant::Removed),
                    source,
                });
            }
        }
        // An empty name is a service that acts as itself. Services are not in conversations, so the facts do not apply
        // to them.
        let told = self.facts.iter().filter(|_| !role_query.name.is_empty());
        let near = told.filter(|told| place.is_some_and(|place| told.scope.overlaps(place)));
        found.extend(near.filter_map(|told| {
            let role = told.details.as_ref()?.role(role_query.name);
            Some(MatchedBinding {
                scope: Cow::Borrowed(&told.scope),
                role,
                listed: false,
                removed: false,
                source: RoleSource::Facts,
            })
        }));
        found.extend(role_query.token.iter().map(|(scope, role)| MatchedBinding {
            scope: scope.home_conversation(),
            role: Some(*role),
            listed: false,
            removed: false,
            source: RoleSource::Token,
        }));
        found
    }

    /// Returns whether this role comes from a conversation's list, and an earlier source has its own entry for the
    /// conversation. Then only the list of the earlier source counts. For example, the policy file may later name a
    /// different owner than the one that was set at run time.
    fn is_overridden_by_earlier_list(&self, source: RoleSource, entry: EntryRef<'_>, app: &str) -> bool {
        let home = entry.scope().home_conversation();
        let mut earlier = self.entries_by_source().take_while(|(other, _)| *other < source);
        entry.is_listed() && earlier.any(|(_, entries)| entries.kind(home.prefix(), app).is_some())
    }
}

/// Returns the role of the first source that covers `asked`: the most specific scope counts, and among equal scopes the
/// strongest role. If this source only says that a role was removed, returns the default role.
fn covering_role(role_query: RoleQuery<'_>, found: &[MatchedBinding<'_>], asked: &Pattern) -> EffectiveRole {
    let covering = || found.iter().filter(|binding| binding.scope.covers(asked));
    let by_default = |reason: RoleReason| EffectiveRole { role: role_query.default_role, reason };
    let Some(source) = covering().map(|binding| binding.source).min() else {
        return by_default(if role_query.default_role.is_some() { RoleReason::Default } else { RoleReason::None });
    };
    let best = covering()
        .filter(|binding| binding.source == source && !binding.removed)
        .max_by_key(|binding| (binding.scope.specificity(), binding.role));
    best.map_or_else(
        || by_default(RoleReason::Removed),
        |best| EffectiveRole { role: best.role, reason: best.reason() },
    )
}

impl MatchedBinding<'_> {
    /// Returns the reason for the role that this binding gives.
    fn reason(&self) -> RoleReason {
        let scope = || self.scope.clone().into_owned();
        match (self.source, self.role) {
            (RoleSource::Token, _) => RoleReason::Token(scope()),
            (RoleSource::Facts, _) => RoleReason::Facts,
            (RoleSource::File | RoleSource::Runtime, None) => RoleReason::Unlisted(scope()),
            (RoleSource::File | RoleSource::Runtime, Some(_)) if self.listed => RoleReason::List,
            (RoleSource::File | RoleSource::Runtime, Some(_)) => RoleReason::Binding(scope()),
        }
    }
}

impl EffectiveRole {
    /// Returns whether an entry decided the role. Then facts and tokens do not count.
    pub(super) fn is_from_entries(&self) -> bool {
        matches!(self.reason, RoleReason::List | RoleReason::Binding(_) | RoleReason::Unlisted(_) | RoleReason::Removed)
    }

    /// Returns whether the role comes from a binding to a role that the policy does not list.
    pub(super) fn is_unlisted(&self) -> bool {
        matches!(self.reason, RoleReason::Unlisted(_))
    }

    /// Describes the role in words that follow a name: "is member by the conversation's list".
    pub(super) fn describe(&self, hierarchy: &RoleHierarchy) -> String {
        match (self.role, &self.reason) {
            (None, RoleReason::Unlisted(scope)) => {
                format!("has no role (the binding to {scope} names a role that the policy does not list)")
            }
            (None, RoleReason::Facts) => "has no role by the facts".to_owned(),
            (None, RoleReason::Removed) => "has no role (the role there was removed)".to_owned(),
            (None, _) => "has no role".to_owned(),
            (Some(role), reason) => format!("is {}{reason}", hierarchy.name(role)),
        }
    }
}

impl RolesInScope {
    /// Returns every role that counts in some part.
    pub(super) fn roles(&self) -> impl Iterator<Item = &EffectiveRole> {
        std::iter::once(&self.whole).chain(self.parts.iter().map(|(_, role)| role))
    }

    /// Describes the roles in words that follow a name: "is member by a binding to chat:*, but guest in chat:vip".
    pub(super) fn describe(&self, hierarchy: &RoleHierarchy) -> String {
        let here = self.whole.describe(hierarchy);
        match self.parts.iter().find(|(_, part)| part.role != self.whole.role) {
            Some((place, EffectiveRole { role: Some(role), .. })) => {
                format!("{here}, but {} in {place}", hierarchy.name(*role))
            }
            Some((place, _)) => format!("{here}, but has no role in {place}"),
            None => here,
        }
    }
}

impl fmt::Display for RoleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoleReason::List => f.write_str(" by the conversation's list"),
            RoleReason::Binding(scope) => write!(f, " by a binding to {scope}"),
            RoleReason::Facts => f.write_str(" by the facts"),
            RoleReason::Token(scope) => write!(f, " by the caller's token for {scope}"),
            RoleReason::Default => f.write_str(" by default"),
            RoleReason::Removed => f.write_str(" by default (the role there was removed)"),
            RoleReason::Unlisted(_) | RoleReason::None => Ok(()),
        }
    }
}

/// Returns the parts of a pattern that these scopes make, without the pattern itself. Each part represents those of its
/// names that no smaller part contains.
pub(super) fn split<'s>(asked: &Pattern, scopes: impl IntoIterator<Item = &'s Pattern>) -> BTreeSet<Pattern> {
    let named = scopes.into_iter().filter(|scope| may_name_part(asked, scope)).flat_map(scopes_named_by);
    named.filter(|part| part != asked && asked.covers(part)).collect()
}

/// Returns whether the scope may name a part of a pattern. It does not if neither of the texts begins with the other one.
fn may_name_part(asked: &Pattern, scope: &Pattern) -> bool {
    let outer = asked.prefix();
    let begins = |text: &str| text.starts_with(outer) || outer.starts_with(room(text).unwrap_or(text));
    begins(scope.prefix()) || begins(unqualified(scope.prefix()))
}

/// Returns the scope, its conversation, and the channels of the conversation. For a scope with Ably's qualifier, also
/// returns the name after the qualifier.
fn scopes_named_by(scope: &Pattern) -> impl Iterator<Item = Pattern> + use<> {
    let conversation = scope.room().or(scope.exact());
    let names = conversation.into_iter().flat_map(|name| BTreeSet::from([name, unqualified(name)]));
    let parts = names.flat_map(|name| Pattern::Exact(name.to_owned()).affected_patterns());
    let parts: Vec<Pattern> = parts.chain([scope.clone()]).collect();
    parts.into_iter()
}
