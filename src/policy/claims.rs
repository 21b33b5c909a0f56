//! What a token tells others of its client: the client's roles in what is granted, each with its scope.

use std::collections::{BTreeMap, BTreeSet};

use super::question::Case;
use super::register::homes;
use crate::model::{Grant, Pattern, unqualified};

/// Words by scope; an empty one is no role.
type Claims = BTreeMap<Pattern, String>;

/// The client's roles in what is granted, each scope once, in order.
///
/// To the policy a room's channels are the room. To Ably they are names like others, of which the most specific claim tells: so they have
/// claims of their own, where those by scope would tell something else than what the decision goes by.
pub(super) fn user_claims(case: Case<'_>, granted: &[Grant]) -> Vec<(Pattern, String)> {
    let mut claims = by_scope(case, granted);
    let in_rooms: Vec<_> = granted.iter().flat_map(|grant| in_rooms(case, &grant.resource, &claims)).collect();
    claims.extend(in_rooms);
    claims.into_iter().collect()
}

fn by_scope(case: Case<'_>, granted: &[Grant]) -> Claims {
    let ladder = &case.policy.document().ladder;
    let within = granted.iter().flat_map(|grant| case.facts.roles_within(case.client(), &grant.resource));
    let mut claims: Claims =
        within.map(|(scope, role)| (scope, role.map_or("", |role| ladder.word(role)).to_owned())).collect();
    // No role goes without saying, unless a wider scope's would take its place.
    let wider: Vec<Pattern> =
        claims.iter().filter(|(_, word)| !word.is_empty()).map(|(scope, _)| scope.clone()).collect();
    claims.retain(|scope, word| !word.is_empty() || wider.iter().any(|wide| wide.covers(scope)));
    claims
}

/// Claims for rooms' channels in what is granted. Of a pattern, in which there may be any number of rooms, only those without which others
/// would be told more, or something else of a room that has a claim: a token must stay short.
fn in_rooms(case: Case<'_>, granted: &Pattern, claims: &Claims) -> Claims {
    match granted {
        own if own.room().is_some() => claim(case, unqualified_pattern(own), claims, true).into_iter().collect(),
        Pattern::Exact(_) => Claims::new(),
        wide => {
            let inside = rooms(claims).into_iter().flat_map(channels).filter(|own| wide.covers(own));
            inside.filter_map(|own| claim(case, own, claims, false)).collect()
        }
    }
}

/// What is to be told in a room's channel, unless it is told already.
fn claim(case: Case<'_>, channel: Pattern, claims: &Claims, is_named: bool) -> Option<(Pattern, String)> {
    let (ladder, room) = (&case.policy.document().ladder, channel.home());
    let role = case.facts.standing(case.client(), &room).role;
    let word = role.map_or("", |role| ladder.word(role));
    let has_claim = claims.contains_key(&*room);
    let is_needed = match told(claims, &channel) {
        Some(told) => told != word && (is_named || has_claim || ladder.role(told) > role),
        None => is_named && has_claim,
    };
    let word = word.to_owned();
    is_needed.then_some((channel, word))
}

/// The rooms in whose channels claims may tell something else than in the room: those with a claim, and those whose channels lie in
/// a claim's namespace though the room does not.
fn rooms(claims: &Claims) -> BTreeSet<&str> {
    let near = claims.keys().flat_map(|scope| match scope {
        Pattern::Exact(name) => [Some(name.as_str()), None, None],
        Pattern::Under(prefix) => homes(prefix),
        Pattern::Everything => [None; 3],
    });
    near.flatten().filter(|room| !room.is_empty()).collect()
}

/// What Ably Chat keeps of a room, as far as claims can say it without telling of anything else.
fn channels(room: &str) -> [Pattern; 2] {
    let own = format!("{room}{}", Pattern::CHAT);
    [Pattern::Under(format!("{own}:")), Pattern::Exact(own)]
}

/// What claims tell in a channel: the most specific of those that match it by name.
fn told<'c>(claims: &'c Claims, channel: &Pattern) -> Option<&'c str> {
    let name = channel.prefix();
    let mut around = name.rmatch_indices(':').map(|(colon, _)| Pattern::Under(name[..=colon].to_owned()));
    let near = claims.get(channel).or_else(|| around.find_map(|wide| claims.get(&wide)));
    near.or_else(|| claims.get(&Pattern::Everything)).map(String::as_str)
}

/// The same without Ably's qualifiers: messages are in the channel behind them.
fn unqualified_pattern(channel: &Pattern) -> Pattern {
    match channel {
        Pattern::Exact(name) => Pattern::Exact(unqualified(name).to_owned()),
        Pattern::Under(prefix) => Pattern::Under(unqualified(prefix).to_owned()),
        Pattern::Everything => Pattern::Everything,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::*;
    use crate::model::{Action, ActionSet, Ask, Caller, CallerKind, Ladder, Millis, Role, Vendor};
    use crate::policy::{
        Author, Binding, Document, Effect, Entries, Entry, Facts, Held, Origin, Policy, Register, Rule, Tenure,
    };

    const WORDS: [&str; 3] = ["guest", "moderator", "owner"];

    /// Scopes of bindings, and what is asked for.
    const SCOPES: [&str; 12] = [
        "*",
        "chat:*",
        "chat:lobby",
        "chat:lobby:*",
        "chat:lobby::*",
        "chat:lobby::$chat",
        "chat:lobby::$chat:*",
        "hall",
        "hall:*",
        "hall::*",
        "hall::$chat::$typing",
        "hall::$chat:x:*",
    ];

    const CHANNELS: [&str; 6] = [
        "chat:lobby::$chat",
        "chat:lobby::$chat::$typing",
        "chat:lobby::$chat:x:y",
        "hall::$chat",
        "hall::$chat::$typing",
        "hall::$chat:x:y",
    ];

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    /// What Ably makes of claims in a channel: that of the channel, of the longest namespace around it, or of `*`.
    fn heard<'a>(claims: &'a [(Pattern, String)], channel: &str) -> Option<&'a str> {
        let matches = |scope: &Pattern| match scope {
            Pattern::Exact(name) => name == channel,
            Pattern::Under(prefix) => channel.starts_with(prefix.as_str()),
            Pattern::Everything => true,
        };
        let near = claims.iter().filter(|(scope, _)| matches(scope));
        near.max_by_key(|(scope, _)| scope.specificity()).map(|(_, word)| word.as_str())
    }

    struct World {
        policy: Policy,
        roster: Register,
        tom: Caller,
    }

    type Bindings = Vec<(&'static str, u8)>;

    fn world(filed: &Bindings, kept: &[(&'static str, Option<u8>)], token: &Bindings, has_default: bool) -> World {
        let rule = Rule::new("own", Effect::Allow, ActionSet::of(&[Action::Publish]));
        let bound = |(scope, role): &(&str, u8)| Binding {
            user: "tom".to_owned(),
            scope: pattern(scope),
            app: None,
            role: Some(Role(*role)),
            line: 1,
        };
        let policy = Policy::new(Document {
            ladder: Ladder::new(WORDS.map(str::to_owned)),
            default_role: has_default.then_some(Role(0)),
            rules: vec![rule],
            entries: Entries { bindings: filed.iter().map(bound).collect(), ..Entries::default() },
            ..Document::default()
        });
        let author = Arc::new(Author { kind: CallerKind::Service, subject: "orders".to_owned(), role: None });
        let mut roster = Register::default();
        for (scope, role) in kept {
            let held = role.map_or(Held::Removed, |role| Held::Role(Some(Role(role))));
            let origin = Origin::Roster { author: Arc::clone(&author), at: Millis(1) };
            let tenure = Tenure { scope: pattern(scope), app: None, held, listed: false, origin };
            roster.add(&Arc::from("tom"), Entry::Role(tenure));
        }
        let tom = Caller {
            kind: CallerKind::User,
            subject: "tom".to_owned(),
            authenticator: "idp".into(),
            claims: serde_json::Map::new(),
            bindings: token.iter().map(|(scope, role)| (pattern(scope), Role(*role))).collect(),
        };
        World { policy, roster, tom }
    }

    impl World {
        fn claims(&self, resources: &[&str]) -> Vec<(Pattern, String)> {
            let operations = ActionSet::of(&[Action::Publish]);
            let wants = resources.iter().map(|name| Grant { resource: pattern(name), operations }).collect();
            let ask = Ask {
                app: "ably".into(),
                vendor: Vendor::Ably,
                action: Action::Login,
                client: "tom".to_owned(),
                conversation: None,
                members: Vec::new(),
                needs: Vec::new(),
                wants,
            };
            let registers = [self.policy.register(), &self.roster];
            let facts = Facts { registers: &registers, told: &[] };
            self.policy.decide(ask, &self.tom, facts, Millis(1)).unwrap().user_claims().to_vec()
        }

        /// What the decision goes by in a channel.
        fn role(&self, channel: &str) -> &str {
            let registers = [self.policy.register(), &self.roster];
            let facts = Facts { registers: &registers, told: &[] };
            let document = self.policy.document();
            let (default_role, ladder) = (document.default_role, &document.ladder);
            let (name, token) = ("tom", self.tom.bindings.as_slice());
            let person = super::super::standing::Person { name, app: "ably", token, default_role, ladder };
            facts.standing(person, &pattern(channel)).role.map_or("", |role| ladder.word(role))
        }
    }

    fn said(claims: &[(Pattern, String)]) -> Vec<String> {
        claims.iter().map(|(scope, word)| format!("{scope}={word}")).collect()
    }

    #[test]
    fn a_role_that_was_taken_away_is_not_told_in_the_rooms_channels() {
        let world = world(&vec![], &[("chat:lobby", None)], &vec![("*", 1), ("chat:lobby::*", 2)], true);
        let named = world.claims(&["chat:lobby::$chat"]);
        let expected = ["chat:lobby=guest", "chat:lobby::$chat=guest", "chat:lobby::*=owner", "*=moderator"];
        assert_eq!(said(&named), expected);
        for asked in ["*", "chat:*", "chat:lobby:*", "chat:lobby::*"] {
            for channel in ["chat:lobby::$chat", "chat:lobby::$chat::$typing"] {
                assert_eq!(heard(&world.claims(&[asked]), channel), Some("guest"), "{asked} {channel}");
            }
        }
        assert_eq!(heard(&world.claims(&["*"]), "chat:other"), Some("moderator"));
    }

    #[test]
    fn a_role_that_is_given_is_told_in_the_rooms_channels() {
        let world = world(&vec![], &[("chat:lobby", Some(1))], &vec![], true);
        assert_eq!(said(&world.claims(&["chat:lobby"])), ["chat:lobby=moderator"]);
        let named = world.claims(&["chat:lobby::$chat", "chat:lobby::$chat:x"]);
        let expected = ["chat:lobby=moderator", "chat:lobby::$chat=moderator", "chat:lobby::$chat:x=moderator"];
        assert_eq!(said(&named), expected);
    }

    #[test]
    fn what_is_not_the_rooms_own_tells_nothing_of_it() {
        let world = world(&vec![("hall:*", 2)], &[], &vec![], false);
        assert_eq!(heard(&world.claims(&["hall::$chat"]), "hall::$chat"), Some(""));
        assert_eq!(heard(&world.claims(&["hall:*"]), "hall::$chat"), Some(""));
        assert_eq!(heard(&world.claims(&["hall:*"]), "hall:x"), Some("owner"));
        assert_eq!(said(&world.claims(&["hall:x", "hall:y::$chat"])), ["hall:*=owner"]);
    }

    proptest! {
        /// Of a room's channels the claims never tell more than what the decision goes by, and of those that are named nothing else.
        #[test]
        fn claims_tell_what_the_decision_goes_by(
            filed in prop::collection::vec((select(SCOPES.to_vec()), 0..3_u8), 0..3),
            kept in prop::collection::vec((select(SCOPES.to_vec()), prop::option::of(0..3_u8)), 0..3),
            token in prop::collection::vec((select(SCOPES.to_vec()), 0..3_u8), 0..4),
            asked in subsequence([&SCOPES[..], &CHANNELS[..]].concat(), 1..4),
            has_default: bool,
        ) {
            let world = world(&filed, &kept, &token, has_default);
            let claims = world.claims(&asked);
            for channel in CHANNELS {
                let is_granted = asked.iter().any(|asked| match pattern(asked) {
                    Pattern::Exact(name) => name == channel,
                    Pattern::Under(prefix) => channel.starts_with(&prefix),
                    Pattern::Everything => true,
                });
                let (told, role) = (heard(&claims, channel), world.role(channel));
                let rank = |word: &str| WORDS.iter().position(|known| *known == word);
                let is_fine = match told {
                    Some(told) if asked.contains(&channel) => told == role,
                    Some(told) => rank(told) <= rank(role),
                    None => true,
                };
                prop_assert!(is_fine || !is_granted, "{channel}: {told:?}, not {role}, by {:?}", said(&claims));
            }
        }
    }
}
