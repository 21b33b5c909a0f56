//! What is always so, whatever the policy says: a pattern is granted exactly when each of its names would be, and the vendor makes of a
//! token what the policy says of each channel.

use std::collections::BTreeSet;

use chat_signer::model::{Action, ActionSet, Pattern, RequestedGrant, RequiredAction, SigningRequest, Template};
use chat_signer::policy::{ConversationFacts, DecisionData, Effect, Permit, Policy, Rule};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::{PEOPLE, SCOPES, Says, WORLD, World, best, case, literally};

/// Patterns of which each holds names of the world.
const PATTERNS: [&str; 12] =
    ["*", "a:*", "a::*", "a::$chat:*", "a:x:*", "a:x::*", "a:x:p:*", "b:*", "b::*", "c::*", "ann:*", "_tmp:*"];

const OPERATIONS: [Action; 3] = [Action::Publish, Action::Subscribe, Action::History];

/// Pairs of a resource and an operation.
type Granted = BTreeSet<(String, Action)>;

/// A world, made ready for many requests.
struct Ready<'w> {
    world: &'w World,
    policy: Policy,
    told: Vec<ConversationFacts>,
}

impl<'w> Ready<'w> {
    fn new(world: &'w World) -> Ready<'w> {
        Ready { world, policy: Policy::new(world.document.clone()), told: world.told() }
    }

    fn decide(&self, signing_request: SigningRequest) -> Option<Permit> {
        let moderation = self.world.moderation.register();
        let facts = DecisionData { file: self.policy.entries(), runtime: Some(&moderation), facts: &self.told };
        self.policy.decide(signing_request, &self.world.caller, facts, super::NOW).ok()
    }

    /// The permit for a token with these resources.
    fn token<'t>(&self, resources: impl IntoIterator<Item = &'t str>) -> Option<Permit> {
        let operations = ActionSet::of(&OPERATIONS);
        let wants =
            resources.into_iter().map(|text| RequestedGrant { resource: Pattern::parse(text).unwrap(), operations });
        let signing_request = SigningRequest {
            required_actions: Vec::new(),
            requested_grants: wants.collect(),
            ..self.world.signing_request.clone()
        };
        self.decide(signing_request)
    }

    fn granted<'t>(&self, resources: impl IntoIterator<Item = &'t str>) -> Granted {
        let permit = self.token(resources);
        let grants = permit.iter().flat_map(Permit::granted);
        grants.flat_map(|grant| grant.operations.iter().map(|one| (grant.resource.to_string(), one))).collect()
    }

    /// Whether something may be done to somebody in a place.
    fn may(&self, action: Action, target: &str, place: &str) -> bool {
        let targets = vec![target.to_owned()];
        let conversation = Some(Pattern::parse(place).unwrap());
        let needs = vec![RequiredAction { action, conversation, targets: targets.clone() }];
        self.decide(SigningRequest {
            required_actions: needs,
            members: targets,
            requested_grants: Vec::new(),
            ..self.world.signing_request.clone()
        })
        .is_some()
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    WORLD.iter().map(String::as_str).filter(|name| !name.starts_with('['))
}

fn names_in(pattern: &str) -> impl Iterator<Item = &'static str> {
    let pattern = Pattern::parse(pattern).unwrap();
    names().filter(move |name| literally(&pattern, name))
}

/// As many random worlds, always the same.
fn worlds(count: usize) -> impl Iterator<Item = World> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(move |_| case().new_tree(&mut runner).unwrap().current())
}

/// Patterns and names that a token is asked for.
fn resources() -> impl Strategy<Value = Vec<&'static str>> {
    let patterns = subsequence(PATTERNS.to_vec(), 0..3);
    let names = proptest::collection::vec(select(names().collect::<Vec<_>>()), 0..4);
    (patterns, names).prop_map(|(patterns, names)| [patterns, names].concat())
}

#[test]
fn a_pattern_is_granted_exactly_when_each_of_its_names_would_be() {
    let (mut pairs, mut granted) = (0, 0);
    for world in worlds(1_500) {
        let ready = Ready::new(&world);
        let (by_name, by_pattern) = (ready.granted(names()), ready.granted(PATTERNS));
        for pattern in PATTERNS {
            for operation in OPERATIONS {
                let is_granted = |name: &str| by_name.contains(&(name.to_owned(), operation));
                let refused = names_in(pattern).find(|name| !is_granted(name));
                let is_whole = by_pattern.contains(&(pattern.to_owned(), operation));
                assert_eq!(is_whole, refused.is_none(), "{operation} in {pattern}, because of {refused:?}: {world:#?}");
                pairs += names_in(pattern).count();
                granted += usize::from(is_whole);
            }
        }
    }
    assert!(pairs >= 1_000_000 && granted > 2_000, "{pairs} pairs, {granted} granted");
}

#[test]
fn a_moderator_may_act_in_a_pattern_exactly_when_in_each_of_its_names() {
    let (mut pairs, mut allowed) = (0, 0);
    for (number, world) in worlds(600).enumerate() {
        let ready = Ready::new(&world);
        let target = PEOPLE[number % PEOPLE.len()];
        let may = |place: &&str| ready.may(Action::Ban, target, place);
        let by_name: BTreeSet<&str> = names().filter(may).collect();
        for pattern in PATTERNS {
            let refused = names_in(pattern).find(|name| !by_name.contains(name));
            assert_eq!(
                may(&pattern),
                refused.is_none(),
                "ban {target} in {pattern}, because of {refused:?}: {world:#?}"
            );
            pairs += names_in(pattern).count();
            allowed += usize::from(refused.is_none());
        }
    }
    assert!(pairs >= 100_000 && allowed > 200, "{pairs} pairs, {allowed} allowed");
}

// ------------------------------------------------------------------------------------------------- what Ably makes of a token

/// Whether a key of a capability, or the scope of a claim, is about a channel. `*` is about all but queues and metachannels; `a:*` about
/// every channel that begins with `a:`. Rooms are nothing to it.
fn is_about(scope: &str, channel: &str) -> bool {
    match scope.strip_suffix('*') {
        Some("") => !channel.starts_with('['),
        Some(namespace) => channel.starts_with(namespace),
        None => channel == scope,
    }
}

/// The claim that is copied to what the client sends in a channel: the most specific.
fn heard<'p>(permit: &'p Permit, channel: &str) -> &'p str {
    let claims = permit.user_claims().iter().map(|(scope, word)| (scope.to_string(), word.as_str()));
    let about = claims.filter(|(scope, _)| is_about(scope, channel));
    about.max_by_key(|(scope, _)| (!scope.ends_with('*'), scope.len())).map_or("", |(_, word)| word)
}

/// What the client is in a channel by a binding's word.
fn role_by_oracle(world: &World, channel: &str) -> String {
    let oracle = world.oracle();
    let bindings = oracle.bindings(&world.signing_request.client, oracle.is_own_client());
    let role = match best(&bindings, Some(channel)) {
        Some((.., Says::Is(role))) => *role,
        Some((.., Says::Removed)) => world.document.default_role,
        None => None,
    };
    role.map(|role| world.document.role_hierarchy.name(role).to_owned()).unwrap_or_default()
}

/// The same world, with a rule that lets the caller do everything as itself unless something else is in the way.
fn generous(mut world: World) -> World {
    let mut rule = Rule::new("generous", Effect::Allow, ActionSet::of(&OPERATIONS));
    rule.conversations = Some(vec![Template::parse("*").unwrap()]);
    world.document.rules.retain(|rule| rule.effect == Effect::Allow || rule.roles.is_some());
    world.document.rules.push(rule);
    world.signing_request.client.clone_from(&world.caller.subject);
    world
}

#[test]
fn a_token_lets_the_client_do_and_tells_of_it_in_each_channel_what_the_policy_says() {
    let mut runner = TestRunner::deterministic();
    let (mut pairs, mut told) = (0, 0);
    for world in worlds(3_000).map(generous) {
        let ready = Ready::new(&world);
        let by_name = ready.granted(names());
        for _ in 0..8 {
            let asked = resources().new_tree(&mut runner).unwrap().current();
            let Some(permit) = ready.token(asked) else { continue };
            for channel in names() {
                let about = permit.granted().iter().filter(|grant| is_about(&grant.resource.to_string(), channel));
                let operations: BTreeSet<Action> = about.flat_map(|grant| grant.operations.iter()).collect();
                for operation in &operations {
                    let is_allowed = by_name.contains(&(channel.to_owned(), *operation));
                    assert!(is_allowed, "{operation} in {channel} by {:?}: {world:#?}", permit.granted());
                }
                if !operations.is_empty() {
                    let (heard, role) = (heard(&permit, channel), role_by_oracle(&world, channel));
                    assert_eq!(heard, role, "in {channel} by {:?}: {world:#?}", permit.user_claims());
                    pairs += operations.len();
                    told += usize::from(!role.is_empty());
                }
            }
        }
    }
    println!("{pairs} pairs of a channel and an operation, a role in {told} channels");
    assert!(pairs >= 1_000_000 && told > 5_000, "{pairs} pairs, a role told in {told}");
}

#[test]
fn claims_for_a_rooms_channels_remain_only_where_the_binding_to_the_room_differs() {
    let mut runner = TestRunner::deterministic();
    for world in worlds(2_000).map(generous) {
        let ready = Ready::new(&world);
        let Some(permit) = ready.token(resources().new_tree(&mut runner).unwrap().current()) else { continue };
        let claims = permit.user_claims();
        for (scope, word) in claims.iter().filter(|(scope, _)| scope.room().is_some()) {
            // Ably does not read a prefix such as `d-*`: its app refuses such a claim.
            let others = claims.iter().filter(|(other, _)| other != scope && !other.is_literal_at_ably());
            let around = others.filter(|(other, _)| is_about(&other.to_string(), scope.prefix()));
            let without = around.max_by_key(|(other, _)| other.to_string().len()).map_or("", |(_, word)| word);
            assert_ne!(word, without, "{scope}: {claims:?}");
        }
    }
}

#[test]
fn the_patterns_and_scopes_hold_names_of_the_world() {
    for pattern in PATTERNS {
        assert!(names_in(pattern).count() >= 2, "{pattern}");
    }
    for scope in SCOPES.iter().filter(|scope| !scope.starts_with('[')) {
        assert!(names().any(|name| is_about(scope, name)), "{scope}");
    }
}
