//! The peers that may name the caller or the client address of a request.

use core::net::IpAddr;

use super::{ConnectionPeer, PeerAddress};
use crate::model::IpNetwork;

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
