//! Callers who would pass for others.

use serde_json::json;

use crate::abuse;
use crate::escalation::story::{
    ISSUER, KEY, PARTNER, PARTNERS_SECRET, SECRET, SERVICES, USERS, Who, by, files, partners, secrets, service, user,
    user_saying, world, world_of,
};

/// The users of a second issuer, told apart by their names' beginning.
const PARTNERS: &str = r#"
[[authenticators]]
name = "partners"
type = "jwt"
caller = "user"
issuer = "https://partner.example.com/"
audience = ["chat"]
algorithms = ["HS256"]
secret = { file = "partner.secret" }
subject_prefix = "partner."
apps = ["leancloud"]
"#;

const LOGIN: &str = r#"
[[rules]]
id = "everyone-logs-in"
effect = "allow"
actions = ["login", "create"]
"#;

#[test]
fn a_second_issuer_does_not_speak_for_the_firsts_users() {
    let server = world_of(&[USERS, PARTNERS], LOGIN);
    user("alice").may(&server, "leancloud/login", &json!({"client_id": "alice"}));
    partners("alice").may(&server, "leancloud/login", &json!({"client_id": "partner.alice"}));
    // The partner says that its user is our alice, in every way that it has.
    partners("alice").may_not(&server, "leancloud/login", &json!({"client_id": "alice"}), "login is not allowed");
    let as_ours = by(PARTNERS_SECRET, ISSUER, "alice", &json!({}));
    as_ours.is_nobody(&server, "leancloud/login", "signature does not hold");
    let both = by(PARTNERS_SECRET, PARTNER, "alice", &json!({"iss": [ISSUER, PARTNER]}));
    both.is_nobody(&server, "leancloud/login", "must name its issuer");
}

#[test]
fn the_first_issuer_does_not_speak_for_the_seconds_users() {
    let server = world_of(&[USERS, PARTNERS], LOGIN);
    // Someone signs up with us by the name that the partner's alice has here.
    user("partner.alice").is_nobody(&server, "leancloud/login", "the prefix of another authenticator");
    partners("alice").may(&server, "leancloud/login", &json!({}));
    user("partner").may(&server, "leancloud/login", &json!({}));
}

#[test]
fn one_issuer_has_one_authenticator() {
    let again = PARTNERS.replace(PARTNER, ISSUER);
    let (configuration, policy) = files(&[USERS, &again], LOGIN);
    let directory = abuse::lay_out(&configuration, &policy, &secrets());
    let loaded = chat_signer::config::load(&directory.join("signer.toml"));
    assert!(loaded.settings.is_none());
    assert!(loaded.report.render(false).contains("one issuer has one authenticator"));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_token_for_one_app_is_none_for_another() {
    let server = world_of(&[USERS, PARTNERS], LOGIN);
    partners("alice").may(&server, "leancloud/login", &json!({}));
    partners("alice").is_nobody(&server, "talkjs/token", "not accepted for this app");
    partners("alice").is_nobody(&server, "demo/login", "not accepted for this app");
}

#[test]
fn a_token_does_not_say_what_kind_of_caller_it_is() {
    let server = world(
        r#"
        [[rules]]
        id = "services-act-for-anyone"
        effect = "allow"
        actions = ["*"]
        callers = ["service"]
        client = "any"

        [[rules]]
        id = "orders-administers"
        effect = "allow"
        actions = ["app-token"]
        services = ["orders"]
        client = "any"
        "#,
    );
    let pretender = user_saying("orders", &json!({"caller": "service", "kind": "service", "type": "service"}));
    pretender.may_not(&server, "leancloud/login", &json!({"client_id": "alice"}), "login is not allowed");
    pretender.may_not(&server, "talkjs/app-token", &json!({}), "app-token is not allowed");
    service().may(&server, "leancloud/login", &json!({"client_id": "alice"}));
    service().may(&server, "talkjs/app-token", &json!({}));
}

#[test]
fn two_credentials_are_none() {
    let server = world(LOGIN);
    let Who(token) = user("tom");
    let Who(alices) = user("alice");
    let Who(key) = service();
    Who(format!("{token}{alices}")).is_nobody(&server, "leancloud/login", "more than once");
    Who(format!("{token}{key}")).is_nobody(&server, "leancloud/login", "two credentials");
    Who(format!("{key}authorization: Bearer x\r\n")).is_nobody(&server, "leancloud/login", "two credentials");
    Who(format!("{token}x-api-key:\r\n")).is_nobody(&server, "leancloud/login", "two credentials");
}

#[test]
fn an_api_key_is_no_token_and_a_token_no_key() {
    let server = world_of(&[USERS, SERVICES], LOGIN);
    Who(format!("authorization: Bearer {KEY}\r\n")).is_nobody(&server, "leancloud/login", "three parts");
    Who(format!("authorization: {KEY}\r\n")).is_nobody(&server, "leancloud/login", "must be `Bearer <token>`");
    let Who(token) = user("tom");
    let as_key = token.replace("authorization: Bearer", "x-api-key:");
    Who(as_key).is_nobody(&server, "leancloud/login", "is not known");
}

#[test]
fn headers_that_proxies_set_name_nobody_where_no_proxy_is_configured() {
    let server = world(LOGIN);
    let headers = "x-forwarded-user: alice\r\nx-forwarded-groups: owner\r\nx-user-id: alice\r\nx-lc-session: fake\r\n";
    Who(headers.to_owned()).is_nobody(&server, "leancloud/login", "there is no credential");
    let Who(token) = user("tom");
    let both = Who(format!("{headers}{token}"));
    both.may(&server, "leancloud/login", &json!({"client_id": "tom"}));
    both.may_not(&server, "leancloud/login", &json!({"client_id": "alice"}), "login is not allowed");
}

#[test]
fn a_subject_of_everybody_is_nobody() {
    let server = world(LOGIN);
    for path in ["leancloud/login", "talkjs/token", "ably/token"] {
        by(SECRET, ISSUER, "*", &json!({})).is_nobody(&server, path, "must not be `*`");
    }
}
