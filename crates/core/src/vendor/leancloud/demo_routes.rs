//! Reads requests of clients that are written for LeanCloud's own demo servers.
//!
//! Those servers join all given fields and sign them without a check. Thus a request for one action can yield a
//! signature for another. Example: with a conversation and members but no action, they sign the creation of a
//! conversation with the first field as a member. This module first derives an action from the fields. Then exactly
//! this action is checked, decided and signed.
//!
//! Sources: leancloud/realtime-messaging-signature-cloudcode for `/sign2`, leancloud/leanengine-nodejs-demos
//! (`functions/rtm-signature.js`) for the functions. An older version of the functions has other names, one of them with
//! a spelling mistake. The words of `action` come from the SDKs that send them.

use serde_json::{Map, Value};

use super::{ACTIONS, App, request};
use crate::model::{Action, ActionSet, Caller, SigningRequest};
use crate::vendor::Params;
use crate::vendor::invalid_request::{InvalidRequest, is_wordlike, quote_for_error};
use crate::vendor::params::json_type_name;

/// A route of a demo server: a page, or a cloud function of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DemoRoute {
    /// All actions. The fields select the action.
    Sign2,
    /// The action `login`.
    SignLogin,
    /// The action `create`.
    SignStartConversation,
    /// The actions `invite` and `kick`. If the client is the only member, they mean `join` and `leave`.
    SignOperateConversation,
    /// The action `history`.
    SignQueryMessage,
    /// The actions `block-conversation` and `unblock-conversation`.
    SignBlockConversation,
    /// The actions `block-clients` and `unblock-clients`.
    SignBlockClient,
}

impl DemoRoute {
    /// All routes.
    pub const ALL: [DemoRoute; 7] = [
        DemoRoute::Sign2,
        DemoRoute::SignLogin,
        DemoRoute::SignStartConversation,
        DemoRoute::SignOperateConversation,
        DemoRoute::SignQueryMessage,
        DemoRoute::SignBlockConversation,
        DemoRoute::SignBlockClient,
    ];

    /// Returns the name of the function.
    pub const fn as_str(self) -> &'static str {
        match self {
            DemoRoute::Sign2 => "sign2",
            DemoRoute::SignLogin => "signLogin",
            DemoRoute::SignStartConversation => "signStartConversation",
            DemoRoute::SignOperateConversation => "signOperateConversation",
            DemoRoute::SignQueryMessage => "signQueryMessage",
            DemoRoute::SignBlockConversation => "signBlockConversation",
            DemoRoute::SignBlockClient => "signBlockClient",
        }
    }

    /// Returns the actions of the route. Some clients use a single function for everything about conversations, so that
    /// function also accepts `create`.
    fn actions(self) -> ActionSet {
        match self {
            DemoRoute::Sign2 => ACTIONS,
            DemoRoute::SignLogin => ActionSet::of(&[Action::Login]),
            DemoRoute::SignStartConversation => ActionSet::of(&[Action::Create]),
            DemoRoute::SignOperateConversation => {
                ActionSet::of(&[Action::Invite, Action::Kick, Action::Join, Action::Leave, Action::Create])
            }
            DemoRoute::SignQueryMessage => ActionSet::of(&[Action::History]),
            DemoRoute::SignBlockConversation => {
                ActionSet::of(&[Action::BlockConversation, Action::UnblockConversation])
            }
            DemoRoute::SignBlockClient => ActionSet::of(&[Action::BlockClients, Action::UnblockClients]),
        }
    }

    /// Returns how the clients of the route spell the names of the client and conversation fields.
    fn field_names(self) -> [&'static str; 2] {
        if self == DemoRoute::Sign2 { ["client_id", "conv_id"] } else { ["clientId", "conversationId"] }
    }
}

/// Reads a request. Unknown names are ignored.
pub(super) fn parse(
    app: &App,
    compat: DemoRoute,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<SigningRequest, InvalidRequest> {
    let understand = || {
        let params = Params { values: normalize_fields(params)?, lenient: true };
        request::parse(app, requested_action(compat, &params)?, &params, caller)
    };
    understand().map_err(|invalid| rename_field(compat, invalid))
}

/// Renames the fields to our names. `null` counts as absent. An empty text counts as absent too, except in `client_id`,
/// because some libraries send it for a missing value.
fn normalize_fields(theirs: &Params) -> Result<Map<String, Value>, InvalidRequest> {
    let mut values = Map::new();
    for (ours, other) in [("client_id", "clientId"), ("conv_id", "conversationId")] {
        if let Some(value) = field_with_alias(theirs, ours, other)? {
            values.insert(ours.to_owned(), value.clone());
        }
    }
    for name in ["members", "action"] {
        values.extend(non_null(theirs, name).map(|value| (name.to_owned(), value.clone())));
    }
    values.retain(|name, value| name == "client_id" || value != "");
    if let Some(client) = values.get_mut("client_id") {
        *client = user_id(client)?;
    }
    Ok(values)
}

/// Returns the value of a field that has two names.
fn field_with_alias<'a>(params: &'a Params, one: &str, other: &str) -> Result<Option<&'a Value>, InvalidRequest> {
    match (non_null(params, one), non_null(params, other)) {
        (Some(one_value), Some(value)) if one_value != value => {
            Err(InvalidRequest::new(other, format!("must be the same as {one} where both are given")))
        }
        (one, other) => Ok(one.or(other)),
    }
}

fn non_null<'a>(params: &'a Params, name: &str) -> Option<&'a Value> {
    params.values.get(name).filter(|value| !value.is_null())
}

/// Returns the id of the client, which may be sent as a user object. leancloud-realtime passes such an object to its
/// signature factories if the client was made from an `AV.User`.
fn user_id(client: &Value) -> Result<Value, InvalidRequest> {
    let wrong = |what: &str| {
        Err(InvalidRequest::new("client_id", format!("must be a text or a user with an objectId, {what}")))
    };
    match client {
        Value::String(_) => Ok(client.clone()),
        Value::Object(user) => match (user.get("objectId"), user.get("id")) {
            (Some(one), Some(other)) if one != other => wrong("without a different id"),
            (Some(id @ Value::String(_)), _) | (None, Some(id @ Value::String(_))) => Ok(id.clone()),
            _ => wrong("but this object has none"),
        },
        other => wrong(&format!("not {}", json_type_name(other))),
    }
}

/// Returns the requested action: the action that `action` names, or else the only possible action.
fn requested_action(compat: DemoRoute, params: &Params) -> Result<Action, InvalidRequest> {
    let known = compat.actions();
    let Some(word) = params.text("action")? else {
        return infer_action(compat, params)
            .ok_or_else(|| InvalidRequest::new("action", format!("must be given: {}", join_names(known))));
    };
    let action = parse_action(word).filter(|action| known.contains(*action));
    action.ok_or_else(|| {
        let found = if is_wordlike(word) { format!(", not {}", quote_for_error(word)) } else { String::new() };
        InvalidRequest::new("action", format!("must be {}{found}", join_names(known)))
    })
}

/// Returns the action of a request that names none. A conversation with members is ambiguous, so the result is `None`.
fn infer_action(compat: DemoRoute, params: &Params) -> Option<Action> {
    let has_members = params.value("members").is_some_and(|members| members != &Value::Array(Vec::new()));
    match (compat, params.value("conv_id").is_some(), has_members) {
        (DemoRoute::SignLogin, ..) | (DemoRoute::Sign2, false, false) => Some(Action::Login),
        (DemoRoute::SignStartConversation, ..) | (DemoRoute::Sign2, false, true) => Some(Action::Create),
        (DemoRoute::SignQueryMessage, ..) | (DemoRoute::Sign2, true, false) => Some(Action::History),
        _ => None,
    }
}

/// Returns the action of this name: our name, the name in the protocol, or a name that an SDK uses.
fn parse_action(word: &str) -> Option<Action> {
    match word {
        "open" => Some(Action::Login),
        "start" => Some(Action::Create),
        "add" => Some(Action::Invite),
        "remove" => Some(Action::Kick),
        "block" | "conversation-block-clients" => Some(Action::BlockClients),
        "unblock" | "conversation-unblock-clients" => Some(Action::UnblockClients),
        "client-block-conversations" => Some(Action::BlockConversation),
        "client-unblock-conversations" => Some(Action::UnblockConversation),
        word => Action::parse(word).filter(|action| ACTIONS.contains(*action)),
    }
}

fn join_names(actions: ActionSet) -> String {
    let words: Vec<_> = actions.iter().map(Action::as_str).collect();
    words.join(" or ")
}

/// Replaces the field's name by the name that the clients of this function use.
fn rename_field(compat: DemoRoute, invalid: InvalidRequest) -> InvalidRequest {
    let [client, conversation] = compat.field_names();
    let field = match invalid.field.as_str() {
        "client_id" => client.to_owned(),
        "conv_id" => conversation.to_owned(),
        _ => invalid.field,
    };
    InvalidRequest { field, ..invalid }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::super::{HistoryOrder, TimestampUnit};
    use super::*;
    use crate::vendor::tests::{params, service, user};

    fn ask_by(compat: DemoRoute, values: Value, caller: &Caller) -> Result<SigningRequest, InvalidRequest> {
        let app = App::new(
            "leancloud".into(),
            "appid".to_owned(),
            &[],
            TimestampUnit::default(),
            HistoryOrder::NonceTimestamp,
        );
        parse(&app, compat, &params(values), Some(caller))
    }

    fn ask(compat: DemoRoute, values: Value) -> Result<SigningRequest, InvalidRequest> {
        ask_by(compat, values, &user("tom"))
    }

    /// Returns the action with the signed values, for example `invite tom@room(mary)`.
    fn describe_request(compat: DemoRoute, values: Value) -> String {
        let signing_request = ask(compat, values).unwrap();
        let place = signing_request.conversation.map(|place| format!("@{place}")).unwrap_or_default();
        format!("{} {}{place}({})", signing_request.action, signing_request.client, signing_request.members.join(","))
    }

    fn error(compat: DemoRoute, values: Value) -> String {
        ask(compat, values).unwrap_err().to_string()
    }

    #[test]
    fn the_page_tells_from_the_fields_what_is_meant() {
        for (values, meant) in [
            (json!({"client_id": "tom"}), "login tom()"),
            (json!({"client_id": "tom", "members": [], "conv_id": null, "action": null}), "login tom()"),
            (json!({"client_id": "tom", "members": ["tom", "mary"]}), "create tom(tom,mary)"),
            (json!({"client_id": "tom", "members": ["mary"], "conv_id": "", "action": ""}), "create tom(mary)"),
            (json!({"client_id": "tom", "conv_id": "room"}), "history tom@room()"),
            (
                json!({"client_id": "tom", "conv_id": "room", "members": ["mary"], "action": "invite"}),
                "invite tom@room(mary)",
            ),
            (
                json!({"client_id": "tom", "conv_id": "room", "members": ["tom"], "action": "invite"}),
                "join tom@room(tom)",
            ),
            (
                json!({"client_id": "tom", "conv_id": "room", "members": ["mary"], "action": "kick"}),
                "kick tom@room(mary)",
            ),
        ] {
            assert_eq!(describe_request(DemoRoute::Sign2, values.clone()), meant, "{values}");
        }
        let ambiguous = json!({"client_id": "tom", "conv_id": "room", "members": ["mary"]});
        assert!(error(DemoRoute::Sign2, ambiguous).starts_with("action must be given: login or create or "));
    }

    #[test]
    fn an_action_has_many_names() {
        let sent = |action| json!({"client_id": "tom", "conv_id": "room", "members": ["mary"], "action": action});
        for (words, meant) in [
            (["invite", "add"], "invite tom@room(mary)"),
            (["kick", "remove"], "kick tom@room(mary)"),
            (["block", "conversation-block-clients"], "block-clients tom@room(mary)"),
            (["unblock", "conversation-unblock-clients"], "unblock-clients tom@room(mary)"),
        ] {
            for word in words {
                assert_eq!(describe_request(DemoRoute::Sign2, sent(word)), meant);
            }
        }
        let place = |action| json!({"client_id": "tom", "conv_id": "room", "action": action});
        for (word, meant) in [
            ("client-block-conversations", "block-conversation tom@room()"),
            ("client-unblock-conversations", "unblock-conversation tom@room()"),
            ("block-conversation", "block-conversation tom@room()"),
            ("history", "history tom@room()"),
            ("join", "join tom@room(tom)"),
        ] {
            assert_eq!(describe_request(DemoRoute::Sign2, place(word)), meant);
        }
        for word in ["create", "start"] {
            assert_eq!(
                describe_request(DemoRoute::Sign2, json!({"members": ["mary"], "action": word})),
                "create tom(mary)"
            );
        }
        for word in ["login", "open"] {
            assert_eq!(describe_request(DemoRoute::Sign2, json!({"action": word})), "login tom()");
        }
        for word in ["Invite", "publish", "ban", "x:y", "app-token"] {
            assert!(error(DemoRoute::Sign2, sent(word)).starts_with("action must be login or create or "), "{word}");
        }
    }

    #[test]
    fn each_function_means_what_its_name_says() {
        let sent = |action: Value, members: Value| json!({"clientId": "tom", "conversationId": "room", "members": members, "action": action});
        assert_eq!(describe_request(DemoRoute::SignLogin, json!({"clientId": "tom"})), "login tom()");
        let create = json!({"clientId": "tom", "conversationId": null, "members": ["tom"], "action": "create"});
        assert_eq!(describe_request(DemoRoute::SignStartConversation, create.clone()), "create tom(tom)");
        assert_eq!(describe_request(DemoRoute::SignOperateConversation, create), "create tom(tom)");
        for (action, meant) in [("add", "invite tom@room(mary)"), ("remove", "kick tom@room(mary)")] {
            assert_eq!(
                describe_request(DemoRoute::SignOperateConversation, sent(json!(action), json!(["mary"]))),
                meant
            );
        }
        assert_eq!(describe_request(DemoRoute::SignQueryMessage, sent(Value::Null, json!([]))), "history tom@room()");
        let block = sent(json!("client-block-conversations"), json!(null));
        assert_eq!(describe_request(DemoRoute::SignBlockConversation, block), "block-conversation tom@room()");
        let block = sent(json!("conversation-block-clients"), json!(["mary"]));
        assert_eq!(describe_request(DemoRoute::SignBlockClient, block), "block-clients tom@room(mary)");
    }

    #[test]
    fn a_function_is_asked_for_nothing_else() {
        let sent =
            |action: &str| json!({"clientId": "tom", "conversationId": "room", "members": ["mary"], "action": action});
        assert_eq!(error(DemoRoute::SignLogin, sent("kick")), "action must be login, not `kick`");
        assert_eq!(
            error(DemoRoute::SignBlockClient, sent("kick")),
            "action must be block-clients or unblock-clients, not `kick`"
        );
        assert!(
            error(DemoRoute::SignBlockConversation, sent("block")).starts_with("action must be block-conversation or ")
        );
        assert!(error(DemoRoute::SignOperateConversation, sent("")).starts_with("action must be given: "));
        assert_eq!(
            error(DemoRoute::SignStartConversation, sent("create")),
            "conversationId must be left out: create has no conversation"
        );
        assert_eq!(error(DemoRoute::SignQueryMessage, sent("")), "members must be left out: history has none");
    }

    #[test]
    fn a_user_as_an_object_is_read_by_its_id() {
        let pointer = json!({"__type": "Pointer", "className": "_User", "objectId": "65847593"});
        let whole = json!({"objectId": "65847593", "username": "tom", "id": "65847593"});
        for client in [pointer, whole, json!({"id": "65847593"})] {
            assert_eq!(describe_request(DemoRoute::SignLogin, json!({"clientId": client})), "login 65847593()");
        }
        for client in [
            json!({"objectId": "1", "id": "2"}),
            json!({"objectId": 7}),
            json!({"objectId": null, "id": "1"}),
            json!({"username": "tom"}),
            json!({}),
            json!(["tom"]),
            json!(7),
            json!(true),
        ] {
            assert!(
                error(DemoRoute::SignLogin, json!({"clientId": client}))
                    .starts_with("clientId must be a text or a user"),
                "{client}"
            );
        }
        let members = json!({"conv_id": "room", "members": [{"objectId": "1"}], "action": "invite"});
        assert_eq!(error(DemoRoute::Sign2, members), "members[0] must be a string, not an object");
    }

    #[test]
    fn both_spellings_are_understood_unless_they_differ() {
        assert_eq!(
            describe_request(
                DemoRoute::Sign2,
                json!({"clientId": "tom", "client_id": "tom", "conversationId": "room"})
            ),
            "history tom@room()"
        );
        let error = error(DemoRoute::SignLogin, json!({"clientId": "tom", "client_id": "mary"}));
        assert_eq!(error, "clientId must be the same as client_id where both are given");
    }

    #[test]
    fn all_other_fields_are_ignored_and_all_checks_hold() {
        assert_eq!(
            describe_request(DemoRoute::Sign2, json!({"rnd": 1, "nonce": "a1", "timestamp": "x", "peerIds": []})),
            "login tom()"
        );
        assert!(error(DemoRoute::SignLogin, json!({"clientId": "tom:mary"})).starts_with("clientId must not hold `:`"));
        assert!(error(DemoRoute::SignLogin, json!({"clientId": ""})).starts_with("clientId must not be empty"));
        assert!(
            error(DemoRoute::SignQueryMessage, json!({"conversationId": "_tmp:x"}))
                .starts_with("conversationId must not")
        );
        let nobody = ask_by(DemoRoute::SignLogin, json!({}), &service("orders")).unwrap_err().to_string();
        assert_eq!(nobody, "clientId must be given: a service must name the client");
    }
}
