//! Callers with a client certificate. The names in the certificate must be in the configuration.
//!
//! A certificate authority may issue certificates for many clients that must not call this program. So a name is
//! accepted only if it is listed exactly. A certificate that could belong to two callers is refused.

use std::sync::Arc;

use serde_json::Map;

use super::certificate::CertificateNames;
use super::common::Common;
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
        let first = self.matching_subjects(names).next()?;
        if self.is_ambiguous(names, first) {
            let refusal = AuthnError::invalid("the client certificate names more than one caller");
            return Some(Err(refusal.with_detail(self.quoted_names(names))));
        }
        let bindings = first.binding().into_iter().collect();
        Some(Ok(self.common.caller(first.subject.clone(), Map::new(), bindings)))
    }

    /// Returns the roles that certificates can give to this subject, each with its scope.
    pub fn bindings(&self, subject: &str) -> Vec<(Pattern, Role)> {
        self.subjects.iter().filter(|one| one.subject == subject).filter_map(CertificateSubject::binding).collect()
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
        self.subjects.iter().any(|one| one.subject == subject)
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
