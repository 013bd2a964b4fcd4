//! The endpoints as OpenAPI 3.1 describes them: `docs/openapi.json`, and what
//! [`AuthApi::with_openapi`](crate::AuthApi::with_openapi) serves.
//!
//! Each endpoint is described beside the code that it describes; the errors are those of the one
//! table, [`ApiError`].
//!
//! ```
//! let document = auth_tower::api::openapi::document();
//! assert!(document.contains("/api/auth/token/refresh/"));
//! ```

mod operation;
mod page;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, Paths};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::ComponentsBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

pub(super) use operation::Described;
use operation::{BEARER, SERVER, refusal};

use super::route::{AdminEndpoint, Endpoint, Group, ROUTES, Route};
use super::{account, admin, health, jwks, link, registration, session};
use crate::body::ApiBody;
use crate::error::ApiError;
use crate::response;

const DESCRIPTION: &str = "\
Registration, e-mail verification, login, JWT access tokens, revocable refresh tokens.

Paths under `/api/` and `/docs/` are matched with and without the slash at their end; where there is \
GET there is HEAD. Requests and answers are JSON in UTF-8. Fields of requests that are not described \
are ignored, and answers may come to have more fields. Send an access token as `Authorization: \
Bearer …`. Every error has a stable `code`.";

/// The description of all groups of endpoints, as JSON for people to read.
///
/// It depends on the version of this crate alone.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "the document always has a form")]
pub fn document() -> String {
    let document = describe(|_| true).to_pretty_json();
    document.expect("a document of maps with text keys has a JSON form")
}

/// What is served.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Json,
    Page,
}

#[derive(Clone, Debug)]
struct Forms {
    json: Bytes,
    page: Bytes,
}

/// The description of these groups.
pub(super) fn answer(
    form: Form,
    serves: impl Fn(Group) -> bool,
) -> Result<Response<ApiBody>, ApiError> {
    /// Made once for each set of groups: anybody may ask, as often as they like.
    static MADE: Mutex<BTreeMap<Vec<Group>, Forms>> = Mutex::new(BTreeMap::new());
    let groups: Vec<_> = Group::ALL.into_iter().filter(|one| serves(*one)).collect();
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let forms = match made.get(&groups) {
        Some(forms) => forms.clone(),
        None => {
            let forms = Forms::of(&describe(serves))?;
            made.insert(groups, forms.clone());
            forms
        }
    };
    drop(made);
    Ok(match form {
        Form::Json => response::json(StatusCode::OK, forms.json),
        Form::Page => page::answer(forms.page),
    })
}

impl Forms {
    fn of(document: &OpenApi) -> Result<Self, ApiError> {
        let failed = |error: serde_json::Error| auth_core::AuthError::Internal(error.into());
        let value = serde_json::to_value(document).map_err(failed)?;
        Ok(Self {
            json: serde_json::to_vec(&value).map_err(failed)?.into(),
            page: page::render(&value)?.into(),
        })
    }
}

fn describe(serves: impl Fn(Group) -> bool) -> OpenApi {
    let mut paths = Paths::new();
    let mut components = ComponentsBuilder::new()
        .security_scheme(BEARER, bearer())
        .response(SERVER, refused_by_the_server());
    for route in ROUTES.iter().filter(|route| serves(route.group)) {
        for method in route.methods.split(", ") {
            let (Some(known), Ok(method)) = (http_method(method), method.parse()) else {
                continue;
            };
            let described = endpoint(route.endpoint, &method);
            let operation;
            (operation, components) = described.into_operation(route.group.tag(), components);
            paths.add_path_operation(written(route), vec![known], operation);
        }
    }
    let info = InfoBuilder::new()
        .title("auth")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT OR Apache-2.0")
                .identifier(Some("MIT OR Apache-2.0"))
                .build(),
        ));
    let tags = Group::ALL.into_iter().filter(|group| serves(*group));
    let tags = tags.map(|group| {
        let tag = TagBuilder::new().name(group.tag());
        tag.description(Some(group.description())).build()
    });
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths)
        .components(Some(components.build()))
        .tags(Some(tags))
        .build()
}

/// HEAD goes without saying.
fn http_method(name: &str) -> Option<HttpMethod> {
    Some(match name {
        "GET" => HttpMethod::Get,
        "POST" => HttpMethod::Post,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => return None,
    })
}

/// The path in the form that the documentation uses.
fn written(route: &Route) -> String {
    match route.path {
        path if path.starts_with("/api/") || path == "/docs" => format!("{path}/"),
        path => path.to_owned(),
    }
}

fn endpoint(endpoint: Endpoint, method: &Method) -> Described {
    let posts = method == Method::POST;
    match endpoint {
        Endpoint::Register => registration::described::register(),
        Endpoint::FollowLink(link) if posts => link::described::press(link),
        Endpoint::FollowLink(link) => link::described::page(link),
        Endpoint::Invite => registration::described::invite(),
        Endpoint::ResendVerification => registration::described::resend_verification(),
        Endpoint::LogIn => session::described::log_in(),
        Endpoint::Refresh => session::described::refresh(),
        Endpoint::LogOut => session::described::log_out(),
        Endpoint::ReadAccount => account::described::read(),
        Endpoint::ListSessions => account::described::list_sessions(),
        Endpoint::EndSession => account::described::end_session(),
        Endpoint::LogOutEverywhere => account::described::log_out_everywhere(),
        Endpoint::ChangePassword => account::described::change_password(),
        Endpoint::RequestPasswordReset => account::described::request_password_reset(),
        Endpoint::RequestEmailChange => account::described::request_email_change(),
        Endpoint::Jwks => jwks::described::keys(),
        Endpoint::Live => health::described::live(),
        Endpoint::Ready => health::described::ready(),
        Endpoint::Describe(form) => description(form),
        Endpoint::Admin(AdminEndpoint::Users) if posts => admin::users::described::create(),
        Endpoint::Admin(AdminEndpoint::Users) => admin::pages::described::users(),
        Endpoint::Admin(AdminEndpoint::User) if method == Method::PATCH => {
            admin::users::described::change()
        }
        Endpoint::Admin(AdminEndpoint::User) if method == Method::DELETE => {
            admin::users::described::delete()
        }
        Endpoint::Admin(AdminEndpoint::User) => admin::users::described::read(),
        Endpoint::Admin(AdminEndpoint::UserLogout) => admin::users::described::log_out(),
        Endpoint::Admin(AdminEndpoint::Events) => admin::pages::described::events(),
    }
}

fn description(form: Form) -> Described {
    /// The document.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "utoipa makes the document")]
    struct Document {
        /// The version of OpenAPI.
        openapi: String,
        /// What it describes.
        info: Map<String, Value>,
        /// The endpoints.
        paths: Map<String, Value>,
        /// What the endpoints refer to.
        components: Map<String, Value>,
        /// The groups.
        tags: Vec<Map<String, Value>>,
    }
    match form {
        Form::Json => Described::fixed(
            "describe",
            "This description",
            "Of the groups of endpoints that are served here.",
        )
        .answers::<Document>(
            200,
            "OpenAPI 3.1.",
            json!({"openapi": "3.1.0", "info": {}, "paths": {}, "components": {}, "tags": []}),
        ),
        Form::Page => Described::fixed(
            "showDescription",
            "This description, as a page",
            "Without script, and loading nothing.",
        )
        .answers_page(200, "The page."),
    }
}

fn bearer() -> SecurityScheme {
    SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("An access token (RFC 9068)."))
            .build(),
    )
}

/// What any request may be told before an endpoint sees it.
fn refused_by_the_server() -> ResponseBuilder {
    let (_, answer) = refusal(&[
        &ApiError::MalformedRequest,
        &ApiError::RequestTimeout,
        &ApiError::UriTooLong,
        &ApiError::Panicked,
    ]);
    answer
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let mut served = BTreeSet::new();
        for route in ROUTES {
            let methods = route.methods.split(", ").filter(|name| *name != "HEAD");
            served.extend(methods.map(|method| (written(route), method.to_lowercase())));
        }
        let document: Value = serde_json::from_str(&document()).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            let methods = methods.as_object().unwrap().keys();
            described.extend(methods.map(|method| (path.clone(), method.clone())));
        }
        assert_eq!(described, served);
    }
}
