use std::task::{Context, Poll};

use auth_core::{AccessTokenVerifier, Principal};
use http::{Request, Response};
use tower_service::Service;

use super::future::ResponseFuture;
use crate::bearer::authenticate;
use crate::body::ResponseBody;
use crate::error::{ApiError, Dialect};

/// What [`VerifyLayer`](crate::VerifyLayer) makes of a service.
#[derive(Clone, Debug)]
#[must_use]
pub struct Verify<S> {
    inner: S,
    verifier: AccessTokenVerifier,
    guests: Guests,
}

/// What happens to requests without credentials.
#[derive(Clone, Copy, Debug)]
pub(super) enum Guests {
    Refused,
    Welcome,
}

impl<S> Verify<S> {
    pub(super) fn new(inner: S, verifier: AccessTokenVerifier, guests: Guests) -> Self {
        Self {
            inner,
            verifier,
            guests,
        }
    }

    fn verdict<B>(&self, request: &Request<B>) -> Result<Option<Principal>, ApiError> {
        match (
            authenticate(request.headers(), &self.verifier)?,
            self.guests,
        ) {
            (None, Guests::Refused) => Err(ApiError::AuthenticationRequired),
            (caller, _) => Ok(caller),
        }
    }
}

impl<S, B, C> Service<Request<B>> for Verify<S>
where
    S: Service<Request<B>, Response = Response<C>>,
{
    type Response = Response<ResponseBody<C>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.verdict(&request) {
            Ok(caller) => {
                if let Some(caller) = caller {
                    request.extensions_mut().insert(caller);
                }
                ResponseFuture::passed(self.inner.call(request))
            }
            Err(error) => ResponseFuture::refused(error.into_response_for(Dialect::of(&request))),
        }
    }
}
