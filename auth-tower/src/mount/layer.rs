use tower_layer::Layer;

use super::service::Mount;
use crate::AuthApi;

/// Serves the endpoints in front of the services that it wraps.
///
/// See the [module](crate::mount) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct MountLayer {
    api: AuthApi,
}

impl MountLayer {
    /// Serves these endpoints.
    pub const fn new(api: AuthApi) -> Self {
        Self { api }
    }
}

impl<S> Layer<S> for MountLayer {
    type Service = Mount<S>;

    fn layer(&self, inner: S) -> Mount<S> {
        Mount::new(self.api.clone(), inner)
    }
}
