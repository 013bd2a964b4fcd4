//! How many connections there are, and from where.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use auth_core::ClientNetwork;
use ipnet::IpNet;

use super::limits::Limits;

/// Counts connections, in all and by address.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    most_per_address: usize,
    proxies: Vec<IpNet>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_client: HashMap<ClientNetwork, usize>,
}

/// A counted connection; dropping it frees the slot.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    client: ClientNetwork,
}

impl Slots {
    pub(super) fn new(limits: &Limits, proxies: Vec<IpNet>) -> Self {
        Self {
            most: limits.connections,
            most_per_address: limits.connections_per_address,
            proxies,
            taken: Mutex::default(),
        }
    }

    /// Takes a slot for a connection from the address, if there is one.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Slot> {
        let address = address.to_canonical();
        // A proxy speaks for everybody.
        let limited =
            !address.is_loopback() && !self.proxies.iter().any(|it| it.contains(&address));
        let client = ClientNetwork::of(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let from_there = taken.by_client.get(&client).copied().unwrap_or(0);
        if taken.all >= self.most || (limited && from_there >= self.most_per_address) {
            return None;
        }
        taken.all += 1;
        taken.by_client.insert(client, from_there + 1);
        Some(Slot {
            slots: Arc::clone(self),
            client,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self
            .slots
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(from_there) = taken.by_client.get_mut(&self.client) {
            *from_there -= 1;
            if *from_there == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn slots(most: usize, most_per_address: usize, proxies: &[&str]) -> Arc<Slots> {
        let limits = Limits {
            connections: most,
            connections_per_address: most_per_address,
            ..Limits::default()
        };
        let proxies = proxies.iter().map(|network| network.parse().unwrap());
        Arc::new(Slots::new(&limits, proxies.collect()))
    }

    #[test]
    fn s12_2_neighbours_in_ipv6_are_one_client() {
        let slots = slots(9, 1, &[]);
        let take = |address: &str| slots.take(address.parse().unwrap());
        let first = take("2001:db8::1");
        assert!(first.is_some() && take("2001:db8::2").is_none());
        assert!(take("2001:db8:0:1::1").is_some());
        let mapped = take("::ffff:192.0.2.1");
        assert!(mapped.is_some() && slots.take(ONE).is_none());
    }

    #[test]
    fn s12_2_a_trusted_proxy_has_no_limit_of_its_own() {
        let slots = slots(3, 1, &["192.0.2.1/32"]);
        let taken: Vec<_> = (0..2).map(|_| slots.take(ONE)).collect();
        assert!(taken.iter().all(Option::is_some));
        let other = slots.take(OTHER);
        assert!(other.is_some() && slots.take(OTHER).is_none());
    }

    #[test]
    fn s12_2_connections_are_limited_in_all_and_by_address() {
        let slots = slots(3, 2, &[]);
        let first = slots.take(ONE);
        let second = slots.take(ONE);
        assert!(first.is_some() && second.is_some());
        assert!(slots.take(ONE).is_none());
        let third = slots.take(OTHER);
        assert!(third.is_some());
        assert!(slots.take(HERE).is_none(), "three are the most in all");
        drop(first);
        assert!(slots.take(ONE).is_some());
    }

    #[test]
    fn s12_2_a_proxy_on_this_machine_has_no_limit_of_its_own() {
        let slots = slots(3, 1, &[]);
        let taken: Vec<_> = (0..3).map(|_| slots.take(HERE)).collect();
        assert!(taken.iter().all(Option::is_some));
        drop(taken);
        assert!(slots.taken.lock().unwrap().by_client.is_empty());
    }
}
