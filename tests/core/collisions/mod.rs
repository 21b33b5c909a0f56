//! No two requests of different meaning sign the same text, and no key signs one text for two purposes.
//!
//! A signature is worth what it is valid for, not what it was asked for. So whatever else the text that was signed could stand for must
//! have been allowed with it, or must not exist.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ably;
mod compat;
mod jwt;
mod leancloud;
mod readings;
mod search;
mod talkjs;
mod ties;

use chat_signer::policy::{Permit, for_operator};
use chat_signer::vendor::{App, InvalidRequest, Params, SigningJob, operation, parse};
use serde_json::Value;

/// What an operator may have signed for these parameters: all that is accepted.
fn accept(app: &App, name: &str, values: Value) -> Result<(Permit, SigningJob), InvalidRequest> {
    let Value::Object(values) = values else { unreachable!("parameters are an object") };
    let operation = operation(app, name).expect("the app's vendor has this operation");
    let request = parse(app, operation, &Params { values, lenient: false }, None)?;
    Ok((for_operator(request.signing_request), request.signing_job))
}
