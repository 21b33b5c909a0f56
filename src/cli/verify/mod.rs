//! `verify`: checks a signature or token that another program made. If it does not match, the command names the usual
//! mistakes that explain it.
//!
//! An operator has the secrets, so the command shows the signed text. It never shows a key or the correct signature.

mod ably;
mod finding;
mod keys;
mod leancloud;
mod search;
mod talkjs;
mod token;

use std::process::ExitCode;

use super::common::{CommandError, CommonArguments, exit_code};
use super::request_args::{RequestArguments, SigningTime};
use crate::clock;
use crate::config;
use crate::model::Millis;
use crate::vendor::ably::{Capability, SigningJob as AblyProduct, TokenParams};
use crate::vendor::talkjs::SigningJob as TalkJsProduct;
use crate::vendor::{App, Nonce, Operation, SigningJob, VendorRequest};
use finding::VerifyResult;
use keys::CandidateKeys;
use token::ExpectedToken;

/// `verify`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: RequestArguments,
    #[command(flatten)]
    moment: SigningTime,
    /// The value to check: a signature, the mac of a token request, or a token.
    #[arg(long, value_name = "SIGNATURE", allow_hyphen_values = true)]
    signature: String,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let settings = common.settings()?;
    let apps = &settings.engine.apps;
    let app = arguments.asked.app(apps)?;
    let operation = arguments.asked.operation(app)?;
    let request = arguments.asked.request(app, operation, None)?;
    let keys = CandidateKeys::new(app, config::read_app_keys(&common.config));
    let finding = find(arguments, apps, app, operation, request, &keys)?;
    common.print(|| finding.text(), || finding.json().to_string())?;
    Ok(exit_code(finding.matches()))
}

fn find(
    Arguments { asked, moment, signature }: &Arguments,
    apps: &[App],
    app: &App,
    operation: Operation,
    VendorRequest { signing_request, signing_job }: VendorRequest,
    keys: &CandidateKeys,
) -> Result<VerifyResult, CommandError> {
    let at = moment.time(app, operation);
    let now = at.unwrap_or_else(clock::now);
    match (app, &signing_job) {
        (App::LeanCloud(app), SigningJob::LeanCloud) => {
            let (at, nonce) = signing_time_and_nonce(at, moment)?;
            Ok(leancloud::find((app, apps), &signing_request, app.timestamp(at), &nonce, signature, keys))
        }
        (_, SigningJob::TalkJs(TalkJsProduct::Signature)) => Ok(talkjs::find(&signing_request.client, signature, keys)),
        (_, SigningJob::Ably(AblyProduct::TokenRequest { ttl_ms })) => {
            let (at, nonce) = signing_time_and_nonce(at, moment)?;
            let params = TokenParams {
                key_name: String::new(),
                ttl: Some(*ttl_ms),
                capability: Some(Capability::from_grants(&signing_request.requested_grants).to_string()),
                client_id: Some(signing_request.client),
                timestamp: at.0,
                nonce: nonce.as_str().to_owned(),
            };
            Ok(ably::find(&params, asked.capability.as_deref(), signature, keys))
        }
        _ => Ok(token::find(
            signature,
            &ExpectedToken { app, signing_request: &signing_request, signing_job: &signing_job, signed_at: at, now },
            keys,
        )),
    }
}

/// Returns the time and the nonce in the arguments.
///
/// # Errors
/// Returns an error if one of them is missing. Both are a part of the signed text.
fn signing_time_and_nonce(at: Option<Millis>, moment: &SigningTime) -> Result<(Millis, Nonce), CommandError> {
    match (at, moment.nonce()?) {
        (Some(at), Some(nonce)) => Ok((at, nonce)),
        _ => Err(CommandError::Usage(
            "--timestamp and --nonce must be given: they are a part of the signed text".to_owned(),
        )),
    }
}
