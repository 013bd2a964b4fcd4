use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tower::service_fn;

use super::*;

/// The beginning of a connection of HTTP/2, with empty settings.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Short enough to be waited out by the server.
const SHORT: Duration = Duration::from_millis(20);

/// No test lasts that long.
const LONG: Duration = Duration::from_secs(3_600);

/// Limits that no test reaches.
fn limits() -> Limits {
    Limits {
        header_read: LONG,
        body_read: LONG,
        request: LONG,
        keep_alive: LONG,
        handshake: LONG,
        shutdown_grace: LONG,
        ..Limits::default()
    }
}

/// A server under test.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Running {
    async fn start<S>(service: S, limits: Limits, tls: Option<Tls>) -> Self
    where
        S: Service<
                Request<RequestBody>,
                Response = Response<auth_tower::ApiBody>,
                Error = Infallible,
                Future: Send,
            > + Clone
            + Send
            + Sync
            + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let settings = ServeSettings {
            limits,
            tls,
            ..ServeSettings::default()
        };
        let server = tokio::spawn(serve(listener, service, settings, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            stop,
            server,
        }
    }

    /// Sends bytes, and reads until the server closes; a reset is as good.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        read_to_close(&mut stream).await
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        in_time(self.server).await.unwrap();
    }
}

/// Waits for what must come soon, and fails rather than hangs.
async fn in_time<T>(done: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(60), done).await;
    done.unwrap()
}

async fn read_to_close(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    let _ = in_time(stream.read_to_end(&mut received)).await;
    String::from_utf8(received).unwrap_or_default()
}

#[track_caller]
fn is_request_timeout(received: &str) {
    assert!(received.starts_with("HTTP/1.1 408 "), "{received}");
    assert!(received.contains("\r\nconnection: close\r\n"), "{received}");
    assert!(
        received.contains("\"code\":\"request_timeout\""),
        "{received}"
    );
}

type Answer = Result<Response<auth_tower::ApiBody>, Infallible>;

async fn fine(_: Request<RequestBody>) -> Answer {
    Ok(Response::new(auth_tower::ApiBody::default()))
}

/// Answers when the body is there.
async fn reads(request: Request<RequestBody>) -> Answer {
    match request.into_body().collect().await {
        Ok(_) => Ok(Response::new(auth_tower::ApiBody::default())),
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            Ok(auth_tower::ApiError::RequestTimeout.into_response())
        }
    }
}

#[tokio::test]
async fn s12_5_a_panic_answers_500_in_the_error_format_and_the_server_goes_on() {
    static PANICS: AtomicBool = AtomicBool::new(true);
    let service = service_fn(|request| async {
        assert!(!PANICS.swap(false, Ordering::SeqCst), "a secret reason");
        fine(request).await
    });
    let running = Running::start(service, limits(), None).await;
    let url = format!("http://{}/", running.address);
    let panicked = reqwest::get(&url).await.unwrap();
    assert_eq!(panicked.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(panicked.headers().contains_key("x-request-id"));
    assert!(panicked.headers().contains_key("x-content-type-options"));
    assert_eq!(
        panicked.text().await.unwrap(),
        r#"{"is_error":1,"code":"internal_error","message":"internal error"}"#
    );
    assert_eq!(reqwest::get(&url).await.unwrap().status(), StatusCode::OK);
    running.stop().await;
}

#[tokio::test]
async fn s12_2_a_connection_without_requests_is_closed_whatever_it_sends() {
    let limits = Limits {
        header_read: SHORT,
        keep_alive: SHORT,
        ..limits()
    };
    let running = Running::start(service_fn(fine), limits, None).await;
    let answered = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for begin in [&b""[..], b"PRI * HT", b"GET / HT", HTTP_2, answered] {
        let received = running.exchange(begin).await;
        assert_eq!(
            received.starts_with("HTTP/1.1 200 OK"),
            begin == answered,
            "{received:?}"
        );
    }
}

#[tokio::test]
async fn s12_2_a_client_that_sends_no_headers_is_cut_off() {
    let limits = Limits {
        header_read: SHORT,
        ..limits()
    };
    let running = Running::start(service_fn(fine), limits, None).await;
    let received = running.exchange(b"GET / HTTP/1.1\r\nHo").await;
    assert!(
        received.is_empty() || received.starts_with("HTTP/1.1 408 "),
        "{received}"
    );
}

#[tokio::test]
async fn s12_2_an_idle_connection_outlives_the_limit_of_headers() {
    let limits = Limits {
        header_read: Duration::from_millis(200),
        ..limits()
    };
    let running = Running::start(service_fn(fine), limits, None).await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    answers_200(&mut idle).await;
    // Its headers begin after the other connection is idle, and are cut off.
    running.exchange(b"GET / HT").await;
    answers_200(&mut idle).await;
}

/// Has a request answered on a connection that is kept.
async fn answers_200(stream: &mut TcpStream) {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let received = in_time(read_answer(stream)).await;
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
}

/// Reads an answer without a body.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut received = String::new();
    while !received.ends_with("\r\n\r\n") {
        let mut piece = [0; 1024];
        let length = stream.read(&mut piece).await.unwrap();
        assert_ne!(length, 0, "closed after {received:?}");
        received.push_str(str::from_utf8(piece.get(..length).unwrap()).unwrap());
    }
    received
}

#[tokio::test]
async fn s19_6_an_answer_waits_for_a_body_that_nobody_reads() {
    let (called, mut calls) = mpsc::unbounded_channel();
    let service = service_fn(move |request| {
        called.send(()).unwrap();
        fine(request)
    });
    let running = Running::start(service, limits(), None).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    for (header, body) in [
        ("Content-Length: 5", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
    ]
    .repeat(20)
    {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        in_time(calls.recv()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        let received = in_time(read_answer(&mut stream)).await;
        assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
        assert!(!received.contains("connection: close"), "{received}");
    }
}

#[tokio::test]
async fn s19_6_over_http_2_a_refusal_ends_its_stream_only() {
    let running = Running::start(service_fn(fine), limits(), None).await;
    let client = reqwest::Client::builder().http2_prior_knowledge();
    let client = client.build().unwrap();
    let url = format!("http://{}/", running.address);
    // The first is read to its end, the second is not.
    for length in [1_000, 1_000_000] {
        for _ in 0..20 {
            let request = client.post(&url).body("x".repeat(length));
            let answer = in_time(request.send()).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            assert!(!answer.headers().contains_key("connection"));
            assert!(!answer.headers().contains_key("keep-alive"));
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn s12_2_a_client_that_sends_no_body_gets_408() {
    let limits = Limits {
        body_read: SHORT,
        ..limits()
    };
    let running = Running::start(service_fn(reads), limits, None).await;
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{";
    is_request_timeout(&running.exchange(request).await);
}

#[tokio::test]
async fn s12_2_a_request_that_takes_too_long_gets_408() {
    let limits = Limits {
        request: SHORT,
        ..limits()
    };
    let running = Running::start(service_fn(|_| std::future::pending()), limits, None).await;
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    is_request_timeout(&running.exchange(request).await);
}

#[tokio::test]
async fn s12_2_a_body_that_drips_byte_by_byte_gets_408() {
    let limits = Limits {
        request: Duration::from_millis(200),
        ..limits()
    };
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<RequestBody>| {
        let arrived = arrived.clone();
        async move {
            let mut body = pin!(request.into_body());
            while let Some(Ok(frame)) = body.frame().await {
                arrived.send(frame.into_data().unwrap().len()).unwrap();
            }
            Ok(Response::new(auth_tower::ApiBody::default()))
        }
    });
    let running = Running::start(service, limits, None).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let (mut read, mut write) = stream.split();
    let mut received = Vec::new();
    let mut dripped = 0;
    in_time(async {
        let answered = read.read_to_end(&mut received);
        // Each byte follows the arrival of the one before it: no piece ever comes too late.
        let drip = async {
            while write.write_all(b"a").await.is_ok() {
                match arrivals.recv().await {
                    Some(bytes) => dripped += bytes,
                    None => break,
                }
            }
            std::future::pending::<()>().await
        };
        tokio::select! {
            _ = answered => {}
            () = drip => {}
        }
    })
    .await;
    assert!(dripped > 1, "{dripped}");
    is_request_timeout(&String::from_utf8(received).unwrap());
}

/// A certificate that nobody checks.
fn tls() -> Tls {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        cert: folder.path().join("tls.crt"),
        key: folder.path().join("tls.key"),
    };
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    let mut key = options.open(&files.key).unwrap();
    io::Write::write_all(&mut key, made.signing_key.serialize_pem().as_bytes()).unwrap();
    Tls::load(&files).unwrap()
}

#[tokio::test]
async fn s12_2_a_tls_handshake_that_takes_too_long_is_cut_off() {
    let limits = Limits {
        handshake: SHORT,
        ..limits()
    };
    let running = Running::start(service_fn(fine), limits, Some(tls())).await;
    // Nothing, and the beginning of a handshake.
    for begin in [&b""[..], &[22, 3, 1, 1]] {
        assert_eq!(running.exchange(begin).await, "");
    }
}

#[tokio::test]
async fn s12_4_a_stalled_tls_handshake_does_not_delay_a_stop() {
    let running = Running::start(service_fn(fine), limits(), Some(tls())).await;
    let mut stalled = TcpStream::connect(running.address).await.unwrap();
    stalled.write_all(&[22, 3, 1, 1]).await.unwrap();
    // Who comes later is refused for speaking no TLS: so the first has been accepted.
    running.exchange(b"GET / HTTP/1.1\r\n\r\n").await;
    running.stop().await;
    assert_eq!(read_to_close(&mut stalled).await, "");
}

/// Tells when it is dropped.
struct Dropped(mpsc::UnboundedSender<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

#[tokio::test]
async fn s12_4_what_is_not_finished_at_the_end_of_the_grace_is_dropped() {
    for http_2 in [false, true] {
        let (told, mut tells) = mpsc::unbounded_channel();
        let service = service_fn(move |_| {
            let dropped = Dropped(told.clone());
            async move {
                dropped.0.send("begun").unwrap();
                std::future::pending().await
            }
        });
        let limits = Limits {
            shutdown_grace: SHORT,
            ..limits()
        };
        let running = Running::start(service, limits, None).await;
        let mut client = reqwest::Client::builder();
        if http_2 {
            client = client.http2_prior_knowledge();
        }
        let url = format!("http://{}/", running.address);
        let request = client.build().unwrap().get(url).send();
        let request = tokio::spawn(request);
        assert_eq!(in_time(tells.recv()).await, Some("begun"));
        running.stop().await;
        assert_eq!(tells.try_recv(), Ok("dropped"), "HTTP/2: {http_2}");
        assert!(in_time(request).await.unwrap().is_err());
    }
}

#[tokio::test]
async fn s12_4_a_request_that_ends_within_the_grace_is_answered() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let (go_on, going_on) = tokio::sync::watch::channel(false);
    let service = service_fn(move |request| {
        let (told, mut going_on) = (told.clone(), going_on.clone());
        async move {
            told.send("begun").unwrap();
            going_on.wait_for(|go_on| *go_on).await.unwrap();
            fine(request).await
        }
    });
    let running = Running::start(service, limits(), None).await;
    let url = format!("http://{}/", running.address);
    let request = tokio::spawn(reqwest::get(url));
    assert_eq!(in_time(tells.recv()).await, Some("begun"));
    running.stop.send(()).unwrap();
    go_on.send_replace(true);
    in_time(running.server).await.unwrap();
    let answer = in_time(request).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}
