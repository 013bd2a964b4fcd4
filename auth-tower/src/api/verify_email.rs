//! The verification link: a page that changes nothing, and the button that does.

use std::borrow::Cow;
use std::error::Error;

use auth_core::AuthError;
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;

use super::read::{FORM, is_of_type};
use super::registration::SUCCESS;
use super::service::AuthApi;
use super::{json, pages, read};
use crate::body::ApiBody;
use crate::budgets::Limited;
use crate::context;
use crate::error::ApiError;
use crate::response;

impl AuthApi {
    /// Shows the page behind the link, for GET and HEAD: mail scanners and previews fetch it too,
    /// so it asks the service nothing, not even whether the token is good.
    pub(super) fn verification_page(uri: &Uri) -> Result<Response<ApiBody>, ApiError> {
        match the_token(uri.query().unwrap_or_default().as_bytes()) {
            Ok(token) => pages::confirm(&token),
            Err(error) => pages::refused(&error),
        }
    }

    /// Verifies: for the page's form with a page, for JSON with JSON.
    ///
    /// A form is a request that other sites can make a browser send; it does no harm here, where
    /// the token is the only authority.
    pub(super) async fn verify_email<B>(
        &self,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if is_of_type(request.headers(), FORM) {
            return match self.verify_form(request).await {
                Ok(()) => pages::done(),
                Err(error) => {
                    error.log();
                    pages::refused(&error)
                }
            };
        }
        let context = context::of(&request);
        self.spend(Limited::VerifyEmail, &context)?;
        let [token] = json::fields(request, self.max_body, ["token"]).await?;
        self.auth.verify_email(&token, &context).await?;
        Ok(response::serialized(StatusCode::OK, &SUCCESS))
    }

    async fn verify_form<B>(&self, request: Request<B>) -> Result<(), ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let context = context::of(&request);
        self.spend(Limited::VerifyEmail, &context)?;
        let form = read::body(request, FORM, self.max_body).await?;
        self.auth.verify_email(&the_token(&form)?, &context).await?;
        Ok(())
    }
}

/// The one `token` of a query or form; a second one would be a guess.
fn the_token(pairs: &[u8]) -> Result<Cow<'_, str>, ApiError> {
    let mut tokens = form_urlencoded::parse(pairs)
        .filter(|(name, _)| name == "token")
        .map(|(_, value)| value);
    match (tokens.next(), tokens.next()) {
        (Some(token), None) if !token.is_empty() => Ok(token),
        _ => Err(AuthError::LinkInvalid.into()),
    }
}
