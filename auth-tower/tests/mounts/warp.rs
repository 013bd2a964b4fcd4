use std::convert::Infallible;

use auth_core::Principal;
use auth_tower::VerifyLayer;
use http::Request;
use http_body_util::Either;
use hyper::body::Incoming;
use tower::{Layer, ServiceExt, service_fn};
use warp::Filter;

use super::{endpoints, serve, walk_through};
use crate::support::verifier;

#[tokio::test]
async fn warp_serves_the_endpoints_beside_its_own_filters() {
    let api = endpoints();
    let hello = warp::service(warp::path::end().map(|| "hello".to_owned()));
    let me = warp::path!("me")
        .and(warp::ext::get::<Principal>())
        .map(|caller: Principal| caller.user_id.to_string());
    let me = VerifyLayer::new(verifier()).layer(warp::service(me));
    let app = service_fn(move |request: Request<Incoming>| {
        let (api, hello, me) = (api.clone(), hello, me.clone());
        async move {
            let path = request.uri().path();
            let answer = if api.handles(path) {
                api.oneshot(request).await?.map(Either::Left)
            } else if path == "/me" {
                me.oneshot(request)
                    .await?
                    .map(Either::Left)
                    .map(Either::Right)
            } else {
                hello
                    .oneshot(request)
                    .await?
                    .map(Either::Right)
                    .map(Either::Right)
            };
            Ok::<_, Infallible>(answer)
        }
    });
    walk_through(serve(app).await).await;
}
