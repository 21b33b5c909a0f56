//! `token`: a caller's token, for the demonstration only: its secret is public, so anyone could make one.

use std::process::ExitCode;
use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};

use super::{Common, Stop};
use crate::config::{self, DemoCaller};
use crate::{clock, model};

/// `token`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Who the caller is.
    #[arg(long, value_name = "USER")]
    sub: String,
    /// The caller's roles everywhere.
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    roles: Vec<String>,
    /// How long the token lives.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    ttl: Duration,
}

const NO_DEMONSTRATION: &str = "this configuration is not the demonstration, so there is no secret here that callers' tokens are \
signed with: get a token from the issuer that the [[authenticators]] name";

pub(super) fn run(common: &Common, arguments: &Arguments) -> Result<ExitCode, Stop> {
    let settings = common.settings()?;
    let demo = settings.demo_caller.ok_or_else(|| Stop::No(NO_DEMONSTRATION.to_owned()))?;
    model::check_identifier(&arguments.sub, 255).map_err(|flaw| Stop::Usage(format!("--sub {flaw}")))?;
    let issued_at = clock::now().seconds();
    let expires_at = issued_at.saturating_add(arguments.ttl.as_secs());
    let claims = claims(&demo, arguments, issued_at, expires_at)?;
    let key = EncodingKey::from_secret(demo.secret.expose());
    let token = encode(&Header::new(demo.algorithm), &claims, &key);
    let token = token.map_err(|error| Stop::No(format!("the token can't be signed: {error}")))?;
    common.print(|| token.clone(), || json!({ "token": token, "expires_at": expires_at }).to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn claims(
    demo: &DemoCaller,
    arguments: &Arguments,
    issued_at: u64,
    expires_at: u64,
) -> Result<Map<String, Value>, Stop> {
    let mut claims = Map::new();
    claims.insert("iss".to_owned(), json!(demo.issuer));
    claims.insert("aud".to_owned(), json!(demo.audience));
    put(&mut claims, &demo.subject, json!(arguments.sub));
    if !arguments.roles.is_empty() {
        let Some(name) = &demo.roles else {
            return Err(Stop::No(
                "--roles has no effect: the authenticator has no `roles` to read them from".to_owned(),
            ));
        };
        put(&mut claims, name, json!(arguments.roles));
    }
    claims.insert("iat".to_owned(), json!(issued_at));
    claims.insert("exp".to_owned(), json!(expires_at));
    Ok(claims)
}

/// Puts a claim where a literal name or a JSON pointer says.
fn put(claims: &mut Map<String, Value>, name: &str, value: Value) {
    let Some(pointer) = name.strip_prefix('/') else {
        claims.insert(name.to_owned(), value);
        return;
    };
    let segment = |text: &str| text.replace("~1", "/").replace("~0", "~");
    match pointer.split_once('/') {
        None => _ = claims.insert(segment(pointer), value),
        Some((first, _)) => {
            let inner = claims.entry(segment(first)).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                put(inner, &pointer[first.len()..], value);
            }
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text)
        .filter(|ttl| !ttl.is_zero())
        .ok_or_else(|| "must be a whole number and s, m, h or d: 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::claim;

    #[test]
    fn claims_are_put_where_they_are_read() {
        for name in ["sub", "/sub", "/user/id", "/a~1b/c~0d/0", "https://claims.example/sub"] {
            let mut claims = Map::new();
            put(&mut claims, name, json!("tom"));
            assert_eq!(claim(&claims, name), Some(&json!("tom")), "{name}");
        }
    }
}
