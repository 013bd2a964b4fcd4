use std::net::IpAddr;

use auth_core::ClientNetwork;

/// Who spends: a network, and the site that it is part of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    network: ClientNetwork,
    site: Option<Site>,
}

/// The first 48 bits of an IPv6 address: what one subscriber gets at most (RFC 6177), who then has
/// 65,536 networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Site(u64);

/// What a budget belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Network(ClientNetwork),
    Site(Site),
}

impl Client {
    pub(crate) const fn of(address: IpAddr) -> Self {
        let site = match address.to_canonical() {
            IpAddr::V6(address) => Some(Site((address.to_bits() >> 80) as u64)),
            IpAddr::V4(_) => None,
        };
        Self {
            network: ClientNetwork::of(address),
            site,
        }
    }

    pub(super) const fn network(self) -> Subject {
        Subject::Network(self.network)
    }

    pub(super) fn site(self) -> Option<Subject> {
        self.site.map(Subject::Site)
    }
}
