//! Reads requests for an app with tokens of any system.

use serde_json::{Map, Value};

use super::{App, SigningJob};
use crate::model::{Action, Caller, Pattern, RequestedGrant, RequiredAction, SigningRequest, Vendor};
use crate::vendor::params::{client_or_caller, requested_channels};
use crate::vendor::{InvalidRequest, Params, VendorApp};

/// The fields of the request.
pub(super) const FIELDS: [&str; 4] = ["user_id", "channel", "channels", "ttl"];

/// The longest name of a channel, in bytes.
const MAX_CHANNEL_BYTES: usize = 128;

/// Reads a request.
pub(super) fn parse(
    app: &App,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
    params.reject_unknown(&FIELDS)?;
    let user = client_or_caller("user_id", params.text("user_id")?, caller)?;
    app.identity.check(user).map_err(|flaw| InvalidRequest::new("user_id", flaw))?;
    let need = |action, conversation| RequiredAction { action, conversation, targets: Vec::new() };
    let mut required_actions = vec![need(Action::Login, None)];
    let conversation = channel(app, params)?;
    let action = match &conversation {
        Some((action, channel)) => {
            required_actions.insert(0, need(*action, Some(channel.clone())));
            *action
        }
        None => Action::Login,
    };
    let signing_request = SigningRequest {
        app: app.name().clone(),
        vendor: Vendor::Jwt,
        action,
        client: user.to_owned(),
        conversation: conversation.map(|(_, channel)| channel),
        members: Vec::new(),
        required_actions,
        requested_grants: channels(app, params)?,
        left_out: Vec::new(),
    };
    let job = SigningJob { ttl_seconds: app.ttl.requested_seconds(params)?, claims: own_claims(app, user, caller) };
    Ok((signing_request, job))
}

/// Reads the channel, with the action that a token for it needs.
fn channel(app: &App, params: &Params) -> Result<Option<(Action, Pattern)>, InvalidRequest> {
    let Some(action) = app.channel_action else {
        return match params.value("channel") {
            None => Ok(None),
            Some(_) => Err(InvalidRequest::new("channel", "must be left out: the tokens of this app name no channel")),
        };
    };
    let name = params.text("channel")?.ok_or_else(|| InvalidRequest::new("channel", "must be given"))?;
    let channel = parse_channel(name).map_err(|flaw| InvalidRequest::new("channel", flaw))?;
    Ok(Some((action, channel)))
}

/// Reads the channels of a token that has lists of granted channels.
fn channels(app: &App, params: &Params) -> Result<Vec<RequestedGrant>, InvalidRequest> {
    let allowed = app.template.granted_actions();
    match params.value("channels") {
        None => Ok(Vec::new()),
        Some(_) if allowed.is_empty() => {
            Err(InvalidRequest::new("channels", "must be left out: the tokens of this app have no list of channels"))
        }
        Some(_) => requested_channels(params, allowed, parse_channel),
    }
}

/// Reads the name of a channel. It has no character that separates parts in addresses.
///
/// # Errors
/// Returns the flaw, in words that complete "the name …".
fn parse_channel(name: &str) -> Result<Pattern, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:@=".contains(&byte);
    if name.is_empty() || name.len() > MAX_CHANNEL_BYTES || !name.bytes().all(is_name) {
        return Err(format!("must be 1 to {MAX_CHANNEL_BYTES} letters, digits and the characters `_-.:@=`"));
    }
    Ok(Pattern::Exact(name.to_owned()))
}

/// Returns the claims of the caller's token that the template names. A token describes only its caller, so there are none
/// for another user.
fn own_claims(app: &App, user: &str, caller: Option<&Caller>) -> Map<String, Value> {
    let caller = caller.filter(|caller| caller.is_client(user));
    let names = app.template.caller_claims().into_iter();
    names.filter_map(|name| Some((name.clone(), caller?.claims.get(&name)?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::crypto::signing_key::{SigningKey, TokenAlgorithm};
    use crate::model::ActionSet;
    use crate::vendor::Ttl;
    use crate::vendor::jwt::{ClaimTemplate, TokenForm, TokenId, UserAlphabet};
    use crate::vendor::tests::{params, service, user};

    fn app(claims: &Value, channel_action: Option<Action>) -> App {
        let template = ClaimTemplate::parse(claims.as_object().unwrap()).unwrap();
        let ttl = Ttl { min_seconds: 60, default_seconds: 600, max_seconds: 3600 };
        let form = TokenForm {
            algorithm: TokenAlgorithm::Hs256,
            key_id: None,
            content_type: None,
            token_id: TokenId::Random,
            identity: UserAlphabet::LowerAscii,
            channel_action,
        };
        App::new("jwt".into(), vec![SigningKey::from_secret(b"made-up")], template, form, ttl)
    }

    fn error(app: &App, values: Value) -> String {
        parse(app, &params(values), Some(&user("tom"))).unwrap_err().to_string()
    }

    #[test]
    fn a_channel_needs_the_configured_action() {
        let app = app(&json!({"sub": "{client}", "room": "{channel}"}), Some(Action::Join));
        let (request, _) = parse(&app, &params(json!({"channel": "chat:a"})), Some(&user("tom"))).unwrap();
        let needed: Vec<_> = request.required_actions.iter().map(|need| need.action).collect();
        assert_eq!((request.action, needed), (Action::Join, vec![Action::Join, Action::Login]));
        assert_eq!(error(&app, json!({})), "channel must be given");
        for channel in ["", "*", "a:*", "a/b", "a b", "é", "{client}", &"x".repeat(129)] {
            assert!(error(&app, json!({"channel": channel})).starts_with("channel must be 1 to 128"), "{channel}");
        }
        assert!(error(&app, json!({"channel": "a", "channels": {}})).starts_with("channels must be left out"));
    }

    #[test]
    fn lists_of_channels_are_requested_as_grants() {
        let app = app(&json!({"sub": "{client}", "role": [{"each": "publish", "text": "{channel}"}]}), None);
        let read = |values| parse(&app, &params(values), Some(&user("tom"))).unwrap().0;
        assert_eq!(read(json!({})).requested_grants, []);
        let grants = read(json!({"channels": {"chat:a": ["publish"]}})).requested_grants;
        let resource = Pattern::Exact("chat:a".to_owned());
        assert_eq!(grants, [RequestedGrant { resource, operations: ActionSet::of(&[Action::Publish]) }]);
        assert!(error(&app, json!({"channels": {"a": ["subscribe"]}})).contains("a list of `publish`"));
        assert!(error(&app, json!({"channel": "a"})).starts_with("channel must be left out"));
    }

    #[test]
    fn no_field_reaches_a_claim() {
        let app = app(&json!({"sub": "{client}", "team": "{claim:team}"}), None);
        for field in ["sub", "aud", "role", "claims", "exp", "kid", "scope"] {
            assert!(error(&app, json!({ field: "admin" })).starts_with(field), "{field}");
        }
        assert!(error(&app, json!({"user_id": "Tom"})).starts_with("user_id must be 1 to 128 small letters"));
        let mut tom = user("tom");
        tom.claims.insert("team".to_owned(), json!("red"));
        tom.claims.insert("admin".to_owned(), json!(true));
        let claims = |values, caller| parse(&app, &params(values), Some(caller)).unwrap().1.claims;
        assert_eq!(Value::Object(claims(json!({}), &tom)), json!({"team": "red"}));
        assert!(claims(json!({"user_id": "mary"}), &tom).is_empty());
        assert!(claims(json!({"user_id": "mary"}), &service("x")).is_empty());
    }
}
