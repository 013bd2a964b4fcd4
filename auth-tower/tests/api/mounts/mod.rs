//! The endpoints and the layers in three frameworks, over real sockets.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod axum;
mod hyper;
mod warp;

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::support::{self, GOOD, Scripted, alice, error, json};
use auth_tower::AuthApi;
use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::Service;

fn endpoints() -> AuthApi {
    support::api(&Arc::<Scripted>::default())
}

/// Serves on a port of the system's choice until the test ends.
async fn serve<S, C>(service: S) -> SocketAddr
where
    S: Service<Request<::hyper::body::Incoming>, Response = Response<C>>,
    S: Clone + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    C: http_body::Body + Send + 'static,
    C::Data: Send,
    C::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await
            });
        }
    });
    address
}

/// Talks to an application with `/` for all, `/me` for callers, and the endpoints.
async fn walk_through(address: SocketAddr) {
    let get = |path: &str| http_request("GET", address, path);
    assert_eq!(answer(get("/")).await.1, "hello");

    let refused = error(
        401,
        &[("www-authenticate", "Bearer")],
        "authentication_required",
        "authentication is required",
    );
    assert_eq!(answer(get("/me")).await.0, refused);
    let me = get("/me").header("authorization", GOOD.as_str());
    assert_eq!(answer(me).await.1, alice().user_id.to_string());

    for path in ["/api/auth/token/", "/api/auth/token"] {
        let login = http_request("POST", address, path)
            .header("content-type", "application/json")
            .body(r#"{"username": "bob", "password": "a long one"}"#);
        let tokens = r#"{"access_token":"new.access.token","refresh_token":"art_new"}"#;
        assert_eq!(answer(login).await.0, json(200, &[], tokens));
    }
    let oversized = http_request("POST", address, "/api/auth/token/")
        .header("content-type", "application/json")
        .body(" ".repeat(16 * 1024 + 1));
    assert_eq!(
        answer(oversized).await.0,
        error(413, &[], "payload_too_large", "the body is too large")
    );
    let page = http_request("HEAD", address, "/api/register/verify/?token=t");
    let (page, body) = answer(page).await;
    assert!(page.starts_with("200\n"), "{page}");
    assert_eq!(body, "");
}

fn http_request(method: &str, address: SocketAddr, path: &str) -> reqwest::RequestBuilder {
    let method = method.parse().unwrap();
    reqwest::Client::new().request(method, format!("http://{address}{path}"))
}

/// The whole answer, less what the server adds to it, and its body.
async fn answer(request: reqwest::RequestBuilder) -> (String, String) {
    let mut response = request.send().await.unwrap();
    for added in ["date", "content-length", "connection"] {
        response.headers_mut().remove(added);
    }
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = response.text().await.unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    (support::written(status, headers, &body), body)
}
