//! How many connections there are, and from where.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections, in all and by address.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    most_per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A counted connection; dropping it frees the slot.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    address: IpAddr,
}

impl Slots {
    pub(super) fn new(most: usize, most_per_address: usize) -> Self {
        Self {
            most,
            most_per_address,
            taken: Mutex::default(),
        }
    }

    /// Takes a slot for a connection from the address, if there is one.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let from_there = taken.by_address.get(&address).copied().unwrap_or(0);
        let too_many = !address.is_loopback() && from_there >= self.most_per_address;
        if taken.all >= self.most || too_many {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, from_there + 1);
        Some(Slot {
            slots: Arc::clone(self),
            address,
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
        if let Some(from_there) = taken.by_address.get_mut(&self.address) {
            *from_there -= 1;
            if *from_there == 0 {
                taken.by_address.remove(&self.address);
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

    #[test]
    fn s12_2_connections_are_limited_in_all_and_by_address() {
        let slots = Arc::new(Slots::new(3, 2));
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
        let slots = Arc::new(Slots::new(3, 1));
        let taken: Vec<_> = (0..3).map(|_| slots.take(HERE)).collect();
        assert!(taken.iter().all(Option::is_some));
        drop(taken);
        assert!(slots.taken.lock().unwrap().by_address.is_empty());
    }
}
