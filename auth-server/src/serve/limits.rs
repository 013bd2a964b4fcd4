//! What a client may ask of the server.

use std::time::Duration;

/// The limits of connections and requests; each has a safe default.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// How long the headers of a request may take, from the beginning of the connection or from their
    /// first byte on (10 seconds).
    pub header_read: Duration,
    /// How long the next piece of a body may take (15 seconds).
    pub body_read: Duration,
    /// How long a request may take from its headers to the headers of the answer (30 seconds).
    pub request: Duration,
    /// How long a connection is kept between requests (75 seconds), as its client is told; with HTTP/2
    /// whatever it sends. It is closed a second later.
    pub keep_alive: Duration,
    /// How long a connection that we have closed is read on, so that its client can read the answer
    /// (5 seconds).
    pub linger: Duration,
    /// How many bytes are read then at most (16 MiB).
    pub linger_bytes: usize,
    /// How long the TLS handshake may take (10 seconds).
    pub handshake: Duration,
    /// How long a stop waits for the requests under way (30 seconds).
    pub shutdown_grace: Duration,
    /// How many connections there may be (10,000).
    pub connections: usize,
    /// How many of them may come from one address, in IPv6 from one /64 (1,000), unless it is this
    /// machine or a trusted proxy, which speak for everybody.
    pub connections_per_address: usize,
    /// How many bytes the headers of a request may have (16 KiB).
    pub header_bytes: usize,
    /// How many headers a request may have (64).
    pub headers: usize,
    /// How many bytes the URI may have (4 KiB).
    pub uri_bytes: usize,
    /// How many requests may be under way on one connection of HTTP/2 (64).
    pub streams: u32,
}

impl Limits {
    /// How many descriptors are kept for what is no connection of a client: the database, files, the
    /// log.
    const OTHER_DESCRIPTORS: usize = 256;

    /// Lowers the numbers of connections to what a process with so many file descriptors can have.
    /// One address then has the same part of them as ever.
    #[must_use]
    pub fn within_descriptors(mut self, descriptors: usize) -> Self {
        let others = Self::OTHER_DESCRIPTORS.min(descriptors / 2);
        let most = descriptors - others;
        if most < self.connections {
            let part = self.connections_per_address * most / self.connections;
            self.connections_per_address = part.max(1);
            self.connections = most;
        }
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(10),
            body_read: Duration::from_secs(15),
            request: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            linger: Duration::from_secs(5),
            linger_bytes: 16 * 1024 * 1024,
            handshake: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(30),
            connections: 10_000,
            connections_per_address: 1_000,
            header_bytes: 16 * 1024,
            headers: 64,
            uri_bytes: 4 * 1024,
            streams: 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_c6_one_address_cannot_take_all_descriptors() {
        let of = |descriptors| {
            let limits = Limits::default().within_descriptors(descriptors);
            (limits.connections, limits.connections_per_address)
        };
        assert_eq!(of(usize::MAX), (10_000, 1_000));
        assert_eq!(of(10_256), (10_000, 1_000));
        assert_eq!(of(1_024), (768, 76));
        assert_eq!(of(64), (32, 3));
        assert_eq!(of(4), (2, 1));
    }
}
