use std::task::{Context, Poll};

use auth_core::{RequestContext, RequestId};
use http::{HeaderName, Request};
use tower_service::Service;

use super::layer::IdentifyLayer;
use super::peer::PeerAddr;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What [`IdentifyLayer`] makes of a service.
#[derive(Clone, Debug)]
#[must_use]
pub struct Identify<S> {
    inner: S,
    layer: IdentifyLayer,
}

impl<S> Identify<S> {
    pub(super) const fn new(inner: S, layer: IdentifyLayer) -> Self {
        Self { inner, layer }
    }

    fn context<B>(&self, request: &Request<B>) -> RequestContext {
        let mut context = RequestContext::default();
        let id = request.headers().get(REQUEST_ID);
        if let Some(id) = id.and_then(|id| RequestId::parse(id.to_str().ok()?)) {
            context = context.with_request_id(id);
        }
        let Some(peer) = request.extensions().get::<PeerAddr>() else {
            return context;
        };
        let peer = peer.address().ip().to_canonical();
        context = context.with_peer(peer);
        match self.layer.client(peer, request.headers()) {
            Some(client) => context.with_client(client),
            None => context,
        }
    }
}

impl<S, B> Service<Request<B>> for Identify<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let context = self.context(&request);
        request.extensions_mut().insert(context);
        self.inner.call(request)
    }
}
