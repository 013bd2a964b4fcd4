//! Where a request comes from.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What is known of the request that a use case serves: for throttling and the audit trail.
///
/// A caller that serves no request passes the default: then nothing is throttled by address.
///
/// ```
/// use auth_core::RequestContext;
///
/// let context = RequestContext::default().with_client([192, 0, 2, 7].into());
/// assert!(context.request_id.is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestContext {
    /// The id under which logs and answers name the request.
    pub request_id: Option<RequestId>,
    /// The other end of the connection.
    pub peer: Option<IpAddr>,
    /// The client: the peer, or whom a trusted proxy speaks for; `None` if it cannot be known.
    pub client: Option<IpAddr>,
    /// What the client marks its tries of one refresh with.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl RequestContext {
    /// Names the request.
    #[must_use]
    pub fn with_request_id(mut self, id: RequestId) -> Self {
        self.request_id = Some(id);
        self
    }

    /// Tells the other end of the connection.
    #[must_use]
    pub const fn with_peer(mut self, peer: IpAddr) -> Self {
        self.peer = Some(peer.to_canonical());
        self
    }

    /// Tells the client's address.
    #[must_use]
    pub const fn with_client(mut self, client: IpAddr) -> Self {
        self.client = Some(client.to_canonical());
        self
    }

    /// Tells what the client marks its tries with.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }
}

/// Names a request in logs, answers and audit events: up to 128 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// Takes an id, unless it is empty, too long or more than visible ASCII.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_visible(text, 128).then(|| Self(text.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a client marks the tries of one request with, so that a retry gets the same answer:
/// up to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// Takes a key, unless it is empty, too long or more than visible ASCII.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_visible(text, 255).then(|| Self(text.into()))
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_visible(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_short_and_visible_ascii() {
        let longest = "a".repeat(128);
        for good in [
            "a",
            "0198f7a2-73c1-7000-8000-000000000001",
            longest.as_str(),
        ] {
            assert_eq!(RequestId::parse(good).unwrap().as_str(), good);
        }
        let too_long = "a".repeat(129);
        for bad in ["", "a b", "a\n", "é", "\u{1b}[0m", too_long.as_str()] {
            assert!(RequestId::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_the_ipv4_address() {
        let context = RequestContext::default().with_client("::ffff:192.0.2.7".parse().unwrap());
        assert_eq!(context.client, Some([192, 0, 2, 7].into()));
    }
}
