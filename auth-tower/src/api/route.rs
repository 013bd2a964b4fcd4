//! The route table.

use http::Method;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Endpoint {
    Register,
    VerifyEmail,
    ResendVerification,
    LogIn,
    Refresh,
    LogOut,
    Jwks,
    Live,
    Ready,
}

/// A path with the methods it takes.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) path: &'static str,
    /// As the `Allow` header lists them.
    pub(super) methods: &'static str,
    pub(super) endpoint: Endpoint,
}

const fn route(path: &'static str, methods: &'static str, endpoint: Endpoint) -> Route {
    Route {
        path,
        methods,
        endpoint,
    }
}

#[rustfmt::skip]
static ROUTES: [Route; 9] = [
    route("/api/register", "POST", Endpoint::Register),
    route("/api/register/verify", "GET, HEAD, POST", Endpoint::VerifyEmail),
    route("/api/register/resend", "POST", Endpoint::ResendVerification),
    route("/api/auth/token", "POST", Endpoint::LogIn),
    route("/api/auth/token/refresh", "POST", Endpoint::Refresh),
    route("/api/auth/logout", "POST", Endpoint::LogOut),
    route("/.well-known/jwks.json", "GET, HEAD", Endpoint::Jwks),
    route("/livez", "GET, HEAD", Endpoint::Live),
    route("/readyz", "GET, HEAD", Endpoint::Ready),
];

impl Route {
    /// Finds what is served at a path, with or without its trailing slash.
    pub(super) fn at(path: &str) -> Option<&'static Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        ROUTES.iter().find(|route| route.path == path)
    }

    pub(super) fn takes(&self, method: &Method) -> bool {
        self.methods
            .split(", ")
            .any(|taken| taken == method.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_3_a_path_is_matched_with_and_without_one_trailing_slash() {
        for route in &ROUTES {
            assert!(Route::at(route.path).is_some());
            assert!(Route::at(&format!("{}/", route.path)).is_some());
            assert!(Route::at(&format!("{}//", route.path)).is_none());
            assert!(Route::at(&route.path.to_uppercase()).is_none());
        }
        assert!(Route::at("").is_none());
        assert!(Route::at("/").is_none());
        assert!(Route::at("*").is_none());
    }
}
