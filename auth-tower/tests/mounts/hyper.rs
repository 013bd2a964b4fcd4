use std::convert::Infallible;

use auth_core::Principal;
use auth_tower::VerifyLayer;
use http::{Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use tower::{Layer, ServiceExt, service_fn};

use super::{endpoints, serve, walk_through};
use crate::support::verifier;

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

#[tokio::test]
async fn hyper_serves_the_endpoints_alone() {
    let address = serve(endpoints()).await;
    let request = super::http_request("GET", address, "/livez");
    assert_eq!(super::answer(request).await.1, r#"{"status":"ok"}"#);
}
