//! The back end of a build that has none: it knows no key.

use zeroize::Zeroizing;

use super::{Algorithm, PrivateForm};

pub(super) enum Verifier {}

impl Verifier {
    pub(super) const fn new(_: Algorithm, _: &[u8]) -> Option<Self> {
        None
    }

    pub(super) const fn verify(&self, _: &[u8], _: &[u8]) -> bool {
        match *self {}
    }
}

pub(super) enum Signer {}

impl Signer {
    pub(super) const fn from_der(_: PrivateForm, _: &[u8]) -> Option<Self> {
        None
    }

    pub(super) const fn generate(_: Algorithm) -> Option<Self> {
        None
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        match *self {}
    }

    pub(super) const fn public_key(&self) -> Vec<u8> {
        match *self {}
    }

    pub(super) const fn sign(&self, _: &[u8]) -> Option<Vec<u8>> {
        match *self {}
    }

    pub(super) const fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        match *self {}
    }
}
