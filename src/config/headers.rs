//! The use of each header. A header that names the caller must have no other use, and no other used header may look
//! like it.

use http::HeaderName;

use super::file::ConfigFile;
use super::reader::{ConfigItem, quoted};
use super::report::ByteRange;

/// The use of a header by an authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderRole {
    Key,
    Caller,
    Roles,
    Forwarded,
}

/// Headers that already have a meaning, so authenticators cannot use them.
const RESERVED_HEADERS: [&str; 28] = [
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "from",
    "host",
    "keep-alive",
    "origin",
    "pragma",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

/// The prefixes of further headers of this kind. The SDKs of LeanCloud add their headers (`x-lc-`) to all their
/// requests, whatever the server.
const RESERVED_PREFIXES: [&str; 6] = ["accept", "access-control-", "content-", "if-", "sec-", "x-lc-"];

/// The headers that the authenticators read, each with its use.
#[derive(Default)]
pub(super) struct UsedHeaders(Vec<(HeaderName, HeaderRole)>);

impl UsedHeaders {
    /// Reads the name of a header that an authenticator may use for this purpose.
    pub(super) fn read(&mut self, item: &ConfigItem<'_>, to: HeaderRole) -> Option<HeaderName> {
        let name = header(item)?;
        let text = name.as_str();
        let taken = is_reserved(&name) || to == HeaderRole::Key && text.starts_with("x-forwarded-");
        if taken {
            let usual = match to {
                HeaderRole::Key => "write \"x-api-key\"",
                HeaderRole::Caller | HeaderRole::Roles => "write for example \"x-forwarded-user\"",
                HeaderRole::Forwarded => "write a header that only your app uses; list cookies under `cookies`",
            };
            return item.mistake(format!("can't be {}, which already has a meaning", quoted(text)), usual);
        }
        self.reserve(item.file, &item.span, name, to)
    }

    /// Returns the use of this header, if an authenticator for other clients than web pages reads it.
    pub(super) fn use_outside_pages(&self, name: &HeaderName) -> Option<&'static str> {
        let (_, role) = self.0.iter().find(|(known, role)| known == name && *role != HeaderRole::Forwarded)?;
        Some(role.description())
    }

    /// Reserves a header for this use. Two headers that programs may confuse cannot have different uses.
    pub(super) fn reserve(
        &mut self,
        file: &ConfigFile<'_>,
        place: &ByteRange,
        name: HeaderName,
        to: HeaderRole,
    ) -> Option<HeaderName> {
        let clash = |(other, of): &&(HeaderName, HeaderRole)| {
            similarity_key(other) == similarity_key(&name) && (other != name || *of != to)
        };
        if let Some((other, of)) = self.0.iter().find(clash) {
            let (name, other) = (quoted(name.as_str()), quoted(other.as_str()));
            let same = if name == other { "is already".to_owned() } else { format!("is too similar to {other},") };
            let message = format!("the header {name} {same} the header that {}", of.description());
            file.mistake(place, message, "use a separate header for each");
            return None;
        }
        self.0.push((name.clone(), to));
        Some(name)
    }
}

/// Reads the name of a header in lowercase, as in HTTP/2.
pub(super) fn header(item: &ConfigItem<'_>) -> Option<HeaderName> {
    let text = item.non_empty_text()?;
    let name = HeaderName::from_lowercase(text.as_bytes()).ok();
    name.or_else(|| {
        item.mistake(
            format!("can't be {}", quoted(text)),
            "write a header's name in small letters, as in \"x-api-key\"",
        )
    })
}

/// Returns whether the header already has a meaning.
pub(super) fn is_reserved(name: &HeaderName) -> bool {
    let text = name.as_str();
    RESERVED_HEADERS.contains(&text) || RESERVED_PREFIXES.iter().any(|start| text.starts_with(start))
}

fn similarity_key(name: &HeaderName) -> String {
    name.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

impl HeaderRole {
    fn description(self) -> &'static str {
        match self {
            HeaderRole::Key => "holds API keys",
            HeaderRole::Caller => "names forwarded callers",
            HeaderRole::Roles => "names forwarded roles",
            HeaderRole::Forwarded => "is passed on",
        }
    }
}
