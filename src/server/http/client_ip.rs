//! Determines the client address of a request from the connection and from the headers of trusted proxies.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::header::{FORWARDED, HeaderMap, HeaderName};

use crate::authn::{ConnectionPeer, PeerAddress, TrustedProxies};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of all peers of the Unix socket, unless they are trusted and name another address.
const UNIX_PEER_IP: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Returns the nearest address that is not the address of a trusted proxy. This is the address of the peer or, if the
/// peer is a proxy, an address that the proxies name.
///
/// Each proxy appends the address that it received the request from. So the addresses are read from the right.
/// Everything to the left of the first untrusted address is an unverified claim. A client can also send the header that
/// the proxies do not write. So if both headers are present, they must agree. If they do not agree, the result is the
/// address of the peer.
pub(super) fn client_ip(peer: &ConnectionPeer, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let own = match peer.address {
        PeerAddress::Address(address) => address,
        PeerAddress::Unix(_) => UNIX_PEER_IP,
    };
    if !trusted.contains(peer) {
        return own;
    }
    let named = (headers.contains_key(X_FORWARDED_FOR), headers.contains_key(FORWARDED));
    let by_list = || nearest_untrusted(x_forwarded_for(headers), own, trusted);
    let by_forwarded = || nearest_untrusted(forwarded(headers).into_iter().rev(), own, trusted);
    match named {
        (false, false) => own,
        (true, false) => by_list(),
        (false, true) => by_forwarded(),
        (true, true) => Some(by_list()).filter(|address| by_forwarded() == *address).unwrap_or(own),
    }
}

/// Returns the first of these addresses, read from the nearest, that is not the address of a trusted proxy. If an
/// address cannot be read, returns the address before it.
fn nearest_untrusted(nodes: impl Iterator<Item = Option<IpAddr>>, own: IpAddr, trusted: &TrustedProxies) -> IpAddr {
    let mut last = own;
    for node in nodes {
        let Some(address) = node else { return last };
        last = address;
        if !trusted.contains_address(address) {
            break;
        }
    }
    last
}

/// Returns the addresses in `X-Forwarded-For`, from the right.
fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',').map(|node| parse_node(node.trim())))
}

/// Returns the addresses in `Forwarded` (RFC 7239), from the left.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(FORWARDED).iter();
    lines.flat_map(|line| split_unquoted(line.to_str().unwrap_or_default(), ',').map(forwarded_for)).collect()
}

/// Returns the address in the only `for` parameter of an element.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = split_unquoted(element, ';').filter_map(|pair| pair.trim().split_once('='));
    let mut nodes = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for")).map(|(_, node)| node);
    let node = nodes.next().filter(|_| nodes.next().is_none())?;
    parse_node(node.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(node))
}

/// Splits a text at separators that are not in quotes.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let literal = escaped;
        escaped = quoted && !literal && c == '\\';
        quoted ^= c == '"' && !literal;
        c == separator && !quoted
    })
}

/// Parses an address with or without a port. An IPv6 address can be in brackets, and must be if it has a port.
fn parse_node(node: &str) -> Option<IpAddr> {
    let in_brackets = || node.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let address = node.parse().ok().or_else(|| in_brackets().map(IpAddr::V6));
    address.or_else(|| node.parse::<SocketAddr>().ok().map(|socket| socket.ip())).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::authn::TrustedProxy;
    use crate::model::IpNetwork;

    fn trusted() -> TrustedProxies {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|text| TrustedProxy::Network(IpNetwork::parse(text).unwrap()));
        TrustedProxies(networks.into_iter().chain([TrustedProxy::Unix]).collect())
    }

    fn client_ip_of(peer: &ConnectionPeer, trusted: &TrustedProxies, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().filter_map(|line| line.split_once(": ")) {
            headers.append(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        client_ip(peer, &headers, trusted).to_string()
    }

    /// Returns the client address if a trusted proxy at 10.0.0.1 sends these headers.
    fn through_proxy(lines: &[&str]) -> String {
        client_ip_of(&ConnectionPeer::from_address([10, 0, 0, 1].into()), &trusted(), lines)
    }

    #[test]
    fn untrusted_peers_are_ignored() {
        let lines = ["x-forwarded-for: 192.0.2.1", "forwarded: for=192.0.2.1"];
        assert_eq!(
            client_ip_of(&ConnectionPeer::from_address([203, 0, 113, 9].into()), &trusted(), &lines),
            "203.0.113.9"
        );
        assert_eq!(
            client_ip_of(&ConnectionPeer::from_address([10, 0, 0, 1].into()), &TrustedProxies::default(), &lines),
            "10.0.0.1"
        );
        assert_eq!(client_ip_of(&ConnectionPeer::from_unix_socket(None), &TrustedProxies::default(), &lines), "::");
        assert_eq!(client_ip_of(&ConnectionPeer::from_unix_socket(None), &trusted(), &lines), "192.0.2.1");
    }

    #[test]
    fn the_list_is_read_from_the_right() {
        for (lines, address) in [
            (&[][..], "10.0.0.1"),
            (&["x-forwarded-for: 192.0.2.1"], "192.0.2.1"),
            (&["x-forwarded-for: 1.1.1.1, 192.0.2.1"], "192.0.2.1"),
            (&["x-forwarded-for: 192.0.2.1,10.2.3.4 , fd00::1"], "192.0.2.1"),
            (&["x-forwarded-for: 1.1.1.1", "x-forwarded-for: 192.0.2.1", "x-forwarded-for: 10.1.1.1"], "192.0.2.1"),
            (&["x-forwarded-for: 10.3.3.3, 10.2.2.2"], "10.3.3.3"),
            (&["x-forwarded-for: 192.0.2.1:50123"], "192.0.2.1"),
            (&["x-forwarded-for: 2001:db8::1"], "2001:db8::1"),
            (&["x-forwarded-for: [2001:db8::1]:443"], "2001:db8::1"),
            (&["x-forwarded-for: ::ffff:192.0.2.1"], "192.0.2.1"),
        ] {
            assert_eq!(through_proxy(lines), address, "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_from_the_right() {
        for (lines, address) in [
            (&["forwarded: for=192.0.2.1"][..], "192.0.2.1"),
            (&["forwarded: for=1.1.1.1, For=192.0.2.1;proto=https;by=10.0.0.1"], "192.0.2.1"),
            (&["forwarded: proto=https; FOR=\"[2001:db8::1]:4711\", for=10.0.0.7"], "2001:db8::1"),
            (&["forwarded: for=\"[2001:db8::1]\""], "2001:db8::1"),
            (&["forwarded: for=1.1.1.1", "forwarded: for=\"192.0.2.1:80\""], "192.0.2.1"),
            (&["forwarded: ext=\"a,b;for=1.1.1.1\\\",\";for=192.0.2.1"], "192.0.2.1"),
        ] {
            assert_eq!(through_proxy(lines), address, "{lines:?}");
        }
    }

    #[test]
    fn unreadable_addresses_stop_the_search() {
        for (line, address) in [
            ("x-forwarded-for: 1.1.1.1, unknown", "10.0.0.1"),
            ("x-forwarded-for: 1.1.1.1, , 10.2.2.2", "10.2.2.2"),
            ("x-forwarded-for: ", "10.0.0.1"),
            ("x-forwarded-for: 1.1.1.1, 192.0.2.1x", "10.0.0.1"),
            ("forwarded: for=1.1.1.1, for=_hidden", "10.0.0.1"),
            ("forwarded: for=1.1.1.1, proto=https", "10.0.0.1"),
            ("forwarded: for=1.1.1.1;for=192.0.2.1", "10.0.0.1"),
            // The quote of the client hides the element that the proxy appends.
            ("forwarded: for=\"1.1.1.1, for=192.0.2.1", "10.0.0.1"),
        ] {
            assert_eq!(through_proxy(&[line]), address, "{line}");
        }
    }

    #[test]
    fn the_two_headers_must_agree() {
        assert_eq!(through_proxy(&["x-forwarded-for: 192.0.2.1", "forwarded: for=192.0.2.1"]), "192.0.2.1");
        assert_eq!(through_proxy(&["x-forwarded-for: 192.0.2.1", "forwarded: for=1.1.1.1"]), "10.0.0.1");
        assert_eq!(through_proxy(&["x-forwarded-for: 1.1.1.1", "forwarded: for=192.0.2.1"]), "10.0.0.1");
        let both = ["x-forwarded-for: 1.1.1.1", "forwarded: for=192.0.2.1"];
        assert_eq!(client_ip_of(&ConnectionPeer::from_unix_socket(None), &trusted(), &both), "::");
    }
}
