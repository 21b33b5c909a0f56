//! Ownership of subjects: two different credentials must not have the same subject.

use std::sync::Arc;

use super::{Authenticator, Authenticators, AuthnError};
use crate::model::{Caller, CallerKind};

impl Authenticators {
    /// Checks that a credential of this authenticator can have this subject.
    ///
    /// # Errors
    /// Returns an error that says why no credential can have this subject.
    pub fn check_subject(&self, authenticator: &Authenticator, subject: &str) -> Result<(), AuthnError> {
        match authenticator {
            Authenticator::Jwt(jwt) => {
                jwt.check_subject(subject)?;
                self.check_subject_owner(jwt.common.kind, &jwt.subject_prefix, subject)
            }
            Authenticator::ApiKey(api_key) if api_key.has_id(subject) => Ok(()),
            Authenticator::ApiKey(_) => Err(AuthnError::invalid("it has no API key with this id")),
            Authenticator::Forwarded(forwarded) => {
                forwarded.check_subject(subject)?;
                self.check_subject_owner(forwarded.common.kind, &forwarded.subject_prefix, subject)
            }
            Authenticator::Introspection(introspection) => {
                introspection.check_subject(subject)?;
                self.check_subject_owner(introspection.common.kind, &introspection.subject_prefix, subject)
            }
            Authenticator::Mtls(mtls) if mtls.has_subject(subject) => Ok(()),
            Authenticator::Mtls(_) => Err(AuthnError::invalid("it lists no certificate for this subject")),
            Authenticator::UnixPeer(process) if process.can_have_subject(subject) => Ok(()),
            Authenticator::UnixPeer(_) => Err(AuthnError::invalid("its processes have another subject")),
        }
    }

    /// Returns the caller, if its subject does not belong to another caller.
    pub(super) fn check_caller_subject(&self, caller: Arc<Caller>) -> Result<Arc<Caller>, AuthnError> {
        let prefix = self.vouching(&caller).map_or("", Authenticator::subject_prefix);
        let checked = self.check_subject_owner(caller.kind, prefix, &caller.subject);
        checked.map_err(|refusal| refusal.with_authenticator(&caller.authenticator))?;
        Ok(caller)
    }

    /// Returns the authenticator that authenticated the caller.
    pub(super) fn vouching(&self, caller: &Caller) -> Option<&Authenticator> {
        self.all.iter().find(|one| one.common().name == caller.authenticator)
    }

    /// Refuses a subject that belongs to another caller: two different credentials must not have the same subject.
    fn check_subject_owner(&self, kind: CallerKind, prefix: &str, subject: &str) -> Result<(), AuthnError> {
        if self.has_foreign_prefix(kind, prefix, subject) {
            return Err(AuthnError::invalid("the caller's subject starts with the prefix of another authenticator"));
        }
        let mut same_kind = self.all.iter().filter(|one| one.common().kind == kind);
        match same_kind.find_map(|one| one.reserved_for(subject)) {
            Some(whose) => Err(AuthnError::invalid(format!("the caller's subject is {whose}"))),
            None => Ok(()),
        }
    }

    /// Returns whether the subject belongs to another issuer, proxy or server: another authenticator has a longer
    /// prefix that matches, too. Without this check, a user who registers with the first issuer as `partner.alice`
    /// would get the subject of alice at the issuer with the prefix `partner.`.
    fn has_foreign_prefix(&self, kind: CallerKind, prefix: &str, subject: &str) -> bool {
        let mut others = self.all.iter().filter(|one| one.common().kind == kind).map(Authenticator::subject_prefix);
        others.any(|other| other.len() > prefix.len() && subject.starts_with(other))
    }
}

impl Authenticator {
    /// Returns the owner of this subject, if the configuration gives the subject to a caller of this authenticator.
    fn reserved_for(&self, subject: &str) -> Option<&'static str> {
        match self {
            Authenticator::ApiKey(api_key) => api_key.has_id(subject).then_some("the id of an API key"),
            Authenticator::Mtls(mtls) => mtls.has_subject(subject).then_some("reserved for a client certificate"),
            Authenticator::UnixPeer(process) => {
                process.can_have_subject(subject).then_some("reserved for a local process")
            }
            Authenticator::Jwt(_) | Authenticator::Forwarded(_) | Authenticator::Introspection(_) => None,
        }
    }
}
