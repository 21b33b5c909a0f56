//! Reads requests for a Centrifugo app.

use serde_json::{Map, Value};

use super::channel::parse_channel;
use super::{App, Operation, SigningJob};
use crate::model::{Action, Caller, Pattern, RequiredAction, SigningRequest, Vendor};
use crate::vendor::params::{check_identifier_of, client_or_caller, reject_star};
use crate::vendor::{InvalidRequest, Params, VendorApp};

/// The longest user id, in characters.
const MAX_USER_CHARS: usize = 255;

/// Reads a request.
pub(super) fn parse(
    app: &App,
    operation: Operation,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
    let (fields, action): (&[&str], _) = match operation {
        Operation::ConnectionToken => (&["user", "ttl"], Action::Login),
        Operation::SubscriptionToken => (&["user", "channel", "ttl"], Action::Subscribe),
    };
    params.reject_unknown(fields)?;
    let user = client_or_caller("user", params.text("user")?, caller)?;
    check_identifier_of("user", user, MAX_USER_CHARS)?;
    reject_star("user", user)?;
    let conversation = match operation {
        Operation::ConnectionToken => None,
        Operation::SubscriptionToken => Some(channel(params)?),
    };
    let signing_request = SigningRequest {
        app: app.name().clone(),
        vendor: Vendor::Centrifugo,
        action,
        client: user.to_owned(),
        conversation: conversation.clone(),
        members: Vec::new(),
        required_actions: vec![RequiredAction { action, conversation, targets: Vec::new() }],
        requested_grants: Vec::new(),
        left_out: Vec::new(),
    };
    let job = SigningJob { operation, ttl_seconds: app.ttl.requested_seconds(params)?, info: info(app, user, caller) };
    Ok((signing_request, job))
}

fn channel(params: &Params) -> Result<Pattern, InvalidRequest> {
    let name = params.text("channel")?.ok_or_else(|| InvalidRequest::new("channel", "must be given"))?;
    parse_channel(name).map_err(|flaw| InvalidRequest::new("channel", flaw))
}

/// Returns the configured claims of the caller's token. A token describes only its caller, so there are none for
/// another user.
fn info(app: &App, user: &str, caller: Option<&Caller>) -> Map<String, Value> {
    let caller = caller.filter(|caller| caller.is_client(user));
    let claim = |name: &String| Some((name.clone(), caller?.claims.get(name)?.clone()));
    app.info_claims.iter().filter_map(claim).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::crypto::signing_key::{SigningKey, TokenAlgorithm};
    use crate::vendor::Ttl;
    use crate::vendor::tests::{params, service, user};

    fn app() -> App {
        let ttl = Ttl { min_seconds: 60, default_seconds: 600, max_seconds: 3600 };
        let key = SigningKey::from_secret(b"made-up");
        App::new("centrifugo".into(), TokenAlgorithm::Hs256, vec![key], ttl, vec!["name".to_owned()])
    }

    fn read(operation: Operation, values: Value) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
        parse(&app(), operation, &params(values), Some(&user("tom")))
    }

    fn error(operation: Operation, values: Value) -> String {
        read(operation, values).unwrap_err().to_string()
    }

    #[test]
    fn a_connection_is_a_login_and_a_subscription_is_subscribe() {
        let (request, job) = read(Operation::ConnectionToken, json!({})).unwrap();
        assert_eq!((request.action, request.client.as_str(), job.ttl_seconds), (Action::Login, "tom", 600));
        let (request, _) = read(Operation::SubscriptionToken, json!({"channel": "chat:lobby"})).unwrap();
        assert_eq!(request.action, Action::Subscribe);
        assert_eq!(request.required_actions[0].conversation, Some(Pattern::Exact("chat:lobby".to_owned())));
    }

    #[test]
    fn what_others_see_comes_from_the_caller() {
        let mut tom = user("tom");
        tom.claims.insert("name".to_owned(), json!("Tom"));
        let info = |values| parse(&app(), Operation::ConnectionToken, &params(values), Some(&tom)).unwrap().1.info;
        assert_eq!(Value::Object(info(json!({}))), json!({"name": "Tom"}));
        assert!(info(json!({"user": "mary"})).is_empty());
    }

    #[test]
    fn channels_that_mean_more_are_refused() {
        assert_eq!(error(Operation::SubscriptionToken, json!({})), "channel must be given");
        for channel in ["", "dialog#42", "a&b", "chat:*", "*", " a", "a\n", &"x".repeat(256), &"é".repeat(128)] {
            let error = error(Operation::SubscriptionToken, json!({"channel": channel}));
            assert!(error.starts_with("channel must "), "{channel:?}: {error}");
        }
        assert!(read(Operation::SubscriptionToken, json!({"channel": "$private:x"})).is_ok());
    }

    #[test]
    fn no_field_grants_more() {
        for field in ["channels", "subs", "expire_at", "caps", "info", "meta", "override", "exp", "channel"] {
            assert!(error(Operation::ConnectionToken, json!({ field: 1 })).starts_with(field), "{field}");
        }
        assert_eq!(error(Operation::ConnectionToken, json!({"user": ""})), "user must not be empty");
        let nobody = parse(&app(), Operation::ConnectionToken, &params(json!({})), Some(&service("x"))).unwrap_err();
        assert_eq!(nobody.to_string(), "user must be given: a service must name the client");
    }
}
