use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use pin_project_lite::pin_project;

use crate::api;
use crate::body::ResponseBody;

pin_project! {
    /// The response future of [`Mount`](super::Mount).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<F> {
        Api {
            #[pin]
            future: api::ResponseFuture,
        },
        Inner {
            #[pin]
            future: F,
        },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn of_api(future: api::ResponseFuture) -> Self {
        Self {
            kind: Kind::Api { future },
        }
    }

    pub(super) fn of_inner(future: F) -> Self {
        Self {
            kind: Kind::Inner { future },
        }
    }
}

impl<F, C, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<C>, E>>,
{
    type Output = Result<Response<ResponseBody<C>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Api { future } => future
                .poll(cx)
                .map_ok(|response| response.map(ResponseBody::own))
                .map_err(|never| match never {}),
            KindProjection::Inner { future } => future
                .poll(cx)
                .map_ok(|response| response.map(ResponseBody::inner)),
        }
    }
}
