//! Identifiers of clients, conversations and members.

use serde_json::json;

use crate::abuse::request::post;
use crate::abuse::token::{self, claims};
use crate::bad_input::case::{self, Case, ISSUER, SECRET, ably, field, tom};

/// What no identifier may be at LeanCloud, and a word of why.
fn bad() -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("with a colon", "to:m".to_owned(), "must not hold `:`"),
        ("with a newline", "to\nm".to_owned(), "must not hold control characters"),
        ("with a NUL", "to\0m".to_owned(), "must not hold control characters"),
        ("with a C1 control", "to\u{85}m".to_owned(), "must not hold control characters"),
        ("of 65 characters", "x".repeat(65), "must have at most 64 characters, not 65"),
        ("that is empty", String::new(), "must not be empty"),
        ("padded before", " tom".to_owned(), "must not begin or end with white space"),
        ("padded behind, with a wide space", "tom\u{3000}".to_owned(), "must not begin or end with white space"),
        ("before which a line separator stands", "\u{2028}tom".to_owned(), "must not begin or end with"),
        ("behind which a paragraph separator stands", "tom\u{2029}".to_owned(), "must not begin or end with"),
        ("that begins with a byte order mark", "\u{feff}tom".to_owned(), "must not begin or end with"),
        ("that ends with a zero-width space", "tom\u{200b}".to_owned(), "must not begin or end with"),
        ("that ends with a zero-width joiner", "tom\u{200d}".to_owned(), "must not begin or end with"),
        ("that begins with a right-to-left override", "\u{202e}tom".to_owned(), "must not begin or end with"),
        ("that ends with an isolate", "tom\u{2069}".to_owned(), "must not begin or end with"),
        ("that is the mark of temporary ones", "_tmp".to_owned(), "must not be `_tmp`"),
    ]
}

#[test]
fn leancloud_ids_are_plain() {
    let mut cases = Vec::new();
    for (how, id, says) in bad() {
        let ask = |name: &str, body: serde_json::Value, about: &str, says: &str| {
            field(&format!("{name} {how}"), post("/v1/leancloud/invite", &tom(), body.to_string()), about, says)
        };
        cases.push(ask("a client", json!({"client_id": id, "conv_id": "c", "members": ["a"]}), "client_id", says));
        cases.push(ask("a conversation", json!({"conv_id": id, "members": ["a"]}), "conv_id", says));
        cases.push(ask("a member", json!({"conv_id": "c", "members": ["a", id]}), "members[1]", says));
    }
    case::check(&cases);
}

#[test]
fn nobody_and_everybody_are_no_ids() {
    let ask = |path: &str, body: serde_json::Value| post(path, &tom(), body.to_string());
    let invite = "/v1/leancloud/invite";
    let cases = [
        field(
            "everybody as a client",
            ask(invite, json!({"client_id": "*", "conv_id": "c", "members": ["a"]})),
            "client_id",
            "must name one client",
        ),
        field(
            "everybody as a member",
            ask(invite, json!({"conv_id": "c", "members": ["*"]})),
            "members[0]",
            "must name one client",
        ),
        field(
            "every conversation",
            ask(invite, json!({"conv_id": "*", "members": ["a"]})),
            "conv_id",
            "must name one conversation",
        ),
        field(
            "many conversations",
            ask(invite, json!({"conv_id": "c*", "members": ["a"]})),
            "conv_id",
            "must name one conversation",
        ),
        field(
            "a temporary conversation without a name",
            ask(invite, json!({"conv_id": "_tmp:", "members": ["a"]})),
            "conv_id",
            "must not be empty",
        ),
        field(
            "a temporary conversation in a temporary conversation",
            ask(invite, json!({"conv_id": "_tmp:_tmp:a", "members": ["a"]})),
            "conv_id",
            "must not hold `:`",
        ),
        field(
            "a temporary conversation's history",
            ask("/v1/leancloud/history", json!({"conv_id": "_tmp:a"})),
            "conv_id",
            "must not hold `:`",
        ),
    ];
    case::check(&cases);
}

#[test]
fn a_subject_that_is_no_client_id_is_refused_where_it_becomes_one() {
    let by = |subject: &str| token::hs256(SECRET, &claims(ISSUER, "chat", subject, &json!({})));
    let cases = [
        field(
            "a subject with a colon",
            post("/v1/leancloud/login", &by("a:b"), "{}"),
            "client_id",
            "must not hold `:`",
        ),
        field(
            "a subject of 65 characters",
            post("/v1/leancloud/login", &by(&"x".repeat(65)), "{}"),
            "client_id",
            "must have at most 64 characters",
        ),
    ];
    case::check(&cases);
}

#[test]
fn talkjs_and_ably_ids_are_plain_too() {
    let talkjs = |id: &str| post("/v1/talkjs/token", &tom(), json!({"user_id": id}).to_string());
    let ably_token = |id: &str| post("/v1/ably/token", &tom(), json!({"client_id": id}).to_string());
    let cases: Vec<Case> = vec![
        field("a TalkJS user of 256 characters", talkjs(&"x".repeat(256)), "user_id", "must have at most 255"),
        field("a TalkJS user without a name", talkjs(""), "user_id", "must not be empty"),
        field("a TalkJS user in two lines", talkjs("a\nb"), "user_id", "must not hold control characters"),
        field("a padded TalkJS user", talkjs("\ttom"), "user_id", "must not"),
        field("a TalkJS user behind a byte order mark", talkjs("\u{feff}tom"), "user_id", "must not begin or end with"),
        ably("an Ably client before a zero-width space", ably_token("tom\u{200b}"), "must not begin or end with"),
        field("every TalkJS user", talkjs("*"), "user_id", "must name one client"),
        ably("an Ably client of 256 characters", ably_token(&"x".repeat(256)), "client_id must have at most 255"),
        ably("an Ably client in two lines", ably_token("tom\n"), "client_id must not hold control characters"),
        ably("every Ably client", ably_token("*"), "client_id must not be `*`: only a service"),
    ];
    case::check(&cases);
}

#[test]
fn a_user_id_that_would_complete_a_token_is_not_signed() {
    let app_token = "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlblR5cGUiOiJhcHAiLCJpc3MiOiJmYWtlLXRhbGtqcy1hcHAifQ";
    let padded = "eyJhbGciOiJIUzI1NiIgfQ==.eyJ0b2tlblR5cGUiOiJhcHAifQ";
    let spaced = "IHsiYWxnIjoiSFMyNTYifQ.eyJ0b2tlblR5cGUiOiJhcHAifQ";
    let by = |id: &str| {
        let token = token::hs256(SECRET, &claims(ISSUER, "chat", id, &json!({})));
        post("/v1/talkjs/signature", &token, json!({"user_id": id}).to_string())
    };
    let says = "must not look like a JSON Web Token";
    let cases = [
        field("a token's first two parts", by(app_token), "user_id", says),
        field("a token's first two parts, padded", by(padded), "user_id", says),
        field("a token's first two parts, behind a space", by(spaced), "user_id", says),
    ];
    case::check(&cases);
}
