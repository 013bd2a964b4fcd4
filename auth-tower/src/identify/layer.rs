use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use ipnet::IpNet;
use tower_layer::Layer;

use super::forwarded;
use super::service::Identify;

/// Puts what is known of each request into its extensions.
///
/// See the [module](crate::identify) for the rules and an example. By default no proxy is trusted:
/// the client is the other end of the connection.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct IdentifyLayer {
    proxies: Proxies,
}

/// Who stands between the clients and us.
#[derive(Clone, Debug, Default)]
enum Proxies {
    #[default]
    None,
    Trusted(Arc<[IpNet]>),
    Unnamed,
}

impl IdentifyLayer {
    /// Takes the other end of the connection for the client.
    pub fn new() -> Self {
        Self::default()
    }

    /// Believes what proxies in these networks say of their clients.
    ///
    /// Without any network this is the default. Trust no network in which clients are too: they
    /// could then take any address.
    pub fn with_trusted_proxies(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        let networks: Arc<[IpNet]> = networks.into_iter().collect();
        self.proxies = if networks.is_empty() {
            Proxies::None
        } else {
            Proxies::Trusted(networks)
        };
        self
    }

    /// Says that a proxy stands in front whose address is not known: no client is known then.
    pub fn with_unnamed_proxy(mut self) -> Self {
        self.proxies = Proxies::Unnamed;
        self
    }

    /// The client of a request with these headers from this peer.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        match &self.proxies {
            Proxies::None => Some(peer),
            Proxies::Unnamed => None,
            Proxies::Trusted(networks) => {
                let trusted = |address: IpAddr| networks.iter().any(|it| it.contains(&address));
                if trusted(peer) {
                    forwarded::client(headers, trusted)
                } else {
                    Some(peer)
                }
            }
        }
    }
}

impl<S> Layer<S> for IdentifyLayer {
    type Service = Identify<S>;

    fn layer(&self, inner: S) -> Identify<S> {
        Identify::new(inner, self.clone())
    }
}
