//! Ably's user claims: the client's roles in the granted resources, each with its scope. Ably shows them to other
//! clients.
//!
//! Ably reads claims as the policy reads bindings, with one difference: a claim for the room `r` does not count in its
//! channel `r::$chat`. In this channel, the claim of the longest namespace around it counts, for example `r:*`. So a
//! channel gets a separate claim if its role (from a binding to the room) differs from the role that the other claims
//! give.
//!
//! Ably reads prefixes only up to a `:`. So the role of a scope such as `room-*` is stated for each granted resource
//! inside the scope. If such a scope is inside a granted pattern, its claim remains, and the app refuses to sign it.

use std::collections::BTreeMap;

use super::effective_role::RoleReason;
use super::eval_context::EvalContext;
use crate::model::{Pattern, RequestedGrant, unqualified};

/// Role names by scope. An empty name means "no role".
type RoleNamesByScope = BTreeMap<Pattern, String>;

/// Returns the client's roles in the granted resources, sorted by scope. Each scope appears once.
pub(super) fn user_claims(context: EvalContext<'_>, granted: &[RequestedGrant]) -> Vec<(Pattern, String)> {
    let mut claims = RoleNamesByScope::new();
    for RequestedGrant { resource, .. } in granted {
        let roles = context.facts.roles_within(context.client(), resource);
        let hierarchy = &context.policy.document().role_hierarchy;
        claims.extend(
            roles.into_iter().map(|(scope, role)| (scope, role.map_or("", |role| hierarchy.name(role)).to_owned())),
        );
    }
    let mut channels: Vec<Pattern> =
        granted.iter().flat_map(|grant| granted_channels(&grant.resource, &claims)).collect();
    channels.extend(granted.iter().flat_map(|grant| names_in_literal_scopes(&grant.resource, &claims)));
    channels.sort_by_key(Pattern::specificity);
    channels.dedup();
    remove_redundant_claims(&mut claims);
    claims.retain(|scope, _| !scope.is_literal_at_ably() || granted.iter().any(|grant| grant.resource.covers(scope)));
    for channel in channels {
        let needed = channel_claim(context, channel, &claims);
        claims.extend(needed);
    }
    claims.into_iter().collect()
}

/// Removes claims without a role, unless the role of a wider scope would count in their place.
fn remove_redundant_claims(claims: &mut RoleNamesByScope) {
    let wider: Vec<Pattern> =
        claims.iter().filter(|(_, word)| !word.is_empty()).map(|(scope, _)| scope.clone()).collect();
    claims.retain(|scope, word| !word.is_empty() || wider.iter().any(|wide| wide.covers(scope)));
}

/// Returns the resource and its conversation, if a scope contains them that Ably would read as a literal name.
fn names_in_literal_scopes(granted: &Pattern, bound: &RoleNamesByScope) -> Vec<Pattern> {
    let resource = unqualified_pattern(granted);
    let is_inside = bound.keys().any(|scope| scope.is_literal_at_ably() && scope.covers(&resource));
    let conversation = resource.home_conversation().into_owned();
    if is_inside { vec![conversation, resource] } else { Vec::new() }
}

/// Returns the granted channels of those rooms that have a binding.
fn granted_channels(granted: &Pattern, bound: &RoleNamesByScope) -> Vec<Pattern> {
    if granted.room().is_some() {
        return vec![unqualified_pattern(granted)];
    }
    if granted.exact().is_some() {
        return Vec::new();
    }
    let channels = bound.keys().filter_map(Pattern::exact).flat_map(Pattern::channels_of);
    channels.filter(|channel| granted.covers(channel)).collect()
}

/// Returns the claim that a room's channel needs, or `None` if the other claims already give its role.
fn channel_claim(context: EvalContext<'_>, channel: Pattern, claims: &RoleNamesByScope) -> Option<(Pattern, String)> {
    let held = context.facts.role(context.client(), &channel);
    let word = held.role.map_or("", |role| context.policy.document().role_hierarchy.name(role));
    let is_needed = match claimed_role(claims, &channel) {
        Some(told) => told != word,
        None => !word.is_empty() && held.reason != RoleReason::Default,
    };
    let word = word.to_owned();
    is_needed.then_some((channel, word))
}

/// Returns the role that the claims give in a channel: the claim with the most specific scope that matches the name.
fn claimed_role<'c>(claims: &'c RoleNamesByScope, channel: &Pattern) -> Option<&'c str> {
    let name = channel.prefix();
    let mut around = name.rmatch_indices(':').map(|(colon, _)| Pattern::Namespace(name[..=colon].to_owned()));
    let near = claims.get(channel).or_else(|| around.find_map(|wide| claims.get(&wide)));
    near.or_else(|| claims.get(&Pattern::Everything)).map(String::as_str)
}

/// Returns the pattern without Ably's qualifiers. Messages are in the channel after the qualifier.
fn unqualified_pattern(channel: &Pattern) -> Pattern {
    match channel {
        Pattern::Exact(name) => Pattern::Exact(unqualified(name).to_owned()),
        Pattern::Namespace(prefix) => Pattern::Namespace(unqualified(prefix).to_owned()),
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
    use crate::model::{Action, ActionSet, Caller, CallerKind, Millis, Role, RoleHierarchy, SigningRequest, Vendor};
    use crate::policy::{
        BindingEntry, DecisionData, Effect, EntryAuthor, EntryIndex, EntryOrigin, Policy, PolicyDocument,
        PolicyEntries, RoleBinding, RoleGrant, Rule, UserEntry,
    };

    const WORDS: [&str; 3] = ["guest", "moderator", "owner"];

    /// Scopes of bindings and of requests.
    const SCOPES: [&str; 15] = [
        "*",
        "chat:l-*",
        "hall-*",
        "hall-x",
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

    /// Names of rooms, names of their channels, and other names in the same namespace.
    const NAMES: [&str; 16] = [
        "chat:l-x",
        "chat:l-x::$chat",
        "hall-x",
        "hall-x::$chat",
        "chat:lobby",
        "chat:lobby:x",
        "chat:lobby::x",
        "chat:lobby::$chat",
        "chat:lobby::$chat::$typing",
        "chat:lobby::$chat:x:y",
        "hall",
        "hall:x",
        "hall::$chatter",
        "hall::$chat",
        "hall::$chat::$typing",
        "hall::$chat:x:y",
    ];

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    /// Returns the role that Ably finds for a channel: the claim of the channel, of the longest namespace around it, or
    /// of `*`.
    fn role_at_ably<'a>(claims: &'a [(Pattern, String)], channel: &str) -> Option<&'a str> {
        let matches = |scope: &Pattern| match scope {
            Pattern::Exact(name) => name == channel,
            Pattern::Namespace(prefix) => channel.starts_with(prefix.as_str()),
            Pattern::Everything => true,
        };
        let near = claims.iter().filter(|(scope, _)| matches(scope));
        near.max_by_key(|(scope, _)| scope.specificity()).map(|(_, word)| word.as_str())
    }

    struct TestPolicy {
        policy: Policy,
        moderation: EntryIndex,
        tom: Caller,
    }

    type Bindings = Vec<(&'static str, u8)>;

    fn test_policy(
        filed: &Bindings,
        kept: &[(&'static str, Option<u8>)],
        token: &Bindings,
        has_default: bool,
    ) -> TestPolicy {
        let rule = Rule::new("own", Effect::Allow, ActionSet::of(&[Action::Publish]));
        let bound = |(scope, role): &(&str, u8)| BindingEntry {
            user: "tom".to_owned(),
            scope: pattern(scope),
            app: None,
            role: Some(Role(*role)),
            line: 1,
        };
        let policy = Policy::new(PolicyDocument {
            role_hierarchy: RoleHierarchy::new(WORDS.map(str::to_owned)),
            default_role: has_default.then_some(Role(0)),
            rules: vec![rule],
            entries: PolicyEntries { bindings: filed.iter().map(bound).collect(), ..PolicyEntries::default() },
            ..PolicyDocument::default()
        });
        let author = Arc::new(EntryAuthor { kind: CallerKind::Service, subject: "orders".to_owned(), role: None });
        let mut moderation = EntryIndex::default();
        for (scope, role) in kept {
            let held = role.map_or(RoleGrant::Removed, |role| RoleGrant::Role(Some(Role(role))));
            let origin = EntryOrigin::Runtime { author: Arc::clone(&author), at: Millis(1) };
            let binding = RoleBinding { scope: pattern(scope), app: None, grant: held, listed: false, origin };
            moderation.add(&Arc::from("tom"), UserEntry::Role(binding));
        }
        let tom = Caller {
            kind: CallerKind::User,
            subject: "tom".to_owned(),
            authenticator: "idp".into(),
            claims: serde_json::Map::new(),
            bindings: token.iter().map(|(scope, role)| (pattern(scope), Role(*role))).collect(),
        };
        TestPolicy { policy, moderation, tom }
    }

    impl TestPolicy {
        fn claims(&self, resources: &[&str]) -> Vec<(Pattern, String)> {
            let operations = ActionSet::of(&[Action::Publish]);
            let wants = resources.iter().map(|name| RequestedGrant { resource: pattern(name), operations }).collect();
            let signing_request = SigningRequest {
                app: "ably".into(),
                vendor: Vendor::Ably,
                action: Action::Login,
                client: "tom".to_owned(),
                conversation: None,
                members: Vec::new(),
                required_actions: Vec::new(),
                requested_grants: wants,
                left_out: Vec::new(),
            };
            let facts = DecisionData { file: self.policy.entries(), runtime: Some(&self.moderation), facts: &[] };
            self.policy.decide(signing_request, &self.tom, facts, Millis(1)).unwrap().user_claims().to_vec()
        }

        /// Returns the role that the decision uses for a name, and whether it is not the default role.
        fn role(&self, name: &str) -> (&str, bool) {
            let facts = DecisionData { file: self.policy.entries(), runtime: Some(&self.moderation), facts: &[] };
            let document = self.policy.document();
            let (default_role, hierarchy) = (document.default_role, &document.role_hierarchy);
            let token = self.tom.bindings.as_slice();
            let role_query = super::super::effective_role::RoleQuery {
                name: "tom",
                app: "ably",
                token,
                default_role,
                role_hierarchy: hierarchy,
            };
            let held = facts.role(role_query, &pattern(name));
            (held.role.map_or("", |role| hierarchy.name(role)), held.reason != RoleReason::Default)
        }
    }

    fn format_claims(claims: &[(Pattern, String)]) -> Vec<String> {
        claims.iter().map(|(scope, word)| format!("{scope}={word}")).collect()
    }

    #[test]
    fn claims_omit_a_removed_role_in_the_rooms_channels() {
        let world = test_policy(&vec![], &[("chat:lobby", None)], &vec![("*", 1), ("chat:lobby::*", 2)], true);
        let named = world.claims(&["chat:lobby::$chat"]);
        let expected = ["chat:lobby=guest", "chat:lobby::$chat=guest", "chat:lobby::*=owner", "*=moderator"];
        assert_eq!(format_claims(&named), expected);
        for asked in ["*", "chat:*", "chat:lobby:*", "chat:lobby::*"] {
            for channel in ["chat:lobby::$chat", "chat:lobby::$chat::$typing"] {
                assert_eq!(role_at_ably(&world.claims(&[asked]), channel), Some("guest"), "{asked} {channel}");
            }
        }
        assert_eq!(role_at_ably(&world.claims(&["*"]), "chat:other"), Some("moderator"));
    }

    #[test]
    fn claims_contain_a_given_role_in_the_rooms_channels() {
        let world = test_policy(&vec![], &[("chat:lobby", Some(1))], &vec![], true);
        assert_eq!(format_claims(&world.claims(&["chat:lobby"])), ["chat:lobby=moderator"]);
        let named = world.claims(&["chat:lobby::$chat", "chat:lobby::$chat:x"]);
        let expected = ["chat:lobby=moderator", "chat:lobby::$chat=moderator", "chat:lobby::$chat:x=moderator"];
        assert_eq!(format_claims(&named), expected);
    }

    #[test]
    fn a_namespace_binding_needs_no_claim_for_each_channel() {
        let world = test_policy(&vec![("hall:*", 2)], &[], &vec![], false);
        for asked in ["hall::$chat", "hall:*", "hall:x"] {
            assert_eq!(format_claims(&world.claims(&[asked])), ["hall:*=owner"], "{asked}");
        }
        assert_eq!(format_claims(&world.claims(&["hall"])), Vec::<String>::new());
    }

    #[test]
    fn the_role_of_a_prefix_that_ably_does_not_know_is_stated_for_each_name() {
        let world = test_policy(&vec![("hall-*", 2), ("*", 0)], &[], &vec![], false);
        let named = world.claims(&["hall-1", "hall-2::$chat", "hall-3:*", "other"]);
        let expected = ["hall-1=owner", "hall-2=owner", "hall-2::$chat=owner", "hall-3:*=owner", "*=guest"];
        assert_eq!(format_claims(&named), expected);
        // The claim remains for the app, which refuses to sign it.
        assert_eq!(format_claims(&world.claims(&["*"])), ["hall-*=owner", "*=guest"]);
        assert_eq!(format_claims(&world.claims(&["other:*"])), ["*=guest"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn claims_agree_with_the_decided_roles(
            filed in prop::collection::vec((select(SCOPES.to_vec()), 0..3_u8), 0..3),
            kept in prop::collection::vec((select(SCOPES.to_vec()), prop::option::of(0..3_u8)), 0..3),
            token in prop::collection::vec((select(SCOPES.to_vec()), 0..3_u8), 0..4),
            asked in subsequence([&SCOPES[..], &NAMES[..]].concat(), 1..4),
            has_default: bool,
        ) {
            let world = test_policy(&filed, &kept, &token, has_default);
            let claims = world.claims(&asked);
            prop_assume!(!claims.iter().any(|(scope, _)| scope.is_literal_at_ably()));
            let is_granted = |name: &&str| asked.iter().any(|asked| match pattern(asked) {
                Pattern::Exact(exact) => exact == *name,
                Pattern::Namespace(prefix) => name.starts_with(&prefix),
                Pattern::Everything => true,
            });
            for name in NAMES.into_iter().filter(is_granted) {
                let (role, is_bound) = world.role(name);
                let is_fine = role_at_ably(&claims, name).map_or(!is_bound || role.is_empty(), |told| told == role);
                prop_assert!(is_fine, "{name}: {:?}, not {role}, by {:?}", role_at_ably(&claims, name), format_claims(&claims));
            }
        }
    }
}
