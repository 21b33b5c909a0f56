//! Roles that tokens claim.

use serde_json::json;

use crate::escalation::story::{SERVICES, USERS, service, user, user_saying, world, world_of};

const KICK: &str = r#"
[[rules]]
id = "managers-kick"
effect = "allow"
actions = ["kick"]
roles = ["manager", "owner"]
targets = "outranked"

[[rules]]
id = "managers-invite"
effect = "allow"
actions = ["invite"]
roles = ["manager", "owner"]

[[conversations]]
id = "den"
owner = "olga"
managers = ["max"]
members = ["tom", "mary"]
"#;

#[test]
fn a_claim_to_be_owner_counts_for_nothing_without_max_role() {
    let users = USERS.replace("max_role = \"owner\"\n", "");
    let server = world_of(&[&users], KICK);
    let boaster = user_saying("eve", &json!({"roles": ["owner"], "bindings": {"den": "owner", "*": "owner"}}));
    boaster.may_not(&server, "leancloud/invite", &json!({"conv_id": "den", "members": ["ann"]}), "not allowed in den");
    boaster.may_not(&server, "leancloud/kick", &json!({"conv_id": "den", "members": ["tom"]}), "not allowed in den");
}

#[test]
fn a_claim_above_max_role_is_dropped_and_not_cut_down() {
    let users = USERS.replace("max_role = \"owner\"", "max_role = \"manager\"");
    let server = world_of(&[&users], KICK);
    let invite = json!({"conv_id": "lobby", "members": ["ann"]});
    user_saying("eve", &json!({"roles": ["owner"]})).may_not(&server, "leancloud/invite", &invite, "not allowed");
    user_saying("eve", &json!({"roles": ["Manager"]})).may_not(&server, "leancloud/invite", &invite, "not allowed");
    user_saying("eve", &json!({"roles": ["emperor"]})).may_not(&server, "leancloud/invite", &invite, "not allowed");
    user_saying("eve", &json!({"bindings": {"lob*": "manager"}})).may_not(&server, "leancloud/invite", &invite, "not");
    user_saying("eve", &json!({"roles": ["owner", "manager"]})).may(&server, "leancloud/invite", &invite);
}

#[test]
fn a_token_does_not_beat_the_file() {
    let server = world(KICK);
    // Tom's token makes him an owner everywhere; in the den he is a member, and so the file says.
    let tom = user_saying("tom", &json!({"roles": ["owner"], "bindings": {"den": "owner"}}));
    tom.may(&server, "leancloud/invite", &json!({"conv_id": "lobby", "members": ["ann"]}));
    tom.may_not(&server, "leancloud/invite", &json!({"conv_id": "den", "members": ["ann"]}), "not allowed in den");
}

#[test]
fn nobody_outranks_by_token() {
    let server = world(KICK);
    // Eve is an owner by her token alone. She kicks nobody by it, and it does not keep Max from kicking her.
    let eve = user_saying("eve", &json!({"roles": ["owner"]}));
    for target in ["tom", "max", "olga"] {
        eve.may_not(&server, "leancloud/kick", &json!({"conv_id": "den", "members": [target]}), "not allowed in den");
    }
    user("max").may(&server, "leancloud/kick", &json!({"conv_id": "den", "members": ["eve"]}));
}

#[test]
fn rank_is_strict_and_all_targets_count() {
    let server = world(KICK);
    let max = user("max");
    let kick = |members: &[&str]| json!({"conv_id": "den", "members": members});
    max.may(&server, "leancloud/kick", &kick(&["tom", "mary"]));
    for members in [&["olga"][..], &["tom", "olga"], &["olga", "tom", "tom"], &["tom", "max"]] {
        max.may_not(&server, "leancloud/kick", &kick(members), "not allowed in den");
    }
    user("tom").may_not(&server, "leancloud/kick", &kick(&["mary"]), "not allowed in den");
    user("olga").may(&server, "leancloud/kick", &kick(&["max", "tom"]));
}

#[test]
fn a_manager_does_not_act_as_another_client() {
    let server = world(KICK);
    let kick = |client: &str, target: &str| json!({"client_id": client, "conv_id": "den", "members": [target]});
    user("max").may_not(&server, "leancloud/kick", &kick("olga", "tom"), "not allowed in den");
    user("tom").may_not(&server, "leancloud/kick", &kick("max", "mary"), "not allowed in den");
    let boaster = user_saying("eve", &json!({"roles": ["owner"], "client_id": "olga", "act": {"sub": "olga"}}));
    boaster.may_not(&server, "leancloud/kick", &kick("olga", "tom"), "not allowed in den");
}

#[test]
fn a_callers_role_is_not_the_clients() {
    let server = world(
        r#"
        [[rules]]
        id = "support-acts-for-guests"
        effect = "allow"
        actions = ["join", "invite"]
        caller_roles = ["owner"]
        roles = ["member"]
        client = "any"

        [[bindings]]
        user = "mary"
        conversation = "den"
        role = "member"
        "#,
    );
    let support = user_saying("sue", &json!({"roles": ["owner", "member"]}));
    support.may(&server, "leancloud/join", &json!({"client_id": "mary", "conv_id": "den"}));
    // What sue's token says of sue, it does not say of tom, for whom she asks.
    support.may_not(&server, "leancloud/join", &json!({"client_id": "tom", "conv_id": "den"}), "not allowed in den");
    user("mary").may_not(&server, "leancloud/join", &json!({"client_id": "mary", "conv_id": "den"}), "not allowed");
}

#[test]
fn a_services_token_gives_its_client_no_role() {
    let services = USERS.replace("caller = \"user\"", "caller = \"service\"");
    let server = world_of(
        &[&services],
        r#"
        [[rules]]
        id = "services-invite-for-managers"
        effect = "allow"
        actions = ["invite"]
        callers = ["service"]
        client = "any"
        roles = ["manager"]

        [[bindings]]
        user = "max"
        conversation = "den"
        role = "manager"
        "#,
    );
    let service = user_saying("max", &json!({"roles": ["manager"], "bindings": {"den": "manager"}}));
    let invite = |client: &str| json!({"client_id": client, "conv_id": "den", "members": ["ann"]});
    service.may(&server, "leancloud/invite", &invite("max"));
    service.may_not(&server, "leancloud/invite", &invite("tom"), "not allowed in den");
}

#[test]
fn a_service_is_nobodys_self() {
    let server = world_of(
        &[SERVICES],
        r#"
        [[rules]]
        id = "everyone-as-themselves"
        effect = "allow"
        actions = ["login", "create", "join"]

        [[bindings]]
        user = "orders"
        conversation = "*"
        role = "owner"
        "#,
    );
    for client in ["orders", "tom"] {
        service().may_not(&server, "leancloud/login", &json!({"client_id": client}), "login is not allowed");
        service().may_not(&server, "leancloud/join", &json!({"client_id": client, "conv_id": "den"}), "not allowed");
    }
    service().can_not(&server, "leancloud/login", &json!({}), "a service must name the client");
}
