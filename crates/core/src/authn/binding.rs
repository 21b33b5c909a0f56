//! Tokens that only one client may use, because they are bound to the key of the client (`cnf`: RFC 7800, section 3.1).
//! If another client sends such a token, the token was stolen.
//!
//! The program can check only the binding to the certificate of the connection of the client (RFC 8705). It refuses
//! other bindings, for example DPoP (RFC 9449).

use std::sync::Arc;

use serde_json::{Map, Value};

use super::certificate::{ClientCertificate, Thumbprint};
use super::error::AuthnError;
use crate::crypto;
use crate::model::Caller;

/// The caller that a token names, before the program has checked that the client may use the token. A cached caller is
/// confirmed again for each request, because two connections with the same token may have two certificates.
#[derive(Clone, Debug)]
pub struct TokenCaller {
    caller: Arc<Caller>,
    /// The certificate that the connection of the client must have.
    certificate: Option<Thumbprint>,
}

impl TokenCaller {
    pub(super) fn new(caller: Arc<Caller>, certificate: Option<Thumbprint>) -> TokenCaller {
        TokenCaller { caller, certificate }
    }

    /// Returns the caller, if the client on this connection may use the token.
    ///
    /// # Errors
    /// Returns an error if the token is bound to a certificate that the connection does not have.
    pub(super) fn confirm(self, shown: ClientCertificate<'_>) -> Result<Arc<Caller>, AuthnError> {
        let Some(wanted) = self.certificate else { return Ok(self.caller) };
        let flaw = match shown {
            ClientCertificate::Valid(certificate) if certificate.thumbprint() == Some(wanted) => return Ok(self.caller),
            ClientCertificate::Valid(_) => "the token is bound to another client certificate (cnf)",
            ClientCertificate::Absent | ClientCertificate::NoLongerValid => {
                "the token is bound to a client certificate (cnf), and the connection has no valid one"
            }
        };
        Err(AuthnError::invalid(flaw).with_authenticator(&self.caller.authenticator))
    }

    /// Returns the claims of the token, to estimate their size.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.caller.claims
    }

    /// Returns the caller, to estimate its size.
    pub(super) fn unconfirmed_caller(&self) -> &Caller {
        &self.caller
    }
}

/// Returns the certificate to which the claims bind their token, if there is one.
///
/// # Errors
/// Returns an error if the claims bind the token to something else.
pub(super) fn bound_certificate(claims: &Map<String, Value>) -> Result<Option<Thumbprint>, AuthnError> {
    const UNCHECKED: &str = "the token is bound to its client's key (cnf) in a way that can't be checked here";
    let refuse = |detail: &str| Err(AuthnError::invalid(UNCHECKED).with_detail(detail.to_owned()));
    let word = claims.get("token_type").and_then(Value::as_str).unwrap_or_default();
    if ["dpop", "pop"].iter().any(|bound| word.eq_ignore_ascii_case(bound)) {
        return refuse(
            "its `token_type` requires a proof of possession; accept_bound_tokens = true accepts it without",
        );
    }
    let members = match claims.get("cnf") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(members)) => members,
        Some(_) => return refuse("its `cnf` is not an object"),
    };
    let only = members.get("x5t#S256").filter(|_| members.len() == 1).and_then(Value::as_str);
    let digest = only.and_then(crypto::base64url_decode).and_then(|bytes| Thumbprint::try_from(bytes).ok());
    match digest {
        Some(digest) => Ok(Some(digest)),
        None => refuse("its `cnf` must hold only a valid `x5t#S256`; accept_bound_tokens = true accepts it anyway"),
    }
}
