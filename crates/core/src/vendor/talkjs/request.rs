//! Reads requests for a TalkJS app.

use super::{App, Operation, SigningJob};
use crate::model::{Action, Caller, RequiredAction, SigningRequest, Vendor};
use crate::vendor::params::{check_identifier_of, client_or_caller, reject_star};
use crate::vendor::{InvalidRequest, Params, VendorApp};

/// The longest identifier, in characters.
const MAX_IDENTIFIER_CHARS: usize = 255;

/// Reads a request.
pub(super) fn parse(
    app: &App,
    operation: Operation,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
    let (action, client, signing_job) = match operation {
        Operation::Token => {
            params.reject_unknown(&["user_id", "ttl"])?;
            (Action::Login, user(params, caller)?, SigningJob::Token { ttl_seconds: ttl(app, params)? })
        }
        Operation::Signature => {
            params.reject_unknown(&["user_id"])?;
            let user = user(params, caller)?;
            app.check_signable(user)?;
            (Action::Login, user, SigningJob::Signature)
        }
        Operation::AppToken => {
            params.reject_unknown(&[])?;
            (Action::AppToken, "", SigningJob::AppToken)
        }
    };
    let signing_request = SigningRequest {
        app: app.name().clone(),
        vendor: Vendor::TalkJs,
        action,
        client: client.to_owned(),
        conversation: None,
        members: Vec::new(),
        required_actions: vec![RequiredAction { action, conversation: None, targets: Vec::new() }],
        requested_grants: Vec::new(),
        left_out: Vec::new(),
    };
    Ok((signing_request, signing_job))
}

fn user<'a>(params: &'a Params, caller: Option<&'a Caller>) -> Result<&'a str, InvalidRequest> {
    let user = client_or_caller("user_id", params.text("user_id")?, caller)?;
    check_identifier_of("user_id", user, MAX_IDENTIFIER_CHARS)?;
    reject_star("user_id", user)?;
    Ok(user)
}

fn ttl(app: &App, params: &Params) -> Result<u64, InvalidRequest> {
    match params.seconds("ttl")? {
        // If a token expires in less than two minutes, the SDK treats it as expired and requests a new token at once.
        Some(ttl) if ttl < app.ttl.min_seconds.saturating_mul(1000) => {
            let minutes = app.ttl.min_seconds / 60;
            Err(InvalidRequest::new("ttl", format!("must be at least {minutes} minutes, or clients ask again at once")))
        }
        Some(ttl) => Ok((ttl / 1000).min(app.ttl.max_seconds)),
        None => Ok(app.ttl.default_seconds.min(app.ttl.max_seconds)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::vendor::Ttl;
    use crate::vendor::tests::{params, query, service, user};

    const TTL: Ttl = Ttl { min_seconds: 600, default_seconds: 3600, max_seconds: 86_400 };

    fn app(signatures: bool) -> App {
        App::new("talkjs".into(), "appid".to_owned(), &[], TTL, signatures)
    }

    fn parse_request(operation: Operation, params: &Params) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
        parse(&app(true), operation, params, Some(&user("tom")))
    }

    fn ttl(params: &Params) -> Result<u64, InvalidRequest> {
        match parse_request(Operation::Token, params)? {
            (_, SigningJob::Token { ttl_seconds }) => Ok(ttl_seconds),
            _ => unreachable!(),
        }
    }

    fn error(operation: Operation, values: Value) -> String {
        parse_request(operation, &params(values)).unwrap_err().to_string()
    }

    #[test]
    fn tokens_and_signatures_are_logins() {
        let (signing_request, signing_job) = parse_request(Operation::Signature, &params(json!({}))).unwrap();
        assert_eq!(
            (signing_request.action, signing_request.client.as_str(), signing_job),
            (Action::Login, "tom", SigningJob::Signature)
        );
        assert_eq!(
            signing_request.required_actions,
            [RequiredAction { action: Action::Login, conversation: None, targets: Vec::new() }]
        );
        let (signing_request, signing_job) =
            parse_request(Operation::Token, &params(json!({"user_id": "mary"}))).unwrap();
        assert_eq!((signing_request.client.as_str(), signing_job), ("mary", SigningJob::Token { ttl_seconds: 3600 }));
        let (signing_request, signing_job) = parse_request(Operation::AppToken, &params(json!({}))).unwrap();
        assert_eq!(
            (signing_request.action, signing_request.client.as_str(), signing_job),
            (Action::AppToken, "", SigningJob::AppToken)
        );
    }

    #[test]
    fn lifetimes_are_at_least_ten_minutes_and_cut_to_the_longest() {
        assert_eq!(ttl(&params(json!({"ttl": 600}))), Ok(600));
        assert_eq!(ttl(&params(json!({"ttl": "30m"}))), Ok(1800));
        assert_eq!(ttl(&params(json!({"ttl": "30d"}))), Ok(86_400));
        assert_eq!(ttl(&params(json!({"ttl": u64::MAX}))), Ok(86_400));
        assert_eq!(ttl(&query(json!({"ttl": "900", "rnd": "1"}))), Ok(900));
        for short in [json!(599), json!(0), json!("9m"), json!("500ms")] {
            assert!(error(Operation::Token, json!({"ttl": short})).starts_with("ttl must be at least 10 minutes"));
        }
        assert!(error(Operation::Token, json!({"ttl": "900"})).starts_with("ttl must be a whole number of seconds"));
    }

    #[test]
    fn each_operation_takes_its_own_fields() {
        assert!(error(Operation::Token, json!({"client_id": "tom"})).contains("nearest known field is `user_id`"));
        assert!(error(Operation::Signature, json!({"ttl": 600})).starts_with("ttl is not known here"));
        assert!(error(Operation::AppToken, json!({"user_id": "tom"})).contains("takes no fields"));
        for id in ["", "*", "a\nb", " a", &"x".repeat(256)] {
            assert!(error(Operation::Token, json!({"user_id": id})).starts_with("user_id must "), "{id:?}");
        }
        assert!(parse_request(Operation::Token, &params(json!({"user_id": "x".repeat(255)}))).is_ok());
        let nobody = parse(&app(true), Operation::Token, &params(json!({})), Some(&service("orders"))).unwrap_err();
        assert_eq!(nobody.to_string(), "user_id must be given: a service must name the client");
    }

    #[test]
    fn signatures_are_off_unless_asked_for() {
        let refused = parse(&app(false), Operation::Signature, &params(json!({})), Some(&user("tom"))).unwrap_err();
        assert!(refused.to_string().starts_with("signature is turned off for this app"));
    }

    #[test]
    fn a_signature_never_completes_a_token() {
        let forged = "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlblR5cGUiOiJhcHAiLCJpc3MiOiJhcHBpZCJ9";
        let error = error(Operation::Signature, json!({"user_id": forged}));
        assert!(error.starts_with("user_id must not look like a JSON Web Token"));
        assert!(parse_request(Operation::Token, &params(json!({"user_id": forged}))).is_ok());
    }
}
