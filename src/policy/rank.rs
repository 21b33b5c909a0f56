//! What someone is in a place, for those who change what others are: by the word of the policy file, of what was changed at run time
//! and of whoever knows conversations. A token's word does not count.

use super::Policy;
use super::register::Entry;
use super::standing::{Basis, Facts, Person};
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
    /// Whether anything at all says what this person is in the place, and be it that a role was taken away.
    pub is_bound: bool,
    /// Whether it is so by a binding to everything there is, and nowhere in the place less by something more special.
    pub is_everywhere: bool,
    /// Whether it is remembered as the owner of a conversation there that was forgotten.
    pub is_remembered: bool,
    /// Why it may be more than it seems, even the strongest of all, if so.
    pub doubt: Option<Doubt>,
}

/// Why a position may be more than it seems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
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
    pub fn rank(&self, user: &str, app: &str, place: &Pattern, facts: Facts<'_>) -> Rank {
        let document = self.document();
        let (default_role, ladder) = (document.default_role, &document.ladder);
        let person = Person { name: user, app, token: &[], default_role, ladder };
        let standing = facts.standing(person, place);
        let is_given = matches!(standing.basis, Basis::List | Basis::Binding(_) | Basis::Told);
        let scope = if let Basis::Binding(scope) = &standing.basis { Some(scope.clone()) } else { None };
        let told = facts.told_of(place).filter(|_| standing.basis == Basis::Told);
        let is_unasked = told.is_some_and(|told| !told.is_about(user));
        let is_unlisted = facts.is_unlisted(person, &standing);
        Rank {
            held: standing.role.filter(|_| is_given),
            weakest: standing.roles().min().flatten(),
            strongest: standing.roles().max().flatten(),
            is_bound: match standing.basis {
                Basis::Default | Basis::Nothing => !standing.parts.is_empty(),
                Basis::Told => standing.role.is_some(),
                _ => true,
            },
            is_everywhere: scope == Some(Pattern::Everything) && standing.roles().min() == Some(standing.role),
            is_remembered: facts.is_remembered(person, place),
            doubt: if is_unlisted { Some(Doubt::Unlisted) } else { is_unasked.then_some(Doubt::Unasked) },
            scope,
        }
    }

    /// The line of the policy file that says what a user is in a place at an app, if one does: then nobody else's word counts.
    pub fn filed_role(&self, user: &str, app: &str, place: &Pattern) -> Option<usize> {
        let near = self.register().about(user, app, Some(place));
        let covering =
            near.filter(|entry| matches!(entry, Entry::Role(_)) && entry.scope().home().covers(&place.home()));
        covering.filter_map(|entry| entry.origin().line()).min()
    }
}
