//! What someone is in a place, for those who change what others are: by the word of the policy file, of what was changed at run time
//! and of whoever knows conversations. A token's word does not count.

use super::Policy;
use super::register::Entry;
use super::standing::{Basis, Facts, Person};
use crate::model::{Pattern, Role};

/// What someone is in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    /// The weakest role that counts anywhere in the place.
    pub weakest: Option<Role>,
    /// The strongest one.
    pub strongest: Option<Role>,
    /// Whether anything at all says what this person is in the place, and be it that a role was taken away.
    pub is_bound: bool,
    /// Whether it is so by a binding to everything there is.
    pub is_everywhere: bool,
    /// Whether some binding there names a role that the policy does not list, which may be the strongest of all.
    pub is_unlisted: bool,
}

impl Rank {
    /// Whether this is certainly a stronger position than another's, wherever in the place.
    pub fn outranks(&self, other: &Rank) -> bool {
        !self.is_unlisted && !other.is_unlisted && self.weakest.is_some() && self.weakest > other.strongest
    }
}

impl Policy {
    /// What a user is in a place at an app.
    pub fn rank(&self, user: &str, app: &str, place: &Pattern, facts: Facts<'_>) -> Rank {
        let document = self.document();
        let (default_role, ladder) = (document.default_role, &document.ladder);
        let standing = facts.standing(Person { name: user, app, token: &[], default_role, ladder }, place);
        let is_listed = |entry: &Entry| match entry {
            Entry::Role(tenure) => tenure.is_listed(ladder),
            _ => true,
        };
        let mut near = facts.registers.iter().flat_map(|register| register.about(user, app, Some(place)));
        Rank {
            weakest: standing.roles().min().flatten(),
            strongest: standing.roles().max().flatten(),
            is_bound: match standing.basis {
                Basis::Default | Basis::Nothing => !standing.parts.is_empty(),
                Basis::Told => standing.role.is_some(),
                _ => true,
            },
            is_everywhere: standing.basis == Basis::Binding(Pattern::Everything),
            is_unlisted: near.any(|entry| entry.scope().overlaps(place) && !is_listed(entry)),
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
