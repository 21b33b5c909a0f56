//! The rank of a user in a conversation or scope, for the limits on moderators. It comes from the policy file, the
//! moderation entries and the facts. Roles from tokens do not count.

use std::collections::BTreeSet;

use super::Policy;
use super::effective_role::{DecisionData, EffectiveRole, RoleQuery, RoleReason};
use super::entry_index::{EntryRef, UserEntryKind};
use super::rule::EntryAuthor;
use crate::model::{Action, CallerKind, Pattern, RequiredAction, Role};

/// The rank of a user in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    /// The role that counts where no more specific binding applies. `None` for the default role.
    pub held: Option<Role>,
    /// The scope of the binding that gives this role, if a binding gives it.
    pub scope: Option<Pattern>,
    /// The weakest role in any part of the scope.
    pub weakest: Option<Role>,
    /// The strongest role in any part of the scope.
    pub strongest: Option<Role>,
    /// Whether a source defines the user's role in every part of the scope. A removed role counts as defined.
    pub is_bound: bool,
    /// Whether the user has a role from a binding to `*`, and no weaker role in any part of the scope.
    pub is_everywhere: bool,
    /// Whether the user is the remembered owner of a conversation in the scope that was forgotten.
    pub is_remembered: bool,
    /// Why the rank may be higher than it looks, or `None` if the rank is certain.
    pub doubt: Option<RankUncertainty>,
}

/// The reason why a rank is uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankUncertainty {
    /// A binding that applies there has a role that the policy does not list.
    Unlisted,
    /// The facts decide the roles there, but the facts server was not asked about this user.
    NotInFacts,
}

impl Rank {
    /// Returns whether this rank is certainly higher than the other one, in every part of the scope.
    pub fn outranks(&self, other: &Rank) -> bool {
        let is_certain = self.doubt.is_none() && other.doubt.is_none() && !other.is_remembered;
        is_certain && self.weakest.is_some() && self.weakest > other.strongest
    }
}

impl Policy {
    /// Returns the rank of a user in a scope of an app.
    pub fn rank(&self, user: &str, app: &str, place: &Pattern, facts: DecisionData<'_>) -> Rank {
        let document = self.document();
        let (default_role, hierarchy) = (document.default_role, &document.role_hierarchy);
        let role_query = RoleQuery { name: user, app, token: &[], default_role, role_hierarchy: hierarchy };
        let roles = facts.roles_in_affected(role_query, place);
        let whole = &roles.whole;
        let is_given = matches!(whole.reason, RoleReason::List | RoleReason::Binding(_) | RoleReason::Facts);
        let told = facts.facts_about(place).filter(|_| whole.reason == RoleReason::Facts);
        let is_unasked = told.is_some_and(|told| !told.includes_user(user));
        let is_unlisted = roles.roles().any(EffectiveRole::is_unlisted);
        let weakest = roles.roles().map(|part| part.role).min().flatten();
        Rank {
            held: whole.role.filter(|_| is_given),
            scope: if let RoleReason::Binding(scope) = &whole.reason { Some(scope.clone()) } else { None },
            weakest,
            strongest: roles.roles().map(|part| part.role).max().flatten(),
            is_bound: roles.roles().all(is_defined),
            is_everywhere: role_everywhere(facts, role_query).is_some_and(|everywhere| Some(everywhere) <= weakest),
            is_remembered: facts.is_remembered_owner(role_query, place, |scope, place| {
                scope.home_conversation().overlaps(&place.home_conversation())
            }),
            doubt: if is_unlisted {
                Some(RankUncertainty::Unlisted)
            } else {
                is_unasked.then_some(RankUncertainty::NotInFacts)
            },
        }
    }

    /// Returns the line of the policy file that defines the user's role in a scope of an app, if there is one. Then no
    /// other source counts.
    pub fn line_of_role(&self, user: &str, app: &str, place: &Pattern) -> Option<usize> {
        let affected = place.affected_patterns();
        let near = affected
            .iter()
            .flat_map(|part| self.entries().entries_near(user, app, Some(part)).map(move |entry| (part, entry)));
        let covering = near.filter(|(part, entry)| {
            entry.kind() == UserEntryKind::Role && entry.scope().home_conversation().covers(part)
        });
        covering.filter_map(|(_, entry)| entry.line()).min()
    }
}

/// Returns whether a source defines the role: a binding, a token or a list, or the facts if they give a role.
fn is_defined(part: &EffectiveRole) -> bool {
    match part.reason {
        RoleReason::List
        | RoleReason::Binding(_)
        | RoleReason::Unlisted(_)
        | RoleReason::Token(_)
        | RoleReason::Removed => true,
        RoleReason::Facts => part.role.is_some(),
        RoleReason::Default | RoleReason::None => false,
    }
}

/// Returns the role that the person has from a binding to `*`.
fn role_everywhere(facts: DecisionData<'_>, role_query: RoleQuery<'_>) -> Option<Role> {
    let EffectiveRole { role, reason } = facts.role_everywhere(role_query);
    role.filter(|_| reason == RoleReason::Binding(Pattern::Everything))
}

impl<'a> DecisionData<'a> {
    /// Returns the users who made the bans or mutes with exactly this scope that the action would lift. The limits on
    /// moderators also apply to these users, with the rank that they have now, although the request does not name them.
    pub fn sanction_authors(&self, app: &'a str, need: &RequiredAction) -> BTreeSet<&'a str> {
        let RequiredAction { action, conversation, targets } = need;
        let place = conversation.as_ref().filter(|_| matches!(action, Action::Unban | Action::Unmute));
        let Some(place) = place else { return BTreeSet::new() };
        let near = targets.iter().flat_map(|user| self.entries().map(move |entry_index| (entry_index, user)));
        let near = near.flat_map(|(entry_index, user)| entry_index.entries_near(user, app, Some(place)));
        let lifted = near.filter(|entry| match entry.kind() {
            UserEntryKind::Ban => *action == Action::Unban,
            UserEntryKind::Mute => *action == Action::Unmute,
            UserEntryKind::Block | UserEntryKind::Role => false,
        });
        let here = lifted.filter(|entry| entry.scope().home_conversation() == place.home_conversation());
        let authors = here.filter_map(EntryRef::author);
        authors
            .filter(|author| author.kind == CallerKind::User)
            .map(|EntryAuthor { subject, .. }| subject.as_str())
            .collect()
    }
}
