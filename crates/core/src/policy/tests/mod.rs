//! Tests of decisions with small policies.
#![allow(clippy::unwrap_used, clippy::panic)]

mod lint;

use std::collections::BTreeSet;

use super::*;
use crate::model::{
    Action, ActionSet, Caller, CallerKind, ConversationKind, Millis, Pattern, RequestedGrant, RequiredAction, Role,
    RoleHierarchy, SigningRequest, Template, Vendor,
};

const GUEST: Role = Role(0);
const MANAGER: Role = Role(1);
const OWNER: Role = Role(2);
const NOW: Millis = Millis(1_700_000_000_000);

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

fn user(name: &str) -> Caller {
    let kind = CallerKind::User;
    Caller {
        kind,
        subject: name.to_owned(),
        authenticator: "idp".into(),
        claims: serde_json::Map::new(),
        bindings: Vec::new(),
    }
}

fn service(name: &str) -> Caller {
    Caller { kind: CallerKind::Service, ..user(name) }
}

fn ask(client: &str, action: Action, place: Option<&str>, targets: &[&str]) -> SigningRequest {
    let conversation = place.map(pattern);
    let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
    SigningRequest {
        app: "chat".into(),
        vendor: Vendor::LeanCloud,
        action,
        client: client.to_owned(),
        conversation: conversation.clone(),
        members: targets.clone(),
        required_actions: vec![RequiredAction { action, conversation, targets }],
        requested_grants: Vec::new(),
        left_out: Vec::new(),
    }
}

fn request_grant(client: &str, resource: &str, operations: &[Action]) -> SigningRequest {
    let wants = vec![RequestedGrant { resource: pattern(resource), operations: operations.iter().copied().collect() }];
    SigningRequest {
        vendor: Vendor::Ably,
        required_actions: Vec::new(),
        requested_grants: wants,
        ..ask(client, Action::Login, None, &[])
    }
}

fn allow(id: &str, actions: &[Action]) -> Rule {
    Rule::new(id, Effect::Allow, ActionSet::of(actions))
}

fn document(rules: Vec<Rule>) -> PolicyDocument {
    let hierarchy = RoleHierarchy::new(["guest", "manager", "owner"].map(str::to_owned));
    PolicyDocument { role_hierarchy: hierarchy, rules, ..PolicyDocument::default() }
}

fn conversation(id: &str, kind: ConversationKind, people: &[(&str, Role)]) -> ConversationEntry {
    let people = people.iter().map(|(name, role)| (name.to_string(), Some(*role))).collect();
    ConversationEntry { id: id.to_owned(), app: None, kind, members: people, line: 1 }
}

fn binding(user: &str, scope: &str, role: Role) -> BindingEntry {
    BindingEntry { user: user.to_owned(), scope: pattern(scope), app: None, role: Some(role), line: 1 }
}

fn sanction(user: &str, scope: &str) -> Sanction {
    let reason = Some("spam".to_owned());
    let origin = EntryOrigin::File { line: 1 };
    Sanction { user: user.to_owned(), scope: pattern(scope), app: None, until: None, reason, origin }
}

fn decide(document: &PolicyDocument, caller: &Caller, signing_request: SigningRequest) -> Result<Permit, Denied> {
    let policy = Policy::new(document.clone());
    policy.decide(signing_request, caller, DecisionData::file_only(policy.entries()), NOW)
}

/// Whether everything is granted that is requested, and not only a narrower pattern.
fn grants_whole(document: &PolicyDocument, caller: &Caller, signing_request: SigningRequest) -> bool {
    let wants = signing_request.requested_grants.clone();
    decide(document, caller, signing_request).is_ok_and(|permit| permit.granted() == wants)
}

fn denial(document: &PolicyDocument, caller: &Caller, signing_request: SigningRequest) -> Denial {
    *decide(document, caller, signing_request).expect_err("this must be denied").denial
}

#[test]
fn denies_without_a_match_and_reports_the_nearest_rule() {
    let mut rule = allow("managers-kick", &[Action::Kick]);
    rule.roles = Some(vec![MANAGER, OWNER]);
    rule.reason = Some("Only managers and owners may remove members.".to_owned());
    let mut document = document(vec![rule]);
    document.entries.conversations.push(conversation("c1", ConversationKind::Group, &[("tom", GUEST)]));

    let denial = denial(&document, &user("tom"), ask("tom", Action::Kick, Some("c1"), &["bob"]));
    assert_eq!(denial.public_message(), "kick is not allowed in c1: Only managers and owners may remove members.");
    assert_eq!(denial.rule(), Some("managers-kick"));
    assert_eq!(
        denial.log_message(),
        "kick is not allowed in c1: the nearest rule managers-kick needs role manager or owner; tom is guest by the \
         conversation's list"
    );
}

#[test]
fn the_nearest_rule_is_one_for_such_a_caller() {
    let mut services = allow("a-services", &[Action::Kick]);
    services.callers = Some(vec![CallerKind::Service]);
    services.client = Some(ClientCondition::Anyone);
    let mut managers = allow("managers", &[Action::Kick]);
    managers.roles = Some(vec![MANAGER]);
    managers.targets = Some(TargetCondition::Outranked);
    let document = document(vec![services, managers]);
    let denial = denial(&document, &user("tom"), ask("tom", Action::Kick, Some("c1"), &["bob"]));
    assert_eq!(denial.rule(), Some("managers"));
}

#[test]
fn the_nearest_rule_is_one_about_this_conversation() {
    let own = |id: &str| Rule {
        conversations: Some(vec![Template::parse("support:{client}").unwrap()]),
        reason: Some("Everyone writes in an own support channel.".to_owned()),
        ..allow(id, &[Action::Publish])
    };
    let groups = Rule { kinds: Some(vec![ConversationKind::Group]), ..allow("a-groups", &[Action::Publish]) };
    let parties = Rule {
        conversations: Some(vec![Template::parse("order:*").unwrap()]),
        roles: Some(vec![OWNER]),
        claims: vec![("plan".to_owned(), serde_json::json!("paid"))],
        reason: Some("Only the parties of an order write in its channel.".to_owned()),
        ..allow("parties-chat", &[Action::Publish])
    };
    let mut document = document(vec![own("own-support-channel"), groups, parties]);
    document.entries.conversations.push(conversation("order:1", ConversationKind::Chatroom, &[]));
    let denial = denial(&document, &user("tom"), request_grant("tom", "order:1", &[Action::Publish]));
    assert_eq!(denial.rule(), Some("parties-chat"), "two failed conditions here are nearer than one elsewhere");
    assert_eq!(denial.reason(), Some("Only the parties of an order write in its channel."));
}

#[test]
fn a_denial_because_of_another_client_says_so() {
    let services = Rule { callers: Some(vec![CallerKind::Service]), ..allow("a-services", &[Action::Login]) };
    let services = Rule { client: Some(ClientCondition::Anyone), ..services };
    let document = document(vec![services, allow("everyone-logs-in", &[Action::Login])]);
    let message =
        |caller: &Caller, client| denial(&document, caller, ask(client, Action::Login, None, &[])).public_message();
    let expected = "login is not allowed for another client: the client is mary, the caller is tom";
    assert_eq!(message(&user("tom"), "mary"), expected);
    let no_rule = Vec::new();
    let nothing = PolicyDocument { rules: no_rule, ..document.clone() };
    let denied = denial(&nothing, &user("tom"), ask("mary", Action::Login, None, &[]));
    assert_eq!(denied.public_message(), "login is not allowed: no rule allows it");
}

fn granted(document: &PolicyDocument, signing_request: SigningRequest) -> Vec<(String, Vec<&'static str>)> {
    let permit = decide(document, &user("tom"), signing_request).unwrap();
    let grants = permit.granted().iter();
    grants.map(|grant| (grant.resource.to_string(), grant.operations.iter().map(Action::as_str).collect())).collect()
}

#[test]
fn a_wide_pattern_is_narrowed_to_what_the_policy_grants() {
    let chats = Rule {
        conversations: Some(vec![Template::parse("chat:*").unwrap(), Template::parse("user:{client}").unwrap()]),
        ..allow("chats", &[Action::Publish, Action::Subscribe])
    };
    let managers = Rule { roles: Some(vec![MANAGER]), ..allow("managers", &[Action::History]) };
    let lobby = Rule { conversations: Some(vec![Template::parse("chat:lobby").unwrap()]), ..chats.clone() };
    let mut document = document(vec![chats, managers, Rule { id: "lobby".to_owned(), ..lobby }]);
    document.entries.bindings.push(binding("tom", "chat:den", MANAGER));
    let all = [Action::Publish, Action::Subscribe, Action::History];
    let expected = |list: &[(&str, &[&'static str])]| -> Vec<(String, Vec<&'static str>)> {
        list.iter().map(|(name, operations)| ((*name).to_owned(), operations.to_vec())).collect()
    };
    let ways: [&'static str; 2] = ["publish", "subscribe"];
    let room = [("chat:den", &["history"][..]), ("chat:den::$chat", &["history"]), ("chat:den::$chat:*", &["history"])];
    let chats = [("chat:*", &ways[..])];
    let own = [("user:tom", &ways[..]), ("user:tom::$chat", &ways), ("user:tom::$chat:*", &ways)];
    assert_eq!(granted(&document, request_grant("tom", "*", &all)), expected(&[&chats[..], &room, &own].concat()));
    assert_eq!(granted(&document, request_grant("tom", "chat:*", &all)), expected(&[&chats[..], &room].concat()));

    document.entries.bans.push(sanction("tom", "chat:*"));
    assert_eq!(granted(&document, request_grant("tom", "*", &all)), expected(&own));
    assert!(decide(&document, &user("tom"), request_grant("tom", "chat:*", &all)).is_err(), "nothing is left");
}

#[test]
fn an_allow_rule_means_the_callers_own_client_unless_it_says_otherwise() {
    let document = document(vec![allow("login", &[Action::Login])]);
    assert!(decide(&document, &user("tom"), ask("tom", Action::Login, None, &[])).is_ok());
    assert!(decide(&document, &user("tom"), ask("ann", Action::Login, None, &[])).is_err());
    assert!(decide(&document, &service("tom"), ask("tom", Action::Login, None, &[])).is_err());
}

#[test]
fn a_user_needs_a_role_to_act_for_any_client() {
    let mut rule = allow("anyone", &[Action::Login]);
    rule.client = Some(ClientCondition::Anyone);
    let mut document = document(vec![rule]);
    assert!(decide(&document, &user("tom"), ask("ann", Action::Login, None, &[])).is_err());
    assert!(decide(&document, &service("svc"), ask("ann", Action::Login, None, &[])).is_ok());

    document.rules[0].caller_roles = Some(vec![OWNER]);
    assert!(decide(&document, &user("tom"), ask("ann", Action::Login, None, &[])).is_err());
    document.entries.bindings.push(binding("tom", "*", OWNER));
    assert!(decide(&document, &user("tom"), ask("ann", Action::Login, None, &[])).is_ok());
}

#[test]
fn a_service_does_not_get_the_bindings_of_a_user_with_the_same_name() {
    let mut rule = allow("anyone", &[Action::Login]);
    rule.client = Some(ClientCondition::Anyone);
    rule.caller_roles = Some(vec![OWNER]);
    let mut document = document(vec![rule]);
    document.entries.bindings.push(binding("svc", "*", OWNER));
    assert!(decide(&document, &service("svc"), ask("ann", Action::Login, None, &[])).is_err());
}

#[test]
fn a_ban_in_a_channel_denies_its_pattern_its_room_and_its_other_spelling() {
    let mut document = document(vec![allow("all", &[Action::Subscribe, Action::History])]);
    document.entries.bans.push(sanction("eve", "chat:x"));
    for resource in ["chat:x", "chat:*", "*", "chat:x::$chat", "chat:x:*", "chat:x::$chat::$typing"] {
        let denial = denial(&document, &user("eve"), request_grant("eve", resource, &[Action::Subscribe]));
        let part =
            if ["chat:*", "*", "chat:x:*"].contains(&resource) { "; ask for other conversations by name" } else { "" };
        assert_eq!(denial.public_message(), format!("eve is banned in chat:x{part}: spam"), "{resource}");
        assert_eq!(denial.code(), "banned");
    }
    assert!(decide(&document, &user("eve"), request_grant("eve", "chat:y", &[Action::Subscribe])).is_ok());
    assert!(decide(&document, &user("tom"), request_grant("tom", "*", &[Action::Subscribe])).is_ok());
}

#[test]
fn a_mute_denies_only_sending_actions() {
    let mut document = document(vec![allow("all", &[Action::Subscribe, Action::Publish, Action::Presence])]);
    document.entries.mutes.push(sanction("loud", "chat:*"));
    let asked = [Action::Publish, Action::Subscribe, Action::Presence];
    let permit = decide(&document, &user("loud"), request_grant("loud", "chat:x", &asked)).unwrap();
    assert_eq!(
        permit.granted(),
        [RequestedGrant { resource: pattern("chat:x"), operations: ActionSet::of(&[Action::Subscribe]) }]
    );
    let denial = denial(&document, &user("loud"), request_grant("loud", "*", &[Action::Publish]));
    assert_eq!(denial.public_message(), "loud is muted in chat:*; ask for other conversations by name: spam");
}

#[test]
fn a_ban_ends_exactly_at_its_end_time() {
    let mut document = document(vec![allow("login", &[Action::Login])]);
    document.entries.bans.push(Sanction { until: Some(NOW), ..sanction("eve", "*") });
    assert!(decide(&document, &user("eve"), ask("eve", Action::Login, None, &[])).is_ok());
    document.entries.bans.push(Sanction { until: Some(Millis(NOW.0 + 1)), ..sanction("eve", "*") });
    assert!(decide(&document, &user("eve"), ask("eve", Action::Login, None, &[])).is_err());
}

#[test]
fn only_the_log_contains_reasons_about_targets() {
    let mut document = document(vec![allow("invite", &[Action::Invite])]);
    document.entries.bans.push(sanction("eve", "c1"));
    let block = Block {
        user: "carol".to_owned(),
        conversation: pattern("c1"),
        app: None,
        origin: EntryOrigin::File { line: 1 },
    };
    document.entries.blocks.push(block);
    for (target, log) in [("eve", "is banned in c1 (spam)"), ("carol", "does not want to be added there")] {
        let denial = denial(&document, &user("tom"), ask("tom", Action::Invite, Some("c1"), &[target]));
        assert_eq!(denial.public_message(), "invite is not allowed in c1: a target can't be added");
        assert_eq!(denial.reason(), None);
        assert!(denial.log_message().ends_with(&format!("the target {target} {log}")), "{}", denial.log_message());
    }
}

#[test]
fn a_denied_pattern_names_the_denied_part() {
    let mut rule = allow("groups", &[Action::Subscribe]);
    rule.kinds = Some(vec![ConversationKind::Group]);
    let mut document = document(vec![rule]);
    document.entries.conversations.push(conversation("chat:vip", ConversationKind::System, &[]));
    let denial = denial(&document, &user("tom"), request_grant("tom", "chat:*", &[Action::Subscribe]));
    assert_eq!(
        denial.public_message(),
        "subscribe is not allowed in chat:* as a whole, because of chat:vip; ask for conversations by name"
    );
    assert!(decide(&document, &user("tom"), request_grant("tom", "chat:x", &[Action::Subscribe])).is_ok());
}

#[test]
fn a_pattern_is_granted_where_each_of_its_names_would_be() {
    let subscribe = |resource: &str| request_grant("tom", resource, &[Action::Subscribe]);
    let mut no = Rule::new("no", Effect::Deny, ActionSet::of(&[Action::Subscribe]));
    no.roles = Some(vec![MANAGER]);
    let mut document = document(vec![allow("all", &[Action::Subscribe]), no]);
    document.default_role = Some(MANAGER);
    document.entries.bindings.push(binding("tom", "chat:x", GUEST));
    // Tom is a manager by default, except in chat:x. Managers are denied.
    assert!(decide(&document, &user("tom"), subscribe("chat:x")).is_ok());
    assert!(decide(&document, &user("tom"), subscribe("chat:y")).is_err());
    assert!(!grants_whole(&document, &user("tom"), subscribe("chat:*")));

    document.rules[1].roles = Some(vec![GUEST]);
    let denial = denial(&document, &user("tom"), subscribe("chat:*"));
    let said = "subscribe is not allowed in chat:* as a whole, because of chat:x; ask for conversations by name";
    assert_eq!(denial.public_message(), said);
}

#[test]
fn a_wider_weaker_binding_does_not_count_inside_a_covered_pattern() {
    let mut rule = allow("managers", &[Action::Subscribe]);
    rule.roles = Some(vec![MANAGER]);
    let mut document = document(vec![rule]);
    document.entries.bindings.push(binding("sue", "chat:*", MANAGER));
    let mut sue = user("sue");
    sue.bindings = vec![(Pattern::Everything, GUEST)];
    assert!(decide(&document, &sue, request_grant("sue", "chat:*", &[Action::Subscribe])).is_ok());
    assert!(!grants_whole(&document, &sue, request_grant("sue", "*", &[Action::Subscribe])));
}

#[test]
fn a_pattern_grants_what_each_name_in_it_is_granted_a_rooms_channels_among_them() {
    let mut rule = allow("moderators", &[Action::Subscribe]);
    rule.roles = Some(vec![MANAGER]);
    let mut document = document(vec![rule]);
    document.default_role = Some(GUEST);
    document.entries.bindings.push(binding("tom", "support:*", MANAGER));
    let may = |document: &PolicyDocument, place: &str| {
        grants_whole(document, &user("tom"), request_grant("tom", place, &[Action::Subscribe]))
    };
    let inside =
        ["support::$chat", "support::$chat::$typing", "support:*", "support::*", "support::$chat:*", "support:x"];
    assert!(inside.iter().all(|place| may(&document, place)));
    assert!(!may(&document, "support") && !may(&document, "*"), "the room itself is not inside support:*");

    document.entries.conversations.push(conversation("support", ConversationKind::Group, &[("alice", OWNER)]));
    assert!(inside.iter().all(|place| may(&document, place)), "the entry for the room is not about tom");

    document.entries.bindings.push(binding("tom", "support", GUEST));
    for place in ["support::$chat", "support::$chat::$typing", "support:*", "support::*", "support::$chat:*"] {
        assert!(!may(&document, place), "{place}: the binding to the room is the most specific");
    }
    assert!(may(&document, "support:x"));
}

#[test]
fn a_ban_or_deny_rule_for_a_namespace_counts_in_the_channels_of_the_room_of_that_name() {
    let asked = ["support::$chat", "support::$chat::$typing", "support:*", "*"];
    let may = |document: &PolicyDocument, place: &str| {
        decide(document, &user("eve"), request_grant("eve", place, &[Action::Subscribe])).is_ok()
    };
    let mut banned = document(vec![allow("all", &[Action::Subscribe])]);
    let mut denied = banned.clone();
    banned.entries.bans.push(sanction("eve", "support:*"));
    let mut no = Rule::new("no", Effect::Deny, ActionSet::of(&[Action::Subscribe]));
    no.conversations = Some(vec![Template::parse("support:*").unwrap()]);
    denied.rules.push(no);
    for document in [banned, denied] {
        assert!(asked.iter().all(|place| !may(&document, place)));
        assert!(may(&document, "support") && may(&document, "supporter::$chat"));
    }
}

#[test]
fn a_pattern_may_be_granted_by_different_rules_in_its_parts() {
    let mut guests = allow("guests", &[Action::Subscribe]);
    guests.roles = Some(vec![GUEST]);
    let mut managers = allow("managers", &[Action::Subscribe]);
    managers.roles = Some(vec![MANAGER]);
    let mut no = Rule::new("no-guests-in-private", Effect::Deny, ActionSet::of(&[Action::Subscribe]));
    no.roles = Some(vec![GUEST]);
    no.conversations = Some(vec![Template::parse("chat:private").unwrap()]);
    let mut document = document(vec![guests, managers, no]);
    document.default_role = Some(GUEST);
    let refused = denial(&document, &user("tom"), request_grant("tom", "chat:*", &[Action::Subscribe]));
    assert!(refused.public_message().contains("because of chat:private"), "{}", refused.public_message());
    // Tom is a manager in chat:private, where the deny rule is only for guests. Elsewhere he is a guest.
    document.entries.bindings.push(binding("tom", "chat:private", MANAGER));
    let permit = decide(&document, &user("tom"), request_grant("tom", "chat:*", &[Action::Subscribe])).unwrap();
    assert_eq!(permit.rules(), ["guests", "managers"].map(Arc::from));
}

#[test]
fn a_deny_rule_whose_placeholder_has_no_value_denies_all_that_it_could_stand_for() {
    let mut keep_apart = Rule::new("keep-apart", Effect::Deny, ActionSet::of(&[Action::Subscribe]));
    keep_apart.conversations = Some(vec![Template::parse("archive:{claim:tenant}:*").unwrap()]);
    let document = document(vec![allow("everyone", &[Action::Subscribe]), keep_apart]);
    let decides = |tenant: Option<serde_json::Value>, place: &str| {
        let mut tom = user("tom");
        tom.claims.extend(tenant.map(|tenant| ("tenant".to_owned(), tenant)));
        decide(&document, &tom, request_grant("tom", place, &[Action::Subscribe])).is_ok()
    };
    let unusable = ["", "a:b", "*", "[x"].map(serde_json::Value::from);
    for tenant in [None, Some(7.into())].into_iter().chain(unusable.map(Some)) {
        for denied in ["archive:acme:x", "archive:acme:x:*", "archive:acme:*", "archive:*", "*"] {
            assert!(!decides(tenant.clone(), denied), "{tenant:?} {denied}");
        }
        for allowed in ["archive:acme", "archive", "archive::x", "chat:acme:x", "chat:*"] {
            assert!(decides(tenant.clone(), allowed), "{tenant:?} {allowed}");
        }
    }
    assert!(!decides(Some("acme".into()), "archive:acme:x"));
    assert!(decides(Some("acme".into()), "archive:other:x"));
    let said =
        denial(&document, &user("tom"), request_grant("tom", "archive:*", &[Action::Subscribe])).public_message();
    assert_eq!(said, "subscribe is not allowed in archive:*", "the message names only the requested pattern");
}

#[test]
fn a_pattern_that_holds_temporary_names_is_temporary_too() {
    let mut groups = allow("groups", &[Action::Publish]);
    groups.kinds = Some(vec![ConversationKind::Group]);
    let mut no_temporary = Rule::new("no-temporary", Effect::Deny, ActionSet::of(&[Action::Subscribe]));
    no_temporary.kinds = Some(vec![ConversationKind::Temporary]);
    let document = document(vec![groups, allow("everyone", &[Action::Subscribe]), no_temporary]);
    for (place, is_granted) in [
        ("chat", true),
        ("chat:*", true),
        ("_tmp", true),
        ("_tmp:x", false),
        ("_tmp:*", false),
        ("_tmp:x:*", false),
        ("_tmp::$chat", false),
        ("*", false),
    ] {
        for action in [Action::Publish, Action::Subscribe] {
            let permit = decide(&document, &user("tom"), request_grant("tom", place, &[action]));
            assert_eq!(permit.is_ok(), is_granted, "{action} {place}");
        }
    }
    let said = denial(&document, &user("tom"), request_grant("tom", "*", &[Action::Subscribe])).public_message();
    assert_eq!(said, "subscribe is not allowed in * as a whole, because of _tmp:*; ask for conversations by name");
}

#[test]
fn a_qualified_name_is_of_the_kind_of_the_name_behind_it() {
    let mut reader = allow("reader", &[Action::Subscribe]);
    let names = ["[?rewind=1]lobby", "[?rewind=1]_tmp:x", "[?rewind=1]chat"];
    reader.conversations = Some(names.iter().map(|name| Template::parse(name).unwrap()).collect());
    let mut no_rooms = Rule::new("no-rooms", Effect::Deny, ActionSet::of(&[Action::Subscribe]));
    no_rooms.kinds = Some(vec![ConversationKind::Chatroom, ConversationKind::Temporary]);
    let mut document = document(vec![reader, no_rooms]);
    document.entries.conversations.push(conversation("lobby", ConversationKind::Chatroom, &[]));
    let granted =
        names.map(|name| decide(&document, &user("tom"), request_grant("tom", name, &[Action::Subscribe])).is_ok());
    assert_eq!(granted, [false, false, true]);
}

#[test]
fn a_deny_rule_for_outranked_targets_includes_unlisted_roles() {
    let kicks = |effect| {
        let mut rule = Rule::new("kicks", effect, ActionSet::of(&[Action::Kick]));
        rule.targets = Some(TargetCondition::Outranked);
        rule
    };
    let decides = |rules: Vec<Rule>, target: &str| {
        let mut document = document(rules);
        document.entries.bindings.push(binding("bob", "*", MANAGER));
        document.entries.bindings.push(BindingEntry { role: None, ..binding("wizard", "*", GUEST) });
        document.entries.bindings.push(binding("ann", "*", OWNER));
        decide(&document, &user("bob"), ask("bob", Action::Kick, Some("room"), &[target])).is_ok()
    };
    for (target, allowed, not_denied) in [("tom", true, false), ("wizard", false, false), ("ann", false, true)] {
        assert_eq!(decides(vec![kicks(Effect::Allow)], target), allowed, "{target}");
        let denied = vec![allow("everyone", &[Action::Kick]), kicks(Effect::Deny)];
        assert_eq!(decides(denied, target), not_denied, "{target}");
    }
}

#[test]
fn a_pattern_is_refused_where_a_deny_rule_without_a_value_touches_only_names_deep_in_it() {
    let decides = |template: &str,
                   kinds: Option<Vec<ConversationKind>>,
                   bindings: &[(&str, Role)],
                   known: &[(&str, ConversationKind)],
                   place: &str| {
        let mut no = Rule::new("no", Effect::Deny, ActionSet::of(&[Action::Subscribe]));
        no.conversations = Some(vec![Template::parse(template).unwrap()]);
        (no.roles, no.kinds) = (Some(vec![GUEST]), kinds);
        let mut document = document(vec![allow("everyone", &[Action::Subscribe]), no]);
        document.entries.bindings.extend(bindings.iter().map(|(scope, role)| binding("tom", scope, *role)));
        document.entries.conversations.extend(known.iter().map(|(id, kind)| conversation(id, *kind, &[])));
        grants_whole(&document, &user("tom"), request_grant("tom", place, &[Action::Subscribe]))
    };
    // The deny rule is for guests. Tom is a manager in the room's channels, but a guest in the rest of `a::*`.
    let bindings = [("*", MANAGER), ("a::*", GUEST), ("a", MANAGER)];
    for (place, expected) in
        [("a::w", false), ("a::$chat", true), ("a:*", false), ("a::*", false), ("a::$chat:*", true)]
    {
        assert_eq!(decides("a::{claim:tenant}", None, &bindings, &[], place), expected, "{place}");
    }
    // Tom is a guest in one namespace inside the pattern.
    let bindings = [("*", MANAGER), ("a:x:*", GUEST)];
    for (place, expected) in [("a:x:p", false), ("a:y:p", true), ("a:x:q", true), ("a:*", false), ("*", false)] {
        assert_eq!(decides("a:{claim:tenant}:p", None, &bindings, &[], place), expected, "{place}");
    }
    // Only the second chat room matches the rule's template.
    let known = [("a:b:c", ConversationKind::Chatroom), ("a:x", ConversationKind::Chatroom)];
    for (place, expected) in [("a:b:c", true), ("a:x", false), ("a:y", true), ("a:*", false)] {
        let kinds = Some(vec![ConversationKind::Chatroom]);
        assert_eq!(decides("a:{claim:tenant}", kinds, &[("*", GUEST)], &known, place), expected, "{place}");
    }
}

#[test]
fn in_an_allow_rule_a_placeholder_without_a_value_matches_nothing() {
    let mut own = allow("own", &[Action::Subscribe]);
    own.conversations = Some(vec![Template::parse("archive:{claim:tenant}:*").unwrap()]);
    let document = document(vec![own]);
    for place in ["archive:acme:x", "archive:*", "*"] {
        assert!(decide(&document, &user("tom"), request_grant("tom", place, &[Action::Subscribe])).is_err(), "{place}");
    }
}

#[test]
fn no_rule_gives_a_user_an_app_token() {
    let mut rule = allow("token", &[Action::AppToken]);
    rule.client = Some(ClientCondition::Anyone);
    rule.caller_roles = Some(vec![OWNER]);
    let mut document = document(vec![rule]);
    document.entries.bindings.push(binding("tom", "*", OWNER));
    assert!(decide(&document, &user("tom"), ask("", Action::AppToken, None, &[])).is_err());
    document.rules[0].caller_roles = None;
    assert!(decide(&document, &service("svc"), ask("", Action::AppToken, None, &[])).is_ok());
}

#[test]
fn a_caller_without_permission_learns_nothing_about_a_ban() {
    let mut own = allow("own", &[Action::Login, Action::Invite]);
    own.reason = Some("Only for yourself.".to_owned());
    let mut document = document(vec![own]);
    let before = denial(&document, &user("tom"), ask("mallory", Action::Login, None, &[]));
    document.entries.bans.push(sanction("mallory", "*"));
    let after = denial(&document, &user("tom"), ask("mallory", Action::Login, None, &[]));
    assert_eq!(after, before);
    let own = denial(&document, &user("mallory"), ask("mallory", Action::Login, None, &[]));
    assert_eq!(own.code(), "banned");
    let by_service = denial(&document, &service("svc"), ask("mallory", Action::Login, None, &[]));
    assert_eq!(by_service.code(), "banned");
}

#[test]
fn the_first_source_that_covers_decides_alone() {
    let mut rule = allow("owners", &[Action::Subscribe]);
    rule.roles = Some(vec![OWNER]);
    let mut document = document(vec![rule]);
    document.entries.bindings.push(binding("tom", "chat:*", GUEST));
    let mut tom = user("tom");
    tom.bindings = vec![(pattern("chat:x"), OWNER), (pattern("news"), OWNER)];
    assert!(decide(&document, &tom, request_grant("tom", "chat:x", &[Action::Subscribe])).is_err());
    assert!(decide(&document, &tom, request_grant("tom", "news", &[Action::Subscribe])).is_ok());
}

#[test]
fn user_claims_follow_precedence_and_never_tell_another_clients_token_roles() {
    let mut any = allow("any", &[Action::Subscribe]);
    any.client = Some(ClientCondition::Anyone);
    any.caller_roles = Some(vec![OWNER]);
    let mut document = document(vec![allow("own", &[Action::Subscribe]), any]);
    document.entries.bindings.extend([binding("tom", "chat:*", GUEST), binding("ann", "news", MANAGER)]);
    document.entries.bindings.push(binding("tom", "chat:x", MANAGER));
    let mut tom = user("tom");
    tom.bindings = vec![(pattern("chat:y"), OWNER), (pattern("*"), OWNER)];

    let own = decide(&document, &tom, request_grant("tom", "*", &[Action::Subscribe])).unwrap();
    let claims: Vec<_> = own.user_claims().iter().map(|(scope, role)| format!("{scope}={role}")).collect();
    assert_eq!(
        claims,
        ["chat:x=manager", "chat:x::$chat=manager", "chat:*=guest", "chat:x::$chat:*=manager", "*=owner"]
    );

    let others = decide(&document, &tom, request_grant("ann", "news", &[Action::Subscribe])).unwrap();
    let claims: Vec<_> = others.user_claims().iter().map(|(scope, role)| format!("{scope}={role}")).collect();
    assert_eq!(claims, ["news=manager"]);
}

#[test]
fn a_binding_to_a_rooms_channel_is_a_binding_to_the_room() {
    let mut rule = allow("owners", &[Action::Subscribe]);
    rule.roles = Some(vec![OWNER]);
    let mut document = document(vec![rule]);
    document.entries.bindings.push(binding("tom", "lounge::$chat", OWNER));
    let mut ann = user("ann");
    ann.bindings = vec![(pattern("lounge::$chat::$typing"), OWNER)];
    for resource in ["lounge", "lounge::$chat", "lounge::$chat:*"] {
        let permit = decide(&document, &user("tom"), request_grant("tom", resource, &[Action::Subscribe])).unwrap();
        let claims = permit.user_claims();
        assert!(
            claims.iter().all(|(scope, word)| *scope.home_conversation() == pattern("lounge") && word == "owner"),
            "{claims:?}"
        );
        let scopes: Vec<_> = claims.iter().map(|(scope, _)| scope.to_string()).collect();
        assert_eq!(scopes, BTreeSet::from(["lounge", resource]).into_iter().collect::<Vec<_>>());
        assert!(decide(&document, &ann, request_grant("ann", resource, &[Action::Subscribe])).is_ok(), "{resource}");
    }
    assert!(decide(&document, &user("tom"), request_grant("tom", "lounge:x", &[Action::Subscribe])).is_err());
}

#[test]
fn an_empty_claim_hides_a_wider_role() {
    let mut document = document(vec![allow("own", &[Action::Subscribe])]);
    document.entries.bindings.push(binding("tom", "*", OWNER));
    document.entries.bindings.push(BindingEntry { role: None, ..binding("tom", "chat:x", GUEST) });
    let permit = decide(&document, &user("tom"), request_grant("tom", "chat:x", &[Action::Subscribe])).unwrap();
    assert_eq!(permit.user_claims(), [(pattern("chat:x"), String::new()), (pattern("*"), "owner".to_owned())]);
}

#[test]
fn nobody_outranks_a_user_with_an_unlisted_role() {
    let mut rule = allow("kick", &[Action::Kick]);
    rule.targets = Some(TargetCondition::Outranked);
    let mut document = document(vec![rule]);
    document.entries.conversations.push(conversation("c1", ConversationKind::Group, &[("ann", OWNER)]));
    let kick = |target: &str| ask("ann", Action::Kick, Some("c1"), &[target]);
    assert!(decide(&document, &user("ann"), kick("bob")).is_ok());
    document.entries.bindings.push(BindingEntry { role: None, ..binding("bob", "c1", GUEST) });
    assert!(decide(&document, &user("ann"), kick("bob")).is_err());
}

#[test]
fn explains_every_rule() {
    let mut managers = allow("managers-kick", &[Action::Kick]);
    managers.roles = Some(vec![MANAGER, OWNER]);
    managers.targets = Some(TargetCondition::Outranked);
    let mut document = document(vec![managers, allow("joins", &[Action::Join])]);
    document.entries.conversations.push(conversation("c1", ConversationKind::Group, &[("tom", GUEST), ("ann", OWNER)]));
    let policy = Policy::new(document);
    let facts = DecisionData::file_only(policy.entries());
    let explained = policy.explain(&ask("tom", Action::Kick, Some("c1"), &["ann"]), &user("tom"), facts, NOW);

    assert_eq!(explained.len(), 1);
    assert_eq!(
        explained[0].standings,
        ["tom is guest by the conversation's list", "ann is owner by the conversation's list"]
    );
    let [kick, joins] = explained[0].rules.as_slice() else { panic!("two rules") };
    assert!(kick.applies && !kick.matches() && !joins.applies);
    let needed: Vec<_> = kick.unmet_conditions.iter().map(|miss| miss.needed.as_str()).collect();
    assert_eq!(
        needed,
        [
            "needs role manager or owner; tom is guest by the conversation's list",
            "needs targets that the client outranks; ann is owner by the conversation's list, tom is guest by the \
             conversation's list (a token's roles do not count for this)",
        ]
    );
}
