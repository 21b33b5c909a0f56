//! `sign`: signs as an operator, without a server and without a check of the policy. An operator has the secrets
//! anyway.

use std::process::ExitCode;

use super::audit_trail::{AuditTrail, OPERATOR, operator_name};
use super::common::{CommandError, CommonArguments};
use super::request_args::{RequestArguments, SigningTime, describe_invalid};
use crate::config::Settings;
use crate::model::Millis;
use crate::policy::{Permit, for_operator};
use crate::telemetry::{AuditCaller, AuditEvent, AuditScope, OperatorSignature};
use crate::vendor::{self, App, Nonce, SignedResult};
use crate::{clock, random};

/// `sign`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: RequestArguments,
    #[command(flatten)]
    moment: SigningTime,
}

pub(super) fn run(common: &CommonArguments, Arguments { asked, moment }: &Arguments) -> Result<ExitCode, CommandError> {
    let settings = common.settings()?;
    let app = asked.app(&settings.engine.apps)?;
    let operation = asked.operation(app)?;
    let request = asked.request(app, operation, None)?;
    let at = moment.time(app, operation).unwrap_or_else(clock::now);
    let nonce = moment.nonce()?.map_or_else(random_nonce, Ok)?;
    let permit = for_operator(request.signing_request);
    let signed = vendor::sign(app, &permit, &request.signing_job, at, &nonce);
    let signed = signed.map_err(|invalid| CommandError::Usage(describe_invalid(&invalid)))?;
    let signed_at = moment.timestamp.map(|_| at);
    write_audit_line(&settings, app, &permit, &signed, signed_at)?;
    common.print_unredacted(|| text(&signed), || signed.to_json())?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the line of the audit log. This happens before the signature is printed.
fn write_audit_line(
    settings: &Settings,
    app: &App,
    permit: &Permit,
    signed: &SignedResult,
    signed_at: Option<Millis>,
) -> Result<(), CommandError> {
    let (mut trail, operator) = (AuditTrail::open(settings)?, operator_name());
    let signing_request = permit.request();
    let line = OperatorSignature {
        time: clock::now(),
        event: OperatorSignature::EVENT,
        caller: AuditCaller { kind: OPERATOR, subject: &operator },
        app: app.name(),
        vendor: app.vendor().as_str(),
        action: signing_request.action.as_str(),
        client: Some(&*signing_request.client).filter(|client| !client.is_empty()),
        conversation: signing_request.conversation.as_ref().map(AuditScope),
        targets: &signing_request.members,
        granted: permit.granted(),
        nonce: signed.nonce(),
        signed_at,
    };
    trail.write_event(AuditEvent::Signature(&line)).map_err(|error| {
        CommandError::Failed(format!("cannot write the audit log, so the signature is not printed: {error}"))
    })
}

fn random_nonce() -> Result<Nonce, CommandError> {
    random::bytes().map(Nonce::from_entropy).map_err(|error| CommandError::Failed(error.to_string()))
}

/// Formats the result as text. A token is printed alone, ready for a header. A token request is printed as JSON.
fn text(signed: &SignedResult) -> String {
    match signed {
        SignedResult::Signature { signature, timestamp, nonce, .. } => {
            format!("signature  {signature}\ntimestamp  {timestamp}\nnonce      {nonce}")
        }
        SignedResult::UserSignature { user_id, signature } => format!("user_id    {user_id}\nsignature  {signature}"),
        SignedResult::Token { token, .. }
        | SignedResult::UserToken { token, .. }
        | SignedResult::ParticipantToken { token, .. }
        | SignedResult::UserSig { user_sig: token, .. } => token.clone(),
        SignedResult::ChannelAuth { .. } | SignedResult::UserAuth { .. } => signed.to_json(),
        SignedResult::TokenRequest(request) => request.to_json(),
    }
}
