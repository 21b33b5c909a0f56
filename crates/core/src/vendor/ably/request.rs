//! Reads requests for an Ably app, with our own parameter names or those of ably-js.

use std::collections::BTreeMap;

use serde_json::Value;

use super::message::may_forward;
use super::{App, Operation, SigningJob, capability};
use crate::model::{
    Action, ActionSet, Caller, CallerKind, Pattern, RequestedGrant, RequiredAction, SigningRequest, Vendor,
};
use crate::vendor::params::{MINUTE, check_identifier_of, client_or_caller};
use crate::vendor::{InvalidRequest, Params, VendorApp};

/// The accepted names: our own names first, then the names that only ably-js sends. Of the latter, only `clientId` is
/// used. The server itself chooses the values of the others.
const FIELDS: [&str; 8] = ["client_id", "capability", "ttl", "clientId", "timestamp", "nonce", "rnd", "keyName"];

/// The longest name of a client, in characters.
const MAX_CLIENT_CHARS: usize = 255;

/// The longest lifetime of a token, in milliseconds.
const MAX_TTL_MS: u64 = 24 * 60 * MINUTE;

/// The longest lifetime of a revocable token, in milliseconds.
const MAX_REVOCABLE_TTL_MS: u64 = 60 * MINUTE;

/// Reads a request.
pub(super) fn parse(
    app: &App,
    operation: Operation,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
    params.reject_unknown(&FIELDS)?;
    let params = &*params.without_empty();
    let client = parse_client(params, caller)?;
    let ttl_ms = ttl(app, params)?;
    let (wants, left_out) = match params.value("capability") {
        Some(asked) => {
            let parsed = capability::parse_grants(asked)?;
            // An operator signs exactly what is requested.
            if caller.is_some() { (parsed.grants, parsed.left_out) } else { (parsed.complete()?, Vec::new()) }
        }
        None => (default_capability(app, client, caller)?, Vec::new()),
    };
    let signing_job = match operation {
        Operation::Token => SigningJob::Token { ttl_ms, claims: forwarded_claims(app, client, caller) },
        Operation::TokenRequest => SigningJob::TokenRequest { ttl_ms },
    };
    let signing_request = SigningRequest {
        app: app.name().clone(),
        vendor: Vendor::Ably,
        action: Action::Login,
        client: client.to_owned(),
        conversation: None,
        members: Vec::new(),
        required_actions: vec![RequiredAction { action: Action::Login, conversation: None, targets: Vec::new() }],
        requested_grants: wants,
        left_out,
    };
    Ok((signing_request, signing_job))
}

fn parse_client<'a>(params: &'a Params, caller: Option<&'a Caller>) -> Result<&'a str, InvalidRequest> {
    let (field, named) = match (params.text("client_id")?, params.text("clientId")?) {
        (Some(ours), Some(theirs)) if ours != theirs => {
            return Err(InvalidRequest::new("clientId", "must be the same as client_id where both are given"));
        }
        (None, Some(theirs)) => ("clientId", Some(theirs)),
        (ours, _) => ("client_id", ours),
    };
    let client = client_or_caller(field, named, caller)?;
    let by_user = caller.is_some_and(|caller| caller.kind == CallerKind::User);
    if client == "*" && by_user {
        return Err(InvalidRequest::new(field, "must not be `*`: only a service may ask for any client"));
    }
    check_identifier_of(field, client, MAX_CLIENT_CHARS)?;
    Ok(client)
}

/// Returns the lifetime of the token in milliseconds, within the app's limits. Some SDKs send seconds instead of
/// milliseconds, and they would renew such short tokens endlessly.
fn ttl(app: &App, params: &Params) -> Result<u64, InvalidRequest> {
    let milliseconds = |seconds: u64| seconds.saturating_mul(1000);
    let longest = longest_ttl(app);
    let shortest = longest.min(milliseconds(app.ttl.min_seconds));
    let asked = params.milliseconds("ttl")?.unwrap_or(milliseconds(app.ttl.default_seconds));
    Ok(asked.clamp(shortest, longest))
}

/// Returns the longest lifetime of a token in milliseconds.
pub(super) fn longest_ttl(app: &App) -> u64 {
    let longest = if app.revocable { MAX_REVOCABLE_TTL_MS } else { MAX_TTL_MS };
    longest.min(app.ttl.max_seconds.saturating_mul(1000))
}

/// Returns the app's default capability, for a request that names none. Templates that cannot be filled in for this
/// client and caller are left out.
fn default_capability(app: &App, client: &str, caller: Option<&Caller>) -> Result<Vec<RequestedGrant>, InvalidRequest> {
    let claim = |name: &str| caller?.claim(name)?.as_str();
    let mut channels: BTreeMap<String, (Pattern, ActionSet)> = BTreeMap::new();
    for (template, operations) in &app.capability {
        let filled =
            template.fill(client, claim).and_then(|filled| capability::parse_channel(&filled.to_string()).ok());
        if let Some(resource) = filled {
            let (_, known) = channels.entry(resource.to_string()).or_insert((resource, ActionSet::EMPTY));
            *known = known.iter().chain(operations.iter()).collect();
        }
    }
    if channels.is_empty() {
        return Err(InvalidRequest::new("capability", "must be given: this app has none for this client; ask for one"));
    }
    let grants = channels.into_values().map(|(resource, operations)| RequestedGrant { resource, operations });
    capability::check_size(grants.collect())
}

/// Returns the claims to copy from the caller's token. A token describes only its caller, so nothing is copied for
/// another client.
fn forwarded_claims(app: &App, client: &str, caller: Option<&Caller>) -> Vec<(String, Value)> {
    let Some(caller) = caller.filter(|caller| caller.is_client(client)) else {
        return Vec::new();
    };
    let names = app.forward_claims.iter().filter(|name| may_forward(name));
    names.filter_map(|name| Some((name.clone(), caller.claims.get(name)?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::super::{Capability, UserClaims};
    use super::*;
    use crate::model::Template;
    use crate::vendor::Ttl;
    use crate::vendor::tests::{params, query, service, user};

    fn app(revocable: bool) -> App {
        let ttl = Ttl { min_seconds: 60, default_seconds: 7200, max_seconds: 14_400 };
        let capability = [
            ("user:{client}", &[Action::Subscribe][..]),
            ("{claim:tenant}:*", &[Action::Publish]),
            ("{claim:/org/name}:tom", &[Action::History]),
            ("user:tom", &[Action::Publish]),
        ]
        .map(|(text, operations)| (Template::parse(text).unwrap(), ActionSet::of(operations)));
        let pass = ["name", "age", "exp", "x-ably-clientId", "X-Ably-Capability", "ably.channel.*", "name"];
        let pass = pass.map(str::to_owned).to_vec();
        App::new("ably".into(), Vec::new(), ttl, revocable, capability.to_vec(), UserClaims::default(), pass)
    }

    fn parse_token_request(
        params: &Params,
        caller: Option<&Caller>,
    ) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
        parse(&app(false), Operation::Token, params, caller)
    }

    fn error(values: Value) -> String {
        parse_token_request(&params(values), Some(&user("tom"))).unwrap_err().to_string()
    }

    fn capability(params: &Params, caller: Option<&Caller>) -> Result<String, InvalidRequest> {
        parse_token_request(params, caller)
            .map(|(signing_request, _)| Capability::from_grants(&signing_request.requested_grants).to_string())
    }

    #[test]
    fn a_token_is_a_login_and_wants_its_capability() {
        let (signing_request, _) = parse_token_request(
            &params(json!({"capability": {"b": ["publish"], "a": ["history"]}})),
            Some(&user("tom")),
        )
        .unwrap();
        assert_eq!(
            (signing_request.action, signing_request.client.as_str(), signing_request.conversation),
            (Action::Login, "tom", None)
        );
        assert_eq!(
            signing_request.required_actions,
            [RequiredAction { action: Action::Login, conversation: None, targets: Vec::new() }]
        );
        assert_eq!(
            Capability::from_grants(&signing_request.requested_grants).as_str(),
            r#"{"a":["history"],"b":["publish"]}"#
        );
    }

    #[test]
    fn ably_js_is_understood() {
        let sent = json!({
            "clientId": "tom", "capability": "{\"a\":[\"publish\"]}", "ttl": "3600000",
            "timestamp": "1700000000000", "rnd": "123", "nonce": "x", "keyName": "other.key", "own": "1",
        });
        let (signing_request, signing_job) = parse_token_request(&query(sent), Some(&user("tom"))).unwrap();
        assert_eq!(signing_request.client, "tom");
        assert_eq!(signing_job, SigningJob::Token { ttl_ms: 3_600_000, claims: Vec::new() });
        let strict = json!({"clientId": "tom", "timestamp": 1, "rnd": 2, "nonce": "x", "keyName": "k", "capability": "{\"a\":[\"*\"]}"});
        assert!(parse_token_request(&params(strict), Some(&user("tom"))).is_ok());
        assert!(error(json!({"clientID": "tom"})).contains("nearest known field is `clientId`"));
        assert!(error(json!({"clientId": "tom", "client_id": "mary"})).starts_with("clientId must be the same"));
    }

    #[test]
    fn an_empty_parameter_is_an_absent_one() {
        let tom = user("tom");
        for empty in [json!(""), json!(null), json!("null"), json!("undefined")] {
            let sent =
                json!({"clientId": empty, "client_id": empty, "capability": empty, "ttl": empty, "nonce": empty});
            for params in [query(sent.clone()), params(sent)] {
                let (signing_request, signing_job) = parse_token_request(&params, Some(&tom)).unwrap();
                assert_eq!(signing_job, SigningJob::Token { ttl_ms: 7_200_000, claims: Vec::new() });
                assert_eq!(signing_request.client, "tom");
                assert_eq!(
                    Capability::from_grants(&signing_request.requested_grants).as_str(),
                    r#"{"user:tom":["publish","subscribe"]}"#
                );
            }
        }
        let one = query(json!({"clientId": "", "client_id": "mary", "capability": r#"{"a":["publish"]}"#}));
        assert_eq!(parse_token_request(&one, Some(&service("orders"))).unwrap().0.client, "mary");
        for empty in ["", "null", "undefined"] {
            let nobody = parse_token_request(&query(json!({"clientId": empty})), Some(&service("orders")));
            assert_eq!(nobody.unwrap_err().to_string(), "client_id must be given: a service must name the client");
        }
        assert!(error(json!({"capability": {}})).starts_with("capability must name at least one channel"));
        assert!(error(json!({"clientID": ""})).contains("is not known here"));
    }

    #[test]
    fn only_a_service_or_an_operator_asks_for_any_client() {
        let any = params(json!({"client_id": "*", "capability": {"a": ["publish"]}}));
        assert_eq!(parse_token_request(&any, Some(&service("orders"))).unwrap().0.client, "*");
        assert_eq!(parse_token_request(&any, None).unwrap().0.client, "*");
        let error = parse_token_request(&any, Some(&user("tom"))).unwrap_err().to_string();
        assert_eq!(error, "client_id must not be `*`: only a service may ask for any client");
        let nobody = parse_token_request(&params(json!({})), Some(&service("orders"))).unwrap_err().to_string();
        assert_eq!(nobody, "client_id must be given: a service must name the client");
    }

    #[test]
    fn lifetimes_are_clamped() {
        let ttl = |revocable, params| match parse(&app(revocable), Operation::TokenRequest, &params, Some(&user("tom")))
        {
            Ok((_, SigningJob::TokenRequest { ttl_ms })) => Ok(ttl_ms),
            Ok(_) => unreachable!(),
            Err(invalid) => Err(invalid.to_string()),
        };
        assert_eq!(ttl(false, params(json!({}))), Ok(7_200_000));
        assert_eq!(ttl(true, params(json!({}))), Ok(3_600_000));
        assert_eq!(ttl(false, params(json!({"ttl": u64::MAX}))), Ok(14_400_000));
        assert_eq!(ttl(true, params(json!({"ttl": "2h"}))), Ok(3_600_000));
        for short in [json!(0), json!(999), json!(1.5), json!(3600), json!(59_999.9), json!(60_000), json!("30s")] {
            assert_eq!(ttl(false, params(json!({"ttl": short}))), Ok(60_000), "{short}");
        }
        for short in ["0", "3600", "3600.000000", "60s"] {
            assert_eq!(ttl(false, query(json!({"ttl": short}))), Ok(60_000), "{short}");
        }
        assert_eq!(ttl(false, query(json!({"ttl": "3600000.000000"}))), Ok(3_600_000));
        for bad in [json!(-1), json!("1000"), json!("soon"), json!(true)] {
            assert!(ttl(false, params(json!({"ttl": bad}))).unwrap_err().starts_with("ttl must be"));
        }
    }

    #[test]
    fn where_none_is_asked_for_the_default_is_filled_in() {
        let mut tom = user("tom");
        assert_eq!(capability(&params(json!({})), Some(&tom)).unwrap(), r#"{"user:tom":["publish","subscribe"]}"#);
        tom.claims.insert("tenant".to_owned(), json!("acme"));
        tom.claims.insert("org".to_owned(), json!({"name": "acme"}));
        let filled = r#"{"acme:*":["publish"],"acme:tom":["history"],"user:tom":["publish","subscribe"]}"#;
        assert_eq!(capability(&params(json!({})), Some(&tom)).unwrap(), filled);
        assert_eq!(
            capability(&params(json!({"client_id": "a:b"})), None).unwrap(),
            r#"{"user:tom":["publish"]}"#,
            "a client that is no segment fills nothing in"
        );
    }

    #[test]
    fn without_a_default_one_must_be_asked_for() {
        let ttl = Ttl { min_seconds: 60, default_seconds: 60, max_seconds: 60 };
        let own = vec![(Template::parse("user:{client}").unwrap(), ActionSet::of(&[Action::Subscribe]))];
        for (capability, client) in [(Vec::new(), "tom"), (own.clone(), "a:b"), (own, &"x".repeat(255))] {
            let app = App::new("ably".into(), Vec::new(), ttl, false, capability, UserClaims::default(), Vec::new());
            let error = parse(&app, Operation::Token, &params(json!({})), Some(&user(client))).unwrap_err();
            assert!(error.to_string().starts_with("capability must be given"), "{error}");
        }
    }

    #[test]
    fn only_the_callers_own_token_takes_its_claims_over() {
        let mut tom = user("tom");
        let exp = json!(99_999_999_999_u64);
        let claims = [("name", json!("Tom")), ("age", json!(7)), ("exp", exp), ("x-ably-clientId", json!("mary"))];
        tom.claims.extend(claims.map(|(name, value)| (name.to_owned(), value)));
        tom.claims.insert("ably.channel.*".to_owned(), json!("owner"));
        tom.claims.insert("X-Ably-Capability".to_owned(), json!("{\"*\":[\"*\"]}"));
        let passed = |values| match parse_token_request(&params(values), Some(&tom)).unwrap().1 {
            SigningJob::Token { claims, .. } => claims,
            SigningJob::TokenRequest { .. } => unreachable!(),
        };
        assert_eq!(passed(json!({})), [("name".to_owned(), json!("Tom")), ("age".to_owned(), json!(7))]);
        assert_eq!(passed(json!({"client_id": "mary"})), []);
    }
}
