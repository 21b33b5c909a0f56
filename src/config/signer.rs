//! `[server]`, `[admin]`, `[policy]`, `[audit]` and `[shutdown]` of `signer.toml`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::audit_chain::{AuditChain, audit_chain};
use super::file::{ByteRange, THE_FILE};
use super::reader::{ConfigItem, Section, quoted};
use super::secret::SecretResolver;
use super::tls::{self, TlsConfig};
use super::{apps, hosts};
use crate::authn::OwnHosts;

/// What the listener for callers does.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where it listens.
    pub listen: ListenAddress,
    /// What it speaks TLS with, if it does.
    pub tls: Option<TlsConfig>,
    /// The longest body it takes, in bytes.
    pub body_limit: usize,
    /// How long a body may take to arrive, and the header of a connection's first request.
    pub request_timeout: Duration,
    /// The hosts that count as its own for ambient credentials.
    pub hosts: OwnHosts,
    /// Which other origins' pages may ask, if any.
    pub cors: Option<CorsConfig>,
    /// The LeanCloud app behind the routes of LeanCloud's demo servers, if there is one.
    pub leancloud_compat: Option<String>,
    /// Whether the demonstration's playground is served.
    pub playground: bool,
}

/// What the listener for probes does.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What it speaks TLS with, if it does.
    pub tls: Option<TlsConfig>,
    /// The hosts that count as its own, with IP addresses.
    pub hosts: OwnHosts,
}

/// Where callers are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// At an address.
    Tcp(SocketAddr),
    /// At a Unix socket.
    Unix {
        /// The socket's file.
        path: PathBuf,
        /// Who may connect: the file's permission bits.
        mode: u32,
    },
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Which other origins' pages may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsConfig {
    /// The origins, exactly as browsers send them.
    pub origins: Vec<String>,
    /// Whether they may send cookies along.
    pub credentials: bool,
}

/// Where the audit log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditOutput {
    /// To standard output.
    Stdout,
    /// To the end of this file.
    File(PathBuf),
}

/// How the program ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// How long it goes on serving while it says that it isn't ready, so that load balancers turn away.
    pub drain_delay: Duration,
    /// How long the requests in flight may take to end.
    pub grace: Duration,
}

/// Where probes are served unless the file says otherwise.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7481);

/// Where in the file stands what only some configurations may have.
pub(super) struct RestrictedSettings {
    /// The listener for callers.
    pub(super) server: ByteRange,
    /// The callers' address.
    pub(super) listen: ByteRange,
    /// The playground, where it is turned on.
    pub(super) playground: Option<ByteRange>,
}

/// Reads `[server]` and `[admin]`.
pub(super) fn listeners(
    root: &mut Section<'_>,
    vault: &SecretResolver,
    leancloud: &[String],
) -> (ServerConfig, AdminConfig, RestrictedSettings) {
    let (server, places) = server(root, vault, leancloud);
    let mut place = root.span.clone();
    let mut admin = AdminConfig { listen: ADMIN, tls: None, hosts: OwnHosts::with_addresses(None) };
    if let Some(mut section) = root.section("admin") {
        if let Some(item) = section.get("listen") {
            admin.listen = address(&item).unwrap_or(admin.listen);
            place = item.span.clone();
        }
        admin.tls = tls::tls(&mut section, vault, false);
        let names = section.get("hosts").and_then(|item| hosts::hosts(&item));
        admin.hosts = OwnHosts::with_addresses(names);
        section.finish();
    }
    if matches!(server.listen, ListenAddress::Tcp(address) if clash(address, admin.listen)) {
        let at = if place == THE_FILE { places.listen.clone() } else { place };
        let message = format!("callers and probes can't share {}", admin.listen);
        root.file.mistake(&at, message, "give [admin] a `listen` of its own");
    }
    (server, admin, places)
}

/// Where `[admin]` says that probes are served, and whether with TLS, if that much of it can be read.
pub(super) fn probes(root: &mut Section<'_>) -> Option<(SocketAddr, bool)> {
    let Some(mut section) = root.section("admin") else { return (!root.file.has_mistakes()).then_some((ADMIN, false)) };
    let listen = section.get("listen").map_or(Some(ADMIN), |item| address(&item))?;
    Some((listen, section.has("tls")))
}

/// Whether two listeners can't both have their address.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

fn server(root: &mut Section<'_>, vault: &SecretResolver, leancloud: &[String]) -> (ServerConfig, RestrictedSettings) {
    let mut server = ServerConfig {
        listen: ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 7480))),
        tls: None,
        body_limit: 64 << 10,
        request_timeout: Duration::from_secs(5),
        hosts: OwnHosts::only(None),
        cors: None,
        leancloud_compat: only(leancloud),
        playground: false,
    };
    let mut places = RestrictedSettings { server: root.span.clone(), listen: root.span.clone(), playground: None };
    let Some(mut section) = root.section("server") else { return (server, places) };
    places.server = section.span.clone();
    places.listen = section.span.clone();
    if let Some(item) = section.get("listen") {
        server.listen = listen(&item, &vault.dir).unwrap_or(server.listen);
        places.listen = item.span.clone();
    }
    socket_mode(&mut section, &mut server.listen);
    server.tls = tls::tls(&mut section, vault, true);
    if let (Some(item), ListenAddress::Unix { .. }) = (section.get("tls"), &server.listen) {
        let message = "`tls` is for addresses: nothing on a Unix socket is encrypted";
        item.file.mistake(&item.key, message, "leave it out, or listen on an address");
    }
    let limit = section.get("body_limit").and_then(|item| item.size(1 << 10..=1 << 20));
    server.body_limit = limit.unwrap_or(server.body_limit);
    let timeout = section.get("request_timeout").and_then(|item| item.duration("100ms", "5m"));
    server.request_timeout = timeout.unwrap_or(server.request_timeout);
    server.hosts = OwnHosts::only(section.get("hosts").and_then(|item| hosts::hosts(&item)));
    server.cors = section.section("cors").and_then(cors);
    let playground = section.get("playground").filter(|item| item.boolean() == Some(true));
    server.playground = playground.is_some();
    places.playground = playground.map(|item| item.key);
    if let Some(item) = section.get("leancloud_compat") {
        server.leancloud_compat = apps::leancloud_app(&item, leancloud).map(str::to_owned);
    }
    section.finish();
    (server, places)
}

/// The app, where there is just one.
fn only(apps: &[String]) -> Option<String> {
    match apps {
        [app] => Some(app.clone()),
        _ => None,
    }
}

fn cors(mut section: Section<'_>) -> Option<CorsConfig> {
    let origins = section.need("origins", "list them: origins = [\"https://app.example.com\"]");
    let origins = origins.and_then(|item| item.each(origin));
    let credentials = section.get("credentials").and_then(|item| item.boolean()).unwrap_or(false);
    section.finish();
    Some(CorsConfig { origins: origins?, credentials })
}

/// Scheme, host and port, as browsers send it: with nothing behind, and in small letters. Pages inside apps have schemes of their own
/// (`capacitor://localhost`); those of files have no origin but `null`, which is anyone's.
fn origin(item: &ConfigItem<'_>) -> Option<String> {
    const HELP: &str = "write an origin as browsers send it: \"https://app.example.com\", with a port only where it isn't the scheme's own";
    let text = item.filled()?;
    if text.contains('*') {
        return item.refuse("must name each origin in full, without a `*`", HELP);
    }
    let plain =
        text.parse::<http::Uri>().ok().filter(|uri| !text.ends_with('/') && uri.query().is_none()).and_then(|uri| {
            let scheme = uri.scheme_str().filter(|scheme| *scheme != "file")?.to_owned();
            let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
            let default = matches!((scheme.as_str(), authority.port_u16()), ("http", Some(80)) | ("https", Some(443)));
            (!default).then(|| format!("{scheme}://{authority}"))
        });
    match plain {
        Some(plain) if plain == text && !text.bytes().any(|byte| byte.is_ascii_uppercase()) => Some(plain),
        _ => item.refuse(format!("has {}, which is no origin", quoted(text)), HELP),
    }
}

/// Where callers are served: an address, or `unix:` and a path.
fn listen(item: &ConfigItem<'_>, dir: &Path) -> Option<ListenAddress> {
    match item.filled()?.strip_prefix("unix:") {
        Some("") => item.refuse("names no socket", "write its path: \"unix:/run/chat-signer.sock\""),
        // Its owner alone may connect, until the file says otherwise.
        Some(path) => Some(ListenAddress::Unix { path: dir.join(path), mode: 0o600 }),
        None => address(item).map(ListenAddress::Tcp),
    }
}

/// Who may connect to the Unix socket.
fn socket_mode(section: &mut Section<'_>, listen: &mut ListenAddress) {
    let Some(item) = section.get("socket_mode") else { return };
    let given = item.text().and_then(|text| {
        let digits = (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| digits && *bits <= 0o777);
        bits.or_else(|| item.refuse("is no file mode", "write its octal digits in quotes, as in \"0660\""))
    });
    match listen {
        ListenAddress::Unix { mode, .. } => *mode = given.unwrap_or(*mode),
        ListenAddress::Tcp(_) => {
            item.file.warning(&item.key, "`socket_mode` is for Unix sockets: it has no effect here", "leave it out");
        }
    }
}

/// An address to listen on.
fn address(item: &ConfigItem<'_>) -> Option<SocketAddr> {
    let text = item.filled()?;
    let parsed = text.parse().ok();
    parsed.or_else(|| {
        item.refuse(
            format!("has {}, which is no address", quoted(text)),
            "write an IP address and a port: \"127.0.0.1:7480\", \"[::1]:7480\", or \"0.0.0.0:7480\" for all interfaces",
        )
    })
}

/// Where the policy is: its path, and where in the file that stands. `None` if that is wrong.
pub(super) fn policy_file(root: &mut Section<'_>, dir: &Path) -> Option<(PathBuf, ByteRange)> {
    let default = dir.join("policy.toml");
    if !root.has("policy") {
        return Some((default, root.span.clone()));
    }
    let mut section = root.section("policy")?;
    let place = section.span.clone();
    let item = section.get("file");
    section.finish();
    match item {
        Some(item) => Some((dir.join(item.filled()?), item.span.clone())),
        None => Some((default, place)),
    }
}

/// Reads `[audit]`: where the log goes, and its hash chain. The log must not be one of the files that the configuration is read from:
/// this one, the policy, and every file that this one names.
pub(super) fn audit(
    root: &mut Section<'_>,
    vault: &mut SecretResolver,
    policy: Option<&str>,
) -> (AuditOutput, Option<AuditChain>) {
    let dir = vault.dir.clone();
    let mut read: Vec<PathBuf> = policy.into_iter().chain([root.file.name.as_str()]).map(PathBuf::from).collect();
    read.extend(root.entries().iter().flat_map(files).map(|name| dir.join(name)));
    let Some(mut section) = root.section("audit") else { return (AuditOutput::Stdout, None) };
    let to = section.get("to").and_then(|item| audit_to(&item, &dir, &read));
    let chain = audit_chain(&mut section, vault);
    section.finish();
    (to.unwrap_or(AuditOutput::Stdout), chain)
}

/// The hash chain that `[audit]` asks for, if that much of it can be read.
pub(super) fn audit_keys(root: &mut Section<'_>, vault: &mut SecretResolver) -> Option<AuditChain> {
    root.section("audit").and_then(|mut section| audit_chain(&mut section, vault))
}

/// The files that a value names, however deep, in secrets and keys, and the store's.
fn files<'a>(item: &ConfigItem<'a>) -> Vec<&'a str> {
    const KEYS: [&str; 9] =
        ["file", "public_key", "ca", "cert", "key", "client_ca", "client_cert", "client_key", "path"];
    match item.value {
        DeValue::String(name) if KEYS.contains(&item.name) => vec![name],
        DeValue::Array(_) => item.elements("").iter().flatten().flat_map(files).collect(),
        DeValue::Table(_) => {
            item.section(String::new()).iter().flat_map(Section::entries).flat_map(|item| files(&item)).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether two paths lead to one file that is there.
fn same(one: &Path, other: &Path) -> bool {
    let file = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    file(one).is_some_and(|one| file(other) == Some(one))
}

fn audit_to(item: &ConfigItem<'_>, dir: &Path, read: &[PathBuf]) -> Option<AuditOutput> {
    let text = item.filled()?;
    let path = dir.join(text);
    if text == "stdout" {
        return Some(AuditOutput::Stdout);
    }
    if text == "stderr" {
        return item
            .refuse("can't be \"stderr\", where the program's own messages go", "write \"stdout\", or a file's path");
    }
    if read.iter().any(|file| same(file, &path)) {
        let flaw = format!("names {}, which the configuration is read from", quoted(text));
        return item.refuse(flaw, "name a file of the log's own, or write \"stdout\"");
    }
    if path.is_dir() {
        return item
            .refuse(format!("names {}, which is a directory", quoted(text)), "write \"stdout\", or a file's path");
    }
    if path.parent().is_some_and(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
        return item.refuse(format!("names {}, whose directory is not there", quoted(text)), "create that directory");
    }
    Some(AuditOutput::File(path))
}

/// Reads `[shutdown]`.
pub(super) fn shutdown(root: &mut Section<'_>) -> ShutdownConfig {
    let mut shutdown = ShutdownConfig { drain_delay: Duration::from_secs(5), grace: Duration::from_secs(25) };
    let Some(mut section) = root.section("shutdown") else { return shutdown };
    let drain_delay = section.get("drain_delay").and_then(|item| item.duration("0s", "5m"));
    shutdown.drain_delay = drain_delay.unwrap_or(shutdown.drain_delay);
    let grace = section.get("grace").and_then(|item| item.duration("0s", "1h"));
    shutdown.grace = grace.unwrap_or(shutdown.grace);
    section.finish();
    shutdown
}
