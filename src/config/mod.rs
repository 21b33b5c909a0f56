//! The configuration files: `signer.toml` and the policy file that it names, read into [`Settings`].
//!
//! Every mistake in both files is reported at once, each at its place and with what to write instead. What the files say and what the
//! program believes share no type: a [`reader::Section`] takes notes while it hands out values with their places, and only a
//! configuration without a mistake becomes settings.

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

pub use audit_chain::{AuditChain, chain_key};
pub use cases::{CaseCaller, PolicyCase, cases};
pub use demo::{DemoCaller, demo_api_key};
pub use demo_token::DemoTokenError;
pub use enforcement::Enforcement;
pub use import_file::{IMPORT, ImportFile, moderation};
pub use keys::keys;
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
use reader::{Section, unread};
use secret::SecretResolver;
use source_files::FileReader;

/// What came of reading the configuration.
#[derive(Debug)]
pub struct LoadResult {
    /// The settings; only where the report has no mistake.
    pub settings: Option<Settings>,
    /// What was found.
    pub report: Report,
    /// The files that were read, or couldn't be.
    pub sources: SourceFiles,
}

/// All that the program believes: secrets in hand, everything checked.
#[derive(Debug)]
pub struct Settings {
    /// What decides and signs.
    pub engine: Engine,
    /// The listener for callers.
    pub server: ServerConfig,
    /// The listener for probes.
    pub admin: AdminConfig,
    /// What keeps abuse cheap.
    pub limits: LimitsConfig,
    /// Where the audit log goes.
    pub audit: AuditOutput,
    /// The hash chain over the audit log, if there is one.
    pub audit_chain: Option<AuditChain>,
    /// Who collects what requests were in their traces, if anyone does.
    pub traces: Option<Endpoint>,
    /// Whose bans and mutes are carried to their vendor.
    pub enforcements: Vec<Arc<Enforcement>>,
    /// Who is told what changes in the moderation entries.
    pub webhooks: Vec<Arc<Webhook>>,
    /// Where the moderation entries is kept, if there is one.
    pub store: Option<StoreSettings>,
    /// How the program ends.
    pub shutdown: ShutdownConfig,
    /// Whether callers are trusted by the demonstration's secret or API key, which everyone knows.
    pub demonstration: bool,
    /// What it takes to make such a caller's token.
    pub demo_caller: Option<DemoCaller>,
    /// Every secret but the demonstration's, so that what is written can be kept free of them.
    pub known_secrets: Arc<KnownSecrets>,
}

/// Reads the configuration that starts at this `signer.toml`: all files that it names, and the variables.
pub fn load(path: &Path) -> LoadResult {
    read(path, &FileReader::default())
}

/// Reads a configuration again that the program runs with. A pipe or device that it was read from has nothing more to say and is a
/// mistake.
pub fn reload(path: &Path) -> LoadResult {
    read(path, &FileReader::again())
}

/// Where this `signer.toml` says that probes are served, and whether with TLS. Nothing else of it counts, and no other file is read: a
/// program that runs well is not to be told ill for what has become of its files since.
///
/// # Errors
/// What was found, if it can't be told.
pub fn probes(path: &Path) -> Result<(SocketAddr, bool), Report> {
    let text = text(path, &FileReader::again())?;
    let file = ConfigFile::new(path.display().to_string(), &text, true);
    let probes = signer::probes(&mut Section::root(&file, parse(&file, &text).get_ref()));
    probes.ok_or_else(|| Report::new(file.into_problems()))
}

/// The hash chain over the audit log that this `signer.toml` asks for. Nothing else of it counts, and no other files are read than those
/// with the chain's keys: who verifies a log needs no other secret.
///
/// # Errors
/// What was found, if it can't be told.
pub fn audit_chain(path: &Path) -> Result<Option<AuditChain>, Report> {
    let disk = FileReader::default();
    let text = text(path, &disk)?;
    let file = ConfigFile::new(path.display().to_string(), &text, true);
    let mut vault = SecretResolver::new(path.parent().unwrap_or(Path::new("")), disk);
    let chain = signer::audit_keys(&mut Section::root(&file, parse(&file, &text).get_ref()), &mut vault);
    let report = Report::new(file.into_problems());
    if report.has_mistakes() { Err(report) } else { Ok(chain) }
}

fn read(path: &Path, disk: &FileReader) -> LoadResult {
    let (settings, report) = match text(path, disk) {
        Ok(text) => understand(path, &text, disk),
        Err(report) => (None, report),
    };
    LoadResult { settings, report, sources: disk.sources() }
}

fn text(path: &Path, disk: &FileReader) -> Result<String, Report> {
    let bytes = disk.read(path);
    let bytes =
        bytes.map_err(|error| failed(path, &format!("this is the configuration, {}", unread(&error)), ABSENT))?;
    String::from_utf8(bytes).map_err(|_| failed(path, "this is not UTF-8", "save the file as UTF-8"))
}

fn understand(path: &Path, text: &str, disk: &FileReader) -> (Option<Settings>, Report) {
    let file = ConfigFile::new(path.display().to_string(), text, true);
    let table = parse(&file, text);
    let mut root = Section::root(&file, table.get_ref());
    let dir = path.parent().unwrap_or(Path::new(""));

    let policy = read_policy(&mut root, dir, disk);
    let (name, policy_text) = policy.unwrap_or_default();
    let policy_file = ConfigFile::new(name, &policy_text, false);
    let policy_table = parse(&policy_file, &policy_text);
    let policy_root = (!policy_file.name.is_empty()).then(|| Section::root(&policy_file, policy_table.get_ref()));

    let settings = settings(root, policy_root, SecretResolver::new(dir, disk.clone()), &policy_text);
    let mut problems = file.into_problems();
    problems.extend(policy_file.into_problems());
    let report = Report::new(problems);
    (settings.filter(|_| !report.has_mistakes()), report)
}

const ABSENT: &str =
    "name one with --config, or start in a directory with a signer.toml: the project's root has a demonstration";

fn failed(path: &Path, message: &str, help: &str) -> Report {
    let (message, help) = (message.to_owned(), help.to_owned());
    let file = path.display().to_string();
    let problem =
        ConfigProblem { severity: Severity::Mistake, file, place: None, piece: None, message, help, shown: None };
    Report::new(vec![problem])
}

/// The text of another file than the configuration's; `is` says what it is.
fn source(path: &Path, is: &str) -> Result<String, Report> {
    match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(_)) => Err(failed(path, "this is not UTF-8", "save the file as UTF-8")),
        Err(error) => Err(failed(path, &format!("{is}, {}", unread(&error)), "")),
    }
}

/// Reads a file's tables, also those behind an error of syntax.
fn parse<'a>(file: &ConfigFile<'_>, text: &'a str) -> Spanned<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        file.syntax(error);
    }
    table
}

/// The policy file's name and text.
fn read_policy(root: &mut Section<'_>, dir: &Path, disk: &FileReader) -> Option<(String, String)> {
    let (path, place) = signer::policy_file(root, dir)?;
    let name = path.display().to_string();
    let flaw = match disk.read(&path).map(String::from_utf8) {
        Ok(Ok(text)) => return Some((name, text)),
        Ok(Err(_)) => "which is not UTF-8".to_owned(),
        Err(error) => unread(&error),
    };
    let help = "write the path of one: [policy] with file = \"policy.toml\", relative to this file";
    root.file.mistake(&place, format!("the policy is {name}, {flaw}"), help);
    None
}

/// Reads everything in both files. What comes of it counts only if no mistake was noted.
fn settings(
    mut root: Section<'_>,
    mut policy_root: Option<Section<'_>>,
    mut vault: SecretResolver,
    policy_text: &str,
) -> Option<Settings> {
    let ladder = policy_root.as_mut().map(policy::ladder).unwrap_or_default();
    let mut apps = apps::apps(&mut root, &mut vault);
    let leancloud = apps.leancloud();
    let (server, admin, places) = signer::listeners(&mut root, &vault, &leancloud);
    let enforcements = std::mem::take(&mut apps.enforcements);
    let context = authenticators::AuthenticatorContext {
        apps: &apps.names,
        leancloud: &leancloud,
        ready: &apps.ready,
        ladder: &ladder,
        unix: matches!(server.listen, ListenAddress::Unix { .. }),
        client_ca: tls::client_ca(&mut root),
        vault: &mut vault,
    };
    let callers = authenticators::authenticators(&mut root, context);
    hosts::warn_if_open(&root, server.hosts.are_configured(), &callers.authenticators, &places);
    let facts = facts::facts(&mut root, &apps, &ladder, &mut vault);
    let limits = limits::limits(&mut root, &server.listen);
    let policy_name = policy_root.as_ref().map(|root| root.file.name.as_str());
    let (audit, audit_chain) = signer::audit(&mut root, &mut vault, policy_name);
    let shutdown = signer::shutdown(&mut root);
    let traces = traces::traces(&mut root, &mut vault);
    let store = store::store(&mut root, &mut vault, callers.public().is_some());
    let webhooks = webhooks::webhooks(&mut root, &mut vault);
    demo::guard(root.file, &vault, &callers, &server.listen, &places);
    signing::check_uses(root.file, &vault, &callers.key_hashes);
    let known_secrets = Arc::new(known_secrets(&vault, &callers, [root.file.text(), policy_text]));
    root.finish();

    let known = PolicyNames { ladder: &ladder, apps: &apps.names, authenticators: &callers.names };
    let document = document(policy_root?, &known, &apps.facts, policy_text);
    let demonstration = callers.public().is_some();
    let authenticators = Authenticators::new(callers.authenticators);
    let engine = Engine { apps: apps.ready, authenticators, policy: Arc::new(Policy::new(document)), facts };
    let demo_caller = callers.demo;
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

/// Every secret that was read, and every API key. What the operator wrote into the files themselves is public.
fn known_secrets(vault: &SecretResolver, callers: &ConfiguredAuthenticators, files: [&str; 2]) -> KnownSecrets {
    let api_keys = callers.key_hashes.iter().filter(|hash| !demo::is_api_key(hash)).copied().collect();
    let public: Vec<&str> = files.into_iter().chain(vault.public.iter().map(String::as_str)).collect();
    KnownSecrets::new(&vault.known, api_keys, &public)
}

/// Reads the policy. Where it has no mistake and all vendors are known, also warns of what can't be meant.
fn document(root: Section<'_>, names: &PolicyNames<'_>, apps: &[LintApp], text: &str) -> PolicyDocument {
    let file = root.file;
    let hash = crypto::hex(&crypto::sha256(text.as_bytes()));
    let (document, places) = policy::document(root, names, hash);
    if !file.has_mistakes() && !apps.is_empty() && apps.len() == names.apps.len() {
        for warning in crate::policy::lint(&document, apps, clock::now()) {
            file.warning(&place(&places, warning.about), warning.message, "");
        }
    }
    document
}

fn place(places: &EntryLocations, about: LintLocation) -> ByteRange {
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
