//! Reads requests for a LiveKit app, with the field names of LiveKit's token endpoint.

use serde_json::{Map, Value};

use super::message::Profile;
use super::{App, Operation, SigningJob};
use crate::model::{
    Action, ActionSet, Caller, Pattern, RequestedGrant, RequiredAction, SigningRequest, Vendor, check_identifier,
};
use crate::vendor::params::{check_identifier_of, client_or_caller, reject_star};
use crate::vendor::{InvalidRequest, Params, VendorApp};

/// The longest identity and the longest name of a room, in characters.
const MAX_NAME_CHARS: usize = 255;

/// The fields of the request. The SDK may send a name, metadata and attributes. They are ignored, because other
/// participants trust them.
pub(super) const FIELDS: [&str; 7] = [
    "room_name",
    "participant_identity",
    "ttl",
    "participant_name",
    "participant_metadata",
    "participant_attributes",
    "room_config",
];

/// The actions that a participant can have in a room, in addition to `join`.
pub(super) const GRANTS: ActionSet = ActionSet::of(&[Action::Publish, Action::Subscribe, Action::PublishData]);

/// Reads a request.
pub(super) fn parse(
    app: &App,
    operation: Operation,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
    let Operation::Token = operation;
    params.reject_unknown(&FIELDS)?;
    let params = &*params.without_empty();
    let identity = client_or_caller("participant_identity", params.text("participant_identity")?, caller)?;
    check_identifier_of("participant_identity", identity, MAX_NAME_CHARS)?;
    reject_star("participant_identity", identity)?;
    let room = room(params)?;
    reject_room_config(params)?;
    let signing_request = SigningRequest {
        app: app.name().clone(),
        vendor: Vendor::LiveKit,
        action: Action::Join,
        client: identity.to_owned(),
        conversation: Some(room.clone()),
        members: Vec::new(),
        required_actions: vec![
            RequiredAction { action: Action::Join, conversation: Some(room.clone()), targets: Vec::new() },
            RequiredAction { action: Action::Login, conversation: None, targets: Vec::new() },
        ],
        requested_grants: vec![RequestedGrant { resource: room, operations: GRANTS }],
        left_out: Vec::new(),
    };
    let ttl_seconds = app.ttl.requested_seconds(params)?;
    Ok((signing_request, SigningJob::Token { ttl_seconds, profile: profile(app, identity, caller)? }))
}

fn room(params: &Params) -> Result<Pattern, InvalidRequest> {
    let name = params.text("room_name")?.unwrap_or_default();
    if name.is_empty() {
        return Err(InvalidRequest::new("room_name", "must be given: without a room, a token is for every room"));
    }
    parse_room(name).map_err(|flaw| InvalidRequest::new("room_name", flaw))
}

/// Reads the name of a room.
///
/// # Errors
/// Returns the flaw, in words that complete "room_name …".
fn parse_room(name: &str) -> Result<Pattern, String> {
    check_identifier(name, MAX_NAME_CHARS).map_err(|flaw| flaw.to_string())?;
    if name.contains('*') {
        return Err("must not hold `*`: a token is for one room".to_owned());
    }
    Ok(Pattern::Exact(name.to_owned()))
}

/// Rejects a configuration of the room, which could start agents and recordings.
fn reject_room_config(params: &Params) -> Result<(), InvalidRequest> {
    let is_empty = match params.value("room_config") {
        None | Some(Value::Null) => true,
        Some(Value::Object(config)) => config.is_empty(),
        Some(_) => false,
    };
    is_empty.then_some(()).ok_or_else(|| {
        InvalidRequest::new("room_config", "must be empty: callers cannot configure rooms, agents or recordings")
    })
}

/// Returns what the configured claims of the caller's token say. A token describes only its caller, so there is nothing
/// for another identity.
fn profile(app: &App, identity: &str, caller: Option<&Caller>) -> Result<Profile, InvalidRequest> {
    let Some(caller) = caller.filter(|caller| caller.is_client(identity)) else { return Ok(Profile::default()) };
    let own = |names: &[String]| -> Map<String, Value> {
        names.iter().filter_map(|name| Some((name.clone(), caller.claims.get(name)?.clone()))).collect()
    };
    let metadata = own(&app.profile_claims.metadata);
    let attributes = own(&app.profile_claims.attributes);
    if let Some((name, _)) = attributes.iter().find(|(_, value)| !value.is_string()) {
        let message = format!("cannot be an attribute: the claim `{name}` of the caller's token is not a text");
        return Err(InvalidRequest::new("participant_attributes", message));
    }
    let name = app.profile_claims.name.as_ref().and_then(|name| caller.claims.get(name)?.as_str());
    Ok(Profile {
        name: name.map(str::to_owned),
        metadata: (!metadata.is_empty()).then(|| Value::Object(metadata).to_string()),
        attributes,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::secret::Secret;
    use crate::vendor::Ttl;
    use crate::vendor::livekit::ProfileClaims;
    use crate::vendor::tests::{params, service, user};

    fn app() -> App {
        let ttl = Ttl { min_seconds: 60, default_seconds: 600, max_seconds: 3600 };
        let claims = ProfileClaims {
            name: Some("name".to_owned()),
            metadata: vec!["team".to_owned()],
            attributes: vec!["color".to_owned()],
        };
        let secret = Secret::new(b"made-up".to_vec());
        App::new("live".into(), "wss://a.example".to_owned(), "API".to_owned(), &[secret], ttl, claims)
    }

    fn read(values: Value) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
        parse(&app(), Operation::Token, &params(values), Some(&user("tom")))
    }

    fn error(values: Value) -> String {
        read(values).unwrap_err().to_string()
    }

    #[test]
    fn a_token_needs_login_and_join_and_asks_for_the_rest() {
        let (request, _) =
            read(json!({"room_name": "chat:lobby", "room_config": {}, "participant_name": "x"})).unwrap();
        assert_eq!((request.client.as_str(), request.action), ("tom", Action::Join));
        let room = Pattern::Exact("chat:lobby".to_owned());
        assert_eq!(request.required_actions[0].conversation.as_ref(), Some(&room));
        assert_eq!(request.required_actions[1].action, Action::Login);
        assert_eq!(request.requested_grants, [RequestedGrant { resource: room, operations: GRANTS }]);
    }

    #[test]
    fn what_the_sdk_sends_about_the_participant_is_ignored() {
        let mut tom = user("tom");
        for (name, value) in [("name", json!("Tom")), ("team", json!("red")), ("color", json!("blue"))] {
            tom.claims.insert(name.to_owned(), value);
        }
        let values = json!({
            "room_name": "a",
            "participant_name": "Admin",
            "participant_metadata": "{\"team\":\"admins\"}",
            "participant_attributes": {"color": "gold"},
        });
        let (_, SigningJob::Token { profile, .. }) =
            parse(&app(), Operation::Token, &params(values), Some(&tom)).unwrap();
        assert_eq!(profile.name.as_deref(), Some("Tom"));
        assert_eq!(profile.metadata.as_deref(), Some(r#"{"team":"red"}"#));
        assert_eq!(Value::Object(profile.attributes), json!({"color": "blue"}));
        tom.claims.insert("color".to_owned(), json!(1));
        let error = parse(&app(), Operation::Token, &params(json!({"room_name": "a"})), Some(&tom)).unwrap_err();
        assert!(error.to_string().contains("is not a text"));
    }

    #[test]
    fn rooms_and_identities_are_checked() {
        assert!(error(json!({})).starts_with("room_name must be given"));
        assert!(error(json!({"room_name": ""})).starts_with("room_name must be given"));
        for room in ["*", "a:*", " a", "a\n", &"x".repeat(256)] {
            assert!(error(json!({"room_name": room})).starts_with("room_name must "), "{room:?}");
        }
        for config in [json!({"agents": []}), json!("{}"), json!(true)] {
            assert!(error(json!({"room_name": "a", "room_config": config})).starts_with("room_config must be empty"));
        }
        for identity in ["*", "a\n", " a"] {
            let error = error(json!({"room_name": "a", "participant_identity": identity}));
            assert!(error.starts_with("participant_identity must "), "{error}");
        }
        assert!(error(json!({"room_name": "a", "roomAdmin": true})).starts_with("roomAdmin is not known"));
        let nobody = params(json!({"room_name": "a"}));
        let nobody = parse(&app(), Operation::Token, &nobody, Some(&service("orders"))).unwrap_err();
        assert_eq!(nobody.to_string(), "participant_identity must be given: a service must name the client");
    }
}
