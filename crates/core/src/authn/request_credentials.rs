//! The parts of a request that identify its sender, and the peers that may name another sender.

use core::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use super::certificate::{ClientCertificate, VerifiedCertificate};
use super::error::AuthnError;
use super::origin::CrossSite;
use crate::model::IpNetwork;

/// The parts of a request that identify its sender.
#[derive(Clone, Copy, Debug)]
pub struct RequestCredentials<'a> {
    /// The headers of the request.
    pub headers: &'a HeaderMap,
    /// The peer of the connection.
    pub peer: &'a ConnectionPeer,
    /// The state of the client certificate of the connection.
    pub certificate: ClientCertificate<'a>,
    /// The reason why the request is treated as a request of another site, if there is a reason. In this case ambient
    /// credentials are ignored.
    pub cross_site: Option<CrossSite<'a>>,
}

impl<'a> RequestCredentials<'a> {
    /// Takes only headers, from an unknown peer.
    pub fn from_headers(headers: &'a HeaderMap) -> RequestCredentials<'a> {
        const UNKNOWN: &ConnectionPeer = &ConnectionPeer { address: PeerAddress::Unix(None), tls: None };
        RequestCredentials { headers, peer: UNKNOWN, certificate: ClientCertificate::Absent, cross_site: None }
    }
}

/// The other end of a connection, as far as the connection itself shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionPeer {
    /// The address of the peer.
    pub address: PeerAddress,
    /// The TLS data, if the connection uses TLS.
    pub tls: Option<TlsPeer>,
}

/// The TLS data of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPeer {
    /// The certificate that the peer has sent, if any.
    pub certificate: Option<VerifiedCertificate>,
}

/// The address of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// The IP address; an IPv4 address is never written as IPv6.
    Address(IpAddr),
    /// A Unix socket, with the ids of the process at the time of the connection, if the system provides them.
    Unix(Option<ProcessIds>),
}

/// The user and group of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessIds {
    /// The effective user id.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
}

impl ConnectionPeer {
    /// Returns a peer with this IP address.
    pub fn from_address(address: IpAddr) -> ConnectionPeer {
        ConnectionPeer { address: PeerAddress::Address(address.to_canonical()), tls: None }
    }

    /// Returns a peer on a Unix socket.
    pub fn from_unix_socket(ids: Option<ProcessIds>) -> ConnectionPeer {
        ConnectionPeer { address: PeerAddress::Unix(ids), tls: None }
    }
}

/// The peers whose headers about other clients are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(pub Vec<TrustedProxy>);

/// A group of trusted peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// The peers with an address in this network.
    Network(IpNetwork),
    /// The peers that are connected through the Unix socket.
    Unix,
}

impl TrustedProxies {
    /// Returns whether this peer is trusted.
    pub fn contains(&self, peer: &ConnectionPeer) -> bool {
        match peer.address {
            PeerAddress::Address(address) => self.contains_address(address),
            PeerAddress::Unix(_) => self.contains_unix_socket(),
        }
    }

    /// Returns whether a peer with this address is trusted.
    pub fn contains_address(&self, address: IpAddr) -> bool {
        self.0.iter().any(|proxy| matches!(proxy, TrustedProxy::Network(network) if network.contains(address)))
    }

    /// Returns the networks of the trusted peers.
    pub fn networks(&self) -> impl Iterator<Item = &IpNetwork> {
        self.0.iter().filter_map(|proxy| match proxy {
            TrustedProxy::Network(network) => Some(network),
            TrustedProxy::Unix => None,
        })
    }

    /// Returns whether the peers at the Unix socket are trusted.
    pub fn contains_unix_socket(&self) -> bool {
        self.0.contains(&TrustedProxy::Unix)
    }
}

/// Returns the token in `Bearer <token>` (RFC 6750, section 2.1). The scheme is case-insensitive (RFC 9110, section
/// 11.1).
pub(super) fn bearer_token(value: &HeaderValue) -> Result<&str, AuthnError> {
    let text = value.to_str().map_err(|_| AuthnError::invalid("the `authorization` header holds more than ASCII"))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_start_matches(' ')),
        _ => Err(AuthnError::invalid("the `authorization` header must be `Bearer <token>`")),
    }
}
