//! Reads both files of a configuration into [`Settings`].

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::apps::ConfiguredApps;
use super::audit::{AuditChain, AuditOutput};
use super::authenticator_context::{AuthenticatorContext, ConfiguredAuthenticators};
use super::console::{self, ConsoleConfig};
use super::demo::DemoCaller;
use super::enforcement::Enforcement;
use super::file::ConfigFile;
use super::limits::LimitsConfig;
use super::origin::{ConfigOrigin, MAIN_PART, POLICY_PART};
use super::policy_names::PolicyNames;
use super::reader::Section;
use super::report::Report;
use super::secret::SecretResolver;
use super::server::{AdminConfig, ListenAddress, RestrictedSettings, ServerConfig, ShutdownConfig};
use super::source_files::{FileReader, SourceFiles, decode_text};
use super::store::StoreSettings;
use super::webhooks::Webhook;
use super::{
    apps, audit, authenticators, cross_checks, demo, endpoint, facts, limits, policy, policy_names, server, store, tls,
    vendors, webhooks,
};
use crate::authn::{Authenticators, Endpoint};
use crate::engine::Engine;
use crate::model::{RoleHierarchy, Vendor};
use crate::policy::{Policy, PolicyDocument};
use crate::redaction::KnownSecrets;
use crate::secret::Secret;

const NO_FILE_HELP: &str =
    "name a file with --config, start in a directory with a signer.toml, or write one with `chat-signer init VENDOR`";

/// The result of reading the configuration.
#[derive(Debug)]
pub struct LoadResult {
    /// The settings. `None` if the report has a mistake.
    pub settings: Option<Settings>,
    /// The mistakes and warnings.
    pub report: Report,
    /// The files that were read, also those that could not be read.
    pub sources: SourceFiles,
    /// The content of these files, for a reload.
    pub origin: ConfigOrigin,
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
    /// The lowest level of the messages that are logged, if the file has it.
    pub log_level: Option<tracing::Level>,
    /// The collector of the traces, if the file has one.
    pub traces: Option<Endpoint>,
    /// The apps whose bans and mutes the program carries out at their vendor.
    pub enforcements: Vec<Arc<Enforcement>>,
    /// The receivers of moderation events.
    pub webhooks: Vec<Arc<Webhook>>,
    /// The store of the moderation entries, if the file has one.
    pub store: Option<StoreSettings>,
    /// The page for moderators, if it is enabled.
    pub console: Option<ConsoleConfig>,
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

/// Reads the address of the probes in this `signer.toml`, and whether they use TLS. Everything else is ignored, and no
/// other file is read: a running program must not look unhealthy because its files have changed since it started.
///
/// # Errors
/// Returns the report if the address cannot be read.
pub fn read_probe_address(path: &Path) -> Result<(SocketAddr, bool), Report> {
    let text = read_main_file(path, &FileReader::for_reload(Arc::default()))?;
    let file = ConfigFile::new(path.display().to_string(), &text, true);
    let probes = server::probes(&mut Section::root(&file, file.parse().get_ref()));
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
    let table = file.parse();
    let section = Section::root(&file, table.get_ref()).section("audit");
    let chain = section.and_then(|mut section| audit::audit_chain(&mut section, &mut vault));
    let report = Report::new(file.into_problems());
    if report.has_mistakes() { Err(report) } else { Ok(chain) }
}

/// Reads the keys of each app, by the name of the app, because an app itself only has keyed hash states. `verify` tries
/// the common mistakes of other signers with these keys. [`load`] must have found no mistake in the configuration.
pub fn read_app_keys(path: &Path) -> Vec<(String, Vec<Secret>)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let file = ConfigFile::new(path.display().to_string(), &text, true);
    let table = file.parse();
    let mut vault = SecretResolver::new(path.parent().unwrap_or(Path::new("")), FileReader::default());
    let apps = Section::root(&file, table.get_ref()).section("apps");
    let entries = apps.as_ref().map(Section::entries).unwrap_or_default();
    let keys = entries.into_iter().filter_map(|item| {
        let mut app = item.section(String::new())?;
        let key = Vendor::ALL.iter().find_map(|vendor| app.get(vendors::config(*vendor).secret_key))?;
        Some((item.name.to_owned(), vault.secrets(&key)?))
    });
    keys.collect()
}

/// Reads the configuration with this reader, which has not read anything before.
pub(super) fn read(path: &Path, disk: &FileReader) -> LoadResult {
    let (settings, report, origin) = match read_main_file(path, disk) {
        Ok(text) => settings_from_text(path, &text, disk),
        Err(report) => (None, report, ConfigOrigin::default()),
    };
    LoadResult { settings, report, sources: disk.sources(), origin }
}

fn read_main_file(path: &Path, disk: &FileReader) -> Result<String, Report> {
    decode_text(path, disk.read(MAIN_PART, path), "the configuration is this file", NO_FILE_HELP)
}

fn settings_from_text(path: &Path, text: &str, disk: &FileReader) -> (Option<Settings>, Report, ConfigOrigin) {
    let kept = disk.kept_parts();
    let file = ConfigFile::new(path.display().to_string(), text, true).with_kept_parts(kept.clone());
    let mut table = file.parse();
    for part in kept {
        disk.earlier().restore_section(part, table.get_mut());
    }
    let mut root = Section::root(&file, table.get_ref());
    let dir = path.parent().unwrap_or(Path::new(""));

    let (name, policy_text) = policy::read_policy_file(&mut root, dir, disk).unwrap_or_default();
    let policy_file = ConfigFile::new(name, &policy_text, false).with_part(POLICY_PART);
    let policy_table = policy_file.parse();
    let policy_root = (!policy_file.name.is_empty()).then(|| Section::root(&policy_file, policy_table.get_ref()));

    let vault = SecretResolver::new(dir, disk.clone());
    let settings = SettingsReader::new(root, policy_root, &policy_text, vault).read();
    let origin = disk.origin(file.parts(), text);
    let mut problems = file.into_problems();
    problems.extend(policy_file.into_problems());
    let report = Report::new(problems);
    (settings.filter(|_| !report.has_mistakes()), report, origin)
}

/// Both files while they are read, and the secrets that they name.
struct SettingsReader<'a> {
    root: Section<'a>,
    /// The policy file, if it can be read.
    policy_root: Option<Section<'a>>,
    policy_text: &'a str,
    /// The roles of the policy. Empty if the policy has a syntax error.
    roles: RoleHierarchy,
    vault: SecretResolver,
}

/// The two listeners, and the authenticators of the main listener.
struct Access {
    server: ServerConfig,
    admin: AdminConfig,
    places: RestrictedSettings,
    callers: ConfiguredAuthenticators,
}

impl<'a> SettingsReader<'a> {
    fn new(
        mut root: Section<'a>,
        mut policy_root: Option<Section<'a>>,
        policy_text: &'a str,
        mut vault: SecretResolver,
    ) -> SettingsReader<'a> {
        // If a file has a syntax error, nothing is checked against its names, because some of them are unknown.
        let roles = policy_root.as_mut().map(|root| (root.file.has_syntax_error(), policy_names::read_roles(root)));
        let roles = roles.filter(|(is_broken, _)| !is_broken).map(|(_, roles)| roles).unwrap_or_default();
        vault.proxy = endpoint::proxy(&mut root);
        SettingsReader { root, policy_root, policy_text, roles, vault }
    }

    /// Reads everything in both files. The result is only valid if no mistake was noted.
    fn read(mut self) -> Option<Settings> {
        let (root, vault) = (&mut self.root, &mut self.vault);
        let mut apps = apps::apps(root, vault);
        let access = self.access(&apps);
        let (root, vault) = (&mut self.root, &mut self.vault);
        let facts = facts::facts(root, &apps, &self.roles, vault);
        let limits = limits::limits(root, &access.server.listen);
        let policy_name = self.policy_root.as_ref().map(|root| root.file.name.as_str());
        let (audit, audit_chain) = audit::audit(root, vault, policy_name);
        let log_level = audit::log_level(root);
        let shutdown = server::shutdown(root);
        let traces = audit::traces(root, vault);
        let demonstration = access.callers.demo_credentials().is_some();
        let store = store::store(root, vault, demonstration);
        let webhooks = webhooks::webhooks(root, vault).into_iter().map(Arc::new).collect();
        let console = console::console(root, &access.server, &access.callers.authenticators);
        self.check_credentials(&access);
        let known_secrets = Arc::new(self.known_secrets(&access.callers));
        let document = self.policy(&apps, &access.callers.names)?;

        let Access { server, admin, callers, .. } = access;
        let demo_caller = callers.demo_caller;
        let enforcements = std::mem::take(&mut apps.enforcements).into_iter().map(Arc::new).collect();
        let authenticators = Authenticators::new(callers.authenticators).with_max_token_bytes(limits.max_token_size);
        let engine = Engine { apps: apps.valid, authenticators, policy: Arc::new(Policy::new(document)), facts };
        Some(Settings {
            engine,
            server,
            admin,
            limits,
            audit,
            audit_chain,
            log_level,
            traces,
            enforcements,
            webhooks,
            store,
            console,
            shutdown,
            demonstration,
            demo_caller,
            known_secrets,
        })
    }

    /// Reads the listeners and the authenticators, and checks them against each other.
    fn access(&mut self, apps: &ConfiguredApps) -> Access {
        let root = &mut self.root;
        let leancloud = vendors::leancloud::app_names(&apps.vendors);
        let pusher = vendors::pusher::app_names(&apps.vendors);
        let (server, admin, places) = server::listeners(root, &self.vault, &leancloud, &pusher);
        let context = AuthenticatorContext {
            apps: &apps.names,
            leancloud: &leancloud,
            valid_apps: &apps.valid,
            roles: &self.roles,
            is_unix_listener: matches!(server.listen, ListenAddress::Unix { .. }),
            client_ca: tls::client_ca(root),
            secrets: &mut self.vault,
        };
        let callers = authenticators::authenticators(root, context);
        cross_checks::check_cors_headers(root.file, server.cors.as_ref(), &callers, &places);
        cross_checks::warn_of_open_hosts(root, server.hosts.are_configured(), &callers.authenticators, &places);
        Access { server, admin, places, callers }
    }

    /// Checks that public and shared credentials do no harm. All secrets must have been read.
    fn check_credentials(&self, Access { server, places, callers, .. }: &Access) {
        cross_checks::check_demonstration(self.root.file, &self.vault, callers, &server.listen, places);
        cross_checks::check_signing_uses(self.root.file, &self.vault, &callers.key_hashes);
    }

    /// Returns all secrets that were read, and all API keys. Text that is in the files themselves is public.
    fn known_secrets(&self, callers: &ConfiguredAuthenticators) -> KnownSecrets {
        let api_keys = callers.key_hashes.iter().filter(|hash| !demo::is_demo_api_key(hash)).copied().collect();
        let files = [self.root.file.text(), self.policy_text];
        let public: Vec<&str> = files.into_iter().chain(self.vault.public_parts.iter().map(String::as_str)).collect();
        KnownSecrets::new(&self.vault.secret_values, api_keys, &public)
    }

    /// Ends the reading of the main file, and reads the policy.
    fn policy(self, apps: &ConfiguredApps, authenticators: &[String]) -> Option<PolicyDocument> {
        let is_broken = self.root.file.has_syntax_error();
        self.root.report_unknown_keys();
        let [apps_to_check, authenticators] =
            [&apps.names[..], authenticators].map(|names| if is_broken { &[] } else { names });
        let known = PolicyNames { roles: &self.roles, apps: apps_to_check, authenticators };
        Some(policy::document(self.policy_root?, &known, &apps.for_lint(), self.policy_text))
    }
}
