//! `[limits]`, and the format of networks and proxies.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use super::reader::{ConfigItem, Section, quoted};
use super::server::ListenAddress;
use crate::authn::{DEFAULT_MAX_TOKEN_BYTES, TrustedProxies, TrustedProxy};
use crate::model::IpNetwork;

/// The default number of bytes per second of audit log lines for refused requests from one address: about ten lines.
const REFUSED_LINES: NonZeroU32 = NonZeroU32::new(4 << 10).unwrap();

/// The maximum of that number.
const MAX_REFUSED_LINES: usize = 1 << 20;

/// The maximum length of the header section of a request, in bytes. A token usually has less than 8 KiB, and browsers
/// add cookies.
pub const MAX_HEADER_BYTES: u16 = 32 << 10;

/// The lengths that can be the maximum of a token, in bytes. A token must fit in the header section.
const TOKEN_SIZES: RangeInclusive<usize> = 1 << 10..=MAX_HEADER_BYTES as usize;

/// Limits against overload and abuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// The number of requests per second that each caller may send.
    pub per_caller: Option<NonZeroU32>,
    /// The number of requests per second from each address, for all callers together.
    pub per_address: Option<NonZeroU32>,
    /// The maximum number of requests in progress.
    pub max_in_flight: usize,
    /// The maximum number of connections from callers.
    pub max_connections: usize,
    /// The number of bytes per second of audit log lines for refused requests from one address.
    pub refused_lines: NonZeroU32,
    /// The maximum length of a token in `Authorization`, in bytes.
    pub max_token_size: usize,
    /// The proxies that are trusted to name the address of the client.
    pub trusted_proxies: TrustedProxies,
}

/// Reads `[limits]`.
pub(super) fn limits(root: &mut Section<'_>, listen: &ListenAddress) -> LimitsConfig {
    let mut limits = default_limits();
    let Some(mut section) = root.section("limits") else { return limits };
    limits.per_caller = section.get("per_caller").and_then(|item| item.rate());
    let per_address = section.get("per_address");
    limits.per_address = per_address.as_ref().and_then(ConfigItem::rate);
    limits.max_in_flight = cap(&mut section, "max_in_flight", limits.max_in_flight);
    limits.max_connections = cap(&mut section, "max_connections", limits.max_connections);
    let refused_lines = section.get("refused_lines").and_then(|item| item.size(1..=MAX_REFUSED_LINES));
    limits.refused_lines = refused_lines.and_then(to_non_zero).unwrap_or(limits.refused_lines);
    limits.max_token_size = section.size_or("max_token_size", TOKEN_SIZES, limits.max_token_size);
    let trusted = section.get("trusted_proxies").and_then(|item| proxies(&item));
    limits.trusted_proxies = trusted.unwrap_or(limits.trusted_proxies);
    warn_of_shared_rate(per_address, listen, &limits.trusted_proxies);
    section.report_unknown_keys();
    limits
}

fn default_limits() -> LimitsConfig {
    LimitsConfig {
        per_caller: None,
        per_address: None,
        max_in_flight: 1024,
        max_connections: 10_000,
        refused_lines: REFUSED_LINES,
        max_token_size: DEFAULT_MAX_TOKEN_BYTES,
        trusted_proxies: TrustedProxies::default(),
    }
}

/// Reads the maximum number of things at once.
fn cap(section: &mut Section<'_>, key: &'static str, default: usize) -> usize {
    section.get(key).and_then(|item| item.integer(1..=1_000_000)).map_or(default, to_usize)
}

/// Warns if all callers of a Unix socket have one rate together, because no proxy behind the socket is known.
fn warn_of_shared_rate(per_address: Option<ConfigItem<'_>>, listen: &ListenAddress, trusted: &TrustedProxies) {
    if let (Some(item), ListenAddress::Unix { .. }, false) = (per_address, listen, trusted.contains_unix_socket()) {
        let message = "`per_address` counts all requests through the Unix socket together, as if from one address";
        item.file.warning(&item.key, message, "if a proxy is behind the socket, add \"unix\" to `trusted_proxies`");
    }
}

fn to_non_zero(number: usize) -> Option<NonZeroU32> {
    u32::try_from(number).ok().and_then(NonZeroU32::new)
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Reads a list of networks, which can include `"unix"`.
pub(super) fn proxies(item: &ConfigItem<'_>) -> Option<TrustedProxies> {
    item.read_unique_list(proxy).map(TrustedProxies)
}

/// Reads a network, as in `127.0.0.1/32` or `::1/128`, or `unix`.
fn proxy(item: &ConfigItem<'_>) -> Option<TrustedProxy> {
    const HELP: &str = "write the first address of a network and its prefix length, as in \"127.0.0.1/32\" or \"10.0.0.0/8\"; or \"unix\" for the Unix socket";
    let text = item.non_empty_text()?;
    if text == "unix" {
        return Some(TrustedProxy::Unix);
    }
    let network = IpNetwork::parse(text);
    if network.is_some_and(|network| network.contains_all()) {
        let message = format!("{} includes every address, so everyone can set such a header", quoted(text));
        item.file.warning(&item.span, message, "list the addresses of the proxies");
    }
    network
        .map(TrustedProxy::Network)
        .or_else(|| item.mistake(format!("has {}, which is not a network", quoted(text)), HELP))
}
