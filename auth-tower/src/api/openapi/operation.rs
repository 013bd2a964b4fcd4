//! How an endpoint is described: in its own words, and with its errors as the one table has them.

use std::collections::BTreeMap;
use std::time::Duration;

use auth_core::store::StoreError;
use auth_core::{AuthError, FieldErrors};
use http::HeaderMap;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::example::Example;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{AllOfBuilder, ComponentsBuilder, ObjectBuilder, Ref, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{RefOr, Required};

use crate::api::read::{FORM, JSON};
use crate::error::{ApiError, ErrorBody};

pub(super) const BEARER: &str = "bearer";
const HTML: &str = "text/html; charset=utf-8";

/// The name of the answer of the server, before any endpoint sees the request.
pub(super) const SERVER: &str = "server";

/// What one method of a path does, takes and answers.
pub(in crate::api) struct Described {
    operation: OperationBuilder,
    request: Option<Request>,
    answers: BTreeMap<u16, ResponseBuilder>,
    errors: Vec<ApiError>,
    /// What the answers and the request refer to, by their names.
    schemas: Vec<(String, RefOr<Schema>)>,
}

struct Request {
    required: Required,
    json: Content,
    form: Option<Content>,
}

impl Described {
    /// An endpoint that does something: it has a budget, and the storage may fail it.
    pub(in crate::api) fn new(
        id: &'static str,
        summary: &'static str,
        description: &'static str,
    ) -> Self {
        Self::fixed(id, summary, description)
            .may_be_unavailable()
            .refuses([Self::throttled(), AuthError::Internal("".into())])
    }

    /// An endpoint that always answers the same.
    pub(in crate::api) fn fixed(
        id: &'static str,
        summary: &'static str,
        description: &'static str,
    ) -> Self {
        Self {
            operation: OperationBuilder::new()
                .operation_id(Some(id))
                .summary(Some(summary))
                .description(Some(description)),
            request: None,
            answers: BTreeMap::new(),
            errors: Vec::new(),
            schemas: Vec::new(),
        }
    }

    /// It needs the access token of a user.
    pub(in crate::api) fn for_users(mut self) -> Self {
        let token = SecurityRequirement::new::<_, [&str; 0], &str>(BEARER, []);
        self.operation = self.operation.security(token);
        self.refuses([ApiError::AuthenticationRequired]).refuses(
            [
                AuthError::TokenInvalid,
                AuthError::TokenExpired,
                AuthError::TokenRevoked,
            ]
            .map(ApiError::Bearer),
        )
    }

    /// It may come without a token too, if the service says so.
    pub(in crate::api) fn or_for_anybody(mut self) -> Self {
        self.operation = self.operation.security(SecurityRequirement::default());
        self
    }

    /// It needs the access token of a superuser.
    pub(in crate::api) fn for_superusers(self) -> Self {
        self.for_users()
            .refuses([ApiError::Bearer(AuthError::PermissionDenied)])
    }

    /// Its path has an `{id}`.
    pub(in crate::api) fn of(mut self, description: &'static str) -> Self {
        let id = ParameterBuilder::new()
            .name("id")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(schema(json!({"type": "string", "format": "uuid"}))));
        self.operation = self.operation.parameter(id);
        self
    }

    /// It takes this parameter, which is never required.
    pub(in crate::api) fn query(
        self,
        name: &'static str,
        description: &'static str,
        of: Value,
    ) -> Self {
        self.parameter(ParameterIn::Query, name, description, of)
    }

    /// It refuses parameters that it cannot understand.
    pub(in crate::api) fn reads_query(self) -> Self {
        self.refuses([invalid("limit", "must be a whole number from 1 to 200")])
    }

    /// It takes this header, which is never required.
    pub(in crate::api) fn header(self, name: &'static str, description: &'static str) -> Self {
        let text = json!({"type": "string"});
        self.parameter(ParameterIn::Header, name, description, text)
    }

    fn parameter(
        mut self,
        at: ParameterIn,
        name: &'static str,
        description: &'static str,
        of: Value,
    ) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(at)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(schema(of)));
        self.operation = self.operation.parameter(parameter);
        self
    }

    /// It takes a JSON object like this one.
    pub(in crate::api) fn takes<T: ToSchema>(self, example: Value) -> Self {
        self.reads::<T>(Required::True, example)
            .refuses([invalid("username", "is required")])
    }

    /// It takes a JSON object like this one, or nothing.
    pub(in crate::api) fn may_take<T: ToSchema>(self, example: Value) -> Self {
        self.reads::<T>(Required::False, example)
    }

    fn reads<T: ToSchema>(mut self, required: Required, example: Value) -> Self {
        self.request = Some(Request {
            required,
            json: self.content::<T>(example),
            form: None,
        });
        self.refuses([
            ApiError::MalformedJson,
            ApiError::UnsupportedMediaType,
            ApiError::PayloadTooLarge,
            ApiError::RequestTimeout,
        ])
    }

    /// It takes the form of a page too, and answers it with pages.
    pub(in crate::api) fn or_form<T: ToSchema>(mut self) -> Self {
        let schema = self.schema::<T>();
        if let Some(request) = &mut self.request {
            request.form = Some(Content::new(Some(schema)));
        }
        self
    }

    /// It answers with JSON like this.
    pub(in crate::api) fn answers<T: ToSchema>(
        mut self,
        status: u16,
        description: &'static str,
        example: Value,
    ) -> Self {
        let content = self.content::<T>(example);
        let answer = self.answers.remove(&status).unwrap_or_default();
        let answer = answer.description(description).content(JSON, content);
        self.answers.insert(status, answer);
        self
    }

    /// It answers with a page.
    pub(in crate::api) fn answers_page(mut self, status: u16, description: &'static str) -> Self {
        let answer = self.answers.remove(&status).unwrap_or_default();
        let answer = answer.description(description).content(HTML, page());
        self.answers.insert(status, answer);
        self
    }

    /// It answers without a body.
    pub(in crate::api) fn answers_nothing(
        mut self,
        status: u16,
        description: &'static str,
    ) -> Self {
        let answer = ResponseBuilder::new().description(description);
        self.answers.insert(status, answer);
        self
    }

    /// It refuses for these reasons, besides those of how it is asked.
    pub(in crate::api) fn refuses<E: Into<ApiError>>(
        mut self,
        errors: impl IntoIterator<Item = E>,
    ) -> Self {
        self.errors.extend(errors.into_iter().map(Into::into));
        self
    }

    /// It hashes passwords, and more may be waiting than it can.
    pub(in crate::api) fn overloaded() -> AuthError {
        AuthError::overloaded(Duration::from_secs(1))
    }

    /// It asks the storage.
    pub(in crate::api) fn may_be_unavailable(self) -> Self {
        let unavailable = AuthError::Storage(StoreError::Unavailable("".into()));
        self.refuses([unavailable, AuthError::RevocationsStale])
    }

    fn throttled() -> AuthError {
        AuthError::too_many_attempts(Duration::from_secs(30))
    }

    /// The operation; what it refers to goes to the components.
    pub(super) fn into_operation(
        mut self,
        tag: &str,
        mut components: ComponentsBuilder,
    ) -> (Operation, ComponentsBuilder) {
        let mut operation = self.operation.tag(tag);
        let mut refusals: BTreeMap<u16, Vec<&ApiError>> = BTreeMap::new();
        for error in &self.errors {
            let status = error.status().as_u16();
            refusals.entry(status).or_default().push(error);
        }
        let has_form = matches!(&self.request, Some(Request { form: Some(_), .. }));
        for (status, errors) in refusals {
            let (mut name, mut refusal) = refusal(&errors);
            if has_form {
                name.push_str(".page");
                refusal = refusal.content(HTML, page());
            }
            components = components.response(&name, refusal);
            operation = operation.response(status.to_string(), Ref::from_response_name(name));
        }
        if let Some(request) = self.request {
            let mut body = RequestBodyBuilder::new()
                .required(Some(request.required))
                .content(JSON, request.json);
            if let Some(form) = request.form {
                body = body.content(FORM, form);
            }
            operation = operation.request_body(Some(body.build()));
        }
        for (status, answer) in self.answers {
            operation = operation.response(status.to_string(), answer);
        }
        operation = operation.response("default", Ref::from_response_name(SERVER));
        self.schemas.push(named::<ErrorBody<'_>>());
        (
            operation.build(),
            components.schemas_from_iter(self.schemas),
        )
    }

    fn content<T: ToSchema>(&mut self, example: Value) -> Content {
        ContentBuilder::new()
            .schema(Some(self.schema::<T>()))
            .example(Some(example))
            .build()
    }

    fn schema<T: ToSchema>(&mut self) -> Ref {
        T::schemas(&mut self.schemas);
        self.schemas.push(named::<T>());
        Ref::from_schema_name(T::name())
    }
}

/// The answer that tells of one of these errors, which have one status, and a name for it.
pub(super) fn refusal(errors: &[&ApiError]) -> (String, ResponseBuilder) {
    let mut messages: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut examples = BTreeMap::new();
    let mut headers = HeaderMap::new();
    for error in errors {
        let told = messages.entry(error.code()).or_default();
        if !told.contains(&error.message()) {
            told.push(error.message());
        }
        let mut example = Example::new();
        example.value = Some(json!(error.body()));
        examples.entry(error.code()).or_insert(example);
        error.add_headers(&mut headers);
    }
    let codes: Vec<_> = messages.keys().copied().collect();
    let lines = messages
        .iter()
        .map(|(code, told)| format!("`{code}`: {}", told.join(", or ")));
    let code = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(codes.iter().copied()));
    let code = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("code", code);
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name(ErrorBody::name()))
        .item(code);
    let content = ContentBuilder::new()
        .schema(Some(schema))
        .examples_from_iter(examples);
    let mut answer = ResponseBuilder::new()
        .description(lines.collect::<Vec<_>>().join("\n\n"))
        .content(JSON, content.build());
    if headers.contains_key(RETRY_AFTER) {
        let header = header(Type::Integer, "After how many seconds to try again.");
        answer = answer.header("Retry-After", header);
    }
    if headers.contains_key(WWW_AUTHENTICATE) {
        let header = header(Type::String, "The challenge (RFC 6750).");
        answer = answer.header("WWW-Authenticate", header);
    }
    (codes.join("."), answer)
}

fn header(of: Type, description: &'static str) -> Header {
    let schema = ObjectBuilder::new().schema_type(of);
    let header = HeaderBuilder::new().schema(Some(schema));
    header.description(Some(description)).build()
}

fn invalid(field: &'static str, problem: &'static str) -> AuthError {
    let mut errors = FieldErrors::default();
    errors.add(field, problem);
    errors.into()
}

fn named<T: ToSchema>() -> (String, RefOr<Schema>) {
    (T::name().into_owned(), T::schema())
}

fn page() -> Content {
    Content::new(Some(schema(json!({"type": "string"}))))
}

fn schema(of: Value) -> RefOr<Schema> {
    serde_json::from_value(of).expect("the schemas of parameters are constants")
}
