//! Reads requests for a Stream app.

use super::{App, Operation, SigningJob};
use crate::model::{Action, Caller, Pattern, RequiredAction, SigningRequest, Vendor};
use crate::vendor::params::client_or_caller;
use crate::vendor::{InvalidRequest, Params, VendorApp};

/// The longest user id, in characters.
const MAX_USER_CHARS: usize = 255;

/// The longest part of a call's id, in characters.
const MAX_CALL_CHARS: usize = 64;

/// The most calls of a token.
const MAX_CALLS: usize = 100;

/// Reads a request. A token for calls needs `join` for each call, in addition to `login`.
pub(super) fn parse(
    app: &App,
    operation: Operation,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
    let Operation::Token = operation;
    params.reject_unknown(&["user_id", "call_cids", "ttl"])?;
    let user = client_or_caller("user_id", params.text("user_id")?, caller)?;
    check_user(user)?;
    let calls = calls(params)?;
    let joined =
        |call: &Pattern| RequiredAction { action: Action::Join, conversation: Some(call.clone()), targets: Vec::new() };
    let login = RequiredAction { action: Action::Login, conversation: None, targets: Vec::new() };
    let signing_request = SigningRequest {
        app: app.name().clone(),
        vendor: Vendor::Stream,
        action: Action::Login,
        client: user.to_owned(),
        conversation: None,
        members: Vec::new(),
        required_actions: std::iter::once(login).chain(calls.iter().map(joined)).collect(),
        requested_grants: Vec::new(),
        left_out: Vec::new(),
    };
    Ok((signing_request, SigningJob::Token { ttl_seconds: app.ttl.requested_seconds(params)? }))
}

/// Checks a user id: letters, digits, `@`, `_` and `-`. Stream distinguishes capital letters.
fn check_user(user: &str) -> Result<(), InvalidRequest> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'_' | b'-');
    if user.is_empty() || user.len() > MAX_USER_CHARS || !user.bytes().all(is_known) {
        let message = format!("must be 1 to {MAX_USER_CHARS} letters, digits, `@`, `_` and `-`, as at Stream");
        return Err(InvalidRequest::new("user_id", message));
    }
    Ok(())
}

fn calls(params: &Params) -> Result<Vec<Pattern>, InvalidRequest> {
    let Some(cids) = params.list("call_cids")? else { return Ok(Vec::new()) };
    if cids.is_empty() || cids.len() > MAX_CALLS {
        // Stream reads a token without calls as a token for all products.
        let message = format!("must name 1 to {MAX_CALLS} calls; for a token without calls, leave it out");
        return Err(InvalidRequest::new("call_cids", message));
    }
    let call = |(index, cid): (usize, &String)| {
        parse_call(cid).map_err(|flaw| InvalidRequest::new(format!("call_cids[{index}]"), flaw))
    };
    cids.iter().enumerate().map(call).collect()
}

/// Reads the id of a call, `type:id`.
///
/// # Errors
/// Returns the flaw, in words that complete `call_cids[0] …`.
fn parse_call(cid: &str) -> Result<Pattern, String> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_part = |part: &str| (1..=MAX_CALL_CHARS).contains(&part.len()) && part.bytes().all(is_known);
    match cid.split_once(':') {
        Some((kind, id)) if is_part(kind) && is_part(id) => Ok(Pattern::Exact(cid.to_owned())),
        Some(_) | None => Err(format!(
            "must be a call's `type:id`, with 1 to {MAX_CALL_CHARS} letters, digits, `_` and `-` in each part"
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::secret::Secret;
    use crate::vendor::Ttl;
    use crate::vendor::tests::{params, service, user};

    fn app() -> App {
        let ttl = Ttl { min_seconds: 60, default_seconds: 3600, max_seconds: 86_400 };
        App::new("stream".into(), "key".to_owned(), &[Secret::new(b"made-up".to_vec())], ttl)
    }

    fn read(values: Value) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
        parse(&app(), Operation::Token, &params(values), Some(&user("tom")))
    }

    fn error(values: Value) -> String {
        read(values).unwrap_err().to_string()
    }

    #[test]
    fn a_token_needs_login_and_each_call_needs_join() {
        let (request, job) = read(json!({})).unwrap();
        assert_eq!((request.client.as_str(), job), ("tom", SigningJob::Token { ttl_seconds: 3600 }));
        assert_eq!(request.required_actions.len(), 1);
        let (request, job) =
            read(json!({"user_id": "mary", "call_cids": ["default:a", "audio:b_1"], "ttl": 60})).unwrap();
        assert_eq!((request.client.as_str(), job), ("mary", SigningJob::Token { ttl_seconds: 60 }));
        let needed: Vec<_> = request.required_actions.iter().map(|need| (need.action, &need.conversation)).collect();
        let call = |cid: &str| Some(Pattern::Exact(cid.to_owned()));
        assert_eq!(
            needed,
            [(Action::Login, &None), (Action::Join, &call("default:a")), (Action::Join, &call("audio:b_1"))]
        );
    }

    #[test]
    fn ids_that_stream_does_not_know_are_refused() {
        for id in ["", "汤姆", "tom smith", "tom:x", "tom!", "a/b", "*", "tom\n", &"x".repeat(256)] {
            assert!(error(json!({ "user_id": id })).starts_with("user_id must be 1 to 255"), "{id:?}");
        }
        for id in ["tom@example_com", "Tom-1", &"x".repeat(255)] {
            assert!(read(json!({ "user_id": id })).is_ok(), "{id}");
        }
        for cid in ["", "default", ":a", "default:", "default:a:b", "default:*", "*", "a b:c"] {
            assert!(error(json!({"call_cids": [cid]})).starts_with("call_cids[0] must be a call's"), "{cid:?}");
        }
        assert!(error(json!({"call_cids": []})).contains("leave it out"));
        assert!(error(json!({"call_cids": vec!["default:a"; 101]})).contains("must name 1 to 100 calls"));
    }

    #[test]
    fn no_field_grants_more() {
        for field in ["server", "role", "user", "exp", "iat", "client_id"] {
            assert!(error(json!({ field: true })).starts_with(field), "{field}");
        }
        assert_eq!(error(json!({"user_id": 12})), "user_id must be a string, not a number");
        assert!(error(json!({"ttl": 59})).starts_with("ttl must be at least"));
        let nobody = parse(&app(), Operation::Token, &params(json!({})), Some(&service("orders"))).unwrap_err();
        assert_eq!(nobody.to_string(), "user_id must be given: a service must name the client");
    }
}
