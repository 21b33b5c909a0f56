//! What someone is in a place, for those who change what others are: by the word of the policy file, of what was changed at run time
//! and of whoever knows conversations. A token's word does not count.

use super::Policy;
use super::effective_role::{DecisionData, EffectiveRole, RoleQuery, RoleSource};
use super::entry_index::UserEntry;
use crate::model::{Pattern, Role};

/// What someone is in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    /// The role that counts wherever nothing more special does, if something gives it: not the default role.
    pub held: Option<Role>,
    /// The scope of the binding that gives it, where it is one.
    pub scope: Option<Pattern>,
    /// The weakest role that counts anywhere in the place.
    pub weakest: Option<Role>,
    /// The strongest one.
    pub strongest: Option<Role>,
    /// Whether something says what this person is in every part of the place, even that a role was taken away.
    pub is_bound: bool,
    /// Whether the person has a role by a binding to everything there is, and nowhere in the place a weaker one.
    pub is_everywhere: bool,
    /// Whether it is remembered as the owner of a conversation there that was forgotten.
    pub is_remembered: bool,
    /// Why it may be more than it seems, even the strongest of all, if so.
    pub doubt: Option<RankUncertainty>,
}

/// Why a position may be more than it seems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankUncertainty {
    /// A binding counts there that names a role which the policy does not list.
    Unlisted,
    /// Another service tells what people are there and was not asked about this one.
    Unasked,
}

impl Rank {
    /// Whether this is certainly a stronger position than another's, wherever in the place.
    pub fn outranks(&self, other: &Rank) -> bool {
        let is_certain = self.doubt.is_none() && other.doubt.is_none() && !other.is_remembered;
        is_certain && self.weakest.is_some() && self.weakest > other.strongest
    }
}

impl Policy {
    /// What a user is in a place at an app.
    pub fn rank(&self, user: &str, app: &str, place: &Pattern, facts: DecisionData<'_>) -> Rank {
        let document = self.document();
        let (default_role, ladder) = (document.default_role, &document.ladder);
        let person = RoleQuery { name: user, app, token: &[], default_role, ladder };
        let standing = facts.standing_in_affected(person, place);
        let whole = &standing.whole;
        let is_given = matches!(whole.basis, RoleSource::List | RoleSource::Binding(_) | RoleSource::Told);
        let told = facts.told_of(place).filter(|_| whole.basis == RoleSource::Told);
        let is_unasked = told.is_some_and(|told| !told.is_about(user));
        let is_unlisted = standing.roles().any(EffectiveRole::is_unlisted);
        let weakest = standing.roles().map(|part| part.role).min().flatten();
        Rank {
            held: whole.role.filter(|_| is_given),
            scope: if let RoleSource::Binding(scope) = &whole.basis { Some(scope.clone()) } else { None },
            weakest,
            strongest: standing.roles().map(|part| part.role).max().flatten(),
            is_bound: standing.roles().all(is_bound),
            is_everywhere: everywhere(facts, person).is_some_and(|everywhere| Some(everywhere) <= weakest),
            is_remembered: facts.is_remembered(person, place, |scope, place| scope.home().overlaps(&place.home())),
            doubt: if is_unlisted {
                Some(RankUncertainty::Unlisted)
            } else {
                is_unasked.then_some(RankUncertainty::Unasked)
            },
        }
    }

    /// The line of the policy file that says what a user is in a place at an app, if one does: then nobody else's word counts.
    pub fn filed_role(&self, user: &str, app: &str, place: &Pattern) -> Option<usize> {
        let affected = place.affected();
        let near = affected
            .iter()
            .flat_map(|part| self.register().about(user, app, Some(part)).map(move |entry| (part, entry)));
        let covering =
            near.filter(|(part, entry)| matches!(entry, UserEntry::Role(_)) && entry.scope().home().covers(part));
        covering.filter_map(|(_, entry)| entry.origin().line()).min()
    }
}

/// Whether something says what the person is there: a binding of its own, or the facts, if they give a role.
fn is_bound(part: &EffectiveRole) -> bool {
    match part.basis {
        RoleSource::List
        | RoleSource::Binding(_)
        | RoleSource::Unlisted(_)
        | RoleSource::Token(_)
        | RoleSource::Removed => true,
        RoleSource::Told => part.role.is_some(),
        RoleSource::Default | RoleSource::Nothing => false,
    }
}

/// The role that the person has by a binding to everything there is.
fn everywhere(facts: DecisionData<'_>, person: RoleQuery<'_>) -> Option<Role> {
    let EffectiveRole { role, basis } = facts.role_everywhere(person);
    role.filter(|_| basis == RoleSource::Binding(Pattern::Everything))
}
