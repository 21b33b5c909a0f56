//! `[audit]`, `[log]` and `[traces]` of `signer.toml`: what the program records, and where.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml::de::DeValue;
use tracing::Level;

use super::endpoint;
use super::origin::AUDIT_PART;
use super::reader::{ConfigItem, Section, quoted};
use super::secret::{self, SecretResolver};
use crate::authn::Endpoint;
use crate::secret::Secret;

/// The least number of bytes of a chain key. A reader of the log can guess a shorter key, because each line shows
/// whether a guess is right.
const MIN_KEY_BYTES: usize = 16;

const NEW_KEY: &str = "make one of random bytes: openssl rand -hex 32";

/// The destination of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditOutput {
    /// Standard output.
    Stdout,
    /// The end of this file.
    File(PathBuf),
}

/// The hash chain over the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditChain {
    /// The keys, if the chain is keyed. The first key makes new links; all keys verify old ones.
    pub keys: Vec<Secret>,
}

/// Reads `[audit]`: the destination of the log, and its hash chain. The log must not be a file of the configuration:
/// this file, the policy, or a file that this file names.
pub(super) fn audit(
    root: &mut Section<'_>,
    vault: &mut SecretResolver,
    policy: Option<&str>,
) -> (AuditOutput, Option<AuditChain>) {
    let dir = vault.dir.clone();
    let mut read: Vec<PathBuf> = policy.into_iter().chain([root.file.name.as_str()]).map(PathBuf::from).collect();
    read.extend(root.entries().iter().flat_map(named_files).map(|name| dir.join(name)));
    let Some(mut section) = root.section("audit") else { return (AuditOutput::Stdout, None) };
    let _part = section.file.enter(AUDIT_PART);
    let to = section.get("to").and_then(|item| destination(&item, &dir, &read));
    let chain = audit_chain(&mut section, vault);
    section.report_unknown_keys();
    (to.unwrap_or(AuditOutput::Stdout), chain)
}

/// Returns all files that a value names, at any depth: files of secrets, keys and certificates, and the files of the
/// store.
fn named_files<'a>(item: &ConfigItem<'a>) -> Vec<&'a str> {
    const KEYS: [&str; 9] =
        ["file", "public_key", "ca", "cert", "key", "client_ca", "client_cert", "client_key", "path"];
    match item.value {
        DeValue::String(name) if KEYS.contains(&item.name) => vec![name],
        DeValue::Array(_) => item.elements("").iter().flatten().flat_map(named_files).collect(),
        DeValue::Table(_) => {
            item.section(String::new()).iter().flat_map(Section::entries).flat_map(|item| named_files(&item)).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns whether two paths lead to the same existing file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let file = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    file(one).is_some_and(|one| file(other) == Some(one))
}

fn destination(item: &ConfigItem<'_>, dir: &Path, read: &[PathBuf]) -> Option<AuditOutput> {
    match item.non_empty_text()? {
        "stdout" => Some(AuditOutput::Stdout),
        "stderr" => item.mistake("can't be \"stderr\", which is for the messages of the program", DESTINATION_HELP),
        name => log_file(item, name, dir, read).map(AuditOutput::File),
    }
}

const DESTINATION_HELP: &str = "write \"stdout\", or a file's path";

/// Checks the path of the log. `read` are the files of the configuration.
fn log_file(item: &ConfigItem<'_>, name: &str, dir: &Path, read: &[PathBuf]) -> Option<PathBuf> {
    let path = dir.join(name);
    let names = |flaw: &str| format!("names {}, {flaw}", quoted(name));
    if read.iter().any(|file| is_same_file(file, &path)) {
        let flaw = names("which the configuration is read from");
        return item.mistake(flaw, "name a separate file, or write \"stdout\"");
    }
    if path.is_dir() {
        return item.mistake(names("which is a directory"), DESTINATION_HELP);
    }
    if path.parent().is_some_and(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
        return item.mistake(names("whose directory does not exist"), "create that directory");
    }
    Some(path)
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

/// Reads `[log]`: the lowest level of the messages that are logged, if the file has it.
pub(super) fn log_level(root: &mut Section<'_>) -> Option<Level> {
    let mut section = root.section("log")?;
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    let level = section.get("level").and_then(|item| item.keyword(&levels));
    section.report_unknown_keys();
    level
}

/// Reads `[traces]`, if the file has it.
pub(super) fn traces(root: &mut Section<'_>, vault: &mut SecretResolver) -> Option<Endpoint> {
    let mut section = root.section("traces")?;
    let _part = section.file.enter("traces");
    if !cfg!(feature = "otlp") {
        let help = "build it with `--features otlp`, or leave the section out";
        section.file.mistake(&section.span, "this program was built without the export of traces", help);
    }
    let help = "write the address of the collector: url = \"http://127.0.0.1:4318/v1/traces\"";
    let url = section.require("url", help).and_then(|item| endpoint::url(&item));
    let authorities = endpoint::authorities(&mut section, vault);
    let bearer = endpoint::bearer(&mut section, vault);
    section.report_unknown_keys();
    Some(Endpoint { authorities, bearer, proxy: vault.proxy.clone(), ..Endpoint::new(url?) })
}
