//! The shipped `policy.toml` is the table of LeanCloud's guide, and Ably's own-or-anyone editing: each line here is a sentence of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use chat_signer::config::{Settings, load};
use chat_signer::engine::{RuntimeData, SigningRefusal};
use chat_signer::model::{Action, Caller, CallerKind, Millis};
use chat_signer::policy::EntryIndex;
use chat_signer::vendor::{self, Params};
use serde_json::{Map, Value, json};

const GROUP: &str = "5f3c2a1b9e8d7c6b5a493827";
const CHATROOM: &str = "5f3c2a1b9e8d7c6b5a493828";
/// 2027-01-01, when the shipped ban holds.
const NOW: Millis = Millis(1_798_732_800_000);

static SETTINGS: LazyLock<Settings> = LazyLock::new(|| load(Path::new("signer.toml")).settings.unwrap());

/// The decision of the shipped policy: the granted capability, or the rule or reason that denies.
fn decide(kind: CallerKind, subject: &str, app: &str, operation: &str, values: &Value) -> Result<String, String> {
    decide_with(&SETTINGS, kind, subject, app, operation, values)
}

fn decide_with(
    settings: &Settings,
    kind: CallerKind,
    subject: &str,
    app: &str,
    operation: &str,
    values: &Value,
) -> Result<String, String> {
    let engine = &settings.engine;
    let authenticator = Arc::from(if kind == CallerKind::User { "demo" } else { "backend" });
    let caller = Caller { kind, subject: subject.to_owned(), authenticator, claims: Map::new(), bindings: Vec::new() };
    let app = engine.app(app).unwrap();
    let params = Params { values: values.as_object().unwrap().clone(), lenient: false };
    let operation = vendor::operation(app, operation).unwrap();
    let request = vendor::parse(app, operation, &params, Some(&caller)).map_err(|invalid| invalid.message)?;
    let verdict = engine.sign(
        app,
        request,
        &caller,
        RuntimeData { moderation: &EntryIndex::default(), facts: &[] },
        NOW,
        [7; 16],
    );
    let granted: Vec<_> = verdict
        .granted
        .iter()
        .map(|grant| {
            let words: Vec<_> = grant.operations.iter().map(Action::as_str).collect();
            format!("{}: {}", grant.resource, words.join(" "))
        })
        .collect();
    match verdict.outcome {
        Ok(_) => Ok(granted.join("; ")),
        Err(SigningRefusal::Denied(denial)) => {
            Err(denial.rule().or(denial.reason()).unwrap_or(denial.code()).to_owned())
        }
        Err(SigningRefusal::Invalid(invalid)) => Err(invalid.message),
    }
}

fn user(subject: &str, operation: &str, values: &Value) -> bool {
    decide(CallerKind::User, subject, "leancloud", operation, values).is_ok()
}

fn members(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user-{n}")).collect()
}

#[test]
fn a_newcomer_comes_online_everywhere() {
    for (app, operation) in [("leancloud", "login"), ("talkjs", "token"), ("ably", "token")] {
        decide(CallerKind::User, "newcomer", app, operation, &json!({})).unwrap();
    }
    assert!(!user("newcomer", "login", &json!({"client_id": "alice"})));
}

#[test]
fn everyone_creates_joins_and_leaves() {
    assert!(user("newcomer", "create", &json!({"members": ["newcomer", "tom"]})));
    assert!(user("newcomer", "create", &json!({"members": members(499)})));
    assert!(!user("newcomer", "create", &json!({"members": members(500)})), "501 with the creator");
    for conversation in [GROUP, CHATROOM, "unlisted", "_tmp:x"] {
        assert!(user("newcomer", "join", &json!({"conv_id": conversation, "members": ["newcomer"]})));
        assert!(user("newcomer", "leave", &json!({"conv_id": conversation, "members": ["newcomer"]})));
    }
    assert!(user("newcomer", "block-conversation", &json!({"conv_id": GROUP})));
    assert!(user("newcomer", "unblock-conversation", &json!({"conv_id": GROUP})));
}

#[test]
fn owner_and_manager_invite_and_members_do_not() {
    let invite = |who: &str, whom: Vec<String>| user(who, "invite", &json!({"conv_id": GROUP, "members": whom}));
    let new = || vec!["newcomer".to_owned()];
    assert!(invite("alice", new()) && invite("bob", new()));
    assert!(!invite("tom", new()) && !invite("newcomer", vec!["other".to_owned()]));
    assert!(!invite("alice", members(501)));
    assert!(!invite("alice", vec!["erin".to_owned()]), "erin blocks the conversation");
}

#[test]
fn owner_and_manager_remove_and_block_whom_they_outrank() {
    for operation in ["kick", "block-clients", "unblock-clients"] {
        let act = |who: &str, whom: &str| user(who, operation, &json!({"conv_id": GROUP, "members": [whom]}));
        assert!(
            act("alice", "bob") && act("alice", "tom") && act("bob", "tom") && act("bob", "stranger"),
            "{operation}"
        );
        assert!(!act("bob", "alice") && !act("tom", "carol") && !act("tom", "bob"), "{operation}");
        assert!(!act("stranger", "tom"), "{operation}");
        assert!(!user("bob", operation, &json!({"conv_id": GROUP, "members": ["tom", "alice"]})), "{operation}");
    }
}

#[test]
fn nobody_is_added_to_or_removed_from_a_chat_room() {
    for operation in ["invite", "kick"] {
        let values = json!({"client_id": "alice", "conv_id": CHATROOM, "members": ["tom"]});
        let by_service = decide(CallerKind::Service, "orders", "leancloud", operation, &values);
        assert_eq!(by_service.unwrap_err(), "nobody-is-added-to-open-rooms");
        assert!(!user("alice", operation, &values));
    }
}

#[test]
fn members_read_history() {
    let values = json!({"conv_id": GROUP});
    assert!(user("tom", "history", &values) && user("alice", "history", &values));
    assert!(!user("newcomer", "history", &values));
}

#[test]
fn services_act_for_anyone_but_need_a_rule_for_the_app_token() {
    let service =
        |app: &str, operation: &str, values: Value| decide(CallerKind::Service, "orders", app, operation, &values);
    service("leancloud", "login", json!({"client_id": "tom"})).unwrap();
    service("leancloud", "kick", json!({"client_id": "tom", "conv_id": GROUP, "members": ["alice"]})).unwrap();
    service("talkjs", "token", json!({"user_id": "tom"})).unwrap();
    service("talkjs", "app-token", json!({})).unwrap_err();
    let all = service("ably", "token", json!({"client_id": "*", "capability": {"chat:*": ["*"]}})).unwrap();
    assert!(all.contains("message-delete-any") && !all.contains("push-admin") && !all.contains("privileged"), "{all}");
}

#[test]
fn at_ably_everyone_edits_their_own_and_moderators_anyones() {
    let token = |who: &str, capability: Value| {
        decide(CallerKind::User, who, "ably", "token", &json!({"capability": capability}))
    };
    let edits = json!(["message-update-own", "message-delete-own", "message-update-any", "message-delete-any"]);
    let own = "chat:helpdesk: message-update-own message-delete-own";
    assert_eq!(token("tom", json!({"chat:helpdesk": edits})).unwrap(), own);
    let any = "chat:helpdesk: message-update-own message-update-any message-delete-own message-delete-any";
    assert_eq!(token("65847593", json!({"chat:helpdesk": edits})).unwrap(), any);
    assert_eq!(
        token("65847593", json!({"chat:lobby": edits})).unwrap(),
        "chat:lobby: message-update-own message-delete-own"
    );

    let default = "chat:*: history publish subscribe presence; user:tom: subscribe";
    assert_eq!(decide(CallerKind::User, "tom", "ably", "token", &json!({})).unwrap(), default);
    token("tom", json!({"user:alice": ["subscribe"]})).unwrap_err();
    token("tom", json!({"other": ["subscribe"]})).unwrap_err();
}

#[test]
fn bans_and_mutes_hold() {
    let token = |who: &str, capability: Value| {
        decide(CallerKind::User, who, "ably", "token", &json!({"capability": capability}))
    };
    token("mallory", json!({"chat:lobby": ["subscribe"]})).unwrap_err();
    let muted = token("loud", json!({"chat:lobby": ["subscribe", "publish"]})).unwrap();
    assert_eq!(muted, "chat:lobby: subscribe");
}

#[test]
fn an_action_that_a_star_leaves_out_may_be_named_beside_it() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("star");
    fs::create_dir_all(&directory).unwrap();
    fs::copy("signer.toml", directory.join("signer.toml")).unwrap();
    _ = std::os::unix::fs::symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy"), directory.join("deploy"));
    let policy = fs::read_to_string("policy.toml").unwrap();
    let star = "actions = [\"*\"]\n";
    assert_eq!(policy.matches(star).count(), 1);
    fs::write(directory.join("policy.toml"), policy.replace(star, "actions = [\"*\", \"app-token\"]\n")).unwrap();
    let settings = load(&directory.join("signer.toml")).settings.unwrap();

    let service = |settings: &Settings, app: &str, operation: &str, values: &Value| {
        decide_with(settings, CallerKind::Service, "orders", app, operation, values).is_ok()
    };
    assert!(!service(&SETTINGS, "talkjs", "app-token", &json!({})), "the star alone leaves it out");
    assert!(service(&settings, "talkjs", "app-token", &json!({})));
    for settings in [&SETTINGS, &settings] {
        assert!(service(settings, "leancloud", "login", &json!({"client_id": "tom"})), "the star keeps its meaning");
    }
}
