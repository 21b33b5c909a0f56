//! LeanCloud requests that share a message are decided alike by any policy: what is denied to one can't be had by asking for the other.

use chat_signer::model::{
    Action, ActionSet, Caller, CallerKind, ConversationKind, Millis, Pattern, Role, RoleHierarchy, Template,
};
use chat_signer::policy::{
    BindingEntry, ClientCondition, ConversationEntry, DecisionData, Effect, EntryOrigin, Policy, PolicyDocument,
    PolicyEntries, Rule, Sanction, TargetCondition,
};
use chat_signer::vendor::leancloud::HistoryOrder;
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::Map;

use super::leancloud::{Request, app};

const NAMES: [&str; 3] = ["tom", "mary", "room"];

fn name() -> impl Strategy<Value = String> {
    select(&NAMES[..]).prop_map(str::to_owned)
}

fn role() -> impl Strategy<Value = Role> {
    select(vec![Role(0), Role(1)])
}

fn scope() -> impl Strategy<Value = Pattern> {
    prop_oneof![1 => Just(Pattern::Everything), 2 => name().prop_map(Pattern::Exact)]
}

fn rule() -> impl Strategy<Value = Rule> {
    let actions = subsequence(vec![Action::Login, Action::Create, Action::History], 1..=3);
    let client = prop_oneof![Just(ClientCondition::Itself), Just(ClientCondition::Anyone)];
    let targets = select(vec![TargetCondition::Itself, TargetCondition::Others, TargetCondition::Outranked]);
    let conversations = vec(prop_oneof![Just("*".to_owned()), Just("{client}".to_owned()), name()], 1..3);
    let conditions = (
        of(client),
        weighted(0.2, targets),
        weighted(0.2, vec(role(), 1..3)),
        weighted(0.2, subsequence(ConversationKind::ALL.to_vec(), 1..=2)),
        weighted(0.3, conversations),
        weighted(0.5, 0..4_usize),
    );
    (any::<[bool; 2]>(), actions, conditions).prop_map(|(allow, actions, conditions)| {
        let effect = if allow.contains(&true) { Effect::Allow } else { Effect::Deny };
        let mut rule = Rule::new("", effect, actions.into_iter().collect::<ActionSet>());
        let conversations;
        (rule.client, rule.targets, rule.roles, rule.kinds, conversations, rule.max_members) = conditions;
        let templates = |texts: Vec<String>| texts.iter().map(|text| Template::parse(text).unwrap()).collect();
        rule.conversations = conversations.map(templates);
        rule
    })
}

fn entries() -> impl Strategy<Value = PolicyEntries> {
    let conversation = (name(), select(ConversationKind::ALL.to_vec()), vec((name(), of(role())), 0..2));
    let conversation =
        conversation.prop_map(|(id, kind, people)| ConversationEntry { id, app: None, kind, members: people, line: 1 });
    let binding = (name(), scope(), of(role()));
    let binding = binding.prop_map(|(user, scope, role)| BindingEntry { user, scope, app: None, role, line: 1 });
    let ban = (name(), scope());
    let ban = ban.prop_map(|(user, scope)| Sanction {
        user,
        scope,
        app: None,
        until: None,
        reason: None,
        origin: EntryOrigin::File { line: 1 },
    });
    (vec(conversation, 0..2), vec(binding, 0..3), vec(ban, 0..2)).prop_map(|(conversations, bindings, bans)| {
        PolicyEntries { conversations, bindings, bans, ..PolicyEntries::default() }
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    (vec(rule(), 1..6), entries(), of(role())).prop_map(|(mut rules, entries, default_role)| {
        for (place, rule) in rules.iter_mut().enumerate() {
            rule.id = format!("r{place}");
        }
        let role_hierarchy = RoleHierarchy::new(["guest", "owner"].map(str::to_owned));
        Policy::new(PolicyDocument { role_hierarchy, default_role, rules, entries, hash: String::new() })
    })
}

fn caller() -> impl Strategy<Value = Caller> {
    (select(vec![CallerKind::User, CallerKind::User, CallerKind::Service]), name(), vec((scope(), role()), 0..2))
        .prop_map(|(kind, subject, bindings)| Caller {
            kind,
            subject,
            authenticator: "id".into(),
            claims: Map::new(),
            bindings,
        })
}

fn allows(policy: &Policy, order: HistoryOrder, request: &Request, caller: &Caller) -> bool {
    let signing_request = request.accepted(&app(order)).unwrap();
    policy.decide(signing_request, caller, DecisionData::file_only(policy.entries()), Millis(1_000)).is_ok()
}

/// A conversation with one other member can't be created under the name of a history where rules let one create alone only.
#[test]
fn a_limit_on_members_counts_whom_a_history_could_add() {
    let mut alone = Rule::new("alone", Effect::Allow, ActionSet::of(&[Action::Create]));
    alone.max_members = Some(1);
    let histories = Rule::new("histories", Effect::Allow, ActionSet::of(&[Action::History]));
    let policy = Policy::new(PolicyDocument { rules: vec![alone, histories], ..PolicyDocument::default() });
    let tom = Caller {
        kind: CallerKind::User,
        subject: "tom".to_owned(),
        authenticator: "id".into(),
        claims: Map::new(),
        bindings: Vec::new(),
    };
    let may = |order, request: &Request| allows(&policy, order, request, &tom);
    let history = Request::new(Action::History, "tom", Some("mary"), None);
    let create = Request::new(Action::Create, "tom", None, Some(&["mary"]));
    assert!(!may(HistoryOrder::TimestampNonce, &create) && !may(HistoryOrder::TimestampNonce, &history));
    assert!(!may(HistoryOrder::NonceTimestamp, &create) && may(HistoryOrder::NonceTimestamp, &history));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn going_online_is_decided_as_creating_with_nobody(policy in policy(), caller in caller(), client in name()) {
        for order in [HistoryOrder::NonceTimestamp, HistoryOrder::TimestampNonce] {
            let login = Request::new(Action::Login, &client, None, None);
            let create = Request::new(Action::Create, &client, None, Some(&[]));
            prop_assert_eq!(allows(&policy, order, &login, &caller), allows(&policy, order, &create, &caller));
        }
    }

    #[test]
    fn a_history_is_decided_as_the_creation_it_reads_like(
        policy in policy(),
        caller in caller(),
        client in name(),
        member in name(),
    ) {
        let order = HistoryOrder::TimestampNonce;
        let history = Request::new(Action::History, &client, Some(&member), None);
        let create = Request::new(Action::Create, &client, None, Some(&[&member]));
        prop_assert_eq!(allows(&policy, order, &history, &caller), allows(&policy, order, &create, &caller));
    }
}
