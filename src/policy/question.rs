//! One question to the policy, with what is known about it worked out as it is needed.

use std::cell::OnceCell;

use serde_json::Value;

use super::Policy;
use super::register::Entry;
use super::rule::Sanction;
use super::standing::{Facts, Person, Standing};
use super::told::Told;
use crate::model::{Action, Ask, Caller, CallerKind, Kind, Millis, Pattern, Role};

/// Everything that one request's questions have in common.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) policy: &'a Policy,
    pub(super) facts: Facts<'a>,
    pub(super) caller: &'a Caller,
    pub(super) ask: &'a Ask,
    pub(super) now: Millis,
}

/// A place in which something is asked for, and what the client and the caller are there. Shared by all questions about it.
pub(super) struct Scene<'a> {
    pub(super) case: Case<'a>,
    pub(super) conversation: Option<&'a Pattern>,
    ban: OnceCell<Option<&'a Sanction>>,
    mute: OnceCell<Option<&'a Sanction>>,
    kinds: OnceCell<Vec<(Kind, Pattern)>>,
    client: OnceCell<Standing>,
    caller: OnceCell<Standing>,
    untokened: OnceCell<Standing>,
}

fn as_ban(entry: &Entry) -> Option<&Sanction> {
    if let Entry::Ban(ban) = entry { Some(ban) } else { None }
}

fn as_mute(entry: &Entry) -> Option<&Sanction> {
    if let Entry::Mute(mute) = entry { Some(mute) } else { None }
}

/// May this be done?
pub(super) struct Question<'s, 'a> {
    pub(super) scene: &'s Scene<'a>,
    pub(super) action: Action,
    pub(super) targets: &'s [String],
}

impl<'a> Case<'a> {
    /// The entries about a user that may touch a conversation; those about everything, where there is none.
    pub(super) fn entries<'u>(
        &self,
        user: &'u str,
        place: Option<&'u Pattern>,
    ) -> impl Iterator<Item = &'a Entry> + use<'u, 'a> {
        let app = &*self.ask.app;
        self.facts.registers.iter().flat_map(move |register| register.about(user, app, place))
    }

    /// The ban on a user that counts here, if there is one.
    pub(super) fn ban(&self, user: &str, place: Option<&Pattern>) -> Option<&'a Sanction> {
        self.strictest(self.entries(user, place).filter_map(as_ban), place)
    }

    /// Of sanctions, of those that count here, the one that lasts longest; of those the one with the lesser scope and reason, so that
    /// the answer does not depend on the file's order.
    fn strictest(
        &self,
        sanctions: impl Iterator<Item = &'a Sanction>,
        place: Option<&Pattern>,
    ) -> Option<&'a Sanction> {
        sanctions.filter(|sanction| self.counts(sanction, place)).min_by_key(|sanction| {
            let left = sanction.until.map_or(0, |until| u64::MAX - until.0);
            (left, &sanction.scope, &sanction.reason)
        })
    }

    /// Whether a ban or mute counts at this time and place. What is in no conversation is touched by those for everywhere alone.
    pub(super) fn counts(&self, sanction: &Sanction, place: Option<&Pattern>) -> bool {
        let here = match place {
            Some(place) => sanction.scope.overlaps(place),
            None => sanction.scope == Pattern::Everything,
        };
        here && sanction.until.is_none_or(|until| self.now < until)
    }

    /// The caller's claim as text, where it is text.
    pub(super) fn text_claim(&self, name: &str) -> Option<&'a str> {
        self.caller.claim(name).and_then(Value::as_str)
    }

    fn person<'b>(&'b self, name: &'b str, token: &'b [(Pattern, Role)]) -> Person<'b> {
        let document = self.policy.document();
        // A service that acts as itself is nobody there, by default too.
        let default_role = document.default_role.filter(|_| !name.is_empty());
        Person { name, app: &self.ask.app, token, default_role, ladder: &document.ladder }
    }

    /// The client, with its own token if it is the caller.
    pub(super) fn client(&self) -> Person<'_> {
        let token = if self.caller.is(&self.ask.client) { self.caller.bindings.as_slice() } else { &[] };
        self.person(&self.ask.client, token)
    }
}

impl<'a> Scene<'a> {
    pub(super) fn new(case: Case<'a>, conversation: Option<&'a Pattern>) -> Scene<'a> {
        Scene {
            case,
            conversation,
            ban: OnceCell::new(),
            mute: OnceCell::new(),
            kinds: OnceCell::new(),
            client: OnceCell::new(),
            caller: OnceCell::new(),
            untokened: OnceCell::new(),
        }
    }

    /// The ban that keeps the caller or the client from acting here.
    pub(super) fn ban(&self) -> Option<&'a Sanction> {
        *self.ban.get_or_init(|| self.on_actors(as_ban))
    }

    /// The mute that keeps the caller or the client from sending here.
    pub(super) fn mute(&self) -> Option<&'a Sanction> {
        *self.mute.get_or_init(|| self.on_actors(as_mute))
    }

    fn on_actors(&self, sort: fn(&Entry) -> Option<&Sanction>) -> Option<&'a Sanction> {
        self.actors().find_map(|actor| {
            let sanctions = self.case.entries(actor, self.conversation).filter_map(sort);
            self.case.strictest(sanctions.filter(|sanction| self.is_meant(actor, sanction)), self.conversation)
        })
    }

    /// Whether a ban or mute is about this very actor. What moderators do, they do to users: a service that happens to have a user's
    /// name is shut out by the policy file alone.
    pub(super) fn is_meant(&self, actor: &str, sanction: &Sanction) -> bool {
        let caller = self.case.caller;
        let is_service = caller.kind == CallerKind::Service && caller.subject == actor && self.case.ask.client != actor;
        !is_service || sanction.origin.line().is_some()
    }

    /// The caller, and the client if that is another.
    pub(super) fn actors(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let (caller, client) = (self.case.caller.subject.as_str(), self.case.ask.client.as_str());
        std::iter::once(caller).chain((caller != client).then_some(client))
    }

    /// What another service tells of this very conversation.
    pub(super) fn told(&self) -> Option<&'a Told> {
        self.case.facts.told_of(self.conversation?)
    }

    /// What the client is here.
    pub(super) fn client(&self) -> &Standing {
        self.client.get_or_init(|| self.standing(self.case.client()))
    }

    /// What the client is here by the word of the registers alone.
    pub(super) fn untokened_client(&self) -> &Standing {
        self.untokened.get_or_init(|| self.standing(self.case.person(&self.case.ask.client, &[])))
    }

    /// What the caller is here. A service is only what its token says: bindings are users'.
    pub(super) fn caller(&self) -> &Standing {
        self.caller.get_or_init(|| {
            let caller = self.case.caller;
            match caller.kind {
                CallerKind::User => self.standing(self.case.person(&caller.subject, &caller.bindings)),
                CallerKind::Service => self.standing(self.case.person("", &caller.bindings)),
            }
        })
    }

    /// What a target is here.
    pub(super) fn target(&self, name: &str) -> Standing {
        self.standing(self.case.person(name, &[]))
    }

    /// Whether what a target is here may be more than it seems: a role that the policy does not list, or that of an owner who is only
    /// remembered.
    pub(super) fn is_protected(&self, target: &str, standing: &Standing) -> bool {
        let (facts, person) = (self.case.facts, self.case.person(target, &[]));
        facts.is_unlisted(person, standing) || self.conversation.is_some_and(|place| facts.is_remembered(person, place))
    }

    fn standing(&self, person: Person<'_>) -> Standing {
        match self.conversation {
            Some(place) => self.case.facts.standing(person, place),
            None => self.case.facts.standing_everywhere(person),
        }
    }

    /// Every kind that conversations in this place have, each with one that has it: the place itself, or a known one inside.
    pub(super) fn kinds(&self) -> &[(Kind, Pattern)] {
        self.kinds.get_or_init(|| self.find_kinds())
    }

    fn find_kinds(&self) -> Vec<(Kind, Pattern)> {
        let Some(place) = self.conversation else {
            return Vec::new();
        };
        let (home, app, facts) = (place.home(), &self.case.ask.app, self.case.facts);
        let own = facts.kind(home.prefix(), app);
        let mut kinds = vec![(own, home.clone().into_owned())];
        if home.exact().is_none() {
            kinds.extend(Kind::ALL.into_iter().filter(|kind| *kind != own).filter_map(|kind| {
                let known = facts.conversation_of_kind(kind, app, place)?;
                Some((kind, Pattern::Exact(known.to_owned())))
            }));
        }
        kinds
    }
}

impl<'s, 'a> Question<'s, 'a> {
    /// The case this is a part of.
    pub(super) fn case(&self) -> &'s Case<'a> {
        &self.scene.case
    }

    /// How many identities are named, each once; who creates a conversation is one of its members.
    ///
    /// Creation and history are counted by what the need says, not the request: where a signature is good for both, either request has
    /// both needs, and only one of them has members.
    pub(super) fn members(&self) -> usize {
        let ask = self.case().ask;
        let (named, creator) = match self.action {
            Action::Create => (self.targets, Some(ask.client.as_str())),
            Action::History => (self.targets, None),
            _ => (ask.members.as_slice(), None),
        };
        let mut named: Vec<&str> = named.iter().map(String::as_str).chain(creator).collect();
        named.sort_unstable();
        named.dedup();
        named.len()
    }
}
