//! The data of one request that its access queries share.

use serde_json::Value;

use super::Policy;
use super::compiled_rules::{AppRules, CompiledRule};
use super::effective_role::{DecisionData, NearEntries, RoleQuery};
use super::entry_index::EntryRef;
use super::rule::{Effect, Rule};
use crate::model::{Action, Caller, CallerKind, Millis, Pattern, Role, SigningRequest, Template};

/// The data that all access queries of one request share.
#[derive(Clone, Copy)]
pub(super) struct EvalContext<'a> {
    pub(super) policy: &'a Policy,
    pub(super) facts: DecisionData<'a>,
    pub(super) caller: &'a Caller,
    pub(super) request: &'a SigningRequest,
    pub(super) now: Millis,
    /// The rules for the app of the request.
    rules: &'a AppRules,
}

impl<'a> EvalContext<'a> {
    pub(super) fn new(
        policy: &'a Policy,
        facts: DecisionData<'a>,
        caller: &'a Caller,
        request: &'a SigningRequest,
        now: Millis,
    ) -> EvalContext<'a> {
        EvalContext { policy, facts, caller, request, now, rules: policy.compiled.for_app(&request.app) }
    }

    /// Returns the rules that have this effect, are about this action, and can match this app and kind of caller. They
    /// are sorted by id.
    pub(super) fn rules(
        &self,
        effect: Effect,
        action: Action,
    ) -> impl Iterator<Item = (CompiledRule, &'a Rule)> + use<'a> {
        let all = self.policy.document.rules.as_slice();
        let list = self.rules.list(effect, self.caller.kind, action);
        list.iter().filter_map(|compiled| Some((*compiled, all.get(compiled.index())?)))
    }

    /// Returns the rules for this app that name conversations.
    pub(super) fn rules_naming_conversations(&self) -> impl Iterator<Item = &'a Rule> + use<'a> {
        let all = self.policy.document.rules.as_slice();
        self.rules.naming_conversations().iter().filter_map(|index| all.get(*index))
    }

    /// Returns whether a rule for this app has the condition `kinds`.
    pub(super) fn has_kinds(&self) -> bool {
        self.rules.has_kinds()
    }

    /// Returns the entries about a user that may overlap a conversation. Without a conversation: the entries for
    /// everywhere.
    pub(super) fn entries_about<'u>(
        &self,
        user: &'u str,
        place: Option<&'u Pattern>,
    ) -> impl Iterator<Item = EntryRef<'a>> + use<'u, 'a> {
        let app = &*self.request.app;
        self.facts.entries().flat_map(move |entry_index| entry_index.entries_near(user, app, place))
    }

    /// Returns the same entries as [`entries_about`](Self::entries_about), to use them more than once.
    pub(super) fn near_entries(&self, user: &str, place: Option<&Pattern>) -> NearEntries<'a> {
        self.facts.near_entries(user, &self.request.app, place)
    }

    /// Returns the sanction that lasts longest, among those in force here. If several last equally long, returns the
    /// one with the smallest scope and reason in sort order, so the result does not depend on the order of the file.
    pub(super) fn strictest(
        &self,
        sanctions: impl Iterator<Item = EntryRef<'a>>,
        place: Option<&Pattern>,
    ) -> Option<EntryRef<'a>> {
        sanctions.filter(|sanction| self.is_in_force(*sanction, place)).min_by_key(|sanction| {
            let left = sanction.until().map_or(0, |until| u64::MAX - until.0);
            (left, sanction.scope(), sanction.reason())
        })
    }

    /// Returns whether a ban or mute is in force now and in this conversation. If the action has no conversation, only
    /// a sanction for everywhere is in force.
    pub(super) fn is_in_force(&self, sanction: EntryRef<'_>, place: Option<&Pattern>) -> bool {
        sanction.overlaps(place) && sanction.is_in_force(self.now)
    }

    /// Fills in the template of a rule for the requested `place`. In an allow rule, a placeholder without a usable
    /// value matches nothing. In a deny rule, it matches any one segment.
    pub(super) fn fill_template(&self, effect: Effect, template: &Template, place: &Pattern) -> Option<Pattern> {
        let (client, claim) = (self.request.client.as_str(), |name: &str| self.text_claim(name));
        match effect {
            Effect::Allow => template.fill(client, claim),
            Effect::Deny => template.fill_to_match(client, claim, place),
        }
    }

    /// Fills in the template of a deny rule around `place`. `otherwise` replaces a placeholder that has no usable value
    /// if `place` has no segment in this position.
    pub(super) fn fill_template_around(
        &self,
        template: &Template,
        place: &Pattern,
        otherwise: &str,
    ) -> Option<Pattern> {
        template.fill_around(&self.request.client, |name| self.text_claim(name), place, otherwise)
    }

    /// Returns a claim of the caller if it is a text.
    pub(super) fn text_claim(&self, name: &str) -> Option<&'a str> {
        self.caller.claim(name).and_then(Value::as_str)
    }

    pub(super) fn role_query<'b>(&'b self, name: &'b str, token: &'b [(Pattern, Role)]) -> RoleQuery<'b> {
        let document = self.policy.document();
        // The name is empty for a service that acts as itself. It has no roles, not even the default role.
        let default_role = document.default_role.filter(|_| !name.is_empty());
        RoleQuery { name, app: &self.request.app, token, default_role, role_hierarchy: &document.role_hierarchy }
    }

    /// Returns the role query for the client. It includes the roles of the client's token if the client is the caller.
    pub(super) fn client(&self) -> RoleQuery<'_> {
        let token = if self.caller.is_client(&self.request.client) { self.caller.bindings.as_slice() } else { &[] };
        self.role_query(&self.request.client, token)
    }

    /// Returns the role query for the caller. A service has only the roles of its token, because bindings are for
    /// users.
    pub(super) fn caller_query(&self) -> RoleQuery<'_> {
        let name = match self.caller.kind {
            CallerKind::User => self.caller.subject.as_str(),
            CallerKind::Service => "",
        };
        self.role_query(name, &self.caller.bindings)
    }
}
