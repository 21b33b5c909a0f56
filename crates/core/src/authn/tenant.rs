//! Issuers with one name for each tenant, and the prefixes of the subjects of their tenants.

use serde_json::{Map, Value};

/// The placeholder for the tenant in the configuration.
pub const TENANT_PLACEHOLDER: &str = "{tenant}";

/// The claim with the tenant that a caller of a multi-tenant issuer gets.
const TENANT_CLAIM: &str = "tenant";

/// The longest name of a tenant, in bytes.
const MAX_TENANT_BYTES: usize = 64;

/// The accepted values of `iss`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// This exact value.
    Exact(String),
    /// One value for each tenant.
    PerTenant {
        /// The text before the tenant.
        before: String,
        /// The text after the tenant.
        after: String,
        /// The accepted tenants; `None` means any tenant.
        tenants: Option<Vec<String>>,
    },
}

/// An issuer that a token names, and its tenant if the issuer has tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamedIssuer<'a> {
    pub(super) tenant: Option<&'a str>,
}

impl Issuer {
    /// Returns the issuer if this `iss` is accepted.
    pub(super) fn find<'a>(&self, iss: &'a str) -> Option<NamedIssuer<'a>> {
        match self {
            Issuer::Exact(name) => (name == iss).then_some(NamedIssuer { tenant: None }),
            Issuer::PerTenant { before, after, tenants } => {
                let tenant = iss.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                let is_listed = tenants.as_ref().is_none_or(|all| all.iter().any(|known| known == tenant));
                (is_listed && is_tenant(tenant)).then_some(NamedIssuer { tenant: Some(tenant) })
            }
        }
    }

    /// Returns the exact value of `iss`, if there is only one.
    pub fn exact(&self) -> Option<&str> {
        match self {
            Issuer::Exact(name) => Some(name),
            Issuer::PerTenant { .. } => None,
        }
    }

    /// Returns whether it is certain that no value is accepted by both.
    pub(super) fn is_disjoint(&self, other: &Issuer) -> bool {
        match (self, other) {
            (Issuer::Exact(name), other) | (other, Issuer::Exact(name)) => other.find(name).is_none(),
            (Issuer::PerTenant { before, after, .. }, Issuer::PerTenant { before: start, after: end, .. }) => {
                match (self.all(), other.all()) {
                    (Some(all), _) => all.iter().all(|name| other.find(name).is_none()),
                    (_, Some(all)) => all.iter().all(|name| self.find(name).is_none()),
                    (None, None) => {
                        !(before.starts_with(start) || start.starts_with(before))
                            || !(after.ends_with(end) || end.ends_with(after))
                    }
                }
            }
        }
    }

    /// Returns all accepted values, if the tenants are listed.
    fn all(&self) -> Option<Vec<String>> {
        match self {
            Issuer::Exact(name) => Some(vec![name.clone()]),
            Issuer::PerTenant { before, after, tenants } => {
                Some(tenants.as_ref()?.iter().map(|tenant| format!("{before}{tenant}{after}")).collect())
            }
        }
    }
}

/// Adds the tenant to the claims. A claim of the token with the same name is replaced.
pub(super) fn add_tenant(claims: &mut Map<String, Value>, tenant: Option<&str>) {
    if let Some(tenant) = tenant {
        claims.insert(TENANT_CLAIM.to_owned(), tenant.into());
    }
}

/// The text that an authenticator puts before the subjects of its callers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectPrefix {
    before: String,
    /// The text after the tenant, if the prefix has a tenant.
    after: Option<String>,
}

impl SubjectPrefix {
    /// Reads a prefix, which can have one `{tenant}`. The text after the placeholder must begin with a character that
    /// no tenant has. Otherwise, the subjects of two tenants could be equal.
    ///
    /// # Errors
    /// Returns the flaw, in words that follow the name of the key.
    pub fn parse(text: &str) -> Result<SubjectPrefix, &'static str> {
        let Some((before, after)) = text.split_once(TENANT_PLACEHOLDER) else {
            return Ok(SubjectPrefix { before: text.to_owned(), after: None });
        };
        if after.contains(TENANT_PLACEHOLDER) {
            return Err("can have `{tenant}` only once");
        }
        if after.bytes().next().is_none_or(is_tenant_byte) {
            return Err("needs a separator after `{tenant}`, such as `/` or `:`");
        }
        Ok(SubjectPrefix { before: before.to_owned(), after: Some(after.to_owned()) })
    }

    /// Returns whether the prefix has a tenant.
    pub fn has_tenant(&self) -> bool {
        self.after.is_some()
    }

    /// Returns whether a tenant can make this prefix equal to the other one. Whether the tenant is accepted does not
    /// matter.
    pub fn can_equal(&self, other: &SubjectPrefix) -> bool {
        match (&self.after, &other.after) {
            (None, None) => self.before == other.before,
            (Some(_), None) => self.strip(&other.before) == Some(""),
            (None, Some(_)) => other.strip(&self.before) == Some(""),
            (Some(one), Some(two)) => {
                let is_tenant_start = |rest: &str| rest.bytes().all(is_tenant_byte);
                let rest = self.before.strip_prefix(other.before.as_str());
                let rest = rest.or_else(|| other.before.strip_prefix(self.before.as_str()));
                one == two && rest.is_some_and(is_tenant_start)
            }
        }
    }

    /// Returns the prefix for callers of this tenant.
    pub(super) fn resolve(&self, tenant: Option<&str>) -> String {
        match &self.after {
            None => self.before.clone(),
            Some(after) => format!("{}{}{after}", self.before, tenant.unwrap_or_default()),
        }
    }

    /// Returns the subject without the prefix.
    pub(super) fn strip<'a>(&self, subject: &'a str) -> Option<&'a str> {
        let rest = subject.strip_prefix(self.before.as_str())?;
        let Some(after) = &self.after else { return Some(rest) };
        let end = rest.bytes().position(|byte| !is_tenant_byte(byte))?;
        let (tenant, rest) = rest.split_at(end);
        is_tenant(tenant).then(|| rest.strip_prefix(after.as_str())).flatten()
    }
}

impl std::fmt::Display for SubjectPrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.before)?;
        self.after.as_ref().map_or(Ok(()), |after| write!(f, "{TENANT_PLACEHOLDER}{after}"))
    }
}

/// Returns whether this can be the name of a tenant: at most 64 letters, digits, `-` and `_`. So a tenant cannot change
/// the path or the host of the issuer.
pub fn is_tenant(text: &str) -> bool {
    (1..=MAX_TENANT_BYTES).contains(&text.len()) && text.bytes().all(is_tenant_byte)
}

fn is_tenant_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn per_tenant(tenants: Option<&[&str]>) -> Issuer {
        let tenants = tenants.map(|all| all.iter().map(ToString::to_string).collect());
        Issuer::PerTenant { before: "https://login.example.com/".to_owned(), after: "/v2.0".to_owned(), tenants }
    }

    #[test]
    fn a_tenant_is_one_plain_part_of_the_issuer() {
        let tenant = |iss: &'static str| per_tenant(None).find(iss).and_then(|issuer| issuer.tenant);
        assert_eq!(tenant("https://login.example.com/acme/v2.0"), Some("acme"));
        assert_eq!(tenant("https://login.example.com/0f1e-2d_3c/v2.0"), Some("0f1e-2d_3c"));
        for iss in [
            "https://login.example.com//v2.0",
            "https://login.example.com/v2.0",
            "https://login.example.com/acme/evil/v2.0",
            "https://login.example.com/../v2.0",
            "https://login.example.com/acme.evil/v2.0",
            "https://login.example.com/acme%2f/v2.0",
            "https://login.example.com/acme?/v2.0",
            "https://login.example.com/äcme/v2.0",
            "https://login.example.com/{tenant}/v2.0",
            "https://login.example.com/acme/v2.0/",
            "https://login.example.com.evil.example/acme/v2.0",
            "https://LOGIN.example.com/acme/v2.0",
        ] {
            assert_eq!(tenant(iss), None, "{iss}");
        }
        let listed = per_tenant(Some(&["acme"]));
        assert!(listed.find("https://login.example.com/acme/v2.0").is_some());
        assert!(listed.find("https://login.example.com/Acme/v2.0").is_none());
        assert!(listed.find("https://login.example.com/other/v2.0").is_none());
    }

    #[test]
    fn issuers_are_disjoint_only_if_no_value_fits_both() {
        let exact = |name: &str| Issuer::Exact(name.to_owned());
        let acme = exact("https://login.example.com/acme/v2.0");
        for (one, other, disjoint) in [
            (acme.clone(), acme.clone(), false),
            (acme.clone(), exact("https://id.example.com/"), true),
            (acme.clone(), per_tenant(None), false),
            (acme.clone(), per_tenant(Some(&["other"])), true),
            (per_tenant(Some(&["a", "b"])), per_tenant(Some(&["b"])), false),
            (per_tenant(Some(&["a"])), per_tenant(Some(&["b"])), true),
            (per_tenant(Some(&["a"])), per_tenant(None), false),
            (per_tenant(None), per_tenant(None), false),
        ] {
            assert_eq!((one.is_disjoint(&other), other.is_disjoint(&one)), (disjoint, disjoint), "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_prefix_separates_the_tenant_from_the_subject() {
        let prefix = SubjectPrefix::parse("t:{tenant}/").unwrap();
        assert_eq!(prefix.resolve(Some("acme")), "t:acme/");
        assert_eq!(prefix.strip("t:acme/tom"), Some("tom"));
        assert_eq!(prefix.strip("t:acme/b/tom"), Some("b/tom"));
        for other in ["t:/tom", "t:acme", "acme/tom", "t:a.b/tom", "tom"] {
            assert_eq!(prefix.strip(other), None, "{other}");
        }
        for wrong in ["{tenant}", "{tenant}x", "{tenant}-", "{tenant}/{tenant}/"] {
            assert!(SubjectPrefix::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(SubjectPrefix::parse("web-").unwrap().strip("web-tom"), Some("tom"));
        let equal = |one, two| {
            let [one, two] = [one, two].map(|text| SubjectPrefix::parse(text).unwrap());
            assert_eq!(one.can_equal(&two), two.can_equal(&one));
            one.can_equal(&two)
        };
        for (one, two) in [("{tenant}/", "staff/"), ("{tenant}/", "{tenant}/"), ("a{tenant}/", "{tenant}/"), ("x", "x")]
        {
            assert!(equal(one, two), "{one} {two}");
        }
        for (one, two) in
            [("{tenant}/", "staff."), ("{tenant}/", "a/b/"), ("t:{tenant}/", "{tenant}/"), ("{tenant}/", "")]
        {
            assert!(!equal(one, two), "{one} {two}");
        }
        assert_eq!(prefix.to_string(), "t:{tenant}/");
    }
}
