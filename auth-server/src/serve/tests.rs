use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tower::service_fn;

use super::*;

/// The beginning of a connection of HTTP/2, with empty settings.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn fine(_: Request<RequestBody>) -> Result<Response<auth_tower::ApiBody>, Infallible> {
    Ok(Response::new(auth_tower::ApiBody::default()))
}

#[tokio::test]
async fn s12_5_a_panic_answers_500_in_the_error_format_and_the_server_goes_on() {
    static PANICS: AtomicBool = AtomicBool::new(true);
    let service = service_fn(|request| async {
        assert!(!PANICS.swap(false, Ordering::SeqCst), "a secret reason");
        fine(request).await
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, service, ServeSettings::default(), async {
        let _ = stopped.await;
    }));
    let panicked = reqwest::get(&url).await.unwrap();
    assert_eq!(panicked.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(panicked.headers().contains_key("x-request-id"));
    assert!(panicked.headers().contains_key("x-content-type-options"));
    assert_eq!(
        panicked.text().await.unwrap(),
        r#"{"is_error":1,"code":"internal_error","message":"internal error"}"#
    );
    assert_eq!(reqwest::get(&url).await.unwrap().status(), StatusCode::OK);
    stop.send(()).unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn s12_2_a_connection_without_requests_is_closed_whatever_it_sends() {
    let settings = ServeSettings {
        limits: Limits {
            idle: Duration::from_millis(20),
            ..Limits::default()
        },
        ..ServeSettings::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(
        listener,
        service_fn(fine),
        settings,
        std::future::pending(),
    ));
    let answered = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for begin in [&b""[..], b"PRI * HT", b"GET / HT", HTTP_2, answered] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begin).await.unwrap();
        let mut received = Vec::new();
        // Ends only when the server closes; a reset is as good.
        let _ = stream.read_to_end(&mut received).await;
        assert_eq!(
            received.starts_with(b"HTTP/1.1 200 OK"),
            begin == answered,
            "{received:?}"
        );
    }
}
