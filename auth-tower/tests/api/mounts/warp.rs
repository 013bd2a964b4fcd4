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

#[cfg(feature = "warp")]
mod sugar {
    use std::num::NonZeroU32;
    use std::sync::Arc;
    use std::time::Duration;

    use auth_core::RequestContext;
    use auth_tower::ApiError;
    use auth_tower::budgets::{Budget, RequestBudgets};
    use auth_tower::warp::{authenticated, recover, rejection};

    use super::*;
    use crate::mounts::{answer, http_request};
    use crate::support::{Scripted, api, error};

    #[tokio::test]
    async fn the_filters_serve_callers_and_endpoints() {
        let hello = warp::path::end().map(|| "hello");
        let me = warp::path!("me")
            .and(authenticated(verifier()))
            .map(|caller: Principal| caller.user_id.to_string());
        let endpoints = auth_tower::warp::endpoints(endpoints());
        let app = hello.or(me).or(endpoints).recover(recover);
        walk_through(serve(warp::service(app)).await).await;
    }

    #[tokio::test]
    async fn what_is_none_of_ours_is_left_to_warp() {
        let app = auth_tower::warp::endpoints(endpoints()).recover(recover);
        let address = serve(warp::service(app)).await;
        let (whole, body) = answer(http_request("GET", address, "/elsewhere")).await;
        assert!(whole.starts_with("404\n"), "{whole}");
        assert!(!body.contains("is_error"), "{body}");
    }

    #[tokio::test]
    async fn what_a_layer_in_front_has_found_out_reaches_the_endpoints() {
        let service = Arc::new(Scripted::default());
        let one = Budget::new(NonZeroU32::MIN, Duration::from_secs(3_600));
        let budgets = RequestBudgets::default().with_refresh(one);
        let api = api(&service).with_request_budgets(budgets);
        let app = warp::service(auth_tower::warp::endpoints(api));
        let context = RequestContext::default().with_client([192, 0, 2, 7].into());
        let app = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(context.clone());
            app.clone().oneshot(request)
        });
        let address = serve(app).await;
        let refresh = || {
            http_request("POST", address, "/api/auth/token/refresh/")
                .header("content-type", "application/json")
                .body(r#"{"refresh_token": "art_x"}"#)
        };
        assert!(answer(refresh()).await.0.starts_with("200"));
        assert!(answer(refresh()).await.0.starts_with("429"));
        let throttled = service.calls().into_iter().next_back().unwrap();
        assert_eq!(throttled, "note_throttled refresh Some(192.0.2.7)");
    }

    #[tokio::test]
    async fn a_filter_may_reject_with_our_errors() {
        let reject = || std::future::ready(Err::<&str, _>(rejection(ApiError::NotFound)));
        let app = warp::any().and_then(reject).recover(recover);
        let address = serve(warp::service(app)).await;
        assert_eq!(
            answer(http_request("GET", address, "/")).await.0,
            error(404, &[], "not_found", "there is nothing at this path")
        );
    }
}
