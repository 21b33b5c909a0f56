//! Tests of the policy warnings.

use super::*;

/// Features as those of LeanCloud, TalkJS and Ably.
static NAMED_IDS: VendorFeatures = VendorFeatures {
    title: "LeanCloud",
    actions: ActionSet::of(&[Action::Login, Action::Create, Action::Join, Action::Invite, Action::History]),
    conversations: ConversationNames::WithoutColon { except: "_tmp:" },
    login_is_create: true,
    create_names_conversation: false,
};
static LOGINS: VendorFeatures = VendorFeatures {
    title: "TalkJS",
    actions: ActionSet::of(&[Action::Login, Action::AppToken]),
    conversations: ConversationNames::None,
    login_is_create: false,
    create_names_conversation: false,
};
static CHANNELS: VendorFeatures = VendorFeatures {
    title: "Ably",
    actions: ActionSet::CHANNEL_OPERATIONS.with(Action::Login),
    conversations: ConversationNames::Any,
    login_is_create: false,
    create_names_conversation: false,
};

fn warnings(document: &PolicyDocument) -> Vec<(LintLocation, String)> {
    let app = |name: &str, vendor| LintApp { name: name.to_owned(), vendor };
    let apps = [app("lean", &NAMED_IDS), app("talk", &LOGINS), app("able", &CHANNELS)];
    lint(document, &apps, NOW).into_iter().map(|warning| (warning.location, warning.message)).collect()
}

#[test]
fn warns_of_rules_that_never_match() {
    let mut of_login = allow("a", &[Action::Login, Action::Create]);
    of_login.conversations = Some(vec![Template::parse("chat:*").unwrap()]);
    let mut elsewhere = allow("b", &[Action::Publish]);
    elsewhere.apps = Some(vec!["lean".to_owned()]);
    let mut nobody = allow("c", &[Action::Join]);
    nobody.targets = Some(TargetCondition::Others);
    let mut selves = allow("d", &[Action::Subscribe]);
    selves.callers = Some(vec![CallerKind::Service]);
    let found = warnings(&document(vec![of_login, elsewhere, nobody, selves]));
    let expected = [
        "it has `conversations`, but login, create has no conversation",
        "none of its apps has the action publish",
        "it has `targets`, but join has no targets",
        "a service is never the client; write `client = \"any\"`",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (index, why) in expected.into_iter().enumerate() {
        assert_eq!(found[index], (LintLocation::Rule(index), format!("this rule can never match: {why}")));
    }
}

#[test]
fn warns_of_redundant_rules() {
    let narrow = |id: &str| {
        let mut rule = allow(id, &[Action::Subscribe]);
        rule.conversations = Some(vec![Template::parse("chat:x").unwrap()]);
        rule
    };
    let mut wide = allow("wide", &[Action::Subscribe, Action::History]);
    wide.conversations = Some(vec![Template::parse("chat:*").unwrap()]);
    let mut no = Rule::new("no", Effect::Deny, ActionSet::of(&[Action::Presence]));
    no.callers = Some(vec![CallerKind::User, CallerKind::Service]);
    let mut lost = allow("lost", &[Action::Presence]);
    lost.callers = Some(vec![CallerKind::User]);
    let rules = vec![narrow("narrow"), wide, narrow("twin"), no, lost];
    let found = warnings(&document(rules));
    assert_eq!(
        found,
        [
            (LintLocation::Rule(0), "this rule is redundant: `wide` allows everything that it allows".to_owned()),
            (LintLocation::Rule(2), "this rule is redundant: `narrow` allows everything that it allows".to_owned()),
            (
                LintLocation::Rule(4),
                "this rule has no effect: whenever it matches, the deny rule `no` matches too".to_owned()
            ),
        ]
    );
}

#[test]
fn a_rule_without_conversations_does_not_include_bracketed_names() {
    let mut log = allow("log", &[Action::Subscribe]);
    log.conversations = Some(vec![Template::parse("[meta]log").unwrap()]);
    let mut chat = allow("chat", &[Action::Subscribe]);
    chat.conversations = Some(vec![Template::parse("chat:{client}").unwrap()]);
    let found = warnings(&document(vec![allow("wherever", &[Action::Subscribe]), log, chat]));
    assert_eq!(
        found,
        [(LintLocation::Rule(2), "this rule is redundant: `wherever` allows everything that it allows".to_owned())]
    );
}

#[test]
fn warns_of_deny_rules_whose_placeholders_may_have_no_value() {
    let with = |id, effect, templates: &[&str]| {
        let mut rule = Rule::new(id, effect, ActionSet::of(&[Action::Subscribe]));
        rule.conversations = Some(templates.iter().map(|text| Template::parse(text).unwrap()).collect());
        rule
    };
    let rules = vec![
        with("allowed", Effect::Allow, &["{claim:tenant}:*"]),
        with("known", Effect::Deny, &["user:{client}", "secret:*"]),
        with("unknown", Effect::Deny, &["secret:*", "archive:{claim:tenant}:*", "{claim:org}:{claim:/team/name}"]),
    ];
    let found = warnings(&document(rules));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, LintLocation::Rule(2));
    for part in
        ["`archive:{claim:tenant}:*` or `{claim:org}:{claim:/team/name}`", "without `tenant`, `org` or `/team/name`"]
    {
        assert!(found[0].1.contains(part), "{found:?}");
    }
}

#[test]
fn warns_of_rules_for_moderators_that_reach_too_far_or_not_far_enough() {
    let moderation = [Action::Ban, Action::Unmute, Action::SetRole];
    let mut held = allow("held", &moderation);
    held.targets = Some(TargetCondition::Outranked);
    let mut services = allow("services", &moderation);
    (services.callers, services.client) = (Some(vec![CallerKind::Service]), Some(ClientCondition::Anyone));
    let mut mixed = allow("mixed", &[Action::SetRole, Action::ReadModeration]);
    mixed.targets = Some(TargetCondition::Outranked);
    let mut place = allow("place", &[Action::ReadModeration]);
    place.targets = Some(TargetCondition::Outranked);
    let careless = allow("careless", &moderation);
    let deny = Rule::new("deny", Effect::Deny, ActionSet::of(&[Action::Mute]));
    let found =
        warnings(&document(vec![held, services, mixed, place, allow("roles", &[Action::SetRole]), careless, deny]));
    let expected = [
        (
            2,
            "this rule never allows read-moderation, because it has `targets`: write a separate rule without `targets` for it",
        ),
        (3, "this rule can never match: it has `targets`, but read-moderation has no targets"),
        (
            5,
            "this rule lets users ban or unmute everyone in the conversation, even its owner: write `targets = \
             \"outranked\"`",
        ),
    ];
    let rules: Vec<_> = found.iter().filter(|(_, message)| !message.contains("redundant")).collect();
    assert_eq!(rules.len(), expected.len(), "{found:?}");
    for ((place, message), (index, why)) in rules.into_iter().zip(expected) {
        assert_eq!((place, message.as_str()), (&LintLocation::Rule(index), why));
    }
}

#[test]
fn warns_of_login_without_create_and_of_entries_without_effect() {
    let mut document = document(vec![allow("login", &[Action::Login])]);
    let entries = &mut document.entries;
    entries.conversations.push(conversation("c1", ConversationKind::Group, &[]));
    entries.bans.push(Sanction { until: Some(Millis(NOW.0 - 1)), ..sanction("eve", "*") });
    entries.bans.extend([sanction("bob", "chat:x"), sanction("bob", "chat:*")]);
    entries.mutes.push(Sanction { app: Some("lean".into()), ..sanction("eve", "*") });
    entries.blocks.push(Block {
        user: "carol".to_owned(),
        conversation: pattern("c1"),
        app: Some("able".into()),
        origin: EntryOrigin::File { line: 1 },
    });
    entries.bindings.push(BindingEntry { app: Some("lean".into()), ..binding("tom", "chat:*", GUEST) });
    entries.bindings.extend([binding("ann", "chat:*", GUEST), binding("ann", "chat:*", OWNER)]);
    let places: Vec<_> = warnings(&document).into_iter().map(|(place, _)| place).collect();
    let expected = [
        LintLocation::Policy,
        LintLocation::Conversation(0),
        LintLocation::Binding(1),
        LintLocation::Binding(0),
        LintLocation::Ban(0),
        LintLocation::Ban(1),
        LintLocation::Mute(0),
        LintLocation::Block(0),
    ];
    assert_eq!(places, expected);
}
