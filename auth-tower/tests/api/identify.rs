//! Where a request comes from.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use auth_core::RequestContext;
use auth_tower::IdentifyLayer;
use auth_tower::identify::PeerAddr;
use http::Request;
use tower::{Layer, ServiceExt as _, service_fn};

/// What the inner service is told of a request from this peer with these headers.
async fn context(
    layer: &IdentifyLayer,
    peer: Option<&str>,
    headers: &[(&'static str, &str)],
) -> RequestContext {
    let told = Arc::new(Mutex::new(None));
    let inner = service_fn(|request: Request<()>| {
        let context = request.extensions().get::<RequestContext>().cloned();
        told.lock().unwrap().clone_from(&context);
        async { Ok::<_, Infallible>(()) }
    });
    let mut request = Request::new(());
    if let Some(peer) = peer {
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(PeerAddr::new(peer));
    }
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    layer.layer(inner).oneshot(request).await.unwrap();
    let context = told.lock().unwrap().take();
    context.unwrap()
}

fn proxies() -> IdentifyLayer {
    IdentifyLayer::new().with_trusted_proxies([
        "10.0.0.0/8".parse().unwrap(),
        "2001:db8:ffff::/48".parse().unwrap(),
    ])
}

#[tokio::test]
async fn s5_4_by_default_the_client_is_the_peer_whatever_the_headers_say() {
    for layer in [
        IdentifyLayer::new(),
        IdentifyLayer::new().with_trusted_proxies([]),
        proxies(),
    ] {
        for headers in [
            &[][..],
            &[("x-forwarded-for", "198.51.100.9")],
            &[
                ("forwarded", "for=198.51.100.9"),
                ("x-real-ip", "198.51.100.9"),
            ],
        ] {
            let context = context(&layer, Some("192.0.2.7:4711"), headers).await;
            assert_eq!(context.peer, Some([192, 0, 2, 7].into()));
            assert_eq!(context.client, context.peer);
        }
    }
}

#[tokio::test]
async fn s5_4_a_trusted_proxy_names_the_client() {
    for (peer, canonical) in [
        ("10.0.0.1:4711", "10.0.0.1"),
        ("[::ffff:10.0.0.1]:4711", "10.0.0.1"),
        ("[2001:db8:ffff::1]:4711", "2001:db8:ffff::1"),
    ] {
        for header in [
            ("x-forwarded-for", "198.51.100.9, 192.0.2.7"),
            ("forwarded", "for=198.51.100.9, for=192.0.2.7"),
        ] {
            let context = context(&proxies(), Some(peer), &[header]).await;
            assert_eq!(context.peer, Some(canonical.parse().unwrap()));
            assert_eq!(context.client, Some([192, 0, 2, 7].into()));
        }
    }
}

#[tokio::test]
async fn s5_4_where_nobody_is_named_the_client_is_unknown() {
    let xff = ("x-forwarded-for", "192.0.2.7");
    let silent = context(&proxies(), Some("10.0.0.1:4711"), &[]).await;
    let unnamed = IdentifyLayer::new().with_unnamed_proxy();
    let unnamed = context(&unnamed, Some("10.0.0.1:4711"), &[xff]).await;
    for context in [silent, unnamed] {
        assert_eq!(context.peer, Some([10, 0, 0, 1].into()));
        assert_eq!(context.client, None);
    }
    assert_eq!(
        context(&proxies(), None, &[xff]).await,
        RequestContext::default()
    );
}

#[tokio::test]
async fn the_requests_id_is_taken_if_it_can_be_written_into_a_log() {
    let id = async |id| {
        let context = context(&proxies(), None, &[("x-request-id", id)]).await;
        context.request_id.map(|id| id.as_str().to_owned())
    };
    assert_eq!(id("a-1").await.as_deref(), Some("a-1"));
    assert_eq!(id("a 1").await, None);
    assert_eq!(id("\u{e9}").await, None);
}
