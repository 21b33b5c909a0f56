//! The hash chain of `[audit]`.

use std::io;
use std::path::Path;

use super::reader::Section;
use super::secret::{self, SecretResolver};
use crate::secret::Secret;

/// A shorter key could be found out by trying: whoever reads the log can try it on a line.
const SHORTEST_KEY: usize = 16;

const NEW_KEY: &str = "make one of random bytes: openssl rand -hex 32";

/// The hash chain over the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditChain {
    /// The keys, if the chain is keyed. The first makes it, all verify.
    pub keys: Vec<Secret>,
}

/// Reads what `[audit]` says of the chain. `None` if there is none.
pub(super) fn audit_chain(section: &mut Section<'_>, vault: &mut SecretResolver) -> Option<AuditChain> {
    let is_on = section.get("chain").map_or(Some(false), |item| item.boolean());
    let Some(item) = section.get("chain_key") else { return is_on?.then(|| AuditChain { keys: Vec::new() }) };
    if is_on == Some(false) {
        let message = "`chain_key` is for a chain, and there is none";
        item.file.mistake(&item.key, message, "write chain = true, or leave the key out");
    }
    let keys = vault.secrets(&item)?;
    if keys.iter().any(|key| key.expose().len() < SHORTEST_KEY) {
        let message = format!("the secret `{}` has fewer than {SHORTEST_KEY} bytes", item.name);
        item.file.mistake(&item.key, message, NEW_KEY);
    }
    Some(AuditChain { keys })
}

/// Reads a key from its file, as a configuration would.
///
/// # Errors
/// If it can't be read, or is too short to be one.
pub fn chain_key(path: &Path) -> io::Result<Secret> {
    let key = secret::without_newline(std::fs::read(path)?);
    if key.len() < SHORTEST_KEY {
        return Err(io::Error::other(format!("a chain's key has at least {SHORTEST_KEY} bytes")));
    }
    Ok(Secret::new(key))
}
