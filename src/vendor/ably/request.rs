//! Reads what is asked of an Ably app, in our own words or in those of ably-js.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{App, Operation, Product, capability};
use crate::model::{Action, ActionSet, Ask, Caller, CallerKind, Grant, Need, Pattern, Vendor};
use crate::vendor::params::{MINUTE, client, identifier};
use crate::vendor::{Invalid, Params, Request};

/// What may be said: our own words first, then those that only ably-js sends. Of those `clientId` counts, and the others are ours to choose.
const KNOWN: [&str; 8] = ["client_id", "capability", "ttl", "clientId", "timestamp", "nonce", "rnd", "keyName"];

/// How many characters a client's name may have.
const LONGEST: usize = 255;

/// The longest life of a token, in milliseconds.
const LONGEST_TTL: u64 = 24 * 60 * MINUTE;

/// The longest life of a token that can be revoked, in milliseconds.
const LONGEST_REVOCABLE_TTL: u64 = 60 * MINUTE;

/// Reads a request.
pub(in crate::vendor) fn parse(
    app: &App,
    operation: Operation,
    params: &Params,
    caller: Option<&Caller>,
) -> Result<Request, Invalid> {
    params.only(&KNOWN)?;
    let client = named_client(params, caller)?;
    let ttl_ms = ttl(app, params)?;
    let wants = match params.value("capability") {
        Some(asked) => capability::read(asked)?,
        None => default_capability(app, client, caller)?,
    };
    let product = match operation {
        Operation::Token => Product::Token { ttl_ms, claims: passed_claims(app, client, caller) },
        Operation::TokenRequest => Product::TokenRequest { ttl_ms },
    };
    let ask = Ask {
        app: app.name().clone(),
        vendor: Vendor::Ably,
        action: Action::Login,
        client: client.to_owned(),
        conversation: None,
        members: Vec::new(),
        needs: vec![Need { action: Action::Login, conversation: None, targets: Vec::new() }],
        wants,
    };
    Ok(Request { ask, product: crate::vendor::Product::Ably(product) })
}

fn named_client<'a>(params: &'a Params, caller: Option<&'a Caller>) -> Result<&'a str, Invalid> {
    let (field, named) = match (params.text("client_id")?, params.text("clientId")?) {
        (Some(ours), Some(theirs)) if ours != theirs => {
            return Err(Invalid::new("clientId", "must be the same as client_id where both are given"));
        }
        (None, Some(theirs)) => ("clientId", Some(theirs)),
        (ours, _) => ("client_id", ours),
    };
    let client = client(field, named, caller)?;
    let by_user = caller.is_some_and(|caller| caller.kind == CallerKind::User);
    if client == "*" && by_user {
        return Err(Invalid::new(field, "must not be `*`: only a service may ask for any client"));
    }
    identifier(field, client, LONGEST)?;
    Ok(client)
}

fn ttl(app: &App, params: &Params) -> Result<u64, Invalid> {
    let longest = if app.revocable { LONGEST_REVOCABLE_TTL } else { LONGEST_TTL };
    let longest = longest.min(app.ttl.max_seconds.saturating_mul(1000));
    match params.duration("ttl", 1)? {
        Some(ttl) if ttl < 1000 => Err(Invalid::new("ttl", "must be at least 1000 milliseconds")),
        Some(ttl) => Ok(ttl.min(longest)),
        None => Ok(app.ttl.default_seconds.saturating_mul(1000).min(longest)),
    }
}

/// What the app asks for where a request names nothing: what of it can be filled in for this client and caller.
fn default_capability(app: &App, client: &str, caller: Option<&Caller>) -> Result<Vec<Grant>, Invalid> {
    let claim = |name: &str| caller?.claim(name)?.as_str();
    let mut channels: BTreeMap<String, (Pattern, ActionSet)> = BTreeMap::new();
    for (template, operations) in &app.capability {
        let filled = template.fill(client, claim).and_then(|filled| capability::resource(&filled.to_string()).ok());
        if let Some(resource) = filled {
            let (_, known) = channels.entry(resource.to_string()).or_insert((resource, ActionSet::EMPTY));
            *known = known.iter().chain(operations.iter()).collect();
        }
    }
    if channels.is_empty() {
        return Err(Invalid::new("capability", "must be given: this app has none for this client; ask for one"));
    }
    let grants = channels.into_values().map(|(resource, operations)| Grant { resource, operations });
    capability::within_bounds(grants.collect())
}

/// What of the caller's token goes into its own. A token counts for its caller alone, so for another client it says nothing.
fn passed_claims(app: &App, client: &str, caller: Option<&Caller>) -> Vec<(String, Value)> {
    let Some(caller) = caller.filter(|caller| caller.is(client)) else {
        return Vec::new();
    };
    let names = app.pass_claims.iter().filter(|name| may_pass(name));
    names.filter_map(|name| Some((name.clone(), caller.claims.get(name)?.clone()))).collect()
}

/// Whether a claim of this name may come from elsewhere: not Ably's own, nor those that say when and for whom the token is.
pub(super) fn may_pass(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let registered = ["iat", "exp", "nbf", "iss", "sub", "aud", "jti"];
    !name.starts_with("x-ably-") && !name.starts_with("ably.") && !registered.contains(&name.as_str())
}
