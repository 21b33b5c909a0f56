//! `verify`: checks a signature or token that another program made. If it does not match, the command names the usual
//! mistake that explains it.
//!
//! The folder of each vendor lists the mistakes. The command only tries them. An operator has the secrets, so the
//! command shows the signed text. It never shows a key or the correct signature.

mod finding;
mod search;

use std::process::ExitCode;

use super::common::{CommandError, CommonArguments, exit_code};
use super::request_args::{RequestArguments, SigningTime};
use crate::clock;
use crate::config;
use crate::crypto::base64url_decode;
use crate::crypto::mac::MacAlgorithm;
use crate::secret::Secret;
use crate::vendor::{App, ForeignRequest, ForeignToken, MacEncoding, SignatureFormat, SigningJob};
use finding::VerifyResult;
use search::{CandidateKeys, SignatureStyle, search};

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
    let Arguments { asked, moment, signature } = arguments;
    let settings = common.settings()?;
    let apps = &settings.engine.apps;
    let app = asked.app(apps)?;
    let operation = asked.operation(app)?;
    let request = asked.request(app, operation, None)?;
    let (at, nonce) = (moment.time(app, operation), moment.nonce()?);
    let others = apps.iter().filter(|other| other.vendor() == app.vendor());
    let other_apps: Vec<_> = others.filter_map(|other| Some((&**other.name(), other.signed_app_id()?))).collect();
    let foreign = ForeignRequest {
        request: &request.signing_request,
        capability: asked.capability.as_deref(),
        at,
        nonce: nonce.as_ref(),
        now: at.unwrap_or_else(clock::now),
        other_apps: &other_apps,
    };
    let checked = Checked { app, job: &request.signing_job, foreign, signature };
    let keys = CandidateKeys::new(app, config::read_app_keys(&common.config));
    let finding = match app.signature_format(&request.signing_job) {
        Some(format) => checked.find_mac(format, &keys)?,
        None => checked.find_token(&keys),
    };
    common.print(|| finding.text(), || finding.json().to_string())?;
    Ok(exit_code(finding.matches()))
}

/// The signature of a token with HS256.
const TOKEN_STYLE: SignatureStyle =
    SignatureStyle { algorithm: MacAlgorithm::HmacSha256, encoding: MacEncoding::OtherBase64, tried: "" };

/// What is checked.
struct Checked<'a> {
    app: &'a App,
    job: &'a SigningJob,
    foreign: ForeignRequest<'a>,
    signature: &'a str,
}

impl Checked<'_> {
    /// Finds out how a MAC was made.
    fn find_mac(&self, format: SignatureFormat, keys: &CandidateKeys) -> Result<VerifyResult, CommandError> {
        if format.has_time && (self.foreign.at.is_none() || self.foreign.nonce.is_none()) {
            let message = "--timestamp and --nonce must be given: they are a part of the signed text";
            return Err(CommandError::Usage(message.to_owned()));
        }
        let style = SignatureStyle {
            algorithm: self.app.vendor().spec().algorithm,
            encoding: format.encoding,
            tried: format.tried,
        };
        let messages = |key: &_| self.app.message_variants(self.job, &self.foreign, key);
        let right = keys.own.first().and_then(|key| messages(key).into_iter().next());
        let found = search(self.signature, style, &messages, self.app, keys);
        Ok(VerifyResult::new(self.signature, style, right.map(|message| message.text).unwrap_or_default(), found))
    }

    /// Compares a token with the expected token. If the time of the signature was given, the expiry must match it
    /// exactly.
    fn find_token(&self, keys: &CandidateKeys) -> VerifyResult {
        let mut finding = VerifyResult::default();
        let text = self.signature.trim();
        if text != self.signature {
            let padded = "there is white space around it, and clients keep it as a part of the token";
            finding.differences.push(padded.to_owned());
        }
        let token = match self.app.read_token(text) {
            Ok(token) => token,
            Err(other) => {
                finding.differences.push(format!("it is not {other}"));
                return finding;
            }
        };
        finding.key = self.find_signing_key(&token, keys, &mut finding.differences);
        let algorithm = self.app.token_algorithm();
        finding.differences.extend(algorithm.and_then(|algorithm| token.header.difference("alg", algorithm)));
        let none = Secret::new(Vec::new());
        let key = keys.own.get(finding.key.unwrap_or_default()).unwrap_or(&none);
        finding.differences.extend(self.app.token_differences(self.job, &self.foreign, &token, key));
        finding
    }

    /// Returns the index of the app's key that signed the token. Adds mistakes to `differences`.
    fn find_signing_key(
        &self,
        token: &ForeignToken<'_>,
        keys: &CandidateKeys,
        differences: &mut Vec<String>,
    ) -> Option<usize> {
        if let Some(algorithm) = self.app.token_algorithm().filter(|algorithm| *algorithm != "HS256") {
            let signature = base64url_decode(&token.signature).unwrap_or_default();
            let key = self.app.verify(&token.message, &signature);
            let unknown = || format!("no key of this app made its signature with {algorithm}");
            differences.extend(key.is_none().then(unknown));
            return key;
        }
        let messages = |_: &_| vec![search::unchanged(&token.message)];
        let Some(found) = search(&token.signature, TOKEN_STYLE, &messages, self.app, keys) else {
            differences.push("no key of this configuration made its signature with HMAC-SHA256".to_owned());
            return None;
        };
        differences.extend(found.changes);
        found.key
    }
}
