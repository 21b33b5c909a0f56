//! `hash-key`: creates an API key and its hash. The configuration holds only the hash.

use std::io::{self, Read};
use std::process::ExitCode;

use serde_json::json;

use super::common::{CommandError, CommonArguments};
use crate::crypto::{base64url, hex, sha256};
use crate::model::check_identifier;
use crate::random;

/// `hash-key`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The id of the key. It is the name of the caller in the policy and the audit log.
    #[arg(long, default_value = "NAME")]
    id: String,
    /// Read the key from standard input instead of creating a new one.
    #[arg(long)]
    stdin: bool,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    check_id(&arguments.id)?;
    let key = if arguments.stdin { read_key()? } else { random_key()? };
    let hash = hex(&sha256(key.as_bytes()));
    let line = format!("keys = [{{ id = {}, sha256 = \"{hash}\" }}]", json!(arguments.id));
    let text = || {
        let own = if arguments.stdin { String::new() } else { format!("key     {key}\n") };
        format!("{own}sha256  {hash}\n\nFor the authenticator in the configuration:\n{line}")
    };
    let json = || {
        let own = (!arguments.stdin).then_some(&key);
        json!({ "id": arguments.id, "key": own, "sha256": hash }).to_string()
    };
    common.print(text, json)?;
    Ok(ExitCode::SUCCESS)
}

fn check_id(id: &str) -> Result<(), CommandError> {
    check_identifier(id, 255).map_err(|flaw| CommandError::Usage(format!("--id {flaw}")))?;
    if id == "*" {
        return Err(CommandError::Usage("--id must not be `*`".to_owned()));
    }
    Ok(())
}

/// Creates a key of 256 random bits.
fn random_key() -> Result<String, CommandError> {
    let bytes: [u8; 32] = random::bytes().map_err(|error| CommandError::Failed(error.to_string()))?;
    Ok(format!("csk_{}", base64url(&bytes)))
}

/// The maximum length of a key on standard input, in bytes.
const MAX_KEY_BYTES: usize = 64 * 1024;

/// Reads the key from standard input, without the newline at its end.
fn read_key() -> Result<String, CommandError> {
    let mut text = String::new();
    let read = io::stdin().lock().take(MAX_KEY_BYTES as u64 + 1).read_to_string(&mut text);
    read.map_err(|error| CommandError::Failed(format!("cannot read the key: {error}")))?;
    if text.len() > MAX_KEY_BYTES {
        return Err(CommandError::Usage("the key on standard input is longer than 64 KiB".to_owned()));
    }
    let key = text.trim_end_matches(['\n', '\r']);
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CommandError::Usage(
            "the key on standard input must be one line of visible ASCII characters".to_owned(),
        ));
    }
    Ok(key.to_owned())
}
