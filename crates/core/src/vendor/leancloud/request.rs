//! Reads requests for a LeanCloud app.
//!
//! Each action accepts the fields that it signs. Some client libraries send an empty list of members for an action
//! without members. Such a list is accepted and ignored.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::{ACTIONS, App, HistoryOrder};
use crate::model::{Action, Caller, Pattern, RequiredAction, SigningRequest, Vendor};
use crate::vendor::invalid_request::{InvalidRequest, wrong_permit_error};
use crate::vendor::params::{check_identifier_of, client_or_caller, reject_star};
use crate::vendor::{Params, VendorApp};

/// The longest identifier in LeanCloud's documentation, in characters.
const MAX_IDENTIFIER_CHARS: usize = 64;

/// How many members a request may name: the documented size of a conversation, and of a temporary conversation.
const MAX_MEMBERS: usize = 500;
const MAX_TEMPORARY_MEMBERS: usize = 10;

/// The prefix of the ids of temporary conversations.
const TEMPORARY: &str = "_tmp:";

/// Reads a request for `action`, which must be an action of LeanCloud.
pub(super) fn parse(
    app: &App,
    action: Action,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<SigningRequest, InvalidRequest> {
    if !ACTIONS.contains(action) {
        return Err(wrong_permit_error("an action of LeanCloud's"));
    }
    params.reject_unknown(&["client_id", "conv_id", "members"])?;
    let client = client_or_caller("client_id", params.text("client_id")?, caller)?;
    check_client("client_id", client)?;
    let conversation = conversation(action, params.text("conv_id")?)?;
    let members = members(action, client, conversation, params.list("members")?)?;
    Ok(signing_request(app, action, client, conversation, members))
}

/// The body of a request. It can have no other fields, and none of them twice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow, default, deserialize_with = "present_text")]
    client_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present_text")]
    conv_id: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "present_list")]
    members: Option<Vec<String>>,
}

/// Reads a request like [`parse`], but directly from the JSON of the body. Returns `None` if the request is not valid.
pub(super) fn parse_body(app: &App, action: Action, body: &[u8], caller: &Caller) -> Option<SigningRequest> {
    // A struct would also be read from a list of its values.
    let object = body.trim_ascii_start().starts_with(b"{").then_some(body)?;
    let Body { client_id, conv_id, members: given } = serde_json::from_slice(object).ok()?;
    let client = client_or_caller("client_id", client_id.as_deref(), Some(caller)).ok()?;
    check_client("client_id", client).ok()?;
    let conversation = conversation(action, conv_id.as_deref()).ok()?;
    let members = members(action, client, conversation, given).ok()?;
    ACTIONS.contains(action).then(|| signing_request(app, action, client, conversation, members))
}

/// Reads a text. `null` is not a text.
fn present_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    struct TextVisitor;

    impl<'de> Visitor<'de> for TextVisitor {
        type Value = Cow<'de, str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
            Ok(Cow::Borrowed(text))
        }

        fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
            Ok(Cow::Owned(text.to_owned()))
        }
    }

    deserializer.deserialize_str(TextVisitor).map(Some)
}

/// Reads a list of texts. `null` is not a list.
fn present_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Vec::deserialize(deserializer).map(Some)
}

fn signing_request(
    app: &App,
    action: Action,
    client: &str,
    conversation: Option<&str>,
    members: Vec<String>,
) -> SigningRequest {
    let needs = needs(app, action, client, conversation, &members);
    SigningRequest {
        app: app.name().clone(),
        vendor: Vendor::LeanCloud,
        action: needs.first().map_or(action, |need| need.action),
        client: client.to_owned(),
        conversation: conversation.map(exact),
        members,
        required_actions: needs,
        requested_grants: Vec::new(),
        left_out: Vec::new(),
    }
}

fn conversation(action: Action, given: Option<&str>) -> Result<Option<&str>, InvalidRequest> {
    let has_one = !matches!(action, Action::Login | Action::Create);
    match given {
        None if has_one => {
            Err(InvalidRequest::new("conv_id", format!("must be given: {action} is about a conversation")))
        }
        None => Ok(None),
        Some(_) if !has_one => {
            Err(InvalidRequest::new("conv_id", format!("must be left out: {action} has no conversation")))
        }
        Some(id) => check_conversation(action, id).map(|()| Some(id)),
    }
}

fn members(
    action: Action,
    client: &str,
    conversation: Option<&str>,
    given: Option<Vec<String>>,
) -> Result<Vec<String>, InvalidRequest> {
    check_count(conversation, given.as_ref().map_or(0, Vec::len))?;
    for (place, member) in given.iter().flatten().enumerate() {
        check_client("members", member)
            .map_err(|invalid| InvalidRequest { field: format!("members[{place}]"), ..invalid })?;
    }
    let wrong = |message: String| Err(InvalidRequest::new("members", message));
    match (action, given) {
        (Action::Create, given) => Ok(given.unwrap_or_default()),
        (Action::Join | Action::Leave, None) => Ok(vec![client.to_owned()]),
        (Action::Join | Action::Leave, Some(members)) if is_only_member(client, &members) => Ok(members),
        (Action::Join | Action::Leave, _) => {
            wrong(format!("must be left out or be the client: a client can only {action} itself"))
        }
        (Action::Invite | Action::Kick | Action::BlockClients | Action::UnblockClients, given) => match given {
            Some(members) if !members.is_empty() => Ok(members),
            _ => wrong(format!("must name at least one client to {action}")),
        },
        (_, Some(members)) if !members.is_empty() => wrong(format!("must be left out: {action} has none")),
        _ => Ok(Vec::new()),
    }
}

/// Rejects more members than the vendor accepts.
fn check_count(conversation: Option<&str>, members: usize) -> Result<(), InvalidRequest> {
    let (most, holds) = match conversation {
        Some(id) if id.starts_with(TEMPORARY) => (MAX_TEMPORARY_MEMBERS, "a temporary conversation"),
        _ => (MAX_MEMBERS, "a conversation"),
    };
    if members > most {
        let message = format!("must name at most {most} clients, not {members}: {holds} holds no more");
        return Err(InvalidRequest::new("members", message));
    }
    Ok(())
}

/// Returns whether the client is the only member. Repeated members count once.
fn is_only_member(client: &str, members: &[String]) -> bool {
    !members.is_empty() && members.iter().all(|member| member == client)
}

/// Returns every action that the signature can be used for. The policy must allow all of them.
fn needs(
    app: &App,
    action: Action,
    client: &str,
    conversation: Option<&str>,
    members: &[String],
) -> Vec<RequiredAction> {
    let need = |action, targets| RequiredAction { action, conversation: conversation.map(exact), targets };
    let bare = |action| need(action, Vec::new());
    let others = || sorted_unique(members.iter().filter(|member| *member != client));
    match action {
        Action::Login => vec![bare(Action::Login), bare(Action::Create)],
        Action::Create if members.is_empty() => vec![bare(Action::Create), bare(Action::Login)],
        Action::Create => {
            [Some(need(Action::Create, others())), equivalent_history(app, members)].into_iter().flatten().collect()
        }
        Action::Invite | Action::Kick => {
            let own = if action == Action::Invite { Action::Join } else { Action::Leave };
            let own = members.iter().any(|member| member == client).then(|| bare(own));
            let others = Some(others()).filter(|others| !others.is_empty()).map(|others| need(action, others));
            others.into_iter().chain(own).collect()
        }
        Action::History => [Some(bare(Action::History)), equivalent_creation(app, client, conversation)]
            .into_iter()
            .flatten()
            .collect(),
        Action::BlockClients | Action::UnblockClients => vec![need(action, sorted_unique(members))],
        _ => vec![bare(action)],
    }
}

/// Returns the `history` action with the same message as the creation of a conversation with these members, if there is
/// such an action.
fn equivalent_history(app: &App, members: &[String]) -> Option<RequiredAction> {
    match members {
        [member] if app.history() == HistoryOrder::TimestampNonce => {
            Some(RequiredAction { action: Action::History, conversation: Some(exact(member)), targets: Vec::new() })
        }
        _ => None,
    }
}

/// Returns the `create` action with the same message as the history of this conversation, if there is such an action.
fn equivalent_creation(app: &App, client: &str, conversation: Option<&str>) -> Option<RequiredAction> {
    let member = conversation.filter(|_| app.history() == HistoryOrder::TimestampNonce)?;
    let targets = if member == client { Vec::new() } else { vec![member.to_owned()] };
    Some(RequiredAction { action: Action::Create, conversation: None, targets })
}

fn sorted_unique<'a>(members: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut members: Vec<&String> = members.into_iter().collect();
    members.sort_unstable();
    members.dedup();
    members.into_iter().cloned().collect()
}

fn exact(name: &str) -> Pattern {
    Pattern::Exact(name.to_owned())
}

fn check_client(field: &str, id: &str) -> Result<(), InvalidRequest> {
    reject_star(field, id)?;
    check_plain(field, id)
}

fn check_conversation(action: Action, id: &str) -> Result<(), InvalidRequest> {
    if id.contains('*') {
        return Err(InvalidRequest::new("conv_id", "must name one conversation, without `*`"));
    }
    // The message for the history of a temporary conversation can equal the message of another action.
    let plain = id.strip_prefix(TEMPORARY).filter(|_| action != Action::History);
    check_plain("conv_id", plain.unwrap_or(id))
}

/// Checks that an identifier fills exactly one field of the message.
fn check_plain(field: &str, id: &str) -> Result<(), InvalidRequest> {
    check_identifier_of(field, id, MAX_IDENTIFIER_CHARS)?;
    if id.contains(':') {
        return Err(InvalidRequest::new(field, "must not hold `:`, which separates the fields of the signed text"));
    }
    if id == "_tmp" {
        return Err(InvalidRequest::new(field, "must not be `_tmp`, which marks temporary conversations"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::{Value, json};

    use super::*;
    use crate::model::json::parse_object;
    use crate::vendor::tests::{params, service, user};

    /// Bodies that are valid, and bodies with each kind of flaw.
    fn body() -> impl Strategy<Value = String> {
        let value = select(vec![
            r#""tom""#,
            r#""mary""#,
            r#""a\u00e9\"b""#,
            r#""_tmp:x""#,
            r#""a:b""#,
            r#""*""#,
            r#""""#,
            "null",
            "7",
            "true",
            "{}",
            "[]",
            r#"["tom"]"#,
            r#"["mary", "nina"]"#,
            r#"["mary", null]"#,
            r#"["a:b"]"#,
            r#"["\ud800"]"#,
            r#"{"a":1,"a":1}"#,
        ]);
        let name = select(vec!["client_id", "conv_id", "members", "conv_id", "members", "c\\u006fnv_id", "other"]);
        let member = (name, value).prop_map(|(name, value)| format!("\"{name}\" : {value}"));
        let object = prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(",")));
        let end = select(vec!["", "", "", " ", "x", ","]);
        let start = select(vec!["", "", "", "\n ", "\u{feff}", "["]);
        let objects = (start, object, end).prop_map(|(start, object, end)| format!("{start}{object}{end}"));
        let lists = select(vec!["[]", r#"["tom"]"#, r#"["tom", "room", ["mary"]]"#, "null", r#""tom""#, "7"]);
        prop_oneof![9 => objects, 1 => lists.prop_map(str::to_owned)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_body_is_read_as_its_parameters_are(
            body in body(),
            action in select(Action::ALL.to_vec()),
            is_service: bool,
        ) {
            let (app, caller) = (app(HistoryOrder::NonceTimestamp), if is_service { service("orders") } else { user("tom") });
            let read = parse_object(body.as_bytes()).ok();
            let read = read.map(|values| Params { values, lenient: false });
            let expected = read.and_then(|params| parse(&app, action, &params, Some(&caller)).ok());
            prop_assert_eq!(parse_body(&app, action, body.as_bytes(), &caller), expected);
        }
    }

    fn app(history: HistoryOrder) -> App {
        App::new("leancloud".into(), "appid".to_owned(), &[], super::super::TimestampUnit::default(), history)
    }

    fn ask_in(history: HistoryOrder, action: Action, values: Value) -> Result<SigningRequest, InvalidRequest> {
        parse(&app(history), action, &params(values), Some(&user("tom")))
    }

    fn ask(action: Action, values: Value) -> Result<SigningRequest, InvalidRequest> {
        ask_in(HistoryOrder::NonceTimestamp, action, values)
    }

    fn error(action: Action, values: Value) -> String {
        ask(action, values).unwrap_err().to_string()
    }

    /// The required actions as text: `kick@room(mary,tom)`.
    fn needs(signing_request: &SigningRequest) -> Vec<String> {
        let place =
            |need: &RequiredAction| need.conversation.as_ref().map(|place| format!("@{place}")).unwrap_or_default();
        signing_request
            .required_actions
            .iter()
            .map(|need| format!("{}{}({})", need.action, place(need), need.targets.join(",")))
            .collect()
    }

    #[test]
    fn login_and_an_empty_creation_are_one() {
        let login = ask(Action::Login, json!({})).unwrap();
        assert_eq!((login.action, login.client.as_str()), (Action::Login, "tom"));
        assert_eq!(needs(&login), ["login()", "create()"]);
        let create = ask(Action::Create, json!({"members": []})).unwrap();
        assert_eq!(create.action, Action::Create);
        assert_eq!(needs(&create), ["create()", "login()"]);
        assert_eq!(needs(&ask(Action::Create, json!({})).unwrap()), ["create()", "login()"]);
    }

    #[test]
    fn who_creates_is_no_target_but_is_signed() {
        let create = ask(Action::Create, json!({"members": ["tom", "mary", "bob", "mary"]})).unwrap();
        assert_eq!(needs(&create), ["create(bob,mary)"]);
        assert_eq!(create.members, ["tom", "mary", "bob", "mary"]);
        assert_eq!(needs(&ask(Action::Create, json!({"members": ["tom"]})).unwrap()), ["create()"]);
    }

    #[test]
    fn inviting_oneself_is_joining_and_kicking_oneself_is_leaving() {
        for (asked, own) in [(Action::Invite, Action::Join), (Action::Kick, Action::Leave)] {
            for members in [json!(["tom"]), json!(["tom", "tom"])] {
                let signing_request = ask(asked, json!({"conv_id": "room", "members": members})).unwrap();
                assert_eq!(signing_request.action, own);
                assert_eq!(needs(&signing_request), [format!("{own}@room()")]);
                assert_eq!(json!(signing_request.members), members);
            }
            let mixed = ask(asked, json!({"conv_id": "room", "members": ["tom", "mary"]})).unwrap();
            assert_eq!(mixed.action, asked);
            assert_eq!(needs(&mixed), [format!("{asked}@room(mary)"), format!("{own}@room()")]);
            let others = ask(asked, json!({"conv_id": "room", "members": ["mary", "bob"]})).unwrap();
            assert_eq!(needs(&others), [format!("{asked}@room(bob,mary)")]);
        }
    }

    #[test]
    fn joining_and_leaving_are_for_oneself() {
        for action in [Action::Join, Action::Leave] {
            let bare = ask(action, json!({"conv_id": "room"})).unwrap();
            assert_eq!(
                (bare.members.as_slice(), needs(&bare)),
                (&["tom".to_owned()][..], vec![format!("{action}@room()")])
            );
            let given = ask(action, json!({"conv_id": "room", "members": ["tom", "tom"]})).unwrap();
            assert_eq!(given.members, ["tom", "tom"]);
            for members in [json!([]), json!(["mary"]), json!(["tom", "mary"])] {
                assert!(
                    error(action, json!({"conv_id": "room", "members": members}))
                        .starts_with("members must be left out")
                );
            }
        }
    }

    #[test]
    fn blocking_names_its_targets_even_oneself() {
        let signing_request =
            ask(Action::BlockClients, json!({"conv_id": "room", "members": ["tom", "mary", "mary"]})).unwrap();
        assert_eq!(needs(&signing_request), ["block-clients@room(mary,tom)"]);
        assert_eq!(signing_request.members, ["tom", "mary", "mary"]);
    }

    #[test]
    fn no_more_members_are_named_than_a_conversation_holds() {
        let members = |count: usize| (0..count).map(|number| format!("m{number}")).collect::<Vec<_>>();
        assert_eq!(ask(Action::Create, json!({"members": members(500)})).unwrap().members.len(), 500);
        let own = "members must name at most 500 clients, not 501: a conversation holds no more";
        assert_eq!(error(Action::Create, json!({"members": members(501)})), own);
        for action in [Action::Invite, Action::Kick, Action::BlockClients, Action::UnblockClients] {
            let named = |id: &str, count| json!({"conv_id": id, "members": members(count)});
            assert!(ask(action, named("room", 500)).is_ok() && ask(action, named("_tmp:room", 10)).is_ok());
            assert_eq!(error(action, named("room", 501)), own);
            let temporary = error(action, named("_tmp:room", 11));
            assert!(temporary.starts_with("members must name at most 10 clients, not 11"), "{temporary}");
        }
    }

    #[test]
    fn where_the_timestamp_comes_first_history_and_creation_are_tied() {
        let tied = |action, values| needs(&ask_in(HistoryOrder::TimestampNonce, action, values).unwrap());
        assert_eq!(tied(Action::Create, json!({"members": ["mary"]})), ["create(mary)", "history@mary()"]);
        assert_eq!(tied(Action::Create, json!({"members": ["tom"]})), ["create()", "history@tom()"]);
        assert_eq!(tied(Action::Create, json!({"members": ["mary", "mary"]})), ["create(mary)"]);
        assert_eq!(tied(Action::Create, json!({})), ["create()", "login()"]);
        assert_eq!(tied(Action::History, json!({"conv_id": "room"})), ["history@room()", "create(room)"]);
        assert_eq!(tied(Action::History, json!({"conv_id": "tom"})), ["history@tom()", "create()"]);
        assert_eq!(needs(&ask(Action::History, json!({"conv_id": "room"})).unwrap()), ["history@room()"]);
    }

    #[test]
    fn each_action_takes_what_it_signs() {
        assert_eq!(
            error(Action::Login, json!({"conv_id": "room"})),
            "conv_id must be left out: login has no conversation"
        );
        assert_eq!(
            error(Action::Create, json!({"conv_id": "room"})),
            "conv_id must be left out: create has no conversation"
        );
        assert_eq!(error(Action::Login, json!({"members": ["mary"]})), "members must be left out: login has none");
        for action in [Action::History, Action::BlockConversation, Action::UnblockConversation] {
            assert_eq!(ask(action, json!({"conv_id": "room", "members": []})).unwrap().members, Vec::<String>::new());
            assert!(
                error(action, json!({"conv_id": "room", "members": ["tom"]})).starts_with("members must be left out")
            );
            assert!(error(action, json!({})).starts_with("conv_id must be given"));
        }
        for action in [Action::Invite, Action::Kick, Action::BlockClients, Action::UnblockClients] {
            for values in [json!({"conv_id": "room"}), json!({"conv_id": "room", "members": []})] {
                assert_eq!(error(action, values), format!("members must name at least one client to {action}"));
            }
        }
        assert_eq!(
            error(Action::Kick, json!({"conv_id": "room", "memebers": ["mary"]})),
            "memebers is not known here; the nearest known field is `members`"
        );
        assert!(error(Action::Publish, json!({})).contains("LeanCloud"));
    }

    #[test]
    fn no_id_can_be_read_as_another_field() {
        let long = "x".repeat(65);
        for id in ["", "a:b", "_tmp", "*", " tom", "to\nm", "to\0m", long.as_str()] {
            let own = error(Action::Login, json!({"client_id": id}));
            assert!(own.starts_with("client_id must "), "{id:?}: {own}");
            let member = error(Action::Invite, json!({"conv_id": "room", "members": ["mary", id]}));
            assert!(member.starts_with("members[1] must "), "{id:?}: {member}");
            let place = error(Action::Join, json!({"conv_id": id}));
            assert!(place.starts_with("conv_id must "), "{id:?}: {place}");
            let temporary = error(Action::Join, json!({"conv_id": format!("_tmp:{id}")}));
            assert!(temporary.starts_with("conv_id must "), "{id:?}: {temporary}");
        }
        assert!(error(Action::Join, json!({"conv_id": "chat*"})).contains("without `*`"));
    }

    #[test]
    fn temporary_conversations_have_no_history() {
        let join = ask(Action::Join, json!({"conv_id": format!("_tmp:{}", "x".repeat(64))})).unwrap();
        assert!(join.conversation.unwrap().exact().unwrap().starts_with("_tmp:x"));
        assert!(error(Action::History, json!({"conv_id": "_tmp:x"})).starts_with("conv_id must not hold `:`"));
        assert!(error(Action::Join, json!({"conv_id": "_tmp:_tmp:x"})).starts_with("conv_id must not hold `:`"));
    }

    #[test]
    fn only_users_have_a_default() {
        let parse = |values, caller| parse(&app(HistoryOrder::default()), Action::Login, &params(values), caller);
        let orders = service("orders");
        let error = parse(json!({}), Some(&orders)).unwrap_err().to_string();
        assert_eq!(error, "client_id must be given: a service must name the client");
        assert_eq!(parse(json!({}), None).unwrap_err().to_string(), "client_id must be given");
        assert_eq!(parse(json!({"client_id": "mary"}), Some(&orders)).unwrap().client, "mary");
        let unfit = user("https://id/tom");
        assert!(parse(json!({}), Some(&unfit)).unwrap_err().to_string().starts_with("client_id must not hold `:`"));
    }
}
