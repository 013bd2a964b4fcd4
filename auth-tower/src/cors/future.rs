use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{ORIGIN, VARY};
use http::{HeaderValue, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_http::cors;

pin_project! {
    /// The response future of [`Cors`](super::Cors).
    pub struct ResponseFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F> {
        Preflight {
            #[pin]
            answer: cors::ResponseFuture<F>,
        },
        Listed {
            #[pin]
            answer: cors::ResponseFuture<F>,
        },
        Other {
            #[pin]
            answer: F,
        },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) const fn preflight(answer: cors::ResponseFuture<F>) -> Self {
        Self {
            kind: Kind::Preflight { answer },
        }
    }

    pub(super) const fn listed(answer: cors::ResponseFuture<F>) -> Self {
        Self {
            kind: Kind::Listed { answer },
        }
    }

    pub(super) const fn other(answer: F) -> Self {
        Self {
            kind: Kind::Other { answer },
        }
    }
}

impl<F, C, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<C>, E>>,
    C: Default,
{
    type Output = Result<Response<C>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Preflight { answer } => {
                let mut response = ready!(answer.poll(cx))?;
                *response.status_mut() = StatusCode::NO_CONTENT;
                Poll::Ready(Ok(response))
            }
            KindProjection::Listed { answer } => answer.poll(cx),
            KindProjection::Other { answer } => {
                let mut response = ready!(answer.poll(cx))?;
                // Else a cache could give this answer to a page of a listed origin.
                response
                    .headers_mut()
                    .append(VARY, HeaderValue::from(ORIGIN));
                Poll::Ready(Ok(response))
            }
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
