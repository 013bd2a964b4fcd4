//! Reads what is left of a request's body before the answer goes out (feature `drain`).
//!
//! A refusal (401, 404, 405, 413, 415, 429) is ready before the body of its request has arrived.
//! hyper then answers and closes the connection without `Connection: close`, so a client that sends
//! its headers first and its body some milliseconds later (Python's `http.client`, `requests`, nginx
//! with kept-alive upstream connections) meets a broken connection instead of the answer. RFC 9112
//! section 9.3: a server that does not read the whole body has to close the connection, and says so.
//!
//! [`DrainLayer`](crate::DrainLayer) reads the rest, at most 64 KiB for at most 2 seconds, and then lets the answer
//! out; the connection stays good for the next request. A body that declares more, or takes longer, or
//! whose client waits for `100 Continue`, is not read: the answer says `Connection: close` over
//! HTTP/1, and HTTP/2 ends the one stream. In both cases the answer itself is the inner
//! service's. It belongs outermost, around every layer that may refuse:
//!
//! ```
//! use std::convert::Infallible;
//!
//! use auth_tower::DrainLayer;
//! use auth_tower::drain::DrainBody;
//! use http::{Request, Response};
//! use hyper::body::Incoming;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! async fn answer(request: Request<DrainBody<Incoming>>) -> Result<Response<String>, Infallible> {
//!     Ok(Response::new(format!("{} was not read", request.uri())))
//! }
//!
//! fn serve(request: Request<Incoming>) -> impl Future<Output = Result<Response<String>, Infallible>> {
//!     let service = ServiceBuilder::new()
//!         .layer(DrainLayer::new())
//!         .service(service_fn(answer));
//!     service.oneshot(request)
//! }
//! ```
//!
//! A connection that is closed while the client still sends is reset, which can take the answer
//! away from the client: a server that serves strangers also lingers, that is, it reads on for a
//! moment after it has closed its side. `auth-server` does; it is the business of whoever owns the
//! socket, and no layer can do it.

mod body;
mod future;
pub(crate) mod layer;
mod service;

pub use body::DrainBody;
pub use future::ResponseFuture;
pub use service::Drain;
