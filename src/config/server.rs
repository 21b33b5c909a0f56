//! `[server]`, `[admin]` and `[shutdown]` of `signer.toml`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;

use super::file::WHOLE_FILE;
use super::headers;
use super::reader::{ConfigItem, Section, quoted};
use super::report::ByteRange;
use super::secret::SecretResolver;
use super::text;
use super::tls::{self, TlsConfig};
use super::vendors::{leancloud, pusher};
use crate::authn::{AllowedOrigin, OwnHosts, host_name};
use crate::model::Vendor;

/// The settings of the listener for callers.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The listen address.
    pub listen: ListenAddress,
    /// The TLS settings, if the listener uses TLS.
    pub tls: Option<TlsConfig>,
    /// The maximum length of a request body, in bytes.
    pub body_limit: usize,
    /// The time limit for the arrival of a body, and for the arrival of the header of the first request of a
    /// connection.
    pub request_timeout: Duration,
    /// The host names of this listener, for the check of ambient credentials.
    pub hosts: OwnHosts,
    /// The other origins whose pages may call the server, if any.
    pub cors: Option<CorsConfig>,
    /// For each vendor with routes for clients of other servers, the app that serves them, if there is one.
    pub compat_apps: Vec<(Vendor, String)>,
    /// Whether the playground of the demonstration is served.
    pub playground: bool,
}

impl ServerConfig {
    /// Returns the app that serves the routes of the vendor for clients of other servers, if there is one.
    pub fn compat_app(&self, vendor: Vendor) -> Option<&str> {
        self.compat_apps.iter().find(|(own, _)| *own == vendor).map(|(_, app)| app.as_str())
    }
}

/// The settings of the listener for probes.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// The listen address.
    pub listen: SocketAddr,
    /// The TLS settings, if the listener uses TLS.
    pub tls: Option<TlsConfig>,
    /// The host names of this listener. IP addresses are always accepted.
    pub hosts: OwnHosts,
}

/// The address of the listener for callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix {
        /// The path of the socket.
        path: PathBuf,
        /// The permission bits of the socket file: the users that may connect.
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

/// The other origins whose pages may call the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsConfig {
    /// The origins.
    pub origins: Vec<AllowedOrigin>,
    /// Whether these pages may send cookies.
    pub credentials: bool,
    /// Further headers that these pages may send.
    pub headers: Vec<HeaderName>,
}

/// The times of the shutdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// The time during which the server still accepts requests but reports that it is not ready. Load balancers use
    /// this time to stop sending requests.
    pub drain_delay: Duration,
    /// The time limit for requests that are in progress.
    pub grace: Duration,
}

/// The default address of the listener for probes.
const DEFAULT_ADMIN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7481);

/// The places of settings that only some configurations may have.
pub(super) struct RestrictedSettings {
    /// The `[server]` section.
    pub(super) server: ByteRange,
    /// The listen address for callers.
    pub(super) listen: ByteRange,
    /// The `playground` key, if it is true.
    pub(super) playground: Option<ByteRange>,
}

/// Reads `[server]` and `[admin]`.
pub(super) fn listeners(
    root: &mut Section<'_>,
    vault: &SecretResolver,
    leancloud: &[String],
    pusher: &[String],
) -> (ServerConfig, AdminConfig, RestrictedSettings) {
    let (server, places) = server(root, vault, leancloud, pusher);
    let (admin, place) = admin(root, vault);
    if matches!(server.listen, ListenAddress::Tcp(address) if addresses_conflict(address, admin.listen)) {
        let at = if place == WHOLE_FILE { places.listen.clone() } else { place };
        let message = format!("callers and probes can't share {}", admin.listen);
        root.file.mistake(&at, message, "give [admin] another `listen` address");
    }
    (server, admin, places)
}

/// Reads `[admin]`. Also returns the place of its listen address.
fn admin(root: &mut Section<'_>, vault: &SecretResolver) -> (AdminConfig, ByteRange) {
    let mut place = root.span.clone();
    let mut admin = AdminConfig { listen: DEFAULT_ADMIN_ADDRESS, tls: None, hosts: OwnHosts::with_addresses(None) };
    let Some(mut section) = root.section("admin") else { return (admin, place) };
    if let Some(item) = section.get("listen") {
        admin.listen = address(&item).unwrap_or(admin.listen);
        place = item.span.clone();
    }
    admin.tls = tls::tls(&mut section, vault, false);
    let names = section.get("hosts").and_then(|item| text::hosts(&item));
    admin.hosts = OwnHosts::with_addresses(names);
    section.report_unknown_keys();
    (admin, place)
}

/// Reads the address of the probes from `[admin]`, and whether they use TLS. Returns `None` if the address has a
/// mistake.
pub(super) fn probes(root: &mut Section<'_>) -> Option<(SocketAddr, bool)> {
    let Some(mut section) = root.section("admin") else {
        return (!root.file.has_mistakes()).then_some((DEFAULT_ADMIN_ADDRESS, false));
    };
    let listen = section.get("listen").map_or(Some(DEFAULT_ADMIN_ADDRESS), |item| address(&item))?;
    Some((listen, section.contains_key("tls")))
}

/// Returns whether two listeners cannot both bind their address.
fn addresses_conflict(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

fn server(
    root: &mut Section<'_>,
    vault: &SecretResolver,
    leancloud: &[String],
    pusher: &[String],
) -> (ServerConfig, RestrictedSettings) {
    let mut server = default_server();
    let Some(mut section) = root.section("server") else {
        server.compat_apps = compat_apps([None, None], leancloud, pusher);
        return (server, RestrictedSettings { server: root.span.clone(), listen: root.span.clone(), playground: None });
    };
    let listen = read_listen(&mut section, &vault.dir, &mut server.listen);
    server.tls = server_tls(&mut section, vault, &server.listen);
    server.body_limit = section.size_or("body_limit", 1 << 10..=1 << 20, server.body_limit);
    server.request_timeout = section.duration_or("request_timeout", ["100ms", "5m"], server.request_timeout);
    server.hosts = OwnHosts::from_names(section.get("hosts").and_then(|item| text::hosts(&item)));
    server.cors = section.section("cors").and_then(cors);
    let playground = playground(&mut section);
    server.playground = playground.is_some();
    let compat = ["leancloud_compat", "pusher_compat"].map(|key| section.get(key));
    server.compat_apps = compat_apps(compat, leancloud, pusher);
    let places = RestrictedSettings { server: section.span.clone(), listen, playground };
    section.report_unknown_keys();
    (server, places)
}

fn default_server() -> ServerConfig {
    ServerConfig {
        listen: ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 7480))),
        tls: None,
        body_limit: 64 << 10,
        request_timeout: Duration::from_secs(5),
        hosts: OwnHosts::from_names(None),
        cors: None,
        compat_apps: Vec::new(),
        playground: false,
    }
}

/// Returns the apps with routes for clients of LeanCloud and of Pusher. `items` are the settings that name them.
fn compat_apps(items: [Option<ConfigItem<'_>>; 2], leancloud: &[String], pusher: &[String]) -> Vec<(Vendor, String)> {
    let [leancloud_item, pusher_item] = items;
    let leancloud = leancloud::compat_app(leancloud_item.as_ref(), leancloud);
    let pusher = pusher::compat_app(pusher_item.as_ref(), pusher);
    leancloud.into_iter().chain(pusher).collect()
}

/// Reads the address for callers and the mode of its socket into `address`. Returns the place of the address.
fn read_listen(section: &mut Section<'_>, dir: &Path, address: &mut ListenAddress) -> ByteRange {
    let item = section.get("listen");
    if let Some(given) = item.as_ref().and_then(|item| listen(item, dir)) {
        *address = given;
    }
    socket_mode(section, address);
    item.map_or(section.span.clone(), |item| item.span)
}

/// Reads the TLS settings for callers. A Unix socket has none.
fn server_tls(section: &mut Section<'_>, vault: &SecretResolver, listen: &ListenAddress) -> Option<TlsConfig> {
    let tls = tls::tls(section, vault, true);
    if let (Some(item), ListenAddress::Unix { .. }) = (section.get("tls"), listen) {
        let message = "`tls` can't be used with a Unix socket";
        item.file.mistake(&item.key, message, "leave it out, or listen on an IP address");
    }
    tls
}

/// Returns the place of the `playground` key, if it is true.
fn playground(section: &mut Section<'_>) -> Option<ByteRange> {
    let item = section.get("playground").filter(|item| item.boolean() == Some(true))?;
    if !cfg!(feature = "playground") {
        let help = "leave the key out, or build the program with its default features";
        item.file.mistake(&item.key, "this program was built without the playground", help);
    }
    Some(item.key)
}

fn cors(mut section: Section<'_>) -> Option<CorsConfig> {
    let list = section.require("origins", "list them: origins = [\"https://app.example.com\"]");
    let origins = list.as_ref().and_then(|item| item.read_unique_list(origin));
    let credentials = section.get("credentials").and_then(|item| item.boolean()).unwrap_or(false);
    let headers = section.get("headers").map_or(Some(Vec::new()), |item| item.read_unique_list(cors_header));
    section.report_unknown_keys();
    let (list, origins) = (list?, origins?);
    if credentials && origins.iter().any(|origin| matches!(origin, AllowedOrigin::Subdomains(_))) {
        let message = "a page of any subdomain can act with the cookies of your users, because `credentials` is true";
        list.file.warning(&list.span, message, "list the origins in full, unless you control every subdomain");
    }
    Some(CorsConfig { origins, credentials, headers: headers? })
}

/// Reads the name of a header that pages may send. Pages never set the headers of browsers and proxies.
fn cors_header(item: &ConfigItem<'_>) -> Option<HeaderName> {
    let name = headers::header(item)?;
    if name.as_str().starts_with("x-forwarded-") || headers::is_reserved(&name) {
        return item.mistake(format!("can't list {}", quoted(name.as_str())), "list only headers of your own pages");
    }
    Some(name)
}

/// Reads an origin: scheme, host and port as browsers send them, in lowercase and without a path. Pages inside apps
/// have their own schemes (`capacitor://localhost`). Pages from files have the origin `null`, which anyone can have, so
/// it is refused.
fn origin(item: &ConfigItem<'_>) -> Option<AllowedOrigin> {
    const HELP: &str = "write an origin as browsers send it: \"https://app.example.com\", with a port only if it is not the default port of the scheme";
    let text = item.non_empty_text()?;
    if text.contains('*') {
        return subdomains(item, text);
    }
    if is_plain_origin(text) {
        return Some(AllowedOrigin::Exact(text.to_owned()));
    }
    item.mistake(format!("has {}, which is not an origin", quoted(text)), HELP)
}

/// Reads an origin with `*` as the first label of the host.
fn subdomains(item: &ConfigItem<'_>, text: &str) -> Option<AllowedOrigin> {
    const HELP: &str =
        "write each origin in full, or https://*.example.com for all hosts with one label before example.com";
    let domain = text.strip_prefix("https://*.").filter(|rest| rest.contains('.') && !rest.contains('*'));
    let is_plain = |domain: &&str| is_plain_origin(&format!("https://{domain}")) && !is_address(domain);
    match domain.filter(is_plain) {
        Some(domain) => Some(AllowedOrigin::Subdomains(format!(".{domain}"))),
        None => item.mistake("can have `*` only as the first label of a host with https", HELP),
    }
}

/// Returns whether the host of `host:port` is an IP address.
fn is_address(authority: &str) -> bool {
    host_name(authority).parse::<IpAddr>().is_ok()
}

fn is_plain_origin(text: &str) -> bool {
    let plain =
        text.parse::<http::Uri>().ok().filter(|uri| !text.ends_with('/') && uri.query().is_none()).and_then(|uri| {
            let scheme = uri.scheme_str().filter(|scheme| *scheme != "file")?.to_owned();
            let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
            let default = matches!((scheme.as_str(), authority.port_u16()), ("http", Some(80)) | ("https", Some(443)));
            (!default).then(|| format!("{scheme}://{authority}"))
        });
    plain.is_some_and(|plain| plain == text) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Reads the address for callers: an IP address with a port, or `unix:` and a path.
fn listen(item: &ConfigItem<'_>, dir: &Path) -> Option<ListenAddress> {
    match item.non_empty_text()?.strip_prefix("unix:") {
        Some("") => item.mistake("names no socket", "write its path: \"unix:/run/chat-signer.sock\""),
        // By default, only the owner of the socket may connect.
        Some(path) => Some(ListenAddress::Unix { path: dir.join(path), mode: 0o600 }),
        None => address(item).map(ListenAddress::Tcp),
    }
}

/// Reads the permission bits of the Unix socket.
fn socket_mode(section: &mut Section<'_>, listen: &mut ListenAddress) {
    let Some(item) = section.get("socket_mode") else { return };
    let given = mode_bits(&item);
    match listen {
        ListenAddress::Unix { mode, .. } => *mode = given.unwrap_or(*mode),
        ListenAddress::Tcp(_) => {
            let message = "`socket_mode` has no effect, because `listen` is not a Unix socket";
            item.file.warning(&item.key, message, "leave it out");
        }
    }
}

fn mode_bits(item: &ConfigItem<'_>) -> Option<u32> {
    let text = item.text()?;
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let bits = u32::from_str_radix(text, 8).ok().filter(|bits| digits && *bits <= 0o777);
    bits.or_else(|| item.mistake("is not a file mode", "write its octal digits in quotes, as in \"0660\""))
}

/// Reads an address to listen on.
fn address(item: &ConfigItem<'_>) -> Option<SocketAddr> {
    let text = item.non_empty_text()?;
    let parsed = text.parse().ok();
    parsed.or_else(|| {
        item.mistake(
            format!("has {}, which is not an address", quoted(text)),
            "write an IP address and a port: \"127.0.0.1:7480\", \"[::1]:7480\", or \"0.0.0.0:7480\" for all interfaces",
        )
    })
}

/// Reads `[shutdown]`.
pub(super) fn shutdown(root: &mut Section<'_>) -> ShutdownConfig {
    let mut shutdown = ShutdownConfig { drain_delay: Duration::from_secs(5), grace: Duration::from_secs(25) };
    let Some(mut section) = root.section("shutdown") else { return shutdown };
    shutdown.drain_delay = section.duration_or("drain_delay", ["0s", "5m"], shutdown.drain_delay);
    shutdown.grace = section.duration_or("grace", ["0s", "1h"], shutdown.grace);
    section.report_unknown_keys();
    shutdown
}
