//! Which address a request comes from, as far as those who say so are trusted.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::header::{FORWARDED, HeaderMap, HeaderName};

use crate::authn::{ConnectionPeer, PeerAddress, TrustedProxies};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// All peers at the Unix socket have this address, until they name another and are trusted.
const LOCAL: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The nearest address that is not a trusted proxy's: the peer's own, or, where that is a proxy, one that the proxies name.
///
/// Each proxy appends where it has the request from, so the names are read from the right, and what stands left of the first stranger
/// is the stranger's own claim. A client may send along the one header that the proxies don't write. So where both are there they
/// must agree; else the peer's own address is all that is known.
pub(super) fn of(peer: &ConnectionPeer, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let own = match peer.socket {
        PeerAddress::Address(address) => address,
        PeerAddress::Unix(_) => LOCAL,
    };
    if !trusted.include(peer) {
        return own;
    }
    let named = (headers.contains_key(X_FORWARDED_FOR), headers.contains_key(FORWARDED));
    let by_list = || last_stranger(x_forwarded_for(headers), own, trusted);
    let by_forwarded = || last_stranger(forwarded(headers).into_iter().rev(), own, trusted);
    match named {
        (false, false) => own,
        (true, false) => by_list(),
        (false, true) => by_forwarded(),
        (true, true) => Some(by_list()).filter(|address| by_forwarded() == *address).unwrap_or(own),
    }
}

/// The first of these addresses, read from the nearest on, that is not a trusted proxy's; where one can't be read, the last before it.
fn last_stranger(nodes: impl Iterator<Item = Option<IpAddr>>, own: IpAddr, trusted: &TrustedProxies) -> IpAddr {
    let mut last = own;
    for node in nodes {
        let Some(address) = node else { return last };
        last = address;
        if !trusted.include_address(address) {
            break;
        }
    }
    last
}

/// The addresses in `X-Forwarded-For`, from the right.
fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',').map(|node| parse(node.trim())))
}

/// The addresses in `Forwarded` (RFC 7239), from the left.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(FORWARDED).iter();
    lines.flat_map(|line| split(line.to_str().unwrap_or_default(), ',').map(element)).collect()
}

/// The address in the one `for` parameter of an element.
fn element(element: &str) -> Option<IpAddr> {
    let pairs = split(element, ';').filter_map(|pair| pair.trim().split_once('='));
    let mut nodes = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for")).map(|(_, node)| node);
    let node = nodes.next().filter(|_| nodes.next().is_none())?;
    parse(node.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(node))
}

/// The parts of a text between separators that don't stand in quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let literal = escaped;
        escaped = quoted && !literal && c == '\\';
        quoted ^= c == '"' && !literal;
        c == separator && !quoted
    })
}

/// An address with or without a port. An IPv6 one may stand in brackets, and must where it has a port.
fn parse(node: &str) -> Option<IpAddr> {
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

    fn told(peer: &ConnectionPeer, trusted: &TrustedProxies, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().filter_map(|line| line.split_once(": ")) {
            headers.append(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        of(peer, &headers, trusted).to_string()
    }

    /// What a trusted proxy at 10.0.0.1 makes known by these headers.
    fn by_proxy(lines: &[&str]) -> String {
        told(&ConnectionPeer::at([10, 0, 0, 1].into()), &trusted(), lines)
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let lines = ["x-forwarded-for: 192.0.2.1", "forwarded: for=192.0.2.1"];
        assert_eq!(told(&ConnectionPeer::at([203, 0, 113, 9].into()), &trusted(), &lines), "203.0.113.9");
        assert_eq!(told(&ConnectionPeer::at([10, 0, 0, 1].into()), &TrustedProxies::default(), &lines), "10.0.0.1");
        assert_eq!(told(&ConnectionPeer::unix(None), &TrustedProxies::default(), &lines), "::");
        assert_eq!(told(&ConnectionPeer::unix(None), &trusted(), &lines), "192.0.2.1");
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
            assert_eq!(by_proxy(lines), address, "{lines:?}");
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
            assert_eq!(by_proxy(lines), address, "{lines:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_leaves_the_last_that_can() {
        for (line, address) in [
            ("x-forwarded-for: 1.1.1.1, unknown", "10.0.0.1"),
            ("x-forwarded-for: 1.1.1.1, , 10.2.2.2", "10.2.2.2"),
            ("x-forwarded-for: ", "10.0.0.1"),
            ("x-forwarded-for: 1.1.1.1, 192.0.2.1x", "10.0.0.1"),
            ("forwarded: for=1.1.1.1, for=_hidden", "10.0.0.1"),
            ("forwarded: for=1.1.1.1, proto=https", "10.0.0.1"),
            ("forwarded: for=1.1.1.1;for=192.0.2.1", "10.0.0.1"),
            // A client's quote swallows what the proxy appends.
            ("forwarded: for=\"1.1.1.1, for=192.0.2.1", "10.0.0.1"),
        ] {
            assert_eq!(by_proxy(&[line]), address, "{line}");
        }
    }

    #[test]
    fn the_two_headers_must_agree() {
        assert_eq!(by_proxy(&["x-forwarded-for: 192.0.2.1", "forwarded: for=192.0.2.1"]), "192.0.2.1");
        assert_eq!(by_proxy(&["x-forwarded-for: 192.0.2.1", "forwarded: for=1.1.1.1"]), "10.0.0.1");
        assert_eq!(by_proxy(&["x-forwarded-for: 1.1.1.1", "forwarded: for=192.0.2.1"]), "10.0.0.1");
        let both = ["x-forwarded-for: 1.1.1.1", "forwarded: for=192.0.2.1"];
        assert_eq!(told(&ConnectionPeer::unix(None), &trusted(), &both), "::");
    }
}
