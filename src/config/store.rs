//! `[store]`: the store of the moderation entries.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::endpoint;
use super::origin::STORE_PART;
use super::reader::{ConfigItem, Section, quoted};
use super::redis_url::{self, RedisServer};
use super::secret::SecretResolver;
use super::signing::warn_if_weak;
use super::tls::{self, ClientIdentity};

/// The settings of the moderation store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// The kind of the store.
    pub kind: StoreKind,
    /// How long a process goes on deciding while it cannot find out whether the moderation entries have changed.
    pub max_staleness: Duration,
    /// The record file outside the store, which has the latest known version of the store. `None`: a restart does not
    /// know this version.
    pub record: Option<PathBuf>,
}

impl StoreSettings {
    /// Returns the settings that identify the store and its use. The other settings, which are the credentials, can
    /// change while the program runs: users, passwords, certificates and certificate authorities.
    #[must_use]
    pub fn without_credentials(&self) -> StoreSettings {
        let mut settings = self.clone();
        if let StoreKind::Redis(redis) = &mut settings.kind {
            for server in redis.servers.iter_mut().chain(&mut redis.sentinels) {
                (server.user, server.password) = (None, None);
            }
            (redis.authorities, redis.identity) = (Vec::new(), None);
        }
        settings
    }
}

/// The kind of the moderation store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A file that only one process uses.
    Redb {
        /// The path of the file.
        path: PathBuf,
    },
    /// A server that several processes share.
    Redis(RedisSettings),
    /// The memory of the process, until it ends.
    Memory,
}

/// A Redis or Valkey server with the moderation entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// The servers. One of them is the primary, or is in the same cluster and knows it. With Sentinels, there is only
    /// one, and its host is the Sentinels' name of the primary.
    pub servers: Vec<RedisServer>,
    /// The Sentinels, which know the address of the primary. Empty: `servers` leads to the primary.
    pub sentinels: Vec<RedisServer>,
    /// The prefix of all keys. Unless it has braces, the store puts it in braces, so all keys are in one slot of a
    /// cluster.
    pub prefix: String,
    /// The condition under which a change is confirmed.
    pub durability: Durability,
    /// The largest difference between the clock of this machine and the clock of Redis with which a process decides.
    pub max_clock_offset: Duration,
    /// The certificate authorities of the servers, in DER. Empty: the authorities that browsers trust.
    pub authorities: Vec<Vec<u8>>,
    /// The certificate for servers that require client certificates.
    pub identity: Option<ClientIdentity>,
}

/// The condition under which a change in Redis is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The change is on the disk of the primary.
    Fsync,
    /// The change is on replicas, too.
    Replica(RequiredReplicas),
    /// The change is in the memory of the primary.
    None,
}

/// The replicas that must have a change before it is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredReplicas {
    /// This number of replicas, at least 1.
    Count(u32),
    /// All replicas that the primary has, or had until a moment ago. At least one.
    All,
}

#[derive(Clone, Copy)]
enum StoreType {
    Redb,
    Redis,
    Memory,
}

const STORE_TYPES: [(&str, StoreType); 3] =
    [("redb", StoreType::Redb), ("redis", StoreType::Redis), ("memory", StoreType::Memory)];

/// Reads `[store]`, if the file has it. `demonstration`: the store need not keep its entries.
pub(super) fn store(root: &mut Section<'_>, vault: &mut SecretResolver, demonstration: bool) -> Option<StoreSettings> {
    let mut section = root.section("store")?;
    let _part = section.file.enter(STORE_PART);
    let kind = kind(&mut section, vault, demonstration);
    let record = record(&mut section, vault, kind.as_ref());
    let max_staleness = match section.get("max_staleness") {
        Some(item) => item.duration("1s", "1h"),
        None => Some(Duration::from_secs(60)),
    };
    section.report_unknown_keys();
    Some(StoreSettings { kind: kind?, max_staleness: max_staleness?, record })
}

fn kind(section: &mut Section<'_>, vault: &mut SecretResolver, demonstration: bool) -> Option<StoreKind> {
    let item = section.require("type", "write type = \"redb\", \"redis\" or \"memory\"");
    match item.as_ref().and_then(|item| item.keyword(&STORE_TYPES)) {
        Some(StoreType::Redb) => redb(section, &vault.dir),
        Some(StoreType::Redis) => redis(section, vault).map(StoreKind::Redis),
        Some(StoreType::Memory) => {
            item.filter(|_| !demonstration).iter().for_each(warn_of_memory);
            Some(StoreKind::Memory)
        }
        None => read_all_keys(section, vault),
    }
}

fn warn_of_memory(item: &ConfigItem<'_>) {
    let message = "this store loses all bans when the process ends, and other processes do not have them";
    item.file.warning(&item.span, message, "write \"redb\" or \"redis\" where that matters");
}

/// Reads all keys that the section can have, because its type is unknown.
fn read_all_keys(section: &mut Section<'_>, vault: &mut SecretResolver) -> Option<StoreKind> {
    for key in ["url", "sentinels"] {
        section.get(key).map(|item| vault.secrets(&item));
    }
    for key in ["path", "prefix", "durability", "replicas", "max_clock_offset", "ca", "client_cert", "client_key"] {
        section.get(key);
    }
    None
}

fn redb(section: &mut Section<'_>, dir: &Path) -> Option<StoreKind> {
    let item = section.require("path", "write the file's path: path = \"chat-signer.redb\"")?;
    file_path(&item, dir).map(|path| StoreKind::Redb { path })
}

/// Reads the path of a file in an existing directory.
fn file_path(item: &ConfigItem<'_>, dir: &Path) -> Option<PathBuf> {
    let text = item.non_empty_text()?;
    let path = dir.join(text);
    if path.is_dir() {
        return item.mistake(format!("names {}, which is a directory", quoted(text)), "write the path of a file");
    }
    if path.parent().is_some_and(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
        return item
            .mistake(format!("names {}, whose directory does not exist", quoted(text)), "create that directory");
    }
    Some(path)
}

/// Returns the path of the record of the store, if it has one. If the path has a mistake, notes it and returns `None`.
fn record(section: &mut Section<'_>, vault: &SecretResolver, kind: Option<&StoreKind>) -> Option<PathBuf> {
    if matches!(kind, Some(StoreKind::Memory)) {
        return None;
    }
    let own = match kind {
        Some(StoreKind::Redb { path }) => Some(path),
        Some(StoreKind::Redis(_) | StoreKind::Memory) | None => None,
    };
    let Some(item) = section.get("record") else { return own.map(|path| default_record_path(path)) };
    let path = file_path(&item, &vault.dir)?;
    if own == Some(&path) {
        return item.mistake("is the file of the store", "write the path of another file");
    }
    Some(path)
}

/// Returns the default path of the record of a file.
fn default_record_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".record");
    PathBuf::from(name)
}

const DEFAULT_CLOCK_OFFSET: Duration = Duration::from_secs(30);

fn redis(section: &mut Section<'_>, vault: &mut SecretResolver) -> Option<RedisSettings> {
    let url = section.require("url", "write url = { env = \"NAME\" } or { file = \"PATH\" }");
    let servers = url.as_ref().and_then(|item| servers(item, vault));
    let sentinels = sentinels(section, servers.as_deref(), vault);
    let prefix = section.get("prefix").map_or(Some("chat-signer:".to_owned()), |item| prefix(&item));
    let durability = durability(section);
    let max_clock_offset = section.get("max_clock_offset");
    let max_clock_offset = max_clock_offset.map_or(Some(DEFAULT_CLOCK_OFFSET), |item| item.duration("1s", "1h"));
    let authorities = endpoint::authorities(section, vault);
    let identity = tls::identity(section, vault);
    let (servers, sentinels, prefix) = (servers?, sentinels?, prefix?);
    let (durability, max_clock_offset) = (durability?, max_clock_offset?);
    Some(RedisSettings { servers, sentinels, prefix, durability, max_clock_offset, authorities, identity })
}

/// Reads the Sentinels, if there are any. Only one server can be found through them.
fn sentinels(
    section: &mut Section<'_>,
    servers: Option<&[RedisServer]>,
    vault: &mut SecretResolver,
) -> Option<Vec<RedisServer>> {
    let Some(item) = section.get("sentinels") else { return Some(Vec::new()) };
    if let Some([_, _, ..]) = servers {
        let message = "with `sentinels` there can be only one `url`: its host is the Sentinels' name of the primary";
        item.file.mistake(&item.key, message, "write one `url`, as in redis://:PASSWORD@mymaster");
    }
    self::servers(&item, vault)
}

/// Reads a URL or a list of URLs. Each is a secret, because it may contain a password.
fn servers(item: &ConfigItem<'_>, vault: &mut SecretResolver) -> Option<Vec<RedisServer>> {
    let known = vault.secret_values.len();
    let urls = vault.secrets(item)?;
    match urls.iter().map(redis_url::parse_server).collect::<Result<Vec<_>, _>>() {
        Ok(servers) => {
            // Only the password in a URL is secret. Logs may name the host, which can also occur in other addresses.
            vault.secret_values.truncate(known);
            vault.secret_values.extend(urls.iter().filter_map(redis_url::encoded_password));
            record_servers(item, &servers, vault);
            Some(servers)
        }
        Err(flaw) => {
            item.file.mistake(&item.key, format!("the secret `{}` {flaw}", item.name), REDIS_URL_HELP);
            None
        }
    }
}

const REDIS_URL_HELP: &str = "write redis://USER:PASSWORD@HOST:PORT/NUMBER, rediss:// for TLS, or unix:///PATH; in a password, percent-encode everything except letters and digits";

/// Records the public and the secret parts of the URLs of these servers, and warns if their use is not safe.
fn record_servers(item: &ConfigItem<'_>, servers: &[RedisServer], vault: &mut SecretResolver) {
    for server in servers {
        vault.public_parts.push(server.address.to_string());
        if let Some(password) = &server.password {
            warn_if_weak(item.file, &item.key, &format!("the password in `{}`", item.name), password.expose());
            vault.secret_values.push(password.clone());
        }
    }
    if servers.iter().any(RedisServer::is_unencrypted) {
        let message = format!(
            "`{}` connects to another machine without TLS: others on the network can read and change the data, and read the password",
            item.name
        );
        item.file.warning(&item.key, message, "write rediss:// instead of redis://");
    }
}

/// Reads the prefix of all keys. In Redis, the part of a key in braces decides its slot in a cluster.
fn prefix(item: &ConfigItem<'_>) -> Option<String> {
    let text = item.non_empty_text()?;
    let is_tagged =
        text.split_once('{').and_then(|(_, rest)| rest.split_once('}')).is_some_and(|(tag, _)| !tag.is_empty());
    if !is_tagged && text.contains(['{', '}']) {
        return item.mistake(
            "has a brace, but no pair of braces with text in it",
            "write it without braces, or write text between a pair of braces",
        );
    }
    Some(text.to_owned())
}

fn durability(section: &mut Section<'_>) -> Option<Durability> {
    let (item, replicas) = (section.get("durability"), section.get("replicas"));
    let required = replicas.as_ref().map_or(Some(RequiredReplicas::Count(1)), required_replicas);
    let replica = Durability::Replica(required.unwrap_or(RequiredReplicas::All));
    let words = [("fsync", Durability::Fsync), ("replica", replica), ("none", Durability::None)];
    let durability = item.as_ref().map_or(Some(Durability::Fsync), |item| item.keyword(&words))?;
    if let (Some(replicas), Durability::Fsync | Durability::None) = (replicas, durability) {
        return replicas.mistake("has no effect without durability = \"replica\"", "write durability = \"replica\"");
    }
    if let (Some(item), Durability::None) = (item, durability) {
        let message = "a confirmed ban is lost if Redis crashes before it writes the ban to disk";
        item.file.warning(&item.span, message, "write \"fsync\" or \"replica\" where that matters");
    }
    required.map(|_| durability)
}

fn required_replicas(item: &ConfigItem<'_>) -> Option<RequiredReplicas> {
    match item.value {
        DeValue::String(text) if text == "all" => Some(RequiredReplicas::All),
        DeValue::String(_) => item.mistake("must be a number or \"all\"", "write a number from 1 to 100, or \"all\""),
        _ => item.integer(1..=100).map(RequiredReplicas::Count),
    }
}
