//! The names under which tries are counted: MACs, since users type passwords where a name belongs.

use std::fmt;

use hmac::Mac as _;
use uuid::Builder;

use super::keys::{HmacSha256, SecretKeys};
use crate::mail::MailKind;
use crate::store::{EnrollmentId, SignUpSource, ThrottleKey};
use crate::{ClientNetwork, EmailAddress};

/// Makes the keys of what is throttled.
#[derive(Clone)]
pub(crate) struct ThrottleKeys {
    mac: HmacSha256,
}

impl ThrottleKeys {
    pub(crate) fn new(keys: &SecretKeys) -> Self {
        Self {
            mac: keys.current().derive("auth throttle key v1"),
        }
    }

    /// The account with this canonical name, whether or not there is one.
    pub(crate) fn account(&self, name: &str) -> ThrottleKey {
        self.key(&["account", name])
    }

    pub(crate) fn network(&self, network: ClientNetwork) -> ThrottleKey {
        self.key(&["network", &network.to_string()])
    }

    /// The account, tried from this network.
    pub(crate) fn pair(&self, name: &str, network: ClientNetwork) -> ThrottleKey {
        self.key(&["pair", &network.to_string(), name])
    }

    /// The address that others may let us write such mails to.
    pub(crate) fn mails(&self, kind: MailKind, email: &EmailAddress) -> ThrottleKey {
        self.key(&["mails", kind.as_str(), email.key()])
    }

    /// The mails that sign-ups from this source make us write.
    pub(crate) fn mails_from(&self, source: SignUpSource) -> ThrottleKey {
        self.key(&["mails of sign-ups", &source.as_uuid().to_string()])
    }

    /// The sign-up whose password is tried.
    pub(crate) fn sign_up(&self, id: EnrollmentId) -> ThrottleKey {
        self.key(&["sign-up", &id.to_string()])
    }

    /// Stands for the subscriber who signs up with this address; all unknown subscribers are one.
    pub(crate) fn sign_up_source(
        &self,
        email: &EmailAddress,
        subscriber: Option<ClientNetwork>,
    ) -> SignUpSource {
        let subscriber = subscriber.map(|network| network.to_string());
        let parts = ["sign-up source", subscriber.as_deref().unwrap_or_default()];
        let key = self.key(&[parts.as_slice(), &[email.key()]].concat());
        let half = key.as_bytes().first_chunk().copied().unwrap_or_default();
        SignUpSource::from_uuid(Builder::from_custom_bytes(half).into_uuid())
    }

    /// Each part with its length, so that two lists of parts are never the same text.
    fn key(&self, parts: &[&str]) -> ThrottleKey {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        ThrottleKey::from_bytes(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for ThrottleKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    #[test]
    fn keys_differ_by_kind_name_and_network() {
        let secret = SecretKey::parse("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0").unwrap();
        let keys = ThrottleKeys::new(&SecretKeys::new(secret));
        let one = ClientNetwork::of([192, 0, 2, 7].into());
        let other = ClientNetwork::of([192, 0, 2, 8].into());
        let address = "alice@example.org".parse().unwrap();
        let all = [
            keys.account("alice"),
            keys.account("bob"),
            keys.account("192.0.2.7/32"),
            keys.network(one),
            keys.network(other),
            keys.pair("alice", one),
            keys.pair("alice", other),
            keys.pair("bob", one),
            keys.mails(MailKind::ResetPassword, &address),
            keys.mails(MailKind::VerifyEmail, &address),
            keys.account("alice@example.org"),
            keys.mails_from(keys.sign_up_source(&address, Some(one))),
            keys.mails_from(keys.sign_up_source(&address, Some(other))),
            keys.mails_from(keys.sign_up_source(&address, None)),
            keys.mails_from(keys.sign_up_source(&"bob@example.org".parse().unwrap(), None)),
            keys.sign_up(EnrollmentId::from_uuid(uuid::Uuid::nil())),
        ];
        for (index, key) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == key), Some(index));
        }
        assert_eq!(keys.account("alice"), keys.account("alice"));
    }
}
