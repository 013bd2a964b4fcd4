use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};

use auth_core::{
    AccessTokenVerifier, Account, Administration, AuthError, AuthService, Engine, Enrollment,
    RegistrationMode, RequestContext,
};
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use super::future::ResponseFuture;
use super::pages::PageTemplates;
use super::route::{Endpoint, Group, Route};
use super::{health, jwks};
use crate::body::ApiBody;
use crate::budgets::{Client, Limited, Limiters, RequestBudgets};
use crate::error::ApiError;

/// The endpoints of the login API.
///
/// See the [module](crate::api) for what it serves and how to mount it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuthApi {
    pub(super) auth: Arc<dyn AuthService>,
    pub(super) verifier: AccessTokenVerifier,
    pub(super) max_body: usize,
    pub(super) account: Option<Arc<dyn Account>>,
    pub(super) administration: Option<Arc<dyn Administration>>,
    pub(super) enrollment: Option<Arc<dyn Enrollment>>,
    pub(super) pages: PageTemplates,
    limiters: Option<Arc<Limiters>>,
    #[cfg(feature = "openapi")]
    is_described: bool,
}

impl AuthApi {
    /// Serves this service to callers whose access tokens this verifier accepts.
    #[must_use]
    pub fn new(auth: Arc<dyn AuthService>, verifier: AccessTokenVerifier) -> Self {
        Self {
            auth,
            verifier,
            max_body: 16 * 1024,
            account: None,
            administration: None,
            enrollment: None,
            pages: PageTemplates::default(),
            limiters: None,
            #[cfg(feature = "openapi")]
            is_described: false,
        }
    }

    /// Serves this engine to callers with its access tokens.
    #[must_use]
    pub fn for_engine(engine: &Engine) -> Self {
        Self::new(Arc::new(engine.clone()), engine.access_token_verifier())
    }

    /// Replaces the limit on the size of a request's body, 16 KiB by default.
    ///
    /// A larger body is refused with 413 before it is read, if it declares its length, and as
    /// soon as it exceeds the limit otherwise.
    #[must_use]
    pub const fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Serves the endpoints of the group `account` too: what users do with their own accounts.
    ///
    /// [`Engine`](auth_core::Engine) implements both traits.
    #[must_use]
    pub fn with_account(mut self, account: Arc<dyn Account>) -> Self {
        self.account = Some(account);
        self
    }

    /// Serves the endpoints of the group `admin` too: what superusers do to accounts and sessions,
    /// and the audit trail.
    ///
    /// Each request asks the service whether the caller is a superuser now.
    /// [`Engine`](auth_core::Engine) implements both traits.
    #[must_use]
    pub fn with_administration(mut self, administration: Arc<dyn Administration>) -> Self {
        self.administration = Some(administration);
        self
    }

    /// Lets people make accounts for themselves, as the service's
    /// [mode](auth_core::RegistrationMode) says: everybody signs up at `/api/register/`, or
    /// superusers invite.
    ///
    /// [`Engine`](auth_core::Engine) implements both traits.
    #[must_use]
    pub fn with_enrollment(mut self, enrollment: Arc<dyn Enrollment>) -> Self {
        self.enrollment = Some(enrollment);
        self
    }

    /// Makes the pages behind the links in mails of these templates.
    #[must_use]
    pub fn with_page_templates(mut self, templates: PageTemplates) -> Self {
        self.pages = templates;
        self
    }

    /// Gives every client these [budgets](crate::budgets); without this call nothing is limited.
    ///
    /// Clones of this service share what is left of them.
    #[must_use]
    pub fn with_request_budgets(mut self, budgets: RequestBudgets) -> Self {
        self.limiters = Some(Arc::new(Limiters::new(&budgets)));
        self
    }

    /// Serves the description of the endpoints too: `/openapi.json` (OpenAPI 3.1) and the page
    /// `/docs/`, which needs no script and loads nothing.
    ///
    /// It tells of the groups that are served here, and of no others.
    #[cfg(feature = "openapi")]
    #[must_use]
    pub const fn with_openapi(mut self) -> Self {
        self.is_described = true;
        self
    }

    /// Whether there is an endpoint at this path, whatever the method.
    #[must_use]
    pub fn handles(&self, path: &str) -> bool {
        self.route(path).is_some()
    }

    /// The route of the path, if its group is served here.
    fn route(&self, path: &str) -> Option<&'static Route> {
        Route::at(path).filter(|route| self.serves(route.group))
    }

    fn serves(&self, group: Group) -> bool {
        match group {
            Group::Documented => true,
            Group::Invitation => self.registration_mode() == Some(RegistrationMode::Invitation),
            Group::Account => self.account.is_some(),
            Group::Admin => self.administration.is_some(),
            #[cfg(feature = "openapi")]
            Group::OpenApi => self.is_described,
        }
    }

    /// The route of a path as the [module](crate::api) lists it, without the slash at the end.
    ///
    /// For metrics and logs, where a path would let strangers choose any number of names.
    ///
    /// ```
    /// use auth_tower::AuthApi;
    ///
    /// assert_eq!(AuthApi::route_of("/api/auth/token/"), Some("/api/auth/token"));
    /// assert_eq!(AuthApi::route_of("/api/auth/nothing/"), None);
    /// ```
    #[must_use]
    pub fn route_of(path: &str) -> Option<&'static str> {
        Route::at(path).map(|route| route.path)
    }

    /// Takes one request out of the client's budget, if the client is known.
    pub(super) fn spend(&self, on: Limited, context: &RequestContext) -> Result<(), ApiError> {
        let (Some(limiters), Some(client)) = (&self.limiters, context.client) else {
            return Ok(());
        };
        limiters.spend(on, Client::of(client)).map_err(|wait| {
            self.auth.note_throttled(on.name(), context);
            AuthError::too_many_attempts(wait).into()
        })
    }

    /// Takes note that somebody at the client's network has proved to be a user.
    pub(super) fn know(&self, context: &RequestContext) {
        if let (Some(limiters), Some(client)) = (&self.limiters, context.client) {
            limiters.know(Client::of(client));
        }
    }

    async fn answer<B>(&self, request: Request<B>) -> Response<ApiBody>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let is_head = request.method() == Method::HEAD;
        let response = self
            .dispatch(request)
            .await
            .unwrap_or_else(ApiError::into_response);
        if is_head {
            headers_of(response)
        } else {
            response
        }
    }

    async fn dispatch<B>(&self, request: Request<B>) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let route = self.route(request.uri().path()).ok_or(ApiError::NotFound)?;
        if !route.takes(request.method()) {
            return Err(ApiError::method_not_allowed(route.methods));
        }
        match route.endpoint {
            Endpoint::Register => self.register(request).await,
            Endpoint::FollowLink(link) => self.follow_link(link, request).await,
            Endpoint::ResendVerification => self.resend_verification(request).await,
            Endpoint::Invite => self.invite(request).await,
            Endpoint::LogIn => self.log_in(request).await,
            Endpoint::Refresh => self.refresh(request).await,
            Endpoint::LogOut => self.log_out(request).await,
            Endpoint::ReadAccount => {
                let account = self.account()?;
                self.read_account(account.as_ref(), request).await
            }
            Endpoint::ListSessions => {
                let account = self.account()?;
                self.list_sessions(account.as_ref(), request).await
            }
            Endpoint::EndSession => {
                let account = self.account()?;
                self.end_session(account.as_ref(), route, request).await
            }
            Endpoint::LogOutEverywhere => {
                let account = self.account()?;
                self.log_out_everywhere(account.as_ref(), request).await
            }
            Endpoint::ChangePassword => {
                let account = self.account()?;
                self.change_password(account.as_ref(), request).await
            }
            Endpoint::RequestPasswordReset => {
                let account = self.account()?;
                self.request_password_reset(account.as_ref(), request).await
            }
            Endpoint::RequestEmailChange => {
                let account = self.account()?;
                self.request_email_change(account.as_ref(), request).await
            }
            Endpoint::Admin(endpoint) => self.administer(endpoint, route, request).await,
            Endpoint::Jwks => Ok(jwks::document(&self.verifier, request.headers())),
            Endpoint::Live => health::alive(self.auth.as_ref()),
            Endpoint::Ready => health::ready(self.auth.as_ref()).await,
            #[cfg(feature = "openapi")]
            Endpoint::Describe(form) => super::openapi::answer(form, |group| self.serves(group)),
        }
    }
}

impl<B> Service<Request<B>> for AuthApi
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<ApiBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let api = self.clone();
        ResponseFuture::new(async move { api.answer(request).await })
    }
}

/// Answers HEAD: what GET would have answered, less the body (RFC 9110 section 9.3.2).
fn headers_of(response: Response<ApiBody>) -> Response<ApiBody> {
    let (mut parts, body) = response.into_parts();
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Response::from_parts(parts, ApiBody::empty())
}
