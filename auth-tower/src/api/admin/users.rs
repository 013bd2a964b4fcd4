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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = User))]
pub(super) struct UserDocument {
    /// The user's id.
    #[cfg_attr(feature = "openapi", schema(format = "uuid"))]
    id: String,
    /// The name to log in with.
    username: String,
    /// The address, as it was given.
    email: String,
    /// When the address was verified.
    #[cfg_attr(feature = "openapi", schema(format = DateTime, required = true))]
    email_verified_at: Option<String>,
    /// Whether the user may log in.
    is_active: bool,
    /// Whether the user may administer.
    is_superuser: bool,
    /// The roles that were given; `superuser` is none of them.
    roles: Vec<String>,
    /// When the user was registered.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
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

#[cfg(feature = "openapi")]
pub(in crate::api) mod described {
    use auth_core::AuthError;
    use serde_json::{Value, json};
    use utoipa::ToSchema;

    use super::UserDocument;
    use crate::api::openapi::Described;

    /// A user to be.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    struct NewUser {
        /// 1 to 150 of letters, digits and `@ . + - _`; unique without regard to case.
        #[schema(max_length = 150)]
        username: String,
        /// At least 8 characters, at most 1,024 bytes; no common password, nothing close to the
        /// username or the address.
        #[schema(format = Password)]
        password: String,
        /// One plain address; unique without regard to case.
        #[schema(format = Email, max_length = 254)]
        email: String,
        /// Whether the address counts as verified, and gets no mail.
        #[schema(required = false)]
        verified: bool,
    }

    /// What is to be different; at least one of these.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "the request is read field by field")]
    struct UserChange {
        /// Whether the user may log in; if not, all sessions end.
        #[schema(required = false)]
        is_active: bool,
        /// Whether the user may administer.
        #[schema(required = false)]
        is_superuser: bool,
        /// These roles and no others.
        #[schema(required = false, max_items = 32)]
        roles: Vec<String>,
        /// Another password; all sessions end.
        #[schema(required = false, format = Password)]
        password: String,
    }

    /// Nothing.
    #[derive(ToSchema)]
    struct Nothing {}

    pub(in crate::api) fn create() -> Described {
        Described::new(
            "createUser",
            "Create a user",
            "The user gets a mail with a link to verify the address, unless it counts as verified.",
        )
        .for_superusers()
        .takes::<NewUser>(json!({
            "username": "bob",
            "password": "correct horse battery",
            "email": "bob@example.org",
            "verified": true,
        }))
        .answers::<UserDocument>(201, "The user; `Location` has its path.", user())
        .refuses([
            AuthError::UsernameTaken,
            AuthError::EmailTaken,
            Described::overloaded(),
        ])
    }

    pub(in crate::api) fn read() -> Described {
        one("readUser", "Read a user", "What is known of one.").answers::<UserDocument>(
            200,
            "The user.",
            user(),
        )
    }

    pub(in crate::api) fn change() -> Described {
        one(
            "changeUser",
            "Change a user",
            "What takes rights away comes first. The last active superuser stays one.",
        )
        .takes::<UserChange>(json!({"is_active": false}))
        .answers::<UserDocument>(200, "The user as it is then.", user())
        .refuses([AuthError::LastSuperuser, Described::overloaded()])
    }

    pub(in crate::api) fn delete() -> Described {
        one(
            "deleteUser",
            "Delete a user",
            "The account and its sessions, for ever; the audit trail stays.",
        )
        .answers_nothing(204, "The user is gone.")
        .refuses([
            AuthError::LastSuperuser,
            AuthError::UserInUse("a foreign key of the application".into()),
        ])
    }

    pub(in crate::api) fn log_out() -> Described {
        one(
            "logOutUser",
            "End all sessions of a user",
            "Access tokens end with them.",
        )
        .may_take::<Nothing>(json!({}))
        .answers_nothing(204, "The sessions have ended.")
    }

    fn one(id: &'static str, summary: &'static str, description: &'static str) -> Described {
        Described::new(id, summary, description)
            .for_superusers()
            .of("The id of the user.")
            .refuses([AuthError::NotFound])
    }

    pub(in crate::api) fn user() -> Value {
        json!({
            "id": "019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b",
            "username": "bob",
            "email": "bob@example.org",
            "email_verified_at": "2026-11-26T08:00:00Z",
            "is_active": true,
            "is_superuser": false,
            "roles": ["editor"],
            "created_at": "2026-11-26T08:00:00Z",
        })
    }
}
