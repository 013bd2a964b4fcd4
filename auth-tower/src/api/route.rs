//! The route table.

use http::Method;

use super::link::Link;
#[cfg(feature = "openapi")]
use super::openapi::Form;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Endpoint {
    Register,
    FollowLink(Link),
    ResendVerification,
    Invite,
    LogIn,
    Refresh,
    LogOut,
    ReadAccount,
    ListSessions,
    EndSession,
    LogOutEverywhere,
    ChangePassword,
    RequestPasswordReset,
    RequestEmailChange,
    Jwks,
    Live,
    Ready,
    #[cfg(feature = "openapi")]
    Describe(Form),
    Admin(AdminEndpoint),
}

/// What a superuser asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum AdminEndpoint {
    Users,
    User,
    UserLogout,
    Events,
}

/// A path with the methods it takes.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) path: &'static str,
    /// As the `Allow` header lists them.
    pub(super) methods: &'static str,
    pub(super) endpoint: Endpoint,
    pub(super) group: Group,
}

/// What a route belongs to: it exists only where its group is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Documented,
    Invitation,
    Account,
    Admin,
    #[cfg(feature = "openapi")]
    OpenApi,
}

#[cfg(feature = "openapi")]
impl Group {
    pub(super) const ALL: [Self; 5] = [
        Self::Documented,
        Self::Invitation,
        Self::Account,
        Self::Admin,
        Self::OpenApi,
    ];

    /// As the settings name what switches it on, but for the documented endpoints, which need no
    /// switch.
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::Documented => "auth",
            Self::Invitation => "invitation",
            Self::Account => "account",
            Self::Admin => "admin",
            Self::OpenApi => "openapi",
        }
    }

    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Documented => "Register, verify, log in, refresh, log out.",
            Self::Invitation => "A superuser invites an address, whose owner makes the account.",
            Self::Account => "What users do with their own accounts.",
            Self::Admin => "What superusers do to accounts and sessions, and the audit trail.",
            Self::OpenApi => "What is served here.",
        }
    }
}

const fn route(path: &'static str, methods: &'static str, endpoint: Endpoint) -> Route {
    Route {
        path,
        methods,
        endpoint,
        group: Group::Documented,
    }
}

const fn invitation(path: &'static str, methods: &'static str, endpoint: Endpoint) -> Route {
    Route {
        path,
        methods,
        endpoint,
        group: Group::Invitation,
    }
}

const fn account(path: &'static str, methods: &'static str, endpoint: Endpoint) -> Route {
    Route {
        path,
        methods,
        endpoint,
        group: Group::Account,
    }
}

const fn admin(path: &'static str, methods: &'static str, endpoint: AdminEndpoint) -> Route {
    Route {
        path,
        methods,
        endpoint: Endpoint::Admin(endpoint),
        group: Group::Admin,
    }
}

#[cfg(feature = "openapi")]
const fn openapi(path: &'static str, form: Form) -> Route {
    Route {
        path,
        methods: "GET, HEAD",
        endpoint: Endpoint::Describe(form),
        group: Group::OpenApi,
    }
}

#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    route("/api/register", "POST", Endpoint::Register),
    route("/api/register/verify", "GET, HEAD, POST", Endpoint::FollowLink(Link::VerifyEmail)),
    route("/api/register/resend", "POST", Endpoint::ResendVerification),
    invitation("/api/register/invite", "POST", Endpoint::Invite),
    invitation("/api/register/accept", "GET, HEAD, POST", Endpoint::FollowLink(Link::AcceptInvitation)),
    route("/api/auth/token", "POST", Endpoint::LogIn),
    route("/api/auth/token/refresh", "POST", Endpoint::Refresh),
    route("/api/auth/logout", "POST", Endpoint::LogOut),
    account("/api/auth/me", "GET, HEAD", Endpoint::ReadAccount),
    account("/api/auth/sessions", "GET, HEAD", Endpoint::ListSessions),
    account("/api/auth/sessions/{id}", "DELETE", Endpoint::EndSession),
    account("/api/auth/logout/all", "POST", Endpoint::LogOutEverywhere),
    account("/api/auth/password/change", "POST", Endpoint::ChangePassword),
    account("/api/auth/password/reset", "POST", Endpoint::RequestPasswordReset),
    account("/api/auth/password/reset/confirm", "GET, HEAD, POST", Endpoint::FollowLink(Link::ResetPassword)),
    account("/api/auth/email/change", "POST", Endpoint::RequestEmailChange),
    account("/api/auth/email/change/confirm", "GET, HEAD, POST", Endpoint::FollowLink(Link::ConfirmEmailChange)),
    account("/api/auth/email/change/undo", "GET, HEAD, POST", Endpoint::FollowLink(Link::UndoEmailChange)),
    admin("/api/admin/users", "GET, HEAD, POST", AdminEndpoint::Users),
    admin("/api/admin/users/{id}", "GET, HEAD, PATCH, DELETE", AdminEndpoint::User),
    admin("/api/admin/users/{id}/logout", "POST", AdminEndpoint::UserLogout),
    admin("/api/admin/events", "GET, HEAD", AdminEndpoint::Events),
    route("/.well-known/jwks.json", "GET, HEAD", Endpoint::Jwks),
    route("/livez", "GET, HEAD", Endpoint::Live),
    route("/readyz", "GET, HEAD", Endpoint::Ready),
    #[cfg(feature = "openapi")]
    openapi("/openapi.json", Form::Json),
    #[cfg(feature = "openapi")]
    openapi("/docs", Form::Page),
];

impl Route {
    /// Finds what is served at a path, with or without its trailing slash.
    pub(super) fn at(path: &str) -> Option<&'static Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        ROUTES
            .iter()
            .find(|route| route.path == path || route.segment(path).is_some())
    }

    /// What stands in the path where the route has its `{id}`.
    pub(super) fn parameter<'p>(&self, path: &'p str) -> Option<&'p str> {
        self.segment(path.strip_suffix('/').unwrap_or(path))
    }

    fn segment<'p>(&self, path: &'p str) -> Option<&'p str> {
        let (before, after) = self.path.split_once("{id}")?;
        let segment = path.strip_prefix(before)?.strip_suffix(after)?;
        (!segment.is_empty() && !segment.contains('/')).then_some(segment)
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
        for route in ROUTES {
            assert!(Route::at(route.path).is_some());
            assert!(Route::at(&format!("{}/", route.path)).is_some());
            assert!(Route::at(&format!("{}//", route.path)).is_none());
            assert!(Route::at(&route.path.to_uppercase()).is_none());
        }
        assert!(Route::at("").is_none());
        assert!(Route::at("/api/admin/users//logout").is_none());
        assert!(Route::at("/api/admin/users/a/b/logout").is_none());
        assert!(Route::at("/api/admin/users/logout").is_some_and(|at| at.path.ends_with("{id}")));
        assert!(Route::at("/").is_none());
        assert!(Route::at("*").is_none());
    }
}
