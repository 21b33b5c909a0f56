//! Finds the authors of the bans and mutes that a request lifts. The limits on moderators also apply to these authors,
//! with the rank that they have now, although the request does not name them.

use std::collections::BTreeSet;

use super::effective_role::DecisionData;
use super::entry_index::UserEntry;
use super::rule::EntryAuthor;
use crate::model::{Action, CallerKind, RequiredAction};

impl<'a> DecisionData<'a> {
    /// Returns the users who made the bans or mutes with exactly this scope that the action would lift.
    pub fn sanction_authors(&self, app: &'a str, need: &RequiredAction) -> BTreeSet<&'a str> {
        let RequiredAction { action, conversation, targets } = need;
        let place = conversation.as_ref().filter(|_| matches!(action, Action::Unban | Action::Unmute));
        let Some(place) = place else { return BTreeSet::new() };
        let near = targets.iter().flat_map(|user| self.entries().map(move |register| (register, user)));
        let near = near.flat_map(|(register, user)| register.entries_near(user, app, Some(place)));
        let lifted = near.filter(|entry| match entry {
            UserEntry::Ban(_) => *action == Action::Unban,
            UserEntry::Mute(_) => *action == Action::Unmute,
            UserEntry::Block(_) | UserEntry::Role(_) => false,
        });
        let here = lifted.filter(|entry| entry.scope().home_conversation() == place.home_conversation());
        let authors = here.filter_map(|entry| entry.origin().author());
        authors
            .filter(|author| author.kind == CallerKind::User)
            .map(|EntryAuthor { subject, .. }| subject.as_str())
            .collect()
    }
}
