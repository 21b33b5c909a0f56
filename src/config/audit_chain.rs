//! The hash chain of the `[audit]` section.

use std::io;
use std::path::Path;

use super::reader::Section;
use super::secret::{self, SecretResolver};
use crate::secret::Secret;

/// The least number of bytes of a chain key. A reader of the log can guess a shorter key, because each line shows
/// whether a guess is right.
const MIN_KEY_BYTES: usize = 16;

const NEW_KEY: &str = "make one of random bytes: openssl rand -hex 32";

/// The hash chain over the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditChain {
    /// The keys, if the chain is keyed. The first key makes new links; all keys verify old ones.
    pub keys: Vec<Secret>,
}

/// Reads the chain settings of `[audit]`. Returns `None` if there is no chain.
pub(super) fn audit_chain(section: &mut Section<'_>, vault: &mut SecretResolver) -> Option<AuditChain> {
    let is_on = section.get("chain").map_or(Some(false), |item| item.boolean());
    let Some(item) = section.get("chain_key") else { return is_on?.then(|| AuditChain { keys: Vec::new() }) };
    if is_on == Some(false) {
        let message = "`chain_key` has no effect, because there is no hash chain";
        item.file.mistake(&item.key, message, "write chain = true, or leave `chain_key` out");
    }
    let keys = vault.secrets(&item)?;
    if keys.iter().any(|key| key.expose().len() < MIN_KEY_BYTES) {
        let message = format!("the secret `{}` has fewer than {MIN_KEY_BYTES} bytes", item.name);
        item.file.mistake(&item.key, message, NEW_KEY);
    }
    Some(AuditChain { keys })
}

/// Reads a chain key from its file, in the same way as the configuration does.
///
/// # Errors
/// Returns an error if the file cannot be read or the key is too short.
pub fn read_chain_key(path: &Path) -> io::Result<Secret> {
    let key = secret::without_newline(std::fs::read(path)?);
    if key.len() < MIN_KEY_BYTES {
        return Err(io::Error::other(format!("the key of a chain must have at least {MIN_KEY_BYTES} bytes")));
    }
    Ok(Secret::new(key))
}
