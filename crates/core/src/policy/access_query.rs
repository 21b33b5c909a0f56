//! One question to the policy, with what is known about it worked out as it is needed.

use std::cell::OnceCell;

use serde_json::Value;

use super::Policy;
use super::conversation_facts::ConversationFacts;
use super::effective_role::{DecisionData, EffectiveRole, RoleQuery, RolesInScope};
use super::entry_index::UserEntry;
use super::parts::parts;
use super::rule::{Effect, Sanction};
use crate::model::{Action, Caller, CallerKind, ConversationKind, Millis, Pattern, Role, SigningRequest, Template};

/// Everything that one request's questions have in common.
#[derive(Clone, Copy)]
pub(super) struct EvalContext<'a> {
    pub(super) policy: &'a Policy,
    pub(super) facts: DecisionData<'a>,
    pub(super) caller: &'a Caller,
    pub(super) ask: &'a SigningRequest,
    pub(super) now: Millis,
}

/// A place in which something is asked for, and what the client and the caller are there. Shared by all questions about it. A pattern
/// stands for all its names, or for those that none of its parts holds: see [`AccessQuery::in_parts`].
pub(super) struct ScopeContext<'p, 'a> {
    pub(super) case: EvalContext<'a>,
    pub(super) conversation: Option<&'p Pattern>,
    parts: OnceCell<Vec<Pattern>>,
    ban: OnceCell<Option<&'a Sanction>>,
    mute: OnceCell<Option<&'a Sanction>>,
    client: OnceCell<EffectiveRole>,
    caller: OnceCell<EffectiveRole>,
    untokened: OnceCell<EffectiveRole>,
}

fn as_ban(entry: &UserEntry) -> Option<&Sanction> {
    if let UserEntry::Ban(ban) = entry { Some(ban) } else { None }
}

fn as_mute(entry: &UserEntry) -> Option<&Sanction> {
    if let UserEntry::Mute(mute) = entry { Some(mute) } else { None }
}

/// May this be done?
#[derive(Clone, Copy)]
pub(super) struct AccessQuery<'s, 'a> {
    pub(super) scene: &'s ScopeContext<'s, 'a>,
    /// Of a pattern, the parts that are decided about by themselves: [`ScopeContext::split`].
    pub(super) parts: &'s [ScopeContext<'s, 'a>],
    pub(super) action: Action,
    pub(super) targets: &'s [String],
}

impl<'a> EvalContext<'a> {
    /// The entries about a user that may touch a conversation; those about everything, where there is none.
    pub(super) fn entries<'u>(
        &self,
        user: &'u str,
        place: Option<&'u Pattern>,
    ) -> impl Iterator<Item = &'a UserEntry> + use<'u, 'a> {
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

    /// The pattern that a rule's template stands for where `place` is asked for. A placeholder without a usable value matches nothing in an
    /// allow rule, and any one segment in a deny rule.
    pub(super) fn filled(&self, effect: Effect, template: &Template, place: &Pattern) -> Option<Pattern> {
        let (client, claim) = (self.ask.client.as_str(), |name: &str| self.text_claim(name));
        match effect {
            Effect::Allow => template.fill(client, claim),
            Effect::Deny => template.fill_to_match(client, claim, place),
        }
    }

    /// The pattern that a deny rule's template stands for around `place`, with this segment for a placeholder without a usable value behind it.
    pub(super) fn filled_around(&self, template: &Template, place: &Pattern, otherwise: &str) -> Option<Pattern> {
        template.fill_around(&self.ask.client, |name| self.text_claim(name), place, otherwise)
    }

    /// The caller's claim as text, where it is text.
    pub(super) fn text_claim(&self, name: &str) -> Option<&'a str> {
        self.caller.claim(name).and_then(Value::as_str)
    }

    pub(super) fn person<'b>(&'b self, name: &'b str, token: &'b [(Pattern, Role)]) -> RoleQuery<'b> {
        let document = self.policy.document();
        // A service that acts as itself is nobody there, by default too.
        let default_role = document.default_role.filter(|_| !name.is_empty());
        RoleQuery { name, app: &self.ask.app, token, default_role, ladder: &document.ladder }
    }

    /// The client, with its own token if it is the caller.
    pub(super) fn client(&self) -> RoleQuery<'_> {
        let token = if self.caller.is(&self.ask.client) { self.caller.bindings.as_slice() } else { &[] };
        self.person(&self.ask.client, token)
    }

    /// The caller. A service is only what its token says: bindings are users'.
    pub(super) fn calling(&self) -> RoleQuery<'_> {
        let name = match self.caller.kind {
            CallerKind::User => self.caller.subject.as_str(),
            CallerKind::Service => "",
        };
        self.person(name, &self.caller.bindings)
    }
}

impl<'p, 'a> ScopeContext<'p, 'a> {
    pub(super) fn new(case: EvalContext<'a>, conversation: Option<&'p Pattern>) -> ScopeContext<'p, 'a> {
        ScopeContext {
            case,
            conversation,
            parts: OnceCell::new(),
            ban: OnceCell::new(),
            mute: OnceCell::new(),
            client: OnceCell::new(),
            caller: OnceCell::new(),
            untokened: OnceCell::new(),
        }
    }

    /// The parts of a pattern that are decided about by themselves.
    pub(super) fn split(&self) -> Vec<ScopeContext<'_, 'a>> {
        let find = |asked| parts(self.case, asked).into_iter().collect();
        let parts = self.parts.get_or_init(|| self.conversation.map_or_else(Vec::new, find));
        parts.iter().map(|part| ScopeContext::new(self.case, Some(part))).collect()
    }

    /// The ban that keeps the caller or the client from acting here.
    pub(super) fn ban(&self) -> Option<&'a Sanction> {
        *self.ban.get_or_init(|| self.on_actors(as_ban))
    }

    /// The mute that keeps the caller or the client from sending here.
    pub(super) fn mute(&self) -> Option<&'a Sanction> {
        *self.mute.get_or_init(|| self.on_actors(as_mute))
    }

    fn on_actors(&self, sort: fn(&UserEntry) -> Option<&Sanction>) -> Option<&'a Sanction> {
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
    pub(super) fn told(&self) -> Option<&'a ConversationFacts> {
        self.case.facts.told_of(self.conversation?)
    }

    /// What the client is here.
    pub(super) fn client(&self) -> &EffectiveRole {
        self.client.get_or_init(|| self.role(self.case.client()))
    }

    /// What the client is here by the word of the registers alone.
    pub(super) fn untokened_client(&self) -> &EffectiveRole {
        self.untokened.get_or_init(|| self.role(self.case.person(&self.case.ask.client, &[])))
    }

    /// What the caller is here.
    pub(super) fn caller(&self) -> &EffectiveRole {
        self.caller.get_or_init(|| self.role(self.case.calling()))
    }

    /// What a target is here.
    pub(super) fn target(&self, name: &str) -> EffectiveRole {
        self.role(self.case.person(name, &[]))
    }

    /// Whether what a target is here may be more than it seems: a role that the policy does not list, or that of an owner who is only
    /// remembered.
    pub(super) fn is_protected(&self, target: &str, role: &EffectiveRole) -> bool {
        let (facts, person) = (self.case.facts, self.case.person(target, &[]));
        let is_remembered = |place| facts.is_remembered(person, place, Pattern::holds_throughout);
        role.is_unlisted() || self.conversation.is_some_and(is_remembered)
    }

    fn role(&self, person: RoleQuery<'_>) -> EffectiveRole {
        match self.conversation {
            Some(place) => self.case.facts.role(person, place),
            None => self.case.facts.role_everywhere(person),
        }
    }

    /// All that someone is in the whole place.
    pub(super) fn standing(&self, person: RoleQuery<'_>) -> RolesInScope {
        match self.conversation {
            Some(place) => self.case.facts.standing(person, place),
            None => RolesInScope { whole: self.role(person), parts: Vec::new() },
        }
    }

    /// The kind of the conversation.
    pub(super) fn kind(&self) -> Option<ConversationKind> {
        self.conversation.map(|place| self.case.facts.kind(place, &self.case.ask.app))
    }
}

impl<'s, 'a> AccessQuery<'s, 'a> {
    /// The question in each part of the place by itself. A pattern is first, for those of its names that no other part holds.
    pub(super) fn in_parts(&self) -> impl Iterator<Item = AccessQuery<'s, 'a>> + use<'s, 'a> {
        let AccessQuery { scene, parts, action, targets } = *self;
        let scenes = std::iter::once(scene).chain(parts);
        scenes.map(move |scene| AccessQuery { scene, parts: &[], action, targets })
    }

    /// The question in this part of the place; in the whole where there is none.
    pub(super) fn in_part(&self, part: Option<&Pattern>) -> AccessQuery<'s, 'a> {
        let found = part.and_then(|part| self.in_parts().find(|question| question.scene.conversation == Some(part)));
        found.unwrap_or(*self)
    }

    /// The case this is a part of.
    pub(super) fn case(&self) -> &'s EvalContext<'a> {
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
