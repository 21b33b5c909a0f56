//! Which peers may speak for others.

use core::net::IpAddr;

use super::{ConnectionPeer, PeerAddress};
use crate::model::IpNetwork;

/// The peers that are believed what they say about those behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(pub Vec<TrustedProxy>);

/// Some of these peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Those with an address in this network.
    Network(IpNetwork),
    /// Those that are connected through the Unix socket.
    Unix,
}

impl TrustedProxies {
    /// Whether this peer is one of them.
    pub fn include(&self, peer: &ConnectionPeer) -> bool {
        match peer.socket {
            PeerAddress::Address(address) => self.include_address(address),
            PeerAddress::Unix(_) => self.include_unix(),
        }
    }

    /// Whether a peer with this address is one of them.
    pub fn include_address(&self, address: IpAddr) -> bool {
        self.0.iter().any(|proxy| matches!(proxy, TrustedProxy::Network(network) if network.contains(address)))
    }

    /// The networks in which they are.
    pub fn networks(&self) -> impl Iterator<Item = &IpNetwork> {
        self.0.iter().filter_map(|proxy| match proxy {
            TrustedProxy::Network(network) => Some(network),
            TrustedProxy::Unix => None,
        })
    }

    /// Whether those at the Unix socket are.
    pub fn include_unix(&self) -> bool {
        self.0.contains(&TrustedProxy::Unix)
    }
}
