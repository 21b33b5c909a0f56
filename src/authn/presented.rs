//! What a request brings along to say who sent it.

use core::net::IpAddr;

use http::HeaderMap;

use super::certificate::{Certificate, Shown};
use super::origin::CrossSite;

/// What a request brings along to say who sent it.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The connection that it came on.
    pub peer: &'a Peer,
    /// What the connection's client certificate is good for.
    pub certificate: Shown<'a>,
    /// Why it counts as another site's, if it does. Ambient credentials don't count then.
    pub cross_site: Option<CrossSite<'a>>,
}

impl<'a> Presented<'a> {
    /// These headers, from a peer of whom nothing is known.
    pub fn only(headers: &'a HeaderMap) -> Presented<'a> {
        const UNKNOWN: &Peer = &Peer { socket: Socket::Unix(None), tls: None };
        Presented { headers, peer: UNKNOWN, certificate: Shown::Nothing, cross_site: None }
    }
}

/// Who is at the other end of a connection, as far as the connection itself tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// How it is connected.
    pub socket: Socket,
    /// Of a connection with TLS, what that tells.
    pub tls: Option<Tls>,
}

/// What a connection with TLS tells of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate that it has shown, if any.
    pub certificate: Option<Certificate>,
}

/// How a peer is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// From this address; an IPv4 one is never written as IPv6.
    Address(IpAddr),
    /// Through a Unix socket, with the ids that the process had when it connected, if the system tells them.
    Unix(Option<Ids>),
}

/// Whom a process runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Its effective user id.
    pub uid: u32,
    /// Its effective group id.
    pub gid: u32,
}

impl Peer {
    /// One that is connected from this address.
    pub fn at(address: IpAddr) -> Peer {
        Peer { socket: Socket::Address(address.to_canonical()), tls: None }
    }

    /// One that is connected through a Unix socket.
    pub fn unix(ids: Option<Ids>) -> Peer {
        Peer { socket: Socket::Unix(ids), tls: None }
    }
}
