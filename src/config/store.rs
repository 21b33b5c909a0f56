//! `[store]`: where the moderation entries is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::endpoint;
use super::reader::{ConfigItem, Section, quoted};
use super::redis_url::{self, RedisServer};
use super::secret::SecretResolver;
use super::signing::warn_if_weak;
use super::tls::{self, ClientIdentity};

/// Where the moderation entries is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// What keeps it.
    pub kind: StoreKind,
    /// How long a process goes on deciding when it can't find out whether the moderation entries has changed.
    pub max_staleness: Duration,
    /// The file that says how far the store had come, outside the store. `None`: a restart does not know.
    pub record: Option<PathBuf>,
}

/// What keeps the moderation entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// One file, which one process has to itself.
    Redb {
        /// The file.
        path: PathBuf,
    },
    /// A server that many processes share.
    Redis(RedisSettings),
    /// The process itself, until it ends.
    Memory,
}

/// A Redis or Valkey that keeps the moderation entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// Who may be, or know, the server that is written to. With Sentinels there is one, and its host is what they call the primary.
    pub servers: Vec<RedisServer>,
    /// Sentinels, which know where the primary is. None: it is among the servers, or those know it as members of its cluster.
    pub sentinels: Vec<RedisServer>,
    /// What every key begins with, in braces unless it has some, so that all are in one slot of a cluster.
    pub prefix: String,
    /// When a change counts as made.
    pub durability: Durability,
    /// The certificate authorities that the servers' certificates may come from, in DER. Without any, those that browsers trust.
    pub authorities: Vec<Vec<u8>>,
    /// What is shown to servers that want to see a certificate.
    pub identity: Option<ClientIdentity>,
}

/// When a change in Redis counts as made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the primary's disk has it.
    Fsync,
    /// When a replica has it, too.
    Replica,
    /// When the primary's memory has it.
    None,
}

/// Reads `[store]`, if it is there. `demonstration`: whether nothing here is meant to last.
pub(super) fn store(root: &mut Section<'_>, vault: &mut SecretResolver, demonstration: bool) -> Option<StoreSettings> {
    let mut section = root.section("store")?;
    let kind = kind(&mut section, vault, demonstration);
    let record = record(&mut section, vault, kind.as_ref());
    let max_staleness = match section.get("max_staleness") {
        Some(item) => item.duration("1s", "1h"),
        None => Some(Duration::from_secs(60)),
    };
    section.finish();
    Some(StoreSettings { kind: kind?, max_staleness: max_staleness?, record })
}

fn kind(section: &mut Section<'_>, vault: &mut SecretResolver, demonstration: bool) -> Option<StoreKind> {
    #[derive(Clone, Copy)]
    enum StoreType {
        Redb,
        Redis,
        Memory,
    }
    let words = [("redb", StoreType::Redb), ("redis", StoreType::Redis), ("memory", StoreType::Memory)];
    let item = section.need("type", "write type = \"redb\", \"redis\" or \"memory\"");
    match item.as_ref().and_then(|item| item.word(&words)) {
        Some(StoreType::Redb) => redb(section, &vault.dir),
        Some(StoreType::Redis) => redis(section, vault).map(StoreKind::Redis),
        Some(StoreType::Memory) if demonstration => Some(StoreKind::Memory),
        Some(StoreType::Memory) => {
            let item = item?;
            let message = "this store forgets every ban when the process ends, and no other process hears of any";
            item.file.warning(&item.span, message, "write \"redb\" or \"redis\" where that matters");
            Some(StoreKind::Memory)
        }
        None => all_keys(section, vault),
    }
}

/// Looks at what may stand in the section, where its type isn't known.
fn all_keys(section: &mut Section<'_>, vault: &mut SecretResolver) -> Option<StoreKind> {
    for key in ["url", "sentinels"] {
        section.get(key).map(|item| vault.secrets(&item));
    }
    for key in ["path", "prefix", "durability", "ca", "client_cert", "client_key"] {
        section.get(key);
    }
    None
}

fn redb(section: &mut Section<'_>, dir: &Path) -> Option<StoreKind> {
    let item = section.need("path", "write the file's path: path = \"chat-signer.redb\"")?;
    file(&item, dir).map(|path| StoreKind::Redb { path })
}

/// A file in a directory that is there.
fn file(item: &ConfigItem<'_>, dir: &Path) -> Option<PathBuf> {
    let text = item.filled()?;
    let path = dir.join(text);
    if path.is_dir() {
        return item.refuse(format!("names {}, which is a directory", quoted(text)), "write the path of a file");
    }
    if path.parent().is_some_and(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
        return item.refuse(format!("names {}, whose directory is not there", quoted(text)), "create that directory");
    }
    Some(path)
}

/// Where the store's record is, if it has one. `None` also if it is a mistake, which is reported.
fn record(section: &mut Section<'_>, vault: &SecretResolver, kind: Option<&StoreKind>) -> Option<PathBuf> {
    if matches!(kind, Some(StoreKind::Memory)) {
        return None;
    }
    let own = match kind {
        Some(StoreKind::Redb { path }) => Some(path),
        Some(StoreKind::Redis(_) | StoreKind::Memory) | None => None,
    };
    let Some(item) = section.get("record") else { return own.map(|path| beside(path)) };
    let path = file(&item, &vault.dir)?;
    if own == Some(&path) {
        return item.refuse("is the store's own file", "write the path of another file");
    }
    Some(path)
}

/// Where a file's record is by default.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".record");
    PathBuf::from(name)
}

fn redis(section: &mut Section<'_>, vault: &mut SecretResolver) -> Option<RedisSettings> {
    let url = section.need("url", "write url = { env = \"NAME\" } or { file = \"PATH\" }");
    let servers = url.as_ref().and_then(|item| servers(item, vault));
    let sentinels = section.get("sentinels");
    if let (Some(item), Some([_, _, ..])) = (&sentinels, servers.as_deref()) {
        let message = "with `sentinels` there can be only one `url`: its host is what they call the primary";
        item.file.mistake(&item.key, message, "write one `url`, as in redis://:PASSWORD@mymaster");
    }
    let sentinels = sentinels.map_or(Some(Vec::new()), |item| self::servers(&item, vault));
    let prefix = section.get("prefix").map_or(Some("chat-signer:".to_owned()), |item| prefix(&item));
    let durability = section.get("durability").map_or(Some(Durability::Fsync), |item| durability(&item));
    let authorities = endpoint::authorities(section, vault);
    let identity = tls::identity(section, vault);
    Some(RedisSettings {
        servers: servers?,
        sentinels: sentinels?,
        prefix: prefix?,
        durability: durability?,
        authorities,
        identity,
    })
}

/// The servers of one URL or a list of them. Each is a secret: it may hold a password.
fn servers(item: &ConfigItem<'_>, vault: &mut SecretResolver) -> Option<Vec<RedisServer>> {
    let known = vault.known.len();
    let urls = vault.secrets(item)?;
    let read = urls.iter().map(redis_url::server).collect::<Option<Vec<_>>>();
    if let Some(servers) = &read {
        // Only the password of a URL is secret. Logs may name the host, which may stand in other addresses, too.
        vault.known.truncate(known);
        vault.known.extend(servers.iter().filter_map(|server| server.password.clone()));
        vault.known.extend(urls.iter().filter_map(redis_url::encoded_password));
    }
    if read.is_none() {
        let message = format!("the secret `{}` is no Redis URL", item.name);
        item.file.mistake(&item.key, message, "write redis://USER:PASSWORD@HOST:PORT/NUMBER, rediss:// for TLS, or unix:///PATH; what isn't a letter or digit is percent-encoded in a password");
    }
    for server in read.iter().flatten() {
        vault.public.push(server.address.to_string());
        if let Some(password) = &server.password {
            warn_if_weak(item.file, &item.key, &format!("the password in `{}`", item.name), password.expose());
            vault.known.push(password.clone());
        }
    }
    if read.iter().flatten().any(RedisServer::is_exposed) {
        let message = format!(
            "`{}` leads to another machine without TLS: whoever is on the way can read and change what is sent, and read the password",
            item.name
        );
        item.file.warning(&item.key, message, "write rediss:// instead of redis://");
    }
    read
}

/// What keys begin with. Braces are Redis's own way to say what of a key decides where in a cluster it is.
fn prefix(item: &ConfigItem<'_>) -> Option<String> {
    let text = item.filled()?;
    let is_tagged =
        text.split_once('{').and_then(|(_, rest)| rest.split_once('}')).is_some_and(|(tag, _)| !tag.is_empty());
    if !is_tagged && text.contains(['{', '}']) {
        return item.refuse("has a brace without the other", "write it without braces, or something between both");
    }
    Some(text.to_owned())
}

fn durability(item: &ConfigItem<'_>) -> Option<Durability> {
    let words = [("fsync", Durability::Fsync), ("replica", Durability::Replica), ("none", Durability::None)];
    let durability = item.word(&words)?;
    if durability == Durability::None {
        let message = "a ban can be lost after it was acknowledged: it is when Redis crashes before it has written it";
        item.file.warning(&item.span, message, "write \"fsync\" or \"replica\" where that matters");
    }
    Some(durability)
}
