//! Callers with a client certificate. The names in the certificate must be in the configuration.
//!
//! A certificate authority may issue certificates for many clients that must not call this program. So a name is
//! accepted only if it is listed exactly, or if it is a SPIFFE ID below a listed path. A certificate that could belong
//! to two callers is refused.

use std::sync::Arc;

use serde_json::Map;

use super::certificate::CertificateNames;
use super::common::{Common, check_subject};
use super::error::{AuthnError, quote};
use crate::model::{Caller, Pattern, Role};

/// Accepts certificates with one of the listed names.
#[derive(Debug)]
pub struct Mtls {
    /// The settings that all authenticators have.
    pub common: Common,
    /// The kind of name that is compared.
    pub name_kind: SanType,
    /// The listed names, without duplicates.
    pub subjects: Vec<CertificateSubject>,
    /// The starts of SPIFFE IDs, without duplicates. Only for URIs.
    pub spiffe_prefixes: Vec<SpiffePrefix>,
}

/// The start of the SPIFFE IDs of callers. The whole SPIFFE ID is the subject of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiffePrefix {
    /// The trust domain and the start of the path, with `/` at the end.
    pub prefix: String,
    /// The role of the callers, at scope `*`.
    pub role: Option<Role>,
}

impl SpiffePrefix {
    /// Reads a prefix: `spiffe://`, a trust domain, and whole segments of a path.
    pub fn parse(prefix: &str, role: Option<Role>) -> Option<SpiffePrefix> {
        let id = prefix.strip_suffix('/')?;
        let is_domain_alone = id.strip_prefix("spiffe://").is_some_and(is_trust_domain);
        (is_domain_alone || is_spiffe_id(id)).then(|| SpiffePrefix { prefix: prefix.to_owned(), role })
    }

    fn contains(&self, id: &str) -> bool {
        id.starts_with(&self.prefix) && is_spiffe_id(id)
    }
}

/// Returns whether this is a SPIFFE ID with a path (SPIFFE-ID, section 2). A path in another form could be understood
/// as another path.
fn is_spiffe_id(id: &str) -> bool {
    let is_segment = |segment: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !["", ".", ".."].contains(&segment) && segment.bytes().all(legal)
    };
    let parts = id.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/'));
    parts.is_some_and(|(domain, path)| is_trust_domain(domain) && path.split('/').all(is_segment))
}

fn is_trust_domain(domain: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    !domain.is_empty() && domain.bytes().all(legal)
}

/// A kind of name in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SanType {
    /// A URI of the subject alternative names, for example a SPIFFE id.
    Uri,
    /// A DNS name of the subject alternative names.
    Dns,
    /// The common name of the subject.
    Cn,
}

/// A name in certificates, with the caller to which it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSubject {
    /// The name as written in the certificate; a DNS name is in lower case.
    pub name: String,
    /// The subject of the caller.
    pub subject: String,
    /// The role of the caller, at scope `*`.
    pub role: Option<Role>,
}

impl Mtls {
    /// Returns the caller that the certificate names, if the name is listed.
    pub(super) fn identify(&self, names: &CertificateNames) -> Option<Result<Arc<Caller>, AuthnError>> {
        let Some(first) = self.matching_subjects(names).next() else { return self.identify_by_prefix(names) };
        if self.is_ambiguous(names, first) {
            let refusal = AuthnError::invalid("the client certificate names more than one caller");
            return Some(Err(refusal.with_detail(self.quoted_names(names))));
        }
        let bindings = first.binding().into_iter().collect();
        Some(Ok(self.common.caller(first.subject.clone(), Map::new(), bindings)))
    }

    /// Returns the caller whose SPIFFE ID starts with a listed prefix. The longest prefix gives the role.
    fn identify_by_prefix(&self, names: &CertificateNames) -> Option<Result<Arc<Caller>, AuthnError>> {
        let id = names.uris.iter().find(|id| self.prefix_of(id).is_some())?;
        let prefix = self.prefix_of(id)?;
        if names.uris.len() > 1 {
            let refusal = AuthnError::invalid("the client certificate names more than one caller");
            return Some(Err(refusal.with_detail(self.quoted_names(names))));
        }
        let bindings = prefix.role.map(|role| (Pattern::Everything, role)).into_iter().collect();
        let checked = check_subject("the SPIFFE ID of the client certificate", id, id);
        Some(checked.map(|()| self.common.caller(id.clone(), Map::new(), bindings)))
    }

    fn prefix_of(&self, id: &str) -> Option<&SpiffePrefix> {
        self.spiffe_prefixes.iter().filter(|one| one.contains(id)).max_by_key(|one| one.prefix.len())
    }

    /// Returns the roles that certificates can give to this subject, each with its scope.
    pub fn bindings(&self, subject: &str) -> Vec<(Pattern, Role)> {
        let listed = self.subjects.iter().filter(|one| one.subject == subject).filter_map(CertificateSubject::binding);
        let by_prefix = self.prefix_of(subject).and_then(|one| one.role).map(|role| (Pattern::Everything, role));
        listed.chain(by_prefix).collect()
    }

    /// Returns the error for a certificate without a listed name.
    pub(super) fn unknown_name_error(&self, names: &CertificateNames) -> AuthnError {
        let shown = if self.name_kind.names_in(names).is_empty() {
            "it has no such name".to_owned()
        } else {
            self.quoted_names(names)
        };
        AuthnError::invalid(format!("the client certificate names no known caller by its {}", self.name_kind.as_str()))
            .with_detail(shown)
    }

    /// Returns whether one of the callers has this subject.
    pub(super) fn has_subject(&self, subject: &str) -> bool {
        self.subjects.iter().any(|one| one.subject == subject) || self.prefix_of(subject).is_some()
    }

    fn matching_subjects(&self, names: &CertificateNames) -> impl Iterator<Item = &CertificateSubject> {
        self.subjects.iter().filter(|subject| self.name_kind.names_in(names).contains(&subject.name))
    }

    /// Returns whether the certificate could belong to two callers. A server has many DNS names, and DNS names that are
    /// not listed are ignored. But no client has two URIs (SPIFFE X.509-SVID, section 2) or two common names.
    fn is_ambiguous(&self, names: &CertificateNames, first: &CertificateSubject) -> bool {
        let same = |other: &CertificateSubject| (&other.subject, other.role) == (&first.subject, first.role);
        self.name_kind != SanType::Dns && self.name_kind.names_in(names).len() > 1
            || !self.matching_subjects(names).all(same)
    }

    fn quoted_names(&self, names: &CertificateNames) -> String {
        quote(&self.name_kind.names_in(names).join(", "))
    }
}

impl CertificateSubject {
    fn binding(&self) -> Option<(Pattern, Role)> {
        self.role.map(|role| (Pattern::Everything, role))
    }
}

impl SanType {
    /// Returns the name of the kind, for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            SanType::Uri => "URI",
            SanType::Dns => "DNS name",
            SanType::Cn => "common name",
        }
    }

    fn names_in(self, names: &CertificateNames) -> &[String] {
        match self {
            SanType::Uri => &names.uris,
            SanType::Dns => &names.dns_names,
            SanType::Cn => &names.common_names,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::CallerKind;

    fn mesh() -> Mtls {
        let prefix = |text: &str, role| SpiffePrefix::parse(text, role).unwrap();
        Mtls {
            common: Common { name: "mesh".into(), kind: CallerKind::Service, apps: None },
            name_kind: SanType::Uri,
            subjects: vec![CertificateSubject {
                name: "spiffe://example.com/ns/shop/sa/orders".to_owned(),
                subject: "orders".to_owned(),
                role: None,
            }],
            spiffe_prefixes: vec![
                prefix("spiffe://example.com/ns/shop/", None),
                prefix("spiffe://example.com/ns/shop/sa/", Some(Role(1))),
            ],
        }
    }

    fn outcome(uris: &[&str]) -> Option<Result<String, String>> {
        let uris = uris.iter().map(ToString::to_string).collect();
        let found = mesh().identify(&CertificateNames { uris, ..CertificateNames::default() })?;
        Some(found.map(|caller| caller.subject.clone()).map_err(|error| error.public_message()))
    }

    #[test]
    fn a_spiffe_id_below_a_listed_path_is_the_subject() {
        let billing = "spiffe://example.com/ns/shop/sa/billing";
        assert_eq!(outcome(&[billing]), Some(Ok(billing.to_owned())));
        assert_eq!(outcome(&["spiffe://example.com/ns/shop/sa/orders"]), Some(Ok("orders".to_owned())));
        assert_eq!(mesh().bindings(billing), [(Pattern::Everything, Role(1))]);
        assert_eq!(mesh().bindings("spiffe://example.com/ns/shop/job"), []);
        assert!(mesh().has_subject(billing) && !mesh().has_subject("spiffe://example.com/ns/shop2/sa/billing"));
    }

    #[test]
    fn other_paths_and_forms_are_no_caller() {
        for uri in [
            "spiffe://example.com/ns/shop",
            "spiffe://example.com/ns/shop/",
            "spiffe://example.com/ns/shop2/sa/billing",
            "spiffe://example.com/ns/shop/../admin/sa/root",
            "spiffe://example.com/ns/shop/./sa/billing",
            "spiffe://example.com/ns/shop//sa/billing",
            "spiffe://example.com/ns/shop/sa/bil%2fling",
            "spiffe://example.com/ns/shop/sa/billing/",
            "spiffe://example.com/ns/shop/sa/billing?x",
            "spiffe://example.com.evil.example/ns/shop/sa/billing",
            "spiffe://evil@example.com/ns/shop/sa/billing",
            "SPIFFE://example.com/ns/shop/sa/billing",
            "https://example.com/ns/shop/sa/billing",
        ] {
            assert_eq!(outcome(&[uri]), None, "{uri}");
        }
        let two = ["spiffe://example.com/ns/shop/sa/billing", "spiffe://example.com/ns/other/sa/x"];
        assert_eq!(outcome(&two), Some(Err("the client certificate names more than one caller".to_owned())));
    }

    #[test]
    fn a_prefix_has_whole_segments() {
        for prefix in ["spiffe://example.com/", "spiffe://example.com/ns/shop/"] {
            assert!(SpiffePrefix::parse(prefix, None).is_some(), "{prefix}");
        }
        for prefix in [
            "spiffe://example.com",
            "spiffe://example.com/ns",
            "spiffe:///",
            "spiffe://",
            "spiffe://Example.com/",
            "spiffe://example.com//",
            "spiffe://example.com/../",
            "spiffe://example.com/*/",
            "https://example.com/ns/",
            "",
            "/",
        ] {
            assert!(SpiffePrefix::parse(prefix, None).is_none(), "{prefix}");
        }
    }
}
