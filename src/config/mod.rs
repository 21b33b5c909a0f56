//! Reads the configuration files, `signer.toml` and the policy file that it names, into [`Settings`].
//!
//! The report has all mistakes in both files, each with its place and the correction. The types that read the files and
//! the types of the settings are separate: a `reader::Section` returns values with their places and notes mistakes.
//! Only a configuration without a mistake becomes settings.

mod api_key;
mod apps;
mod audit;
mod authenticator_context;
mod authenticators;
mod cases;
mod connection_peer;
mod console;
mod cross_checks;
mod demo;
mod endpoint;
mod enforcement;
mod entries;
mod entry_parts;
mod facts;
mod file;
mod forwarded;
mod headers;
mod import_file;
mod introspection;
mod jwt;
mod jwt_keys;
mod key_set;
mod limits;
mod origin;
mod partial;
mod policy;
mod policy_names;
mod reader;
mod redis_url;
mod report;
mod rules;
mod secret;
mod server;
mod settings;
mod signing;
mod source_files;
mod store;
mod syntax;
mod text;
mod tls;
mod token_rules;
mod value;
mod vendors;
mod webhooks;

pub use audit::{AuditChain, AuditOutput, read_chain_key};
pub use cases::{CaseCaller, PolicyCase, read_cases};
pub use console::ConsoleConfig;
pub use demo::{DemoCaller, DemoTokenError, demo_api_key};
pub use enforcement::Enforcement;
pub use import_file::{IMPORT_SUBJECT, ImportFile, ImportParts};
pub use limits::{LimitsConfig, MAX_HEADER_BYTES};
pub use origin::{AUDIT_PART, ConfigOrigin, MAIN_PART, POLICY_PART, STORE_PART};
pub use partial::{ReloadResult, reload};
pub use redis_url::{RedisAddress, RedisServer};
pub use report::{ConfigProblem, Report, Severity};
pub use server::{AdminConfig, CorsConfig, ListenAddress, ServerConfig, ShutdownConfig};
pub use settings::{LoadResult, Settings, load, read_app_keys, read_audit_chain, read_probe_address};
pub use source_files::SourceFiles;
pub use store::{Durability, RedisSettings, RequiredReplicas, StoreKind, StoreSettings};
pub use text::CHANGE_ME;
pub use tls::{ClientIdentity, TlsConfig};
pub use value::duration;
pub use webhooks::Webhook;
