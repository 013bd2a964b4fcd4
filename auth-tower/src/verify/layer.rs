use auth_core::AccessTokenVerifier;
use tower_layer::Layer;

use super::service::{Guests, Verify};

/// Lets only requests with a good bearer token through, with the
/// [`Principal`](auth_core::Principal) in their extensions.
///
/// See the [module](crate::verify) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct VerifyLayer {
    verifier: AccessTokenVerifier,
    guests: Guests,
}

impl VerifyLayer {
    /// Requires a bearer token that this verifier accepts.
    pub const fn new(verifier: AccessTokenVerifier) -> Self {
        Self {
            verifier,
            guests: Guests::Refused,
        }
    }

    /// Lets requests without a bearer token through too, without a principal.
    ///
    /// A bad token is refused all the same. The inner service must not take a missing principal
    /// for a permission.
    pub const fn optional(mut self) -> Self {
        self.guests = Guests::Welcome;
        self
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify::new(inner, self.verifier.clone(), self.guests)
    }
}
