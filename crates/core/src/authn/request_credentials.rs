//! What a request brings along to say who sent it.

use core::net::IpAddr;

use http::HeaderMap;

use super::certificate::{ClientCertificate, VerifiedCertificate};
use super::origin::CrossSite;

/// What a request brings along to say who sent it.
#[derive(Clone, Copy, Debug)]
pub struct RequestCredentials<'a> {
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The connection that it came on.
    pub peer: &'a ConnectionPeer,
    /// What the connection's client certificate is good for.
    pub certificate: ClientCertificate<'a>,
    /// Why it counts as another site's, if it does. Ambient credentials don't count then.
    pub cross_site: Option<CrossSite<'a>>,
}

impl<'a> RequestCredentials<'a> {
    /// These headers, from a peer of whom nothing is known.
    pub fn only(headers: &'a HeaderMap) -> RequestCredentials<'a> {
        const UNKNOWN: &ConnectionPeer = &ConnectionPeer { socket: PeerAddress::Unix(None), tls: None };
        RequestCredentials { headers, peer: UNKNOWN, certificate: ClientCertificate::Nothing, cross_site: None }
    }
}

/// Who is at the other end of a connection, as far as the connection itself tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionPeer {
    /// How it is connected.
    pub socket: PeerAddress,
    /// Of a connection with TLS, what that tells.
    pub tls: Option<TlsPeer>,
}

/// What a connection with TLS tells of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPeer {
    /// The certificate that it has shown, if any.
    pub certificate: Option<VerifiedCertificate>,
}

/// How a peer is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// From this address; an IPv4 one is never written as IPv6.
    Address(IpAddr),
    /// Through a Unix socket, with the ids that the process had when it connected, if the system tells them.
    Unix(Option<ProcessIds>),
}

/// Whom a process runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessIds {
    /// Its effective user id.
    pub uid: u32,
    /// Its effective group id.
    pub gid: u32,
}

impl ConnectionPeer {
    /// One that is connected from this address.
    pub fn at(address: IpAddr) -> ConnectionPeer {
        ConnectionPeer { socket: PeerAddress::Address(address.to_canonical()), tls: None }
    }

    /// One that is connected through a Unix socket.
    pub fn unix(ids: Option<ProcessIds>) -> ConnectionPeer {
        ConnectionPeer { socket: PeerAddress::Unix(ids), tls: None }
    }
}
