use std::fmt;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use http::header::CONNECTION;
use http::{HeaderValue, Response, Version};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::body::{Rest, Returned};
use super::layer::DrainLimits;

pin_project! {
    /// The response future of [`Drain`](super::Drain).
    pub struct ResponseFuture<F, B, C> {
        #[pin]
        state: State<F, B, C>,
        version: Version,
        expects: bool,
        limits: DrainLimits,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B, C> {
        Answering {
            #[pin]
            answer: F,
            returned: Option<Returned<B>>,
        },
        Draining {
            response: Option<Response<C>>,
            body: B,
            bytes_left: u64,
            #[pin]
            deadline: Sleep,
        },
        Done,
    }
}

impl<F, B, C> ResponseFuture<F, B, C> {
    pub(super) const fn new(
        answer: F,
        returned: Option<Returned<B>>,
        version: Version,
        expects: bool,
        limits: DrainLimits,
    ) -> Self {
        Self {
            state: State::Answering { answer, returned },
            version,
            expects,
            limits,
        }
    }
}

impl<F, B, C, E> Future for ResponseFuture<F, B, C>
where
    F: Future<Output = Result<Response<C>, E>>,
    B: Body + Unpin,
{
    type Output = Result<Response<C>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let (response, is_read) = match this.state.as_mut().project() {
                StateProjection::Answering { answer, returned } => {
                    let response = ready!(answer.poll(cx))?;
                    let returned = returned.take();
                    // The service's future may hold the body until it is dropped itself.
                    this.state.set(State::Done);
                    let Some(rest) = returned.as_ref().and_then(taken) else {
                        return Poll::Ready(Ok(response));
                    };
                    let body = match rest {
                        Rest::Unread { body, .. } if body.is_end_stream() => {
                            return Poll::Ready(Ok(response));
                        }
                        // Reading would ask the client for a body that nobody wants.
                        Rest::Unread { was_asked, .. } if *this.expects && !was_asked => None,
                        Rest::Unread { body, .. } => Some(body),
                        Rest::Broken => None,
                    };
                    match body {
                        Some(body)
                            if !closes(&response)
                                && body.size_hint().lower() <= this.limits.bytes =>
                        {
                            this.state.set(State::Draining {
                                response: Some(response),
                                body,
                                bytes_left: this.limits.bytes,
                                deadline: tokio::time::sleep(this.limits.time),
                            });
                            continue;
                        }
                        _ => (response, false),
                    }
                }
                StateProjection::Draining {
                    response,
                    body,
                    bytes_left,
                    deadline,
                } => {
                    let is_read = if deadline.poll(cx).is_ready() {
                        false
                    } else {
                        ready!(drain(body, bytes_left, cx))
                    };
                    let response = response.take().expect("it is taken once, at the end");
                    this.state.set(State::Done);
                    (response, is_read)
                }
                StateProjection::Done => panic!("polled after completion"),
            };
            return Poll::Ready(Ok(if is_read {
                response
            } else {
                closing(response, *this.version)
            }));
        }
    }
}

/// What was given back; nothing if the body was read, or is still being read.
fn taken<B>(returned: &Returned<B>) -> Option<Rest<B>> {
    let mut rest = returned.lock().unwrap_or_else(PoisonError::into_inner);
    rest.take()
}

/// Reads and forgets; tells at the end whether all of it came.
fn drain<B: Body + Unpin>(body: &mut B, bytes_left: &mut u64, cx: &mut Context<'_>) -> Poll<bool> {
    loop {
        match ready!(Pin::new(&mut *body).poll_frame(cx)) {
            None => return Poll::Ready(true),
            Some(Err(_)) => return Poll::Ready(false),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                match bytes_left.checked_sub(bytes) {
                    Some(left) => *bytes_left = left,
                    None => return Poll::Ready(false),
                }
            }
        }
    }
}

fn closes<C>(response: &Response<C>) -> bool {
    let connection = response.headers().get(CONNECTION);
    connection.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// HTTP/2 ends the stream, and forbids the header (RFC 9113 section 8.2.2).
fn closing<C>(mut response: Response<C>, version: Version) -> Response<C> {
    if version <= Version::HTTP_11 {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

impl<F, B, C> fmt::Debug for ResponseFuture<F, B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
