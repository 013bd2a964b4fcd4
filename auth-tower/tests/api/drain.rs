//! What becomes of a body that nobody reads.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use auth_tower::DrainLayer;
use auth_tower::drain::DrainBody;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{Request, Response, Version};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

/// A body whose pieces come when they are sent; an empty one breaks it off.
struct Pieces(mpsc::UnboundedReceiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.0.poll_recv(cx).map(|piece| {
            let piece = piece?;
            Some(match piece.is_empty() {
                true => Err("broken off"),
                false => Ok(Frame::data(piece)),
            })
        })
    }
}

/// How much of the body a service reads.
#[derive(Clone, Copy, Debug)]
enum Reads {
    Nothing,
    OnePiece,
    All,
}

async fn answer(
    request: Request<DrainBody<Pieces>>,
    reads: Reads,
) -> Result<Response<String>, Infallible> {
    let mut body = request.into_body();
    match reads {
        Reads::Nothing => {}
        Reads::OnePiece => drop(body.frame().await),
        Reads::All => while let Some(Ok(_)) = body.frame().await {},
    }
    Ok(Response::new(String::new()))
}

/// A request under way, and what its body is sent by.
fn send(
    request: http::request::Builder,
    reads: Reads,
) -> (
    mpsc::UnboundedSender<Bytes>,
    impl Future<Output = Result<Response<String>, Infallible>>,
) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let service = ServiceBuilder::new()
        .layer(DrainLayer::new())
        .service(service_fn(move |request| answer(request, reads)));
    let request = request.body(Pieces(receiver)).unwrap();
    (sender, service.oneshot(request))
}

fn closes(response: &Response<String>) -> bool {
    let connection = response.headers().get(CONNECTION);
    connection.is_some_and(|value| value == "close")
}

fn piece(length: usize) -> Bytes {
    Bytes::from(vec![7; length])
}

#[tokio::test(start_paused = true)]
async fn s19_6_the_answer_comes_behind_the_body_and_keeps_the_connection() {
    for reads in [Reads::Nothing, Reads::OnePiece, Reads::All] {
        let (body, answer) = send(Request::builder(), reads);
        let mut answer = std::pin::pin!(answer);
        for _ in 0..4 {
            body.send(piece(16 * 1024)).unwrap();
            assert!(futures_util::poll!(&mut answer).is_pending(), "{reads:?}");
        }
        drop(body);
        assert!(!closes(&answer.await.unwrap()), "{reads:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn s19_6_a_body_that_does_not_end_closes_the_connection() {
    for reads in [Reads::Nothing, Reads::OnePiece] {
        // It does not come.
        let (body, answer) = send(Request::builder(), reads);
        body.send(piece(1)).unwrap();
        let began = tokio::time::Instant::now();
        assert!(closes(&answer.await.unwrap()), "{reads:?}");
        assert_eq!(began.elapsed().as_secs(), 2);
        // It is too long.
        let (body, answer) = send(Request::builder(), reads);
        for _ in 0..6 {
            body.send(piece(16 * 1024)).unwrap();
        }
        assert!(closes(&answer.await.unwrap()), "{reads:?}");
    }
    for reads in [Reads::Nothing, Reads::All] {
        // It breaks off.
        let (body, answer) = send(Request::builder(), reads);
        body.send(Bytes::new()).unwrap();
        assert!(closes(&answer.await.unwrap()), "{reads:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn s19_6_a_client_that_waits_to_be_asked_for_the_body_is_not_asked() {
    let expecting = || Request::builder().header("expect", "100-continue");
    let (body, answer) = send(expecting(), Reads::Nothing);
    assert!(closes(&answer.await.unwrap()));
    // It was asked: then it sends all of it.
    let (asked, answer) = send(expecting(), Reads::OnePiece);
    asked.send(piece(1)).unwrap();
    asked.send(piece(1)).unwrap();
    drop((asked, body));
    assert!(!closes(&answer.await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn s19_6_http_2_ends_the_stream_without_the_header() {
    let request = Request::builder().version(Version::HTTP_2);
    let (_body, answer) = send(request, Reads::Nothing);
    assert!(!answer.await.unwrap().headers().contains_key(CONNECTION));
}

#[tokio::test(start_paused = true)]
async fn the_limits_can_be_set() {
    let service = ServiceBuilder::new()
        .layer(
            DrainLayer::new()
                .with_max_bytes(10)
                .with_max_time(Duration::from_secs(60)),
        )
        .service(service_fn(|request| answer(request, Reads::Nothing)));
    for (length, is_read) in [(10, true), (11, false)] {
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send(piece(length)).unwrap();
        drop(sender);
        let response = service.oneshot(Request::new(Pieces(receiver)));
        assert_eq!(closes(&response.await.unwrap()), !is_read);
    }
    let (_sender, receiver) = mpsc::unbounded_channel();
    let began = tokio::time::Instant::now();
    let response = service.oneshot(Request::new(Pieces(receiver))).await;
    assert!(closes(&response.unwrap()));
    assert_eq!(began.elapsed().as_secs(), 60);
}
