//! Whose a subject is: two different credentials must not be one caller.

use std::sync::Arc;

use super::{Authenticator, Authenticators, AuthnError};
use crate::model::{Caller, CallerKind};

impl Authenticators {
    /// Whether some credential that this authenticator accepts could be this subject's.
    ///
    /// # Errors
    /// Why none could.
    pub fn check_subject(&self, authenticator: &Authenticator, subject: &str) -> Result<(), AuthnError> {
        match authenticator {
            Authenticator::Jwt(jwt) => {
                jwt.check_subject(subject)?;
                self.check_own(jwt.common.kind, &jwt.subject_prefix, subject)
            }
            Authenticator::ApiKey(api_key) if api_key.has(subject) => Ok(()),
            Authenticator::ApiKey(_) => Err(AuthnError::new("it has no API key of this id")),
            Authenticator::Forwarded(forwarded) => {
                forwarded.check_subject(subject)?;
                self.check_own(forwarded.common.kind, &forwarded.subject_prefix, subject)
            }
            Authenticator::Introspection(introspection) => {
                introspection.check_subject(subject)?;
                self.check_own(introspection.common.kind, &introspection.subject_prefix, subject)
            }
            Authenticator::Mtls(mtls) if mtls.has(subject) => Ok(()),
            Authenticator::Mtls(_) => Err(AuthnError::new("it lists no certificate's name for this subject")),
            Authenticator::Process(process) if process.may_be(subject) => Ok(()),
            Authenticator::Process(_) => Err(AuthnError::new("its processes have another subject")),
        }
    }

    /// The caller, if its subject is no other's.
    pub(super) fn own(&self, caller: Arc<Caller>) -> Result<Arc<Caller>, AuthnError> {
        let prefix = self.vouching(&caller).map_or("", Authenticator::subject_prefix);
        let checked = self.check_own(caller.kind, prefix, &caller.subject);
        checked.map_err(|refusal| refusal.by(&caller.authenticator))?;
        Ok(caller)
    }

    /// The authenticator that vouches for the caller.
    pub(super) fn vouching(&self, caller: &Caller) -> Option<&Authenticator> {
        self.all.iter().find(|one| one.common().name == caller.authenticator)
    }

    /// Refuses a subject that is another's: two different credentials must not be one caller.
    fn check_own(&self, kind: CallerKind, prefix: &str, subject: &str) -> Result<(), AuthnError> {
        if self.is_anothers(kind, prefix, subject) {
            return Err(AuthnError::new("the caller's subject starts with what marks another issuer's subjects"));
        }
        let mut same_kind = self.all.iter().filter(|one| one.common().kind == kind);
        match same_kind.find_map(|one| one.reserves(subject)) {
            Some(whose) => Err(AuthnError::new(format!("the caller's subject is {whose}"))),
            None => Ok(()),
        }
    }

    /// Whether the subject belongs to another issuer, proxy or server: to one whose prefix fits it, too, and is longer. Without this,
    /// whoever signs up with the first issuer as `partner.alice` would be the alice of the one whose prefix is `partner.`.
    fn is_anothers(&self, kind: CallerKind, prefix: &str, subject: &str) -> bool {
        let mut others = self.all.iter().filter(|one| one.common().kind == kind).map(Authenticator::subject_prefix);
        others.any(|other| other.len() > prefix.len() && subject.starts_with(other))
    }
}

impl Authenticator {
    /// Whose this subject is, if the configuration gives it to one of its callers.
    fn reserves(&self, subject: &str) -> Option<&'static str> {
        match self {
            Authenticator::ApiKey(api_key) => api_key.has(subject).then_some("the id of an API key"),
            Authenticator::Mtls(mtls) => mtls.has(subject).then_some("that of a client certificate"),
            Authenticator::Process(process) => process.may_be(subject).then_some("that of a process on this machine"),
            Authenticator::Jwt(_) | Authenticator::Forwarded(_) | Authenticator::Introspection(_) => None,
        }
    }
}
