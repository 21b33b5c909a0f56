//! Callers with a client certificate, known by the names in it that the configuration lists.
//!
//! An authority may vouch for many more than may call here, so a name that is not listed, to the letter, is nobody's. A certificate
//! that could be two callers' is neither's.

use std::sync::Arc;

use serde_json::Map;

use super::error::{AuthnError, quoted};
use super::{CertificateNames, Common};
use crate::model::{Caller, Pattern, Role};

/// Takes the certificates that name one of these.
#[derive(Debug)]
pub struct Mtls {
    /// What all authenticators have.
    pub common: Common,
    /// Which kind of name counts.
    pub san: SanType,
    /// The names, each once.
    pub subjects: Vec<CertificateSubject>,
}

/// A kind of name in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SanType {
    /// A URI among the subject alternative names: a SPIFFE id, say.
    Uri,
    /// A DNS name among them.
    Dns,
    /// The subject's common name.
    Cn,
}

/// A name, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSubject {
    /// As it stands in the certificate; a DNS name in small letters.
    pub name: String,
    /// What the caller is called.
    pub subject: String,
    /// The caller's role, at scope `*`.
    pub role: Option<Role>,
}

impl Mtls {
    /// The caller whom the certificate names, if it names one that is listed.
    pub(super) fn identify(&self, names: &CertificateNames) -> Option<Result<Arc<Caller>, AuthnError>> {
        let first = self.listed(names).next()?;
        if self.is_ambiguous(names, first) {
            let refusal = AuthnError::new("the client certificate names more than one caller");
            return Some(Err(refusal.detail(self.shown(names))));
        }
        let bindings = first.binding().into_iter().collect();
        Some(Ok(self.common.caller(first.subject.clone(), Map::new(), bindings)))
    }

    /// The roles that its certificates can give to this subject, each with its scope.
    pub fn bindings(&self, subject: &str) -> Vec<(Pattern, Role)> {
        self.subjects.iter().filter(|one| one.subject == subject).filter_map(CertificateSubject::binding).collect()
    }

    /// The refusal of a certificate that names nobody who is listed.
    pub(super) fn stranger(&self, names: &CertificateNames) -> AuthnError {
        let shown = if self.san.of(names).is_empty() { "it has no such name".to_owned() } else { self.shown(names) };
        AuthnError::new(format!("the client certificate names no known caller by its {}", self.san.as_str()))
            .detail(shown)
    }

    /// Whether one of its callers is called this.
    pub(super) fn has(&self, subject: &str) -> bool {
        self.subjects.iter().any(|one| one.subject == subject)
    }

    fn listed(&self, names: &CertificateNames) -> impl Iterator<Item = &CertificateSubject> {
        self.subjects.iter().filter(|subject| self.san.of(names).contains(&subject.name))
    }

    /// A server has many DNS names, and those that are not listed mean nothing; but nobody has two URIs (SPIFFE X.509-SVID, section 2)
    /// or common names.
    fn is_ambiguous(&self, names: &CertificateNames, first: &CertificateSubject) -> bool {
        let same = |other: &CertificateSubject| (&other.subject, other.role) == (&first.subject, first.role);
        self.san != SanType::Dns && self.san.of(names).len() > 1 || !self.listed(names).all(same)
    }

    fn shown(&self, names: &CertificateNames) -> String {
        quoted(&self.san.of(names).join(", "))
    }
}

impl CertificateSubject {
    fn binding(&self) -> Option<(Pattern, Role)> {
        self.role.map(|role| (Pattern::Everything, role))
    }
}

impl SanType {
    /// How a message speaks of it.
    pub fn as_str(self) -> &'static str {
        match self {
            SanType::Uri => "URI",
            SanType::Dns => "DNS name",
            SanType::Cn => "common name",
        }
    }

    fn of(self, names: &CertificateNames) -> &[String] {
        match self {
            SanType::Uri => &names.uris,
            SanType::Dns => &names.dns,
            SanType::Cn => &names.common,
        }
    }
}
