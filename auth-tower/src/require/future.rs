use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use auth_core::{AuthError, Superuser};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::{ApiBody, ResponseBody};
use crate::error::{ApiError, Dialect};

type Check = Pin<Box<dyn Future<Output = Result<Superuser, AuthError>> + Send>>;

pin_project! {
    /// The response future of [`RequireSuperuser`](super::RequireSuperuser).
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        kind: Kind<S, B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<S, B>
    where
        S: Service<Request<B>>,
    {
        Asking {
            check: Check,
            next: Option<(S, Request<B>)>,
        },
        Passed {
            #[pin]
            future: S::Future,
        },
        Refused {
            response: Option<Response<ApiBody>>,
        },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn asking(check: Check, inner: S, request: Request<B>) -> Self {
        Self {
            kind: Kind::Asking {
                check,
                next: Some((inner, request)),
            },
        }
    }

    pub(super) fn refused(response: Response<ApiBody>) -> Self {
        Self {
            kind: Kind::Refused {
                response: Some(response),
            },
        }
    }
}

impl<S, B, C> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<C>>,
{
    type Output = Result<Response<ResponseBody<C>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let next = match this.kind.as_mut().project() {
                KindProjection::Asking { check, next } => {
                    let verdict = ready!(check.as_mut().poll(cx));
                    let (inner, request) = next.take().expect("polled after completion");
                    decided(verdict, inner, request)
                }
                KindProjection::Passed { future } => {
                    return future
                        .poll(cx)
                        .map_ok(|response| response.map(ResponseBody::inner));
                }
                KindProjection::Refused { response } => {
                    let response = response.take().expect("polled after completion");
                    return Poll::Ready(Ok(response.map(ResponseBody::own)));
                }
            };
            this.kind.set(next);
        }
    }
}

fn decided<S, B>(
    verdict: Result<Superuser, AuthError>,
    mut inner: S,
    mut request: Request<B>,
) -> Kind<S, B>
where
    S: Service<Request<B>>,
{
    match verdict {
        Ok(superuser) => {
            request.extensions_mut().insert(superuser);
            Kind::Passed {
                future: inner.call(request),
            }
        }
        Err(error) => Kind::Refused {
            response: Some(ApiError::Bearer(error).into_response_for(Dialect::of(&request))),
        },
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
