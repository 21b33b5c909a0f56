//! The parts of a request that identify its sender.

use core::net::IpAddr;

use http::HeaderMap;

use super::certificate::{ClientCertificate, VerifiedCertificate};
use super::origin::CrossSite;

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
