//! `[[authenticators]]` with `type = "forwarded"`.

use http::HeaderName;

use super::authenticator_context::{AuthenticatorContext, ConfiguredAuthenticators, fixed_subject_prefix, max_role};
use super::headers::HeaderRole;
use super::limits;
use super::reader::Section;
use crate::authn::{Common, Forwarded, IdentityMapping, RoleMapping, SanType, SubjectPrefix};

/// Reads all keys of the section except those that every authenticator has.
pub(super) fn forwarded(
    section: &mut Section<'_>,
    common: Option<Common>,
    callers: &mut ConfiguredAuthenticators,
    context: &AuthenticatorContext<'_>,
) -> Option<Forwarded> {
    let header = section.require("header", "name it: header = \"x-forwarded-user\"");
    let header = header.and_then(|item| callers.headers.read(&item, HeaderRole::Caller));
    let roles = section.get("roles_header");
    let roles_header = roles.as_ref().map(|item| callers.headers.read(item, HeaderRole::Roles));
    let certificate_name = certificate_name(section, header.as_ref());
    let proxies = section.require("trusted_proxies", "list the proxies: trusted_proxies = [\"127.0.0.1/32\"]");
    let trusted_proxies = proxies.and_then(|item| limits::proxies(&item));
    let subject_prefix = fixed_subject_prefix(section, common.as_ref(), callers, "this proxy and");
    let max_role = max_role(section, context.roles, roles.as_ref(), "this header");
    let (header, roles_header) = (header?, roles_header.map_or(Some(None), |header| header.map(Some))?);
    let roles = roles_header.as_ref().map(HeaderName::to_string);
    let roles = RoleMapping { roles, max_role, ..RoleMapping::none(context.roles) };
    let identity = identity(&header, subject_prefix?, roles);
    let (common, certificate_name, trusted_proxies) = (common?, certificate_name?, trusted_proxies?);
    Some(Forwarded { common, identity, header, certificate_name, roles_header, trusted_proxies })
}

/// Returns the mapping from the header to the caller.
fn identity(header: &HeaderName, subject_prefix: SubjectPrefix, roles: RoleMapping) -> IdentityMapping {
    let (subject, required) = (vec![header.to_string()], Vec::new());
    IdentityMapping { subject, numeric_subject: false, subject_prefix, required, roles }
}

/// The header in which Envoy describes the client certificate.
const CERTIFICATE_HEADER: &str = "x-forwarded-client-cert";

/// Reads the kind of name in the certificate that the header describes. Only [`CERTIFICATE_HEADER`] describes one, and it
/// has no other use. The inner `None` stands for any other header. Returns `None` if there is a mistake.
#[expect(clippy::option_option, reason = "the outer option is a mistake, the inner one a setting that is not there")]
fn certificate_name(section: &mut Section<'_>, header: Option<&HeaderName>) -> Option<Option<SanType>> {
    let is_certificate = header.is_some_and(|header| header.as_str() == CERTIFICATE_HEADER);
    match (section.get("certificate_name"), is_certificate) {
        (None, false) => Some(None),
        (None, true) => {
            let help = "write certificate_name = \"uri\" or \"dns\", the name that identifies the caller";
            section.file.mistake(&section.span, "the header describes a certificate, which has several names", help);
            None
        }
        (Some(item), false) => {
            let help = "leave it out, or write header = \"x-forwarded-client-cert\"";
            item.mistake("is only for the header x-forwarded-client-cert", help)
        }
        (Some(item), true) => item.keyword(&[("uri", SanType::Uri), ("dns", SanType::Dns)]).map(Some),
    }
}
