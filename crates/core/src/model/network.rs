//! Ranges of IP addresses.

use core::net::IpAddr;
use std::fmt;

/// A network: the addresses that share the first bits of an address, for example `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNetwork {
    address: IpAddr,
    bits: u8,
}

impl IpNetwork {
    /// Reads a network such as `10.0.0.0/8` or `fd00::/8`. Returns `None` if the text is not a network, if the address
    /// is not the first one of the network, or if it is an IPv4 address in IPv6 form, which would contain nothing.
    pub fn parse(text: &str) -> Option<IpNetwork> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok().filter(|address: &IpAddr| address.to_canonical() == *address)?;
        let plain = bits.bytes().all(|byte| byte.is_ascii_digit());
        let network = IpNetwork { address, bits: bits.parse().ok().filter(|_| plain)? };
        (network.bits <= address_bits(address) && network_bits(address, network.bits) == to_bits(address))
            .then_some(network)
    }

    /// Returns whether the network contains this address. An IPv4 address in IPv6 form counts as an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && network_bits(address, self.bits) == to_bits(self.address)
    }

    /// Returns whether the network contains all addresses of IPv4 or of IPv6.
    pub fn contains_all(&self) -> bool {
        self.bits == 0
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

fn address_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Returns the address with only its first `bits` bits. The other bits are zero.
fn network_bits(address: IpAddr, bits: u8) -> u128 {
    let rest = u32::from(address_bits(address).saturating_sub(bits));
    let low = u128::MAX.checked_shr(128 - rest).unwrap_or(0);
    to_bits(address) & !low
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        IpNetwork::parse(network).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_the_addresses_with_its_first_bits() {
        for (network, inside, outside) in [
            ("127.0.0.1/32", "127.0.0.1", "127.0.0.2"),
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"),
            ("::1/128", "::1", "::2"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"),
        ] {
            assert!(holds(network, inside), "{network} {inside}");
            assert!(!holds(network, outside), "{network} {outside}");
        }
    }

    #[test]
    fn families_differ_except_ipv4_in_ipv6_form() {
        assert!(holds("0.0.0.0/0", "255.255.255.255") && holds("::/0", "ffff::"));
        assert!(!holds("0.0.0.0/0", "::1") && !holds("::/0", "127.0.0.1"));
        assert!(holds("127.0.0.1/32", "::ffff:127.0.0.1"));
        assert!(!holds("::/0", "::ffff:127.0.0.1"), "which is an IPv4 address");
    }

    #[test]
    fn rejects_invalid_networks() {
        for text in [
            "",
            "10.0.0.0",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0.1/8",
            "fd00::1/8",
            "10.0.0/8",
            "example.com/8",
            "10.0.0.0/256",
            "::ffff:10.0.0.0/104",
        ] {
            assert_eq!(IpNetwork::parse(text), None, "{text}");
        }
    }
}
