//! Which header is for what: a header that names the caller has no other meaning, and none that looks like it has one.

use http::HeaderName;

use super::authenticators::ConfiguredAuthenticators;
use super::file::{ByteRange, ConfigFile};
use super::reader::{ConfigItem, quoted};

/// What an authenticator reads from a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderRole {
    Key,
    Caller,
    Roles,
    Passed,
}

/// Headers with a meaning of their own.
const TAKEN: [&str; 28] = [
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

/// What further such headers start with. Those of LeanCloud's SDKs are in every request that these send, whoever they call.
const STARTS: [&str; 6] = ["accept", "access-control-", "content-", "if-", "sec-", "x-lc-"];

/// A header's name that an authenticator may have for this use.
pub(super) fn own(item: &ConfigItem<'_>, to: HeaderRole, callers: &mut ConfiguredAuthenticators) -> Option<HeaderName> {
    let name = header(item)?;
    let text = name.as_str();
    let taken = TAKEN.contains(&text)
        || STARTS.iter().any(|start| text.starts_with(start))
        || to == HeaderRole::Key && text.starts_with("x-forwarded-");
    if taken {
        let usual = match to {
            HeaderRole::Key => "write \"x-api-key\"",
            HeaderRole::Caller | HeaderRole::Roles => "write \"x-forwarded-user\", say",
            HeaderRole::Passed => "write a header of your app's own; cookies are listed under `cookies`",
        };
        return item.refuse(format!("can't be {}, which has a meaning of its own", quoted(text)), usual);
    }
    take(item.file, &item.span, name, to, callers)
}

/// Keeps a header for this use. What programs may take one for another can't be kept for two.
pub(super) fn take(
    file: &ConfigFile<'_>,
    place: &ByteRange,
    name: HeaderName,
    to: HeaderRole,
    callers: &mut ConfiguredAuthenticators,
) -> Option<HeaderName> {
    let clash = |(other, of): &&(HeaderName, HeaderRole)| plain(other) == plain(&name) && (other != name || *of != to);
    if let Some((other, of)) = callers.headers.iter().find(clash) {
        let (name, other) = (quoted(name.as_str()), quoted(other.as_str()));
        let same = if name == other { "is".to_owned() } else { format!("can't be told from {other},") };
        let message = format!("the header {name} {same} the one that {}", of.what());
        file.mistake(place, message, "give each a header of its own");
        return None;
    }
    callers.headers.push((name.clone(), to));
    Some(name)
}

/// A header's name, as HTTP/2 spells it.
pub(super) fn header(item: &ConfigItem<'_>) -> Option<HeaderName> {
    let text = item.filled()?;
    let name = HeaderName::from_lowercase(text.as_bytes()).ok();
    name.or_else(|| {
        item.refuse(format!("can't be {}", quoted(text)), "write a header's name in small letters, as in \"x-api-key\"")
    })
}

fn plain(name: &HeaderName) -> String {
    name.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

impl HeaderRole {
    fn what(self) -> &'static str {
        match self {
            HeaderRole::Key => "holds API keys",
            HeaderRole::Caller => "names forwarded callers",
            HeaderRole::Roles => "names forwarded roles",
            HeaderRole::Passed => "is passed on",
        }
    }
}
