//! The check that a token is for this program: its `aud`, or the client that it was issued to.

use serde_json::{Map, Value};

use super::error::{AuthnError, quote};

/// The accepted audiences of tokens, and the claim that holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// The claim that is compared.
    pub claim: AudienceClaim,
    /// The accepted values: the claim must be or contain one of them.
    pub accepted: Vec<String>,
}

/// A claim that names the intended receiver of a token, or the client that received it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AudienceClaim {
    /// `aud` (RFC 7519, section 4.1.3): a string or a list of strings.
    #[default]
    Aud,
    /// `client_id` (RFC 9068, section 2.2): the client that the token was issued to, for tokens without `aud`.
    ClientId,
    /// `azp` (OpenID Connect Core 1.0, section 2): the same under another name.
    Azp,
}

impl AudienceClaim {
    /// All claims, by their names.
    pub const ALL: [(&str, AudienceClaim); 3] =
        [("aud", AudienceClaim::Aud), ("client_id", AudienceClaim::ClientId), ("azp", AudienceClaim::Azp)];

    /// Returns the name of the claim.
    pub fn as_str(self) -> &'static str {
        match self {
            AudienceClaim::Aud => "aud",
            AudienceClaim::ClientId => "client_id",
            AudienceClaim::Azp => "azp",
        }
    }

    /// Returns the noun for the values, and their type, for messages.
    fn description(self) -> (&'static str, &'static str) {
        match self {
            AudienceClaim::Aud => ("audience", "as a string or a list of strings"),
            AudienceClaim::ClientId | AudienceClaim::Azp => ("client", "as a string"),
        }
    }
}

impl Audience {
    /// Checks that the claims name one of the accepted audiences.
    pub(super) fn check(&self, claims: &Map<String, Value>) -> Result<(), AuthnError> {
        let (noun, form) = self.claim.description();
        let name = self.claim.as_str();
        let malformed = || AuthnError::invalid(format!("the token must name its {noun} ({name}), {form}"));
        let named: Vec<&str> = match (claims.get(name), self.claim) {
            (Some(Value::String(one)), _) => vec![one],
            (Some(Value::Array(many)), AudienceClaim::Aud) => {
                many.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(malformed)?
            }
            _ => return Err(malformed()),
        };
        if named.iter().any(|name| self.accepted.iter().any(|accepted| accepted == name)) {
            return Ok(());
        }
        let refusal = AuthnError::invalid(format!("the token is for another {noun} ({name})"));
        Err(refusal.with_detail(quote(&named.join(" "))))
    }

    /// Returns whether no value is accepted by both.
    pub(super) fn is_disjoint(&self, other: &Audience) -> bool {
        self.claim == other.claim && !self.accepted.iter().any(|value| other.accepted.contains(value))
    }
}
