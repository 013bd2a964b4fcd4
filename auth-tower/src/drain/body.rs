use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};

/// The body of a request that passed [`DrainLayer`](crate::DrainLayer): when it is dropped
/// before its end, the layer reads the rest.
pub struct DrainBody<B> {
    body: Option<B>,
    was_asked: bool,
    returned: Option<Returned<B>>,
}

/// Where a body goes that was dropped before its end.
pub(super) type Returned<B> = Arc<Mutex<Option<Rest<B>>>>;

/// What is left of a body.
pub(super) enum Rest<B> {
    /// Nobody has read it to its end.
    Unread {
        body: B,
        /// Whether anybody has asked for a piece of it: then a client that waits for `100 Continue`
        /// has got that.
        was_asked: bool,
    },
    /// It broke off.
    Broken,
}

impl<B: Body> DrainBody<B> {
    pub(super) fn new(body: B) -> (Self, Option<Returned<B>>) {
        // Most requests have no body, and need no place for one.
        let returned = (!body.is_end_stream()).then(Arc::default);
        let this = Self {
            body: Some(body),
            was_asked: false,
            returned: returned.clone(),
        };
        (this, returned)
    }
}

impl<B> DrainBody<B> {
    fn give_back(&mut self, rest: Rest<B>) {
        if let Some(returned) = self.returned.take() {
            *returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
        }
    }
}

impl<B> Body for DrainBody<B>
where
    B: Body + Unpin,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.was_asked = true;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => {}
            Some(Err(_)) => self.give_back(Rest::Broken),
            None => self.body = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.as_ref();
        body.map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> Drop for DrainBody<B> {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            let was_asked = self.was_asked;
            self.give_back(Rest::Unread { body, was_asked });
        }
    }
}

impl<B> fmt::Debug for DrainBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrainBody").finish_non_exhaustive()
    }
}
