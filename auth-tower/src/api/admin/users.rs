//! One user.

use std::error::Error;
use std::mem;

use auth_core::{EmailProof, Password, Registration, Role, Roles, User, UserChanges, UserId};
use http::header::LOCATION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use serde::Serialize;

use super::Call;
use crate::api::json::{self, Object};
use crate::api::utc::utc;
use crate::body::ApiBody;
use crate::error::ApiError;
use crate::response;

/// A user, as superusers see one.
#[derive(Serialize)]
pub(super) struct UserDocument {
    id: String,
    username: String,
    email: String,
    email_verified_at: Option<String>,
    is_active: bool,
    is_superuser: bool,
    roles: Vec<String>,
    created_at: String,
}

impl UserDocument {
    pub(super) fn of(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.username.to_string(),
            email: user.email.to_string(),
            email_verified_at: user.email_verified_at.map(utc),
            is_active: user.is_active,
            is_superuser: user.is_superuser,
            roles: user.roles.iter().map(Role::to_string).collect(),
            created_at: utc(user.created_at),
        }
    }
}

impl Call<'_> {
    pub(super) async fn create_user<B>(
        &self,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let names = ["username", "password", "email", "verified"];
        let mut fields = Object::read(request, self.max_body, &names).await?;
        let mut username = fields.required_string("username");
        let mut password = fields.required_string("password");
        let mut email = fields.required_string("email");
        let proof = match fields.flag("verified") {
            Some(true) => EmailProof::Vouched,
            Some(false) | None => EmailProof::ByMail,
        };
        fields.finish()?;
        let user = Registration::new(
            mem::take(&mut *username),
            Password::new(mem::take(&mut *password)),
            mem::take(&mut *email),
        );
        let administration = self.administration;
        let created = administration.create_user(self.by, user, proof, &self.context);
        let created = created.await?;
        let mut answer = answer(StatusCode::CREATED, &created);
        let location = format!("/api/admin/users/{}/", created.id);
        let location = HeaderValue::try_from(location).expect("a UUID is visible ASCII");
        answer.headers_mut().insert(LOCATION, location);
        Ok(answer)
    }

    pub(super) async fn read_user(&self, user: UserId) -> Result<Response<ApiBody>, ApiError> {
        let user = self.administration.read_user(self.by, user).await?;
        Ok(answer(StatusCode::OK, &user))
    }

    pub(super) async fn change_user<B>(
        &self,
        user: UserId,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let names = ["is_active", "is_superuser", "roles", "password"];
        let mut fields = Object::read(request, self.max_body, &names).await?;
        if fields.is_empty() {
            for name in names {
                fields.refuse(name, "is required, or another field that can be changed");
            }
        }
        let mut changes = UserChanges::default();
        changes.is_active = fields.flag("is_active");
        changes.is_superuser = fields.flag("is_superuser");
        if let Some(names) = fields.list("roles") {
            match Roles::parse(names.iter().map(|name| name.as_str())) {
                Ok(roles) => changes.roles = Some(roles),
                Err(error) => fields.refuse("roles", error.to_string()),
            }
        }
        let password = fields.string("password");
        changes.password = password.map(|mut text| Password::new(mem::take(&mut *text)));
        fields.finish()?;
        let administration = self.administration;
        let changed = administration.change_user(self.by, user, changes, &self.context);
        Ok(answer(StatusCode::OK, &changed.await?))
    }

    pub(super) async fn delete_user(&self, user: UserId) -> Result<Response<ApiBody>, ApiError> {
        let administration = self.administration;
        let deleted = administration.delete_user(self.by, user, &self.context);
        deleted.await?;
        Ok(response::bare(StatusCode::NO_CONTENT, ""))
    }

    pub(super) async fn log_out_user<B>(
        &self,
        user: UserId,
        request: Request<B>,
    ) -> Result<Response<ApiBody>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        json::nothing(request, self.max_body).await?;
        let administration = self.administration;
        // Somebody who does not exist has no sessions to end, but that is not what was meant.
        administration.read_user(self.by, user).await?;
        let ended = administration.end_user_sessions(self.by, user, &self.context);
        ended.await?;
        Ok(response::bare(StatusCode::NO_CONTENT, ""))
    }
}

fn answer(status: StatusCode, user: &User) -> Response<ApiBody> {
    response::serialized(status, &UserDocument::of(user))
}
