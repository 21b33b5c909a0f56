//! Authenticates requests: turns the credential in the headers of a request into a [`Caller`](crate::model::Caller), or returns an
//! [`AuthnError`] with the reason.
//!
//! A request carries at most one explicit credential: one `Authorization` header or one API key. A request with two
//! explicit credentials is refused, because they could name two callers. Ambient credentials are added to a request by
//! somebody other than its author: the headers of a proxy, cookies, and properties of the connection. They are used
//! only if there is no explicit credential. They are ignored if a page of another site made the browser send the
//! request.
//!
//! An invalid credential is always refused. The program never ignores it and tries another credential.

mod api_key;
mod audience;
mod authenticator;
mod authenticators;
mod binding;
mod certificate;
mod common;
mod credential;
mod dates;
mod endpoint;
mod error;
mod forwarded;
mod forwarded_certificate;
mod identity_mapping;
mod introspection;
mod jwt;
mod lookup;
mod mtls;
mod origin;
mod purpose;
mod request_credentials;
mod required_claim;
mod role_mapping;
mod tenant;
#[cfg(test)]
mod tests;
mod unix_peer;

pub use api_key::ApiKey;
pub use audience::{Audience, AudienceClaim};
pub use authenticator::Authenticator;
pub use authenticators::{Authenticators, DEFAULT_MAX_TOKEN_BYTES};
pub use binding::TokenCaller;
pub use certificate::{CertificateNames, ClientCertificate, Thumbprint, VerifiedCertificate, validity};
pub use common::{Common, is_address_claim};
pub use endpoint::{BearerToken, Endpoint, HttpsProxy, ProxyException, is_trustworthy};
pub use error::AuthnError;
pub use forwarded::Forwarded;
pub use identity_mapping::IdentityMapping;
pub use introspection::{Introspection, IntrospectionAnswer, IntrospectionProtocol, IntrospectionQuery};
pub use jwt::{
    ALGORITHMS, Algorithm, Jwt, KeySet, KeySetConfig, KeySource, UnusableKey, VerificationKeys, is_public_key,
    is_symmetric, parse_algorithm,
};
pub use lookup::{IdentifyError, LookupResult, PendingLookup};
pub use mtls::{CertificateSubject, Mtls, SanType, SpiffePrefix};
pub use origin::{AllowedOrigin, CrossSite, OwnHosts, RequestTarget, host_name};
pub use purpose::{TokenRules, normalize_media_type};
pub use request_credentials::{
    ConnectionPeer, PeerAddress, ProcessIds, RequestCredentials, TlsPeer, TrustedProxies, TrustedProxy,
};
pub use required_claim::RequiredClaim;
pub use role_mapping::{RoleMapping, strongest_roles};
pub use tenant::{Issuer, SubjectPrefix, TENANT_PLACEHOLDER, is_tenant};
pub use unix_peer::UnixPeer;
