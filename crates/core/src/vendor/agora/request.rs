//! Reads requests for an Agora app.

use super::{App, Operation, SigningJob};
use crate::model::{Action, ActionSet, Caller, Pattern, RequestedGrant, RequiredAction, SigningRequest, Vendor};
use crate::vendor::params::{client_or_caller, requested_channels};
use crate::vendor::{InvalidRequest, Params, VendorApp};

/// The longest user id, in bytes.
const MAX_USER_BYTES: usize = 64;

/// The longest name of a channel, in bytes.
const MAX_CHANNEL_BYTES: usize = 63;

/// What can be granted in a channel.
pub(super) const GRANTS: ActionSet = ActionSet::of(&[Action::Publish, Action::Subscribe]);

/// Reads a request.
pub(super) fn parse(
    app: &App,
    operation: Operation,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
    params.reject_unknown(operation.fields())?;
    let user = client_or_caller("user_id", params.text("user_id")?, caller)?;
    check_user(operation, user).map_err(|flaw| InvalidRequest::new("user_id", flaw))?;
    let need = |action, conversation| RequiredAction { action, conversation, targets: Vec::new() };
    let login = need(Action::Login, None);
    let (action, conversation, required_actions, requested_grants) = match operation {
        Operation::ChatToken => (Action::Login, None, vec![login], Vec::new()),
        // Without channels, a token would be for all channels.
        Operation::RtmToken => (Action::Login, None, vec![login], requested_channels(params, GRANTS, parse_channel)?),
        Operation::RtcToken => {
            let name = params.text("channel")?.ok_or_else(|| InvalidRequest::new("channel", "must be given"))?;
            let channel = parse_channel(name).map_err(|flaw| InvalidRequest::new("channel", flaw))?;
            let at = || Some(channel.clone());
            // A token cannot forbid receiving.
            let needed = vec![need(Action::Join, at()), need(Action::Subscribe, at()), login];
            let grant = RequestedGrant { resource: channel.clone(), operations: GRANTS };
            (Action::Join, at(), needed, vec![grant])
        }
    };
    let signing_request = SigningRequest {
        app: app.name().clone(),
        vendor: Vendor::Agora,
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

/// Checks a user id. Agora Chat reads capital letters as small letters, so a ban of `tom` would not hold for `Tom`. RTC
/// reads 0 as any user.
pub(super) fn check_user(operation: Operation, user: &str) -> Result<(), String> {
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if user.is_empty() || user.len() > MAX_USER_BYTES || !user.bytes().all(is_id) {
        return Err(format!("must be 1 to {MAX_USER_BYTES} letters, digits, `_`, `-` and `.`"));
    }
    if operation == Operation::ChatToken && user.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("must have no capital letters: Agora Chat reads them as small letters".to_owned());
    }
    if operation == Operation::RtcToken && user.bytes().all(|byte| byte == b'0') {
        return Err("must not be 0: RTC reads it as any user".to_owned());
    }
    Ok(())
}

/// Reads the name of a channel.
///
/// # Errors
/// Returns the flaw, in words that complete "the name …".
fn parse_channel(name: &str) -> Result<Pattern, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&()+-:;<=.>?@^_~,".contains(&byte);
    if name.is_empty() || name.len() > MAX_CHANNEL_BYTES || !name.bytes().all(is_name) {
        return Err(format!(
            "must be 1 to {MAX_CHANNEL_BYTES} letters, digits and the characters !#$%&()+-:;<=.>?@^_~,"
        ));
    }
    Ok(Pattern::Exact(name.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::secret::Secret;
    use crate::vendor::Ttl;
    use crate::vendor::tests::{params, user};

    fn read(operation: Operation, values: Value) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
        let ttl = Ttl { min_seconds: 60, default_seconds: 600, max_seconds: 3600 };
        let app = App::new("agora".into(), "0f".repeat(16), &[Secret::new(b"made-up".to_vec())], ttl);
        parse(&app, operation, &params(values), Some(&user("tom")))
    }

    fn error(operation: Operation, values: Value) -> String {
        read(operation, values).unwrap_err().to_string()
    }

    #[test]
    fn each_token_needs_what_it_gives() {
        let (request, _) = read(Operation::ChatToken, json!({})).unwrap();
        assert_eq!((request.action, request.requested_grants.len()), (Action::Login, 0));
        let values = json!({"channels": {"chat:a": ["subscribe"], "chat:b": ["publish", "subscribe"]}});
        let (request, _) = read(Operation::RtmToken, values).unwrap();
        let asked: Vec<_> =
            request.requested_grants.iter().map(|grant| (grant.resource.exact(), grant.operations.len())).collect();
        assert_eq!(asked, [(Some("chat:a"), 1), (Some("chat:b"), 2)]);
        let (request, _) = read(Operation::RtcToken, json!({"channel": "lobby"})).unwrap();
        let needed: Vec<_> = request.required_actions.iter().map(|need| need.action).collect();
        assert_eq!(needed, [Action::Join, Action::Subscribe, Action::Login]);
        assert_eq!(request.requested_grants[0].operations, GRANTS);
    }

    #[test]
    fn users_that_mean_others_are_refused() {
        assert!(error(Operation::ChatToken, json!({"user_id": "Tom"})).contains("no capital letters"));
        assert!(read(Operation::RtcToken, json!({"user_id": "Tom", "channel": "a"})).is_ok());
        for user in ["0", "000"] {
            assert!(error(Operation::RtcToken, json!({"user_id": user, "channel": "a"})).contains("any user"));
        }
        assert!(
            error(Operation::RtcToken, json!({"user_id": 0, "channel": "a"})).starts_with("user_id must be a string")
        );
        for user in ["", "a b", "é", "a\n", "*", "a/b", &"x".repeat(65)] {
            for operation in [Operation::ChatToken, Operation::RtmToken, Operation::RtcToken] {
                assert!(error(operation, json!({"user_id": user})).starts_with("user_id must be 1 to 64"), "{user:?}");
            }
        }
    }

    #[test]
    fn channels_are_named_one_by_one() {
        assert_eq!(error(Operation::RtcToken, json!({})), "channel must be given");
        for channel in ["", "*", "a*", "a b", "é", "[a]", &"x".repeat(64)] {
            assert!(error(Operation::RtcToken, json!({"channel": channel})).starts_with("channel must be 1 to 63"));
            let error = error(Operation::RtmToken, json!({"channels": {channel: ["publish"]}}));
            assert!(error.starts_with("channels has a name that must be 1 to 63"), "{error}");
        }
        for channels in [
            json!(null),
            json!([]),
            json!("{}"),
            json!({}),
            json!({"a": []}),
            json!({"a": "publish"}),
            json!({"a": ["join"]}),
            json!({"a": [1]}),
        ] {
            assert!(
                error(Operation::RtmToken, json!({"channels": channels})).starts_with("channels must "),
                "{channels}"
            );
        }
        assert!(error(Operation::RtmToken, json!({})).starts_with("channels must be an object"));
        for field in ["privileges", "role", "expire", "service", "uid"] {
            assert!(error(Operation::ChatToken, json!({ field: 2 })).starts_with(field), "{field}");
        }
    }
}
