//! One access query to the policy. Derived values, such as roles, are computed when they are first needed.

use std::cell::OnceCell;

use super::conversation_facts::ConversationFacts;
use super::effective_role::{EffectiveRole, NearEntries, RoleQuery, RolesInScope};
use super::entry_index::{EntryRef, UserEntryKind};
use super::eval_context::EvalContext;
use super::parts::find_parts;
use crate::model::{Action, CallerKind, ConversationKind, Pattern};

/// A conversation or pattern that is requested, with the roles of the client and the caller in it. All access queries
/// about it share this value. A pattern represents all its names, or those that none of its parts contains: see
/// [`AccessQuery::in_parts`].
pub(super) struct ScopeContext<'p, 'a> {
    pub(super) context: EvalContext<'a>,
    pub(super) conversation: Option<&'p Pattern>,
    parts: OnceCell<Vec<Pattern>>,
    ban: OnceCell<Option<EntryRef<'a>>>,
    mute: OnceCell<Option<EntryRef<'a>>>,
    client: OnceCell<EffectiveRole>,
    caller: OnceCell<EffectiveRole>,
    untokened: OnceCell<EffectiveRole>,
    kind: OnceCell<Option<ConversationKind>>,
    /// The entries about the client near here.
    client_entries: OnceCell<NearEntries<'a>>,
    /// The entries about the caller near here, if it is not the client.
    caller_entries: OnceCell<NearEntries<'a>>,
}

/// The question whether an action is allowed in a conversation or pattern.
#[derive(Clone, Copy)]
pub(super) struct AccessQuery<'s, 'a> {
    pub(super) scope: &'s ScopeContext<'s, 'a>,
    /// If a pattern is requested: its parts, which are decided separately. See [`ScopeContext::split`].
    pub(super) parts: &'s [ScopeContext<'s, 'a>],
    pub(super) action: Action,
    pub(super) targets: &'s [String],
}

impl<'p, 'a> ScopeContext<'p, 'a> {
    pub(super) fn new(context: EvalContext<'a>, conversation: Option<&'p Pattern>) -> ScopeContext<'p, 'a> {
        ScopeContext {
            context,
            conversation,
            parts: OnceCell::new(),
            ban: OnceCell::new(),
            mute: OnceCell::new(),
            client: OnceCell::new(),
            caller: OnceCell::new(),
            untokened: OnceCell::new(),
            kind: OnceCell::new(),
            client_entries: OnceCell::new(),
            caller_entries: OnceCell::new(),
        }
    }

    /// Returns the parts of a pattern that are decided separately.
    pub(super) fn split(&self) -> Vec<ScopeContext<'_, 'a>> {
        let find = |asked| find_parts(self.context, asked).into_iter().collect();
        let parts = self.parts.get_or_init(|| self.conversation.map_or_else(Vec::new, find));
        parts.iter().map(|part| ScopeContext::new(self.context, Some(part))).collect()
    }

    /// Returns the ban on the caller or the client that is in force here.
    pub(super) fn ban(&self) -> Option<EntryRef<'a>> {
        *self.ban.get_or_init(|| self.find_on_actors(UserEntryKind::Ban))
    }

    /// Returns the mute on the caller or the client that is in force here.
    pub(super) fn find_mute(&self) -> Option<EntryRef<'a>> {
        *self.mute.get_or_init(|| self.find_on_actors(UserEntryKind::Mute))
    }

    fn find_on_actors(&self, kind: UserEntryKind) -> Option<EntryRef<'a>> {
        self.actors().find_map(|actor| {
            let sanctions = self.entries_about_actor(actor).of_kind(kind);
            self.context
                .strictest(sanctions.filter(|sanction| self.applies_to_actor(actor, *sanction)), self.conversation)
        })
    }

    /// Returns the entries about the client or the caller near here. They are looked up once.
    fn entries_about_actor(&self, actor: &str) -> &NearEntries<'a> {
        let is_client = self.context.request.client == actor;
        let known = if is_client { &self.client_entries } else { &self.caller_entries };
        known.get_or_init(|| self.context.near_entries(actor, self.conversation))
    }

    /// Returns whether a ban or mute is meant for this actor. Moderators sanction users only. So a service that has the
    /// same name as a user is banned or muted only by an entry in the policy file.
    pub(super) fn applies_to_actor(&self, actor: &str, sanction: EntryRef<'_>) -> bool {
        let caller = self.context.caller;
        let is_service =
            caller.kind == CallerKind::Service && caller.subject == actor && self.context.request.client != actor;
        !is_service || sanction.line().is_some()
    }

    /// Returns the caller, and the client if it is not the caller.
    pub(super) fn actors(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let (caller, client) = (self.context.caller.subject.as_str(), self.context.request.client.as_str());
        std::iter::once(caller).chain((caller != client).then_some(client))
    }

    /// Returns the facts about this conversation, if there are any.
    pub(super) fn facts(&self) -> Option<&'a ConversationFacts> {
        self.context.facts.facts_about(self.conversation?)
    }

    /// Returns the client's role here.
    pub(super) fn client(&self) -> &EffectiveRole {
        self.client.get_or_init(|| self.actor_role(self.context.client()))
    }

    /// Returns the client's role here without the roles of its token.
    pub(super) fn client_without_token(&self) -> &EffectiveRole {
        let role_query = || self.context.role_query(&self.context.request.client, &[]);
        self.untokened.get_or_init(|| self.actor_role(role_query()))
    }

    /// Returns the caller's role here.
    pub(super) fn caller(&self) -> &EffectiveRole {
        self.caller.get_or_init(|| match self.context.caller.kind {
            CallerKind::User => self.actor_role(self.context.caller_query()),
            CallerKind::Service => self.role(self.context.caller_query()),
        })
    }

    /// Returns a target's role here.
    pub(super) fn target(&self, name: &str) -> EffectiveRole {
        self.role(self.context.role_query(name, &[]))
    }

    /// Returns whether a target may be stronger than its role says. This is so if its role is not in the policy's list,
    /// or if it is the remembered owner of a conversation that was forgotten.
    pub(super) fn is_protected(&self, target: &str, role: &EffectiveRole) -> bool {
        let (facts, role_query) = (self.context.facts, self.context.role_query(target, &[]));
        let is_remembered = |place| facts.is_remembered_owner(role_query, place, Pattern::applies_to_all);
        role.is_unlisted() || self.conversation.is_some_and(is_remembered)
    }

    /// Returns the role of the client, or of the caller if it is a user.
    fn actor_role(&self, role_query: RoleQuery<'_>) -> EffectiveRole {
        let entries = self.entries_about_actor(role_query.name);
        self.context.facts.role_by_entries(role_query, self.conversation, entries)
    }

    fn role(&self, role_query: RoleQuery<'_>) -> EffectiveRole {
        let entries = self.context.near_entries(role_query.name, self.conversation);
        self.context.facts.role_by_entries(role_query, self.conversation, &entries)
    }

    /// Returns a person's roles in the whole conversation or pattern, with its parts.
    pub(super) fn roles_in_scope(&self, role_query: RoleQuery<'_>) -> RolesInScope {
        match self.conversation {
            Some(place) => self.context.facts.roles_in_scope(role_query, place),
            None => RolesInScope { whole: self.role(role_query), parts: Vec::new() },
        }
    }

    /// Returns the kind of the conversation.
    pub(super) fn kind(&self) -> Option<ConversationKind> {
        let find = |place| self.context.facts.kind(place, &self.context.request.app);
        *self.kind.get_or_init(|| self.conversation.map(find))
    }
}

impl<'s, 'a> AccessQuery<'s, 'a> {
    /// Returns one query for each part. If the query is about a pattern, the first returned query is about the pattern
    /// itself, for those of its names that no other part contains.
    pub(super) fn in_parts(&self) -> impl Iterator<Item = AccessQuery<'s, 'a>> + use<'s, 'a> {
        let AccessQuery { scope, parts, action, targets } = *self;
        let scenes = std::iter::once(scope).chain(parts);
        scenes.map(move |scope| AccessQuery { scope, parts: &[], action, targets })
    }

    /// Returns the query about this part, or the whole query if `part` is `None`.
    pub(super) fn in_part(&self, part: Option<&Pattern>) -> AccessQuery<'s, 'a> {
        let found = part.and_then(|part| self.in_parts().find(|query| query.scope.conversation == Some(part)));
        found.unwrap_or(*self)
    }

    /// Returns the data that all queries of the request share.
    pub(super) fn context(&self) -> &'s EvalContext<'a> {
        &self.scope.context
    }

    /// Returns how many identities are named. Each identity counts once. The creator of a conversation is one of its
    /// members.
    ///
    /// For `create` and `history`, the targets of the required action are counted, not the members of the request. If
    /// one signature is valid for both, either request needs both actions, and only one of these actions has members.
    pub(super) fn count_members(&self) -> usize {
        let (named, creator) = self.named_members();
        let mut named: Vec<&str> = named.iter().map(String::as_str).chain(creator).collect();
        named.sort_unstable();
        named.dedup();
        named.len()
    }

    /// Returns how many names [`count_members`](Self::count_members) counts, including repeated names.
    pub(super) fn count_names(&self) -> usize {
        let (named, creator) = self.named_members();
        named.len() + usize::from(creator.is_some())
    }

    /// Returns the named members, and the creator of a conversation.
    fn named_members(&self) -> (&'s [String], Option<&'a str>) {
        let signing_request = self.context().request;
        match self.action {
            Action::Create => (self.targets, Some(signing_request.client.as_str())),
            Action::History => (self.targets, None),
            _ => (signing_request.members.as_slice(), None),
        }
    }
}
