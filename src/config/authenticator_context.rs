//! What the sections of `[[authenticators]]` share: the values that they refer to, the values that must be unique, and
//! the keys that several types have.

use std::collections::HashSet;

use super::demo::DemoCaller;
use super::file::ConfigFile;
use super::headers::UsedHeaders;
use super::reader::{ConfigItem, Section, quoted};
use super::report::ByteRange;
use super::secret::SecretResolver;
use super::text::claim_name;
use crate::authn::{Authenticator, Common, RoleMapping, SubjectPrefix};
use crate::model::{CallerKind, Role, RoleHierarchy};
use crate::vendor::App;

/// The configured authenticators.
#[derive(Default)]
pub(super) struct ConfiguredAuthenticators {
    /// The authenticators without a mistake.
    pub(super) authenticators: Vec<Authenticator>,
    /// The place of each of them in the file.
    pub(super) places: Vec<ByteRange>,
    /// The names of all authenticators, also of those with a mistake.
    pub(super) names: Vec<String>,
    /// The data to make tokens that this configuration accepts, if it trusts the secret of the demonstration.
    pub(super) demo_caller: Option<DemoCaller>,
    /// Whether the configuration trusts the API key of the demonstration.
    pub(super) accepts_demo_api_key: bool,
    /// The subject prefixes: the kind of caller, the prefix, and the name of the authenticator.
    pub(super) prefixes: Vec<(CallerKind, SubjectPrefix, String)>,
    /// The ids and the hashes of all API keys.
    pub(super) key_ids: HashSet<String>,
    pub(super) key_hashes: HashSet<[u8; 32]>,
    /// Whether an authenticator accepts client certificates.
    pub(super) accepts_certificates: bool,
    /// The headers that are read for keys, callers or roles.
    pub(super) headers: UsedHeaders,
}

impl ConfiguredAuthenticators {
    /// Names the demonstration's credentials that this configuration accepts from callers, if any.
    pub(super) fn demo_credentials(&self) -> Option<&'static str> {
        match (&self.demo_caller, self.accepts_demo_api_key) {
            (Some(_), true) => Some("caller secret and API key"),
            (Some(_), false) => Some("caller secret"),
            (None, true) => Some("API key"),
            (None, false) => None,
        }
    }
}

/// The names and settings that an authenticator can refer to.
pub(super) struct AuthenticatorContext<'c> {
    /// The configured apps.
    pub(super) apps: &'c [String],
    /// The names of the LeanCloud apps.
    pub(super) leancloud: &'c [String],
    /// The apps without a mistake.
    pub(super) valid_apps: &'c [App],
    /// The roles of the policy. Empty if the policy cannot be read.
    pub(super) roles: &'c RoleHierarchy,
    /// Whether the listener for callers is a Unix socket.
    pub(super) is_unix_listener: bool,
    /// The place of `client_ca` in the file, if the file has it.
    pub(super) client_ca: Option<ByteRange>,
    pub(super) secrets: &'c mut SecretResolver,
}

/// Reads the prefix of all subjects. Warns if another issuer or proxy has the same prefix, because both can then speak
/// for the same callers.
pub(super) fn subject_prefix(
    section: &mut Section<'_>,
    common: Option<&Common>,
    callers: &mut ConfiguredAuthenticators,
    who: &str,
) -> Option<SubjectPrefix> {
    let item = section.get("subject_prefix");
    let place = item.as_ref().map_or(section.span.clone(), |item| item.span.clone());
    let prefix = item.map_or(Some(SubjectPrefix::default()), |item| prefix(&item))?;
    let Common { name, kind, .. } = common?;
    warn_of_equal_prefix(section.file, &place, callers, (*kind, &prefix), who);
    warn_of_overlap(section.file, &place, callers, (*kind, &prefix));
    callers.prefixes.push((*kind, prefix.clone(), name.to_string()));
    Some(prefix)
}

/// Warns if another authenticator has the same prefix for the same kind of callers.
fn warn_of_equal_prefix(
    file: &ConfigFile<'_>,
    place: &ByteRange,
    callers: &ConfiguredAuthenticators,
    (kind, prefix): (CallerKind, &SubjectPrefix),
    who: &str,
) {
    if let Some((.., other)) = callers.prefixes.iter().find(|(of, known, _)| *of == kind && known == prefix) {
        let message = format!("{who} {} can speak for the same {}s", quoted(other), kind.as_str());
        let help = "if that is unintended, separate them: subject_prefix = \"partner/\"";
        file.warning(place, message, help);
    }
}

/// Warns if a tenant can have the prefix of another authenticator for the same kind of callers.
fn warn_of_overlap(
    file: &ConfigFile<'_>,
    place: &ByteRange,
    callers: &ConfiguredAuthenticators,
    (kind, prefix): (CallerKind, &SubjectPrefix),
) {
    let overlaps = |known: &SubjectPrefix| known != prefix && known.can_equal(prefix);
    let found = callers.prefixes.iter().find(|(of, known, _)| *of == kind && overlaps(known));
    let Some((_, known, other)) = found else { return };
    let (other, known) = (quoted(other), quoted(&known.to_string()));
    let message = format!(
        "a tenant can have the same prefix as the callers of {other}, whose prefix is {known}: such callers are refused"
    );
    file.warning(place, message, "choose prefixes that are never equal: subject_prefix = \"tenant:{tenant}/\"");
}

/// Reads the prefix of all subjects for an authenticator without tenants.
pub(super) fn fixed_subject_prefix(
    section: &mut Section<'_>,
    common: Option<&Common>,
    callers: &mut ConfiguredAuthenticators,
    who: &str,
) -> Option<SubjectPrefix> {
    let prefix = subject_prefix(section, common, callers, who)?;
    match section.get("subject_prefix").filter(|_| prefix.has_tenant()) {
        Some(item) => item.mistake("can't have `{tenant}` here", "write the prefix without `{tenant}`"),
        None => Some(prefix),
    }
}

fn prefix(item: &ConfigItem<'_>) -> Option<SubjectPrefix> {
    let text = item.text()?;
    if text.chars().any(char::is_control) || text.chars().count() > 64 || text.trim_start() != text {
        return item.mistake(
            "can't be the start of a user id",
            "use at most 64 characters, without control characters or leading space",
        );
    }
    SubjectPrefix::parse(text).ok().or_else(|| {
        item.mistake(
            "must have `{tenant}` once, followed by a character that no tenant has",
            "write a separator after it, as in \"{tenant}/\"",
        )
    })
}

/// Reads `roles`, `bindings` and `max_role`. `what` names the source of the roles, for messages.
pub(super) fn role_mapping(section: &mut Section<'_>, role_hierarchy: &RoleHierarchy, what: &str) -> RoleMapping {
    let (roles, bindings) = (section.get("roles"), section.get("bindings"));
    let max_role = max_role(section, role_hierarchy, roles.as_ref().or(bindings.as_ref()), what);
    let [roles, bindings] = [roles, bindings].map(|item| item.and_then(|item| claim_name(&item)));
    RoleMapping { roles, bindings, role_hierarchy: role_hierarchy.clone(), max_role }
}

/// Reads the strongest role that tokens or headers can give.
pub(super) fn max_role(
    section: &mut Section<'_>,
    role_hierarchy: &RoleHierarchy,
    roles: Option<&ConfigItem<'_>>,
    what: &str,
) -> Option<Role> {
    let Some(item) = section.get("max_role") else {
        if let Some(roles) = roles {
            let message = format!("`{}` has no effect without `max_role`", roles.name);
            let help = format!("add max_role = \"…\", the strongest role that {what} may give");
            section.file.warning(&roles.key, message, help);
        }
        return None;
    };
    role_hierarchy.find(item.known_word("one of the policy's roles", role_hierarchy.names())?)
}
