//! The URL of a Redis server.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::secret::Secret;

/// A Redis server, and the login there.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisServer {
    /// The address.
    pub address: RedisAddress,
    /// The number of the database. A cluster has only database 0.
    pub database: i64,
    /// The user name. `None`: the default user.
    pub user: Option<String>,
    /// The password, if the server needs one.
    pub password: Option<Secret>,
}

/// The address of a Redis server.
#[derive(Clone, PartialEq, Eq)]
pub enum RedisAddress {
    /// A host and a port.
    Tcp {
        /// The name or IP address.
        host: String,
        /// The port.
        port: u16,
        /// Whether the connection uses TLS.
        tls: bool,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl RedisServer {
    /// Returns whether requests to this server cross a network without encryption.
    pub(super) fn is_unencrypted(&self) -> bool {
        match &self.address {
            RedisAddress::Tcp { host, tls: false, .. } => !is_loopback(host),
            _ => false,
        }
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedisAddress::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            RedisAddress::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            RedisAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisServer(…)")
    }
}

/// Reads a URL: `redis://`, or `rediss://` for TLS, or `unix://`; see
/// <https://www.iana.org/assignments/uri-schemes/prov/redis>.
///
/// # Errors
/// Returns the flaw of the URL.
pub(super) fn parse_server(url: &Secret) -> Result<RedisServer, &'static str> {
    let text = str::from_utf8(url.expose()).unwrap_or_default().trim();
    if has_unknown_parameters(text) {
        return Err("has a parameter after `?` that is not known; only rediss:// selects TLS");
    }
    parse(text).ok_or("is not a Redis URL")
}

/// Returns whether a URL has a parameter that would be ignored. Only the URL of a socket has parameters: the others have
/// the user, the password and the database before the `?`.
fn has_unknown_parameters(url: &str) -> bool {
    let Some((before, parameters)) = url.split_once('?') else { return false };
    let known: &[&str] = if before.starts_with("unix://") { &["db", "user", "pass"] } else { &[] };
    !parameters.split('&').all(|pair| known.contains(&pair.split('=').next().unwrap_or_default()))
}

fn parse(text: &str) -> Option<RedisServer> {
    if text.contains('#') {
        return None;
    }
    // The library is built without TLS: this program makes the TLS connections itself.
    let encrypted = text.strip_prefix("rediss://").or_else(|| text.strip_prefix("valkeys://"));
    let plain = encrypted.map_or_else(|| text.to_owned(), |rest| format!("redis://{rest}"));
    let info: ConnectionInfo = plain.into_connection_info().ok()?;
    let redis = info.redis_settings();
    Some(RedisServer {
        address: address(info.addr(), encrypted.is_some())?,
        database: redis.db(),
        user: redis.username().map(str::to_owned),
        password: redis.password().map(|password| Secret::new(password.into())),
    })
}

/// Returns the password exactly as in the URL, where it may be percent-encoded.
pub(super) fn encoded_password(url: &Secret) -> Option<Secret> {
    let (_, rest) = str::from_utf8(url.expose()).ok()?.split_once("://")?;
    let (_, password) = rest.rsplit_once('@')?.0.split_once(':')?;
    Some(Secret::new(password.into()))
}

fn address(address: &ConnectionAddr, tls: bool) -> Option<RedisAddress> {
    match address {
        ConnectionAddr::Tcp(host, port) if !host.is_empty() => {
            Some(RedisAddress::Tcp { host: host.clone(), port: *port, tls })
        }
        ConnectionAddr::Unix(path) => Some(RedisAddress::Unix(path.clone())),
        _ => None,
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(url: &str) -> Option<RedisServer> {
        parse_server(&Secret::new(url.into())).ok()
    }

    #[test]
    fn reads_what_redis_urls_say() {
        for (url, address, exposed) in [
            ("redis://127.0.0.1", "127.0.0.1:6379", false),
            ("redis://localhost:1/3", "localhost:1", false),
            ("redis://u:p@redis.example.com:7000/3\n", "redis.example.com:7000", true),
            ("rediss://:p@redis.example.com", "redis.example.com:6379", false),
            ("valkeys://redis.example.com", "redis.example.com:6379", false),
            ("redis://[2001:db8::1]:7000", "[2001:db8::1]:7000", true),
            ("unix:///run/redis.sock", "unix:/run/redis.sock", false),
            ("redis://myMaster_1", "myMaster_1:6379", true),
        ] {
            let server = read(url).unwrap();
            assert_eq!((server.address.to_string().as_str(), server.is_unencrypted()), (address, exposed), "{url}");
        }
        let server = read("rediss://us%40er:p%2Fass@h/3").unwrap();
        assert!(matches!(server.address, RedisAddress::Tcp { tls: true, .. }));
        assert_eq!((server.user.unwrap().as_str(), server.database), ("us@er", 3));
        assert_eq!(server.password.unwrap().expose(), b"p/ass");
        let encoded = |url: &str| encoded_password(&Secret::new(url.into()));
        assert_eq!(encoded("rediss://us%40er:p%2Fass@h/3").unwrap().expose(), b"p%2Fass");
        assert!(["redis://h:1/3", "redis://user@h", "unix:///run/redis.sock"].map(encoded).iter().all(Option::is_none));
    }

    #[test]
    fn the_url_of_a_socket_may_have_parameters() {
        let server = read("unix:///run/redis.sock?db=3&user=tom&pass=secret").unwrap();
        assert_eq!((server.database, server.user.as_deref()), (3, Some("tom")));
        let error = parse_server(&Secret::new("redis://h/0?ssl=true".into())).unwrap_err();
        assert_eq!(error, "has a parameter after `?` that is not known; only rediss:// selects TLS");
    }

    #[test]
    fn refuses_what_is_none() {
        for url in [
            "",
            "redis://",
            "http://localhost",
            "localhost:6379",
            "rediss://h/#insecure",
            "redis://h/x",
            "redis://0.0.0.0",
            "redis://h:port",
            "redis://:p#ss@h",
            "redis://h/0?ssl=true",
            "redis://h?protocol=resp3",
            "rediss://h/?ssl_cert_reqs=none",
            "unix:///run/redis.sock?ssl=true",
            "redis://:p?ss@h",
        ] {
            assert!(read(url).is_none(), "{url}");
        }
    }
}
