//! Reads requests for a Tencent app.

use serde_json::Value;

use super::message::{MAX_ROOM_NUMBER, Room, check_user};
use super::{App, Operation, SigningJob};
use crate::model::{Action, ActionSet, Caller, Pattern, RequestedGrant, RequiredAction, SigningRequest, Vendor};
use crate::vendor::params::client_or_caller;
use crate::vendor::{InvalidRequest, Params, VendorApp};

/// What a user can do in a room in addition to entering it.
pub(super) const GRANTS: ActionSet = ActionSet::of(&[Action::Create, Action::Publish, Action::Subscribe]);

/// Reads a request.
pub(super) fn parse(
    app: &App,
    operation: Operation,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
    params.reject_unknown(operation.fields())?;
    let user = client_or_caller("user_id", params.text("user_id")?, caller)?;
    check_user(user).map_err(|flaw| InvalidRequest::new("user_id", flaw))?;
    if app.is_administrator(user) {
        return Err(InvalidRequest::new("user_id", "must not be an administrator of the app at Tencent"));
    }
    let need = |action, conversation| RequiredAction { action, conversation, targets: Vec::new() };
    let login = need(Action::Login, None);
    let (action, conversation, required_actions, requested_grants) = match operation {
        Operation::UserSig => (Action::Login, None, vec![login], Vec::new()),
        Operation::PrivateMapKey => {
            let room = room(params)?;
            let grant = RequestedGrant { resource: room.clone(), operations: GRANTS };
            (Action::Join, Some(room.clone()), vec![need(Action::Join, Some(room)), login], vec![grant])
        }
    };
    let signing_request = SigningRequest {
        app: app.name().clone(),
        vendor: Vendor::Tencent,
        action,
        client: user.to_owned(),
        conversation,
        members: Vec::new(),
        required_actions,
        requested_grants,
        left_out: Vec::new(),
    };
    Ok((signing_request, SigningJob { operation, ttl_seconds: app.ttl.requested_seconds(params)? }))
}

/// Reads the room: a number, or a text with a number or a name.
fn room(params: &Params) -> Result<Pattern, InvalidRequest> {
    let (text, is_number) = match params.value("room_id") {
        None => return Err(InvalidRequest::new("room_id", "must be given")),
        Some(Value::Number(number)) => (number.to_string(), true),
        Some(_) => (params.text("room_id")?.unwrap_or_default().to_owned(), false),
    };
    match Room::parse(&text)? {
        // `-1` and `1.5` are names only if they are texts.
        Room::Name(_) if is_number => Err(InvalidRequest::new(
            "room_id",
            format!("must be a whole number from 1 to {MAX_ROOM_NUMBER}, or a text"),
        )),
        Room::Name(_) | Room::Number(_) => Ok(Pattern::Exact(text)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::secret::Secret;
    use crate::vendor::Ttl;
    use crate::vendor::tests::{params, service, user};

    fn app() -> App {
        let ttl = Ttl { min_seconds: 60, default_seconds: 600, max_seconds: 3600 };
        App::new("im".into(), 14, &[Secret::new(b"made-up".to_vec())], vec!["root".to_owned()], ttl)
    }

    fn read(operation: Operation, values: Value) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
        parse(&app(), operation, &params(values), Some(&user("tom")))
    }

    fn error(operation: Operation, values: Value) -> String {
        read(operation, values).unwrap_err().to_string()
    }

    #[test]
    fn a_user_sig_is_a_login_and_a_private_map_key_needs_the_room_too() {
        let (request, job) = read(Operation::UserSig, json!({})).unwrap();
        assert_eq!((request.action, request.client.as_str(), job.ttl_seconds), (Action::Login, "tom", 600));
        for (room, name) in [(json!(1234), "1234"), (json!("1234"), "1234"), (json!("chat:lobby"), "chat:lobby")] {
            let (request, _) = read(Operation::PrivateMapKey, json!({"room_id": room})).unwrap();
            let actions: Vec<_> = request.required_actions.iter().map(|need| need.action).collect();
            assert_eq!((request.action, actions), (Action::Join, vec![Action::Join, Action::Login]));
            let resource = Pattern::Exact(name.to_owned());
            assert_eq!(request.requested_grants, [RequestedGrant { resource, operations: GRANTS }]);
        }
    }

    #[test]
    fn administrators_and_other_fields_are_refused() {
        for id in ["administrator", "Administrator", "root", "ROOT"] {
            assert!(error(Operation::UserSig, json!({"user_id": id})).starts_with("user_id must not be"), "{id}");
        }
        let backend = parse(&app(), Operation::UserSig, &params(json!({"user_id": "root"})), Some(&service("x")));
        assert!(backend.unwrap_err().to_string().starts_with("user_id must not be"));
        for field in ["room_id", "userbuf", "expire", "privilege"] {
            assert!(error(Operation::UserSig, json!({ field: 1 })).starts_with(field), "{field}");
        }
        assert!(
            error(Operation::UserSig, json!({"user_id": "bob\nTLS.time:1"})).starts_with("user_id must be 1 to 32")
        );
        assert_eq!(error(Operation::UserSig, json!({"ttl": 1})), "ttl must be at least 60 seconds");
        assert_eq!(error(Operation::PrivateMapKey, json!({})), "room_id must be given");
        for room in [json!(0), json!(-1), json!(1.5), json!(4_294_967_295_u64), json!(""), json!("*"), json!("a:*")] {
            let message = error(Operation::PrivateMapKey, json!({"room_id": room}));
            assert!(message.starts_with("room_id must be"), "{room}: {message}");
        }
        assert_eq!(error(Operation::PrivateMapKey, json!({"room_id": []})), "room_id must be a string, not a list");
    }
}
