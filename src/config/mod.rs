//! Reads the configuration files, `signer.toml` and the policy file that it names, into [`Settings`].
//!
//! The report has all mistakes in both files, each with its place and the correction. The types that read the files and
//! the types of the settings are separate: a [`reader::Section`] returns values with their places and notes mistakes.
//! Only a configuration without a mistake becomes settings.

mod api_key;
mod apps;
mod audit_chain;
mod authenticators;
mod cases;
mod demo;
mod demo_token;
mod endpoint;
mod enforcement;
mod entries;
mod facts;
mod file;
mod forwarded;
mod headers;
mod hosts;
mod import_file;
mod introspection;
mod jwt;
mod key_set;
mod keys;
mod limits;
mod mtls;
mod placeholder;
mod policy;
mod reader;
mod redis_url;
mod report;
mod rules;
mod secret;
mod signer;
mod signing;
mod source_files;
mod store;
mod text;
mod tls;
mod traces;
mod unix_peer;
mod value;
mod webhooks;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

pub use audit_chain::{AuditChain, read_chain_key};
pub use cases::{CaseCaller, PolicyCase, read_cases};
pub use demo::{DemoCaller, demo_api_key};
pub use demo_token::DemoTokenError;
pub use enforcement::Enforcement;
pub use import_file::{IMPORT_SUBJECT, ImportFile, read_import_file};
pub use keys::read_app_keys;
pub use limits::LimitsConfig;
pub use placeholder::CHANGE_ME;
pub use redis_url::{RedisAddress, RedisServer};
pub use report::{ConfigProblem, Report, Severity};
pub use signer::{AdminConfig, AuditOutput, CorsConfig, ListenAddress, ServerConfig, ShutdownConfig};
pub use source_files::SourceFiles;
pub use store::{Durability, RedisSettings, StoreKind, StoreSettings};
pub use tls::{ClientIdentity, TlsConfig};
pub use value::duration;
pub use webhooks::Webhook;

use crate::authn::{Authenticators, Endpoint};
use crate::engine::Engine;
use crate::policy::{LintApp, LintLocation, Policy, PolicyDocument};
use crate::redaction::KnownSecrets;
use crate::{clock, crypto};
use authenticators::ConfiguredAuthenticators;
use file::{ByteRange, ConfigFile};
use policy::{EntryLocations, PolicyNames};
use reader::{Section, describe_read_error};
use secret::SecretResolver;
use source_files::FileReader;

/// The result of reading the configuration.
#[derive(Debug)]
pub struct LoadResult {
    /// The settings. `None` if the report has a mistake.
    pub settings: Option<Settings>,
    /// The mistakes and warnings.
    pub report: Report,
    /// The files that were read, also those that could not be read.
    pub sources: SourceFiles,
}

/// The checked settings, with the values of the secrets.
#[derive(Debug)]
pub struct Settings {
    /// The engine, which decides and signs.
    pub engine: Engine,
    /// The listener for callers.
    pub server: ServerConfig,
    /// The listener for probes.
    pub admin: AdminConfig,
    /// Limits against overload and abuse.
    pub limits: LimitsConfig,
    /// The destination of the audit log.
    pub audit: AuditOutput,
    /// The hash chain over the audit log, if it is on.
    pub audit_chain: Option<AuditChain>,
    /// The collector of the traces, if the file has one.
    pub traces: Option<Endpoint>,
    /// The apps whose bans and mutes the program carries out at their vendor.
    pub enforcements: Vec<Arc<Enforcement>>,
    /// The receivers of moderation events.
    pub webhooks: Vec<Arc<Webhook>>,
    /// The store of the moderation entries, if the file has one.
    pub store: Option<StoreSettings>,
    /// The times of the shutdown.
    pub shutdown: ShutdownConfig,
    /// Whether the configuration trusts the public caller secret or API key of the demonstration.
    pub demonstration: bool,
    /// The data to make caller tokens for the demonstration, if the configuration trusts its secret.
    pub demo_caller: Option<DemoCaller>,
    /// All secrets except those of the demonstration. They are removed from all output.
    pub known_secrets: Arc<KnownSecrets>,
}

/// Reads the configuration: this `signer.toml`, all files that it names, and the environment variables.
pub fn load(path: &Path) -> LoadResult {
    read(path, &FileReader::default())
}

/// Reads the configuration of a running program again. If it includes a pipe or device, that is a mistake, because
/// these can be read only once.
pub fn reload(path: &Path) -> LoadResult {
    read(path, &FileReader::for_reload())
}

/// Reads the address of the probes in this `signer.toml`, and whether they use TLS. Everything else is ignored, and no
/// other file is read: a running program must not look unhealthy because its files have changed since it started.
///
/// # Errors
/// Returns the report if the address cannot be read.
pub fn read_probe_address(path: &Path) -> Result<(SocketAddr, bool), Report> {
    let text = read_main_file(path, &FileReader::for_reload())?;
    let file = ConfigFile::new(path.display().to_string(), &text, true);
    let probes = signer::probes(&mut Section::root(&file, parse_tables(&file, &text).get_ref()));
    probes.ok_or_else(|| Report::new(file.into_problems()))
}

/// Reads the settings of the audit hash chain in this `signer.toml`. Everything else is ignored, and no other file is
/// read except the keys of the chain: the verification of a log needs no other secret.
///
/// # Errors
/// Returns the report if these settings have a mistake.
pub fn read_audit_chain(path: &Path) -> Result<Option<AuditChain>, Report> {
    let disk = FileReader::default();
    let text = read_main_file(path, &disk)?;
    let file = ConfigFile::new(path.display().to_string(), &text, true);
    let mut vault = SecretResolver::new(path.parent().unwrap_or(Path::new("")), disk);
    let chain = signer::read_audit_chain(&mut Section::root(&file, parse_tables(&file, &text).get_ref()), &mut vault);
    let report = Report::new(file.into_problems());
    if report.has_mistakes() { Err(report) } else { Ok(chain) }
}

fn read(path: &Path, disk: &FileReader) -> LoadResult {
    let (settings, report) = match read_main_file(path, disk) {
        Ok(text) => settings_from_text(path, &text, disk),
        Err(report) => (None, report),
    };
    LoadResult { settings, report, sources: disk.sources() }
}

fn read_main_file(path: &Path, disk: &FileReader) -> Result<String, Report> {
    let bytes = disk.read(path);
    let bytes = bytes.map_err(|error| {
        failure_report(path, &format!("the configuration is this file, {}", describe_read_error(&error)), NO_FILE_HELP)
    })?;
    String::from_utf8(bytes).map_err(|_| failure_report(path, "this is not UTF-8", "save the file as UTF-8"))
}

fn settings_from_text(path: &Path, text: &str, disk: &FileReader) -> (Option<Settings>, Report) {
    let file = ConfigFile::new(path.display().to_string(), text, true);
    let table = parse_tables(&file, text);
    let mut root = Section::root(&file, table.get_ref());
    let dir = path.parent().unwrap_or(Path::new(""));

    let policy = read_policy(&mut root, dir, disk);
    let (name, policy_text) = policy.unwrap_or_default();
    let policy_file = ConfigFile::new(name, &policy_text, false);
    let policy_table = parse_tables(&policy_file, &policy_text);
    let policy_root = (!policy_file.name.is_empty()).then(|| Section::root(&policy_file, policy_table.get_ref()));

    let settings = settings(root, policy_root, SecretResolver::new(dir, disk.clone()), &policy_text);
    let mut problems = file.into_problems();
    problems.extend(policy_file.into_problems());
    let report = Report::new(problems);
    (settings.filter(|_| !report.has_mistakes()), report)
}

const NO_FILE_HELP: &str =
    "name a file with --config, or start in a directory with a signer.toml, such as the root of the project";

fn failure_report(path: &Path, message: &str, help: &str) -> Report {
    let (message, help) = (message.to_owned(), help.to_owned());
    let file = path.display().to_string();
    let problem =
        ConfigProblem { severity: Severity::Mistake, file, place: None, piece: None, message, help, source_line: None };
    Report::new(vec![problem])
}

/// Reads the text of a file that is not part of the configuration. `is` describes the file for messages.
fn read_text_file(path: &Path, is: &str) -> Result<String, Report> {
    match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(_)) => Err(failure_report(path, "this is not UTF-8", "save the file as UTF-8")),
        Err(error) => Err(failure_report(path, &format!("{is}, {}", describe_read_error(&error)), "")),
    }
}

/// Parses the tables of a file, also those after a syntax error.
fn parse_tables<'a>(file: &ConfigFile<'_>, text: &'a str) -> Spanned<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        file.syntax_error(error);
    }
    table
}

/// Reads the policy file. Returns its name and text.
fn read_policy(root: &mut Section<'_>, dir: &Path, disk: &FileReader) -> Option<(String, String)> {
    let (path, place) = signer::policy_file(root, dir)?;
    let name = path.display().to_string();
    let flaw = match disk.read(&path).map(String::from_utf8) {
        Ok(Ok(text)) => return Some((name, text)),
        Ok(Err(_)) => "which is not UTF-8".to_owned(),
        Err(error) => describe_read_error(&error),
    };
    let help = "write the path of a policy file: [policy] with file = \"policy.toml\", relative to this file";
    root.file.mistake(&place, format!("the policy is {name}, {flaw}"), help);
    None
}

/// Reads everything in both files. The result is only valid if no mistake was noted.
fn settings(
    mut root: Section<'_>,
    mut policy_root: Option<Section<'_>>,
    mut vault: SecretResolver,
    policy_text: &str,
) -> Option<Settings> {
    let ladder = policy_root.as_mut().map(policy::read_roles).unwrap_or_default();
    let mut apps = apps::apps(&mut root, &mut vault);
    let leancloud = apps.leancloud_names();
    let (server, admin, places) = signer::listeners(&mut root, &vault, &leancloud);
    let enforcements = std::mem::take(&mut apps.enforcements);
    let context = authenticators::AuthenticatorContext {
        apps: &apps.names,
        leancloud: &leancloud,
        valid_apps: &apps.valid_apps,
        roles: &ladder,
        is_unix_listener: matches!(server.listen, ListenAddress::Unix { .. }),
        client_ca: tls::client_ca(&mut root),
        secrets: &mut vault,
    };
    let callers = authenticators::authenticators(&mut root, context);
    hosts::warn_if_open(&root, server.hosts.are_configured(), &callers.authenticators, &places);
    let facts = facts::facts(&mut root, &apps, &ladder, &mut vault);
    let limits = limits::limits(&mut root, &server.listen);
    let policy_name = policy_root.as_ref().map(|root| root.file.name.as_str());
    let (audit, audit_chain) = signer::audit(&mut root, &mut vault, policy_name);
    let shutdown = signer::shutdown(&mut root);
    let traces = traces::traces(&mut root, &mut vault);
    let store = store::store(&mut root, &mut vault, callers.demo_credentials().is_some());
    let webhooks = webhooks::webhooks(&mut root, &mut vault);
    demo::check_demonstration(root.file, &vault, &callers, &server.listen, &places);
    signing::check_uses(root.file, &vault, &callers.key_hashes);
    let known_secrets = Arc::new(known_secrets(&vault, &callers, [root.file.text(), policy_text]));
    root.report_unknown_keys();

    let known = PolicyNames { roles: &ladder, apps: &apps.names, authenticators: &callers.names };
    let document = document(policy_root?, &known, &apps.lint_apps, policy_text);
    let demonstration = callers.demo_credentials().is_some();
    let authenticators = Authenticators::new(callers.authenticators);
    let engine = Engine { apps: apps.valid_apps, authenticators, policy: Arc::new(Policy::new(document)), facts };
    let demo_caller = callers.demo_caller;
    Some(Settings {
        engine,
        server,
        admin,
        limits,
        audit,
        audit_chain,
        traces,
        enforcements: enforcements.into_iter().map(Arc::new).collect(),
        webhooks: webhooks.into_iter().map(Arc::new).collect(),
        store,
        shutdown,
        demonstration,
        demo_caller,
        known_secrets,
    })
}

/// Returns all secrets that were read, and all API keys. Text that is in the files themselves is public.
fn known_secrets(vault: &SecretResolver, callers: &ConfiguredAuthenticators, files: [&str; 2]) -> KnownSecrets {
    let api_keys = callers.key_hashes.iter().filter(|hash| !demo::is_demo_api_key(hash)).copied().collect();
    let public: Vec<&str> = files.into_iter().chain(vault.public_parts.iter().map(String::as_str)).collect();
    KnownSecrets::new(&vault.secret_values, api_keys, &public)
}

/// Reads the policy. If it has no mistake and all vendors are known, also warns of rules and entries that are probably
/// unintended.
fn document(root: Section<'_>, names: &PolicyNames<'_>, apps: &[LintApp], text: &str) -> PolicyDocument {
    let file = root.file;
    let hash = crypto::hex(&crypto::sha256(text.as_bytes()));
    let (document, places) = policy::read_policy(root, names, hash);
    if !file.has_mistakes() && !apps.is_empty() && apps.len() == names.apps.len() {
        for warning in crate::policy::lint(&document, apps, clock::now()) {
            file.warning(&entry_place(&places, warning.location), warning.message, "");
        }
    }
    document
}

fn entry_place(places: &EntryLocations, about: LintLocation) -> ByteRange {
    let (list, index) = match about {
        LintLocation::Policy => return 0..0,
        LintLocation::Rule(index) => (&places.rules, index),
        LintLocation::Conversation(index) => (&places.conversations, index),
        LintLocation::Binding(index) => (&places.bindings, index),
        LintLocation::Ban(index) => (&places.bans, index),
        LintLocation::Mute(index) => (&places.mutes, index),
        LintLocation::Block(index) => (&places.blocks, index),
    };
    list.get(index).cloned().unwrap_or_default()
}
