//! The body of a request, each piece of which must come in time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use auth_tower::drain::DrainBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_http::timeout::{TimeoutBody, TimeoutError};

pin_project! {
    /// A body that fails with [`io::ErrorKind::TimedOut`] when its next piece does not come in time.
    pub struct RequestBody {
        #[pin]
        body: TimeoutBody<DrainBody<Incoming>>,
    }
}

impl RequestBody {
    pub(super) fn new(body: DrainBody<Incoming>, limit: Duration) -> Self {
        Self {
            body: TimeoutBody::new(limit, body),
        }
    }
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = self.project().body.poll_frame(cx);
        frame.map_err(|error| match error.downcast::<TimeoutError>() {
            Ok(error) => io::Error::new(io::ErrorKind::TimedOut, error),
            Err(error) => io::Error::other(error),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
