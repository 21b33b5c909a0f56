//! `token`: creates a caller's token, for the demonstration only. The secret of the demonstration is public.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::common::{CommandError, CommonArguments};
use crate::config::{self, DemoTokenError};
use crate::{clock, model};

/// `token`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The name of the caller.
    #[arg(long, value_name = "USER")]
    sub: String,
    /// The roles of the caller in all conversations.
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    roles: Vec<String>,
    /// The lifetime of the token.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    ttl: Duration,
}

const NO_DEMONSTRATION: &str = "this configuration is not the demonstration, so it has no secret that signs the tokens \
of callers: get a token from the issuer that [[authenticators]] names";

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let settings = common.settings()?;
    let demo = settings.demo_caller.ok_or_else(|| CommandError::Failed(NO_DEMONSTRATION.to_owned()))?;
    model::check_identifier(&arguments.sub, 255).map_err(|flaw| CommandError::Usage(format!("--sub {flaw}")))?;
    let issued_at = clock::now().seconds();
    let expires_at = issued_at.saturating_add(arguments.ttl.as_secs());
    let token = demo.token(&arguments.sub, &arguments.roles, issued_at, expires_at).map_err(|error| match error {
        DemoTokenError::NoRoles => CommandError::Failed(format!("--roles has no effect: {error}")),
        DemoTokenError::Unsigned(_) => CommandError::Failed(error.to_string()),
    })?;
    common.print_unredacted(|| token.clone(), || json!({ "token": token, "expires_at": expires_at }).to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    config::duration(text)
        .filter(|ttl| !ttl.is_zero())
        .ok_or_else(|| "must be a whole number and one of s, m, h, d, for example 1h".to_owned())
}
