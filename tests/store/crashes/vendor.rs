//! What the vendors hold before anybody is banned, and what they must hold in the end.

use std::collections::{BTreeMap, BTreeSet};

use chat_signer::moderation::EntryKind;
use serde_json::{Value, json};

use crate::crashes::chance::Chance;
use crate::crashes::kept::Entries;
use crate::vendors::{ABLY_KEYS, Participant, Vendor};

pub(crate) const PLACES: [&str; 3] = ["c0", "c1", "c2"];
pub(crate) const USERS: [&str; 6] = ["alice", "bob", "carol", "dave", "eve/l", "fr:ed"];

/// Who is what in each conversation at TalkJS; at LeanCloud the members, the black list and who is silenced for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    participants: BTreeMap<String, BTreeMap<String, Participant>>,
    lists: [BTreeMap<String, BTreeSet<String>>; 3],
}

impl Before {
    /// Puts people into conversations and on lists.
    pub(crate) fn set(vendor: &Vendor, chance: &mut Chance) -> Before {
        for place in PLACES {
            vendor.held(|held| {
                for lists in [&mut held.members, &mut held.blacklists, &mut held.silenced] {
                    lists.insert(place.to_owned(), BTreeSet::new());
                }
            });
            for user in USERS {
                let notify = chance.of(&[json!(true), json!(false), json!("MentionsOnly")]);
                if chance.below(5) > 0 {
                    vendor.join(place, user, chance.of(&["Read", "ReadWrite"]), notify);
                }
                let at = chance.below(8);
                vendor.held(|held| {
                    let list = match at {
                        0 => &mut held.blacklists,
                        1 => &mut held.silenced,
                        2 => return,
                        _ => &mut held.members,
                    };
                    list.get_mut(place).unwrap().insert(user.to_owned());
                });
            }
        }
        Before::of(vendor)
    }

    fn of(vendor: &Vendor) -> Before {
        vendor.held(|held| {
            let lists = [held.members.clone(), held.blacklists.clone(), held.silenced.clone()];
            Before { participants: held.participants.clone(), lists }
        })
    }

    /// That the vendors hold what these entries say, and otherwise what they held before.
    pub(crate) fn assert_restored_but_for(&self, vendor: &Vendor, entries: &Entries) {
        let now = Before::of(vendor);
        for (place, user) in PLACES.iter().flat_map(|place| USERS.map(|user| (*place, user))) {
            let is = |table| Imposed::of(entries, table, user, place);
            let (ban, mute) = (is(EntryKind::Bans), is(EntryKind::Mutes));
            let what = format!("{user} in {place}: {ban:?}, {mute:?}");
            assert_eq!(now.participant(place, user), self.expected(place, user, ban, mute), "TalkJS: {what}");
            assert_leancloud(self.listed(place, user), now.listed(place, user), ban, &what);
            let briefly = vendor.held(|held| held.briefly.contains_key(&(place.to_owned(), user.to_owned())));
            assert_silence(self.listed(place, user)[2], now.listed(place, user)[2], briefly, (ban, mute), &what);
        }
        for user in USERS {
            assert_ended(vendor, user, entries);
        }
    }

    fn participant(&self, place: &str, user: &str) -> Option<Participant> {
        self.participants.get(place)?.get(user).cloned()
    }

    fn expected(&self, place: &str, user: &str, ban: Imposed, mute: Imposed) -> Option<Participant> {
        let (access, notify) = self.participant(place, user).filter(|_| ban == Imposed::Not)?;
        Some((if mute == Imposed::Not { access } else { "Read".to_owned() }, notify))
    }

    /// Whether a user is a member, on the black list, and silenced for good.
    fn listed(&self, place: &str, user: &str) -> [bool; 3] {
        [0, 1, 2].map(|at| self.lists[at].get(place).is_some_and(|list| list.contains(user)))
    }
}

/// Whether something is imposed on a user in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Imposed {
    Not,
    /// Only by what holds everywhere.
    Everywhere,
    Here,
}

impl Imposed {
    fn of(entries: &Entries, table: EntryKind, user: &str, place: &str) -> Imposed {
        let about = entries.iter().filter(|(key, entry)| key.starts_with(table.as_str()) && entry["user"] == user);
        let places: Vec<&Value> = about.map(|(_, entry)| &entry["conversation"]).collect();
        match () {
            () if places.iter().any(|known| **known == place) => Imposed::Here,
            () if places.iter().any(|known| known.is_null()) => Imposed::Everywhere,
            () => Imposed::Not,
        }
    }
}

/// LeanCloud has no list for everywhere: what that means for one conversation depends on whether something was ever done there.
fn assert_leancloud(before: [bool; 3], now: [bool; 3], ban: Imposed, what: &str) {
    match ban {
        Imposed::Here => assert_eq!(now[..2], [false, true], "LeanCloud: {what}"),
        Imposed::Not => assert_eq!(now[..2], before[..2], "LeanCloud: {what}"),
        Imposed::Everywhere => {}
    }
}

fn assert_silence(before: bool, now: bool, briefly: bool, (ban, mute): (Imposed, Imposed), what: &str) {
    match (ban, mute) {
        (Imposed::Not, Imposed::Here) => assert!(now || briefly, "silenced at LeanCloud: {what}"),
        (Imposed::Not, Imposed::Not) => assert_eq!((now, briefly), (before, false), "silenced at LeanCloud: {what}"),
        _ => {}
    }
}

/// Sessions and tokens of those who are banned: they were ended at least once.
fn assert_ended(vendor: &Vendor, user: &str, entries: &Entries) {
    let is =
        |table: EntryKind| entries.iter().any(|(key, entry)| key.starts_with(table.as_str()) && entry["user"] == user);
    vendor.held(|held| {
        let was_kicked = held.kicked.iter().any(|(kicked, _)| kicked == user);
        assert!(was_kicked || !is(EntryKind::Bans), "{user} was not kicked");
        for (key, _) in ABLY_KEYS.iter().map(|key| key.split_once(':').unwrap()) {
            let was_revoked = held.revoked.contains(&(key.to_owned(), user.to_owned()));
            assert!(
                was_revoked || !(is(EntryKind::Bans) || is(EntryKind::Mutes)),
                "{user}'s tokens of {key} were not revoked"
            );
        }
    });
}
