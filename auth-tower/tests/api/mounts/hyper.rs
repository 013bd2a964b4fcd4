use std::convert::Infallible;

use auth_core::Principal;
use auth_tower::{MountLayer, VerifyLayer};
use http::{Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use tower::{Layer, ServiceExt, service_fn};

use super::{answer, endpoints, http_request, serve, walk_through};
use crate::support::{GOOD, alice, verifier};

async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
    Ok(Response::new("hello".to_owned()))
}

async fn me(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let caller = request.extensions().get::<Principal>();
    let caller = caller.map(|caller| caller.user_id.to_string());
    Ok(Response::new(caller.unwrap_or_default()))
}

#[tokio::test]
async fn hyper_serves_the_endpoints_beside_its_own_services() {
    let api = endpoints();
    let me = VerifyLayer::new(verifier()).layer(service_fn(me));
    let app = service_fn(move |request: Request<Incoming>| {
        let (api, me) = (api.clone(), me.clone());
        async move {
            let answer = match request.uri().path() {
                "/" => hello(request).await?.map(Either::Left),
                "/me" => me
                    .oneshot(request)
                    .await?
                    .map(Either::Left)
                    .map(Either::Right),
                _ => api
                    .oneshot(request)
                    .await?
                    .map(Either::Right)
                    .map(Either::Right),
            };
            Ok::<_, Infallible>(answer)
        }
    });
    walk_through(serve(app).await).await;
}

async fn own(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    match request.uri().path() {
        "/me" => me(request).await,
        _ => hello(request).await,
    }
}

#[tokio::test]
async fn hyper_serves_the_endpoints_in_front_of_its_own_service() {
    let guests_too = VerifyLayer::new(verifier()).optional();
    let app = MountLayer::new(endpoints()).layer(guests_too.layer(service_fn(own)));
    let address = serve(app).await;
    assert_eq!(answer(http_request("GET", address, "/")).await.1, "hello");
    let me = http_request("GET", address, "/me").header("authorization", GOOD.as_str());
    assert_eq!(answer(me).await.1, alice().user_id.to_string());
    let live = http_request("GET", address, "/livez");
    assert_eq!(answer(live).await.1, r#"{"status":"ok"}"#);
}

#[tokio::test]
async fn hyper_serves_the_endpoints_alone() {
    let address = serve(endpoints()).await;
    let request = http_request("GET", address, "/livez");
    assert_eq!(answer(request).await.1, r#"{"status":"ok"}"#);
}
