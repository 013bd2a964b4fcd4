//! Whom a limit by address counts as one.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The addresses that one client holds: one of IPv4, or the /64 of one of IPv6.
///
/// Who holds one address of IPv6 holds the 2^64 beside it, so a limit by single addresses would
/// limit nobody. An IPv4 address in IPv6 clothes (`::ffff:192.0.2.7`) is the IPv4 address.
///
/// ```
/// use auth_core::ClientNetwork;
///
/// let network = ClientNetwork::of("2001:db8::1234".parse().unwrap());
/// assert_eq!(network, ClientNetwork::of("2001:db8::5678".parse().unwrap()));
/// assert_eq!(network.to_string(), "2001:db8::/64");
/// assert_eq!(ClientNetwork::of([192, 0, 2, 7].into()).to_string(), "192.0.2.7/32");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientNetwork {
    /// The lowest address of the network.
    first: IpAddr,
    /// How many leading bits all its addresses share.
    bits: u8,
}

impl ClientNetwork {
    /// The network of the client with this address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        Self::with_bits_of_ipv6(address, 64)
    }

    /// The addresses that one subscriber may hold: an IPv4 address, or a /48 of IPv6, which is
    /// 65,536 networks.
    pub(crate) const fn subscriber(address: IpAddr) -> Self {
        Self::with_bits_of_ipv6(address, 48)
    }

    const fn with_bits_of_ipv6(address: IpAddr, bits: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::MAX << (128 - bits);
                let first = Ipv6Addr::from_bits(address.to_bits() & network);
                Self {
                    first: IpAddr::V6(first),
                    bits,
                }
            }
            first @ IpAddr::V4(_) => Self { first, bits: 32 },
        }
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> ClientNetwork {
        ClientNetwork::of(address.parse().unwrap())
    }

    #[test]
    fn s5_3_neighbours_in_ipv6_are_one_client_and_in_ipv4_two() {
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:ffff"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
    }

    #[test]
    fn fault_c3_a_subscriber_of_ipv6_is_one_whatever_network_it_uses() {
        let subscriber = |address: &str| ClientNetwork::subscriber(address.parse().unwrap());
        assert_eq!(subscriber("2001:db8::1"), subscriber("2001:db8:0:ffff::1"));
        assert_ne!(subscriber("2001:db8::1"), subscriber("2001:db8:1::1"));
        assert_ne!(subscriber("192.0.2.1"), subscriber("192.0.2.2"));
        assert_eq!(subscriber("2001:db8::1").to_string(), "2001:db8::/48");
    }
}
