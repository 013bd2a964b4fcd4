//! Response bodies: ours, and ours or another service's.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// The body of an answer of this crate: one piece, already in memory.
#[derive(Clone, Debug, Default)]
pub struct ApiBody(Option<Bytes>);

impl ApiBody {
    pub(crate) fn empty() -> Self {
        Self(None)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, Bytes::len)
    }
}

impl From<Bytes> for ApiBody {
    fn from(bytes: Bytes) -> Self {
        Self((!bytes.is_empty()).then_some(bytes))
    }
}

impl From<ApiBody> for Bytes {
    fn from(body: ApiBody) -> Self {
        body.0.unwrap_or_default()
    }
}

impl Body for ApiBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}

pin_project! {
    /// The body of a response that passed a layer: the inner service's, or ours.
    #[derive(Debug)]
    pub struct ResponseBody<C> {
        #[pin]
        kind: Kind<C>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<C> {
        Inner {
            #[pin]
            body: C,
        },
        Own {
            #[pin]
            body: ApiBody,
        },
    }
}

impl<C> ResponseBody<C> {
    pub(crate) fn inner(body: C) -> Self {
        Self {
            kind: Kind::Inner { body },
        }
    }

    pub(crate) fn own(body: ApiBody) -> Self {
        Self {
            kind: Kind::Own { body },
        }
    }
}

impl<C> Body for ResponseBody<C>
where
    C: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = C::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, C::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body } => body.poll_frame(cx),
            KindProjection::Own { body } => body
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Own { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Own { body } => body.size_hint(),
        }
    }
}
