use std::net::SocketAddr;

/// The other end of a request's connection, which who accepts connections puts into the request's
/// extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(SocketAddr);

impl PeerAddr {
    /// Tells the other end of the connection.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self(address)
    }

    /// The address and the port.
    #[must_use]
    pub const fn address(self) -> SocketAddr {
        self.0
    }
}
