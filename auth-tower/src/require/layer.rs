use std::sync::Arc;

use auth_core::AuthService;
use tower_layer::Layer;

use super::service::RequireSuperuser;

/// Lets only requests of superusers through, with the [`Superuser`](auth_core::Superuser) proof
/// in their extensions.
///
/// See the [module](crate::require) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireSuperuserLayer {
    auth: Arc<dyn AuthService>,
}

impl RequireSuperuserLayer {
    /// Asks this service who is a superuser, for each request anew.
    pub const fn new(auth: Arc<dyn AuthService>) -> Self {
        Self { auth }
    }
}

impl<S> Layer<S> for RequireSuperuserLayer {
    type Service = RequireSuperuser<S>;

    fn layer(&self, inner: S) -> RequireSuperuser<S> {
        RequireSuperuser::new(inner, Arc::clone(&self.auth))
    }
}
