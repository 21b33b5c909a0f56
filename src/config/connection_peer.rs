//! `[[authenticators]]` that identify callers by their connection: `type = "mtls"` and `type = "unix-peer"`.

use super::authenticator_context::AuthenticatorContext;
use super::reader::{ConfigItem, Section, quoted};
use super::text;
use crate::authn::{CertificateSubject, Common, Mtls, SanType, SpiffePrefix, UnixPeer};
use crate::model::{Role, RoleHierarchy};

const SUBJECTS_HELP: &str = "list them: subjects = [{ name = \"spiffe://example.com/orders\", subject = \"orders\" }]";

const NO_CLIENT_CA: &str = "no caller can use this authenticator: [server] accepts no client certificates";
const CLIENT_CA_HELP: &str =
    "write tls = { cert = \"tls.crt\", key = \"tls.key\", client_ca = \"ca.crt\" } in [server]";

/// Reads all keys of a section with `type = "mtls"` except those that every authenticator has.
pub(super) fn mtls(
    section: &mut Section<'_>,
    common: Option<Common>,
    context: &AuthenticatorContext<'_>,
) -> Option<Mtls> {
    if context.client_ca.is_none() {
        section.file.warning(&section.span, NO_CLIENT_CA, CLIENT_CA_HELP);
    }
    let san = section.require("san", "write san = \"uri\", \"dns\" or \"cn\"");
    let san = san.and_then(|item| item.keyword(&[("uri", SanType::Uri), ("dns", SanType::Dns), ("cn", SanType::Cn)]));
    let prefixes = section.get("spiffe_prefixes").map(|item| spiffe_prefixes(&item, san, context.roles));
    let items = if prefixes.is_some() { section.get("subjects") } else { section.require("subjects", SUBJECTS_HELP) };
    let items = items.map_or(Some(Vec::new()), |item| item.list())?;
    let mut names = Vec::new();
    let subjects: Vec<_> = items.iter().map(|item| subject(item, san, context.roles, &mut names)).collect();
    let (common, name_kind, subjects) = (common?, san?, subjects.into_iter().collect::<Option<_>>()?);
    Some(Mtls { common, name_kind, subjects, spiffe_prefixes: prefixes.unwrap_or(Some(Vec::new()))? })
}

/// Reads `spiffe_prefixes`: the starts of SPIFFE IDs, each with the roles of its callers.
fn spiffe_prefixes(
    item: &ConfigItem<'_>,
    san: Option<SanType>,
    role_hierarchy: &RoleHierarchy,
) -> Option<Vec<SpiffePrefix>> {
    if san.is_some_and(|san| san != SanType::Uri) {
        return item
            .mistake("needs san = \"uri\", because SPIFFE IDs are URIs", "leave it out, or write san = \"uri\"");
    }
    item.read_unique_list(|item| spiffe_prefix(item, role_hierarchy))
}

fn spiffe_prefix(item: &ConfigItem<'_>, role_hierarchy: &RoleHierarchy) -> Option<SpiffePrefix> {
    const HELP: &str = "write whole parts of the path, with a slash at the end: \"spiffe://example.com/ns/shop/\"";
    let mut section = item.section("a SPIFFE prefix".to_owned())?;
    let prefix = section.require("prefix", HELP);
    let roles = section.get("roles").map(|item| role(&item, role_hierarchy));
    section.report_unknown_keys();
    let (prefix, role) = (prefix?, roles.map_or(Some(None), |role| role.map(Some))?);
    let parsed = SpiffePrefix::parse(prefix.non_empty_text()?, role);
    parsed.or_else(|| prefix.mistake("is not the start of a SPIFFE ID", HELP))
}

fn subject<'a>(
    item: &ConfigItem<'a>,
    san: Option<SanType>,
    role_hierarchy: &RoleHierarchy,
    names: &mut Vec<&'a str>,
) -> Option<CertificateSubject> {
    let mut section = item.section("a certificate's subject".to_owned())?;
    let help = "write { name = \"…\", subject = \"…\" }";
    let name = section.require("name", help).and_then(|item| name(&item, san, names));
    let subject = section.require("subject", help).and_then(|item| text::caller_id(&item, "these callers"));
    let roles = section.get("roles").map(|item| role(&item, role_hierarchy));
    section.report_unknown_keys();
    Some(CertificateSubject { name: name?, subject: subject?, role: roles.map_or(Some(None), |role| role.map(Some))? })
}

/// Reads a name in the format of certificates.
fn name<'a>(item: &ConfigItem<'a>, san: Option<SanType>, names: &mut Vec<&'a str>) -> Option<String> {
    let name = item.non_empty_text()?;
    if let Some((flaw, help)) = format_flaw(name, san) {
        return item.mistake(flaw, help);
    }
    if names.contains(&name) {
        return item.mistake(format!("is already {} for another subject", quoted(name)), "list each name once");
    }
    names.push(name);
    Some(name.to_owned())
}

/// Returns the flaw of a name that no certificate has, and the correction.
fn format_flaw(name: &str, san: Option<SanType>) -> Option<(&'static str, &'static str)> {
    if name.contains('*') {
        return Some(("must name one caller in full, without a `*`", "list each name separately"));
    }
    match san? {
        SanType::Uri if !is_uri(name) => {
            Some(("is not a URI", "write it as in the certificate: \"spiffe://example.com/orders\""))
        }
        SanType::Dns if !text::is_dns_name(name) => {
            Some(("is not a DNS name in small letters", "write it as in \"orders.example.com\""))
        }
        SanType::Uri | SanType::Dns | SanType::Cn => None,
    }
}

/// Returns whether this is a URI: a scheme and a rest that is not empty (RFC 3986, section 3).
fn is_uri(name: &str) -> bool {
    let Some((scheme, rest)) = name.split_once(':') else { return false };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(legal)
        && !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Reads a list of roles and returns the strongest: weaker roles at the same scope have no effect.
fn role(item: &ConfigItem<'_>, role_hierarchy: &RoleHierarchy) -> Option<Role> {
    let words = item.known_words("one of the policy's roles", role_hierarchy.names())?;
    words.iter().filter_map(|word| role_hierarchy.find(word)).max()
}

/// Reads all keys of a section with `type = "unix-peer"` except those that every authenticator has. `unix`: the listener
/// for callers is a Unix socket.
pub(super) fn unix_peer(section: &mut Section<'_>, common: Option<Common>, unix: bool) -> Option<UnixPeer> {
    let given = ["uids", "gids"].map(|key| section.get(key));
    if given.iter().all(Option::is_none) {
        let message = format!("{} has neither `uids` nor `gids`", section.title);
        section.file.missing(&section.span, message, "list the trusted users: uids = [1000]");
        return None;
    }
    if !unix {
        let message = "no caller can use this authenticator: [server] does not listen on a Unix socket";
        section.file.warning(&section.span, message, "write listen = \"unix:/run/chat-signer.sock\" in [server]");
    }
    let ids = given.map(|item| item.map(|item| item.read_unique_list(|item| item.integer(0..=u32::MAX))));
    let subject = section.get("subject").map(|item| text::caller_id(&item, "these callers"));
    let [uids, gids] = ids.map(|ids| ids.map_or(Some(None), |ids| ids.map(Some)));
    let subject = subject.map_or(Some(None), |subject| subject.map(Some));
    Some(UnixPeer { common: common?, uids: uids?, gids: gids?, subject: subject? })
}
