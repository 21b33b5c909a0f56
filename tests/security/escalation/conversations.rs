//! LeanCloud's conversations: members that are padded, and requests whose signatures mean more than they seem to.

use serde_json::json;

use crate::escalation::story::{user, user_saying, world};

const JOIN: &str = r#"
[[rules]]
id = "everyone-joins"
effect = "allow"
actions = ["join", "leave"]
"#;

#[test]
fn a_member_does_not_pad_members_with_themselves() {
    let server = world(JOIN);
    let tom = user("tom");
    for (action, own) in [("invite", "join"), ("kick", "leave")] {
        let path = format!("leancloud/{action}");
        tom.may(&server, &path, &json!({"conv_id": "den", "members": ["tom"]}));
        for members in [&["tom", "mary"][..], &["mary", "tom"], &["tom", "tom", "mary"], &["Tom"], &["tom2", "tom"]] {
            let body = json!({"conv_id": "den", "members": members});
            tom.may_not(&server, &path, &body, &format!("{action} is not allowed in den"));
        }
        let others = json!({"conv_id": "den", "members": ["mary"]});
        tom.can_not(&server, &format!("leancloud/{own}"), &others, "must be left out or be the client");
    }
}

#[test]
fn who_may_invite_others_may_not_therefore_join() {
    let server = world(
        r#"
        [[rules]]
        id = "everyone-invites"
        effect = "allow"
        actions = ["invite", "kick"]
        targets = "others"
        "#,
    );
    let tom = user("tom");
    tom.may(&server, "leancloud/invite", &json!({"conv_id": "den", "members": ["mary"]}));
    for members in [&["tom"][..], &["tom", "tom"], &["mary", "tom"]] {
        let body = json!({"conv_id": "den", "members": members});
        tom.may_not(&server, "leancloud/invite", &body, "join is not allowed in den");
        tom.may_not(&server, "leancloud/kick", &body, "leave is not allowed in den");
    }
}

#[test]
fn the_same_twice_is_once_and_signed_as_sent() {
    let server = world(JOIN);
    let tom = user("tom");
    let signed = |answer: &crate::common::Answer, members: &str| {
        let answer = answer.json();
        let text = format!(
            "fake-leancloud-app:tom:den:{members}:{}:{}:invite",
            answer["timestamp"],
            answer["nonce"].as_str().unwrap()
        );
        let mac = chat_signer::crypto::mac::HmacSha1::new(crate::abuse::LEANCLOUD.as_bytes()).mac(text.as_bytes());
        answer["signature"] == chat_signer::crypto::hex(&mac)
    };
    let twice = tom.may(&server, "leancloud/invite", &json!({"conv_id": "den", "members": ["tom", "tom"]}));
    assert!(signed(&twice, "tom:tom") && !signed(&twice, "tom"));
    let joined = tom.may(&server, "leancloud/join", &json!({"conv_id": "den"}));
    assert!(signed(&joined, "tom"));
    tom.may(&server, "leancloud/kick", &json!({"conv_id": "den", "members": ["tom", "tom"]}));
}

#[test]
fn a_member_without_a_name_is_none() {
    let server = world("[[rules]]\nid = \"all\"\neffect = \"allow\"\nactions = [\"*\"]\n");
    let tom = user("tom");
    for members in [&[""][..], &["", ""], &["mary", ""]] {
        tom.can_not(&server, "leancloud/create", &json!({"members": members}), "must not be empty");
        for action in ["invite", "kick", "block-clients"] {
            let body = json!({"conv_id": "den", "members": members});
            tom.can_not(&server, &format!("leancloud/{action}"), &body, "must not be empty");
        }
    }
}

#[test]
fn creating_without_members_is_logging_in() {
    let one = |action: &str| world(&format!("[[rules]]\nid = \"one\"\neffect = \"allow\"\nactions = [\"{action}\"]\n"));
    let (tom, empty) = (user("tom"), json!({"members": []}));
    let create = one("create");
    tom.may(&create, "leancloud/create", &json!({"members": ["tom"]}));
    tom.may_not(&create, "leancloud/create", &empty, "login is not allowed");
    tom.may_not(&create, "leancloud/create", &json!({}), "login is not allowed");
    tom.may_not(&create, "leancloud/login", &json!({}), "login is not allowed");
    let login = one("login");
    tom.may_not(&login, "leancloud/login", &json!({}), "create is not allowed");
    tom.may_not(&login, "leancloud/create", &empty, "create is not allowed");
    tom.may(&login, "talkjs/token", &json!({}));
}

#[test]
fn creating_with_one_member_is_its_history_in_the_demonstrations_order() {
    let creators = world("[[rules]]\nid = \"create\"\neffect = \"allow\"\nactions = [\"create\"]\n");
    let tom = user("tom");
    let den = json!({"members": ["den"]});
    tom.may(&creators, "leancloud/create", &den);
    tom.may_not(&creators, "demo/create", &den, "history is not allowed in den");
    tom.may(&creators, "demo/create", &json!({"members": ["den", "lobby"]}));

    let readers = world("[[rules]]\nid = \"read\"\neffect = \"allow\"\nactions = [\"history\"]\n");
    let den = json!({"conv_id": "den"});
    tom.may(&readers, "leancloud/history", &den);
    tom.may_not(&readers, "demo/history", &den, "create is not allowed");
}

#[test]
fn one_conversation_is_asked_for_by_its_name() {
    let server = world(
        "[[rules]]\nid = \"all\"\neffect = \"allow\"\nactions = [\"*\"]\n[[bans]]\nuser = \"tom\"\nconversation = \"den\"\n",
    );
    let tom = user("tom");
    let invite = |conversation: &str| json!({"conv_id": conversation, "members": ["mary"]});
    tom.may(&server, "leancloud/invite", &invite("lobby"));
    tom.may_not(&server, "leancloud/invite", &invite("den"), "tom is banned in den");
    for pattern in ["*", "d*", "_tmp:*"] {
        tom.can_not(&server, "leancloud/invite", &invite(pattern), "must name one conversation");
    }
    for other in ["den:", ":den", "den:invite", "den ", "\u{feff}den\n", "den\0"] {
        tom.can_not(&server, "leancloud/invite", &invite(other), "conv_id must not");
    }
}

#[test]
fn the_kind_of_a_conversation_is_not_the_callers_to_choose() {
    let server = world(
        r#"
        [[rules]]
        id = "groups"
        effect = "allow"
        actions = ["invite"]
        kinds = ["group"]

        [[rules]]
        id = "small-temporary-ones"
        effect = "allow"
        actions = ["invite"]
        kinds = ["temporary"]
        max_members = 2

        [[conversations]]
        id = "square"
        kind = "chatroom"
        owner = "olga"
        "#,
    );
    let olga = user_saying("olga", &json!({"roles": ["owner"]}));
    let invite = |conversation: &str, members: &[&str]| json!({"conv_id": conversation, "members": members});
    olga.may(&server, "leancloud/invite", &invite("den", &["a", "b", "c"]));
    olga.may_not(&server, "leancloud/invite", &invite("square", &["a"]), "not allowed in square");
    olga.may_not(&server, "leancloud/invite", &invite("_tmp:den", &["a", "b", "c"]), "not allowed in _tmp:den");
    olga.may(&server, "leancloud/invite", &invite("_tmp:den", &["a", "b", "b"]));
    olga.can_not(&server, "leancloud/invite", &invite("_tmp", &["den", "a", "b"]), "must not be `_tmp`");
}
