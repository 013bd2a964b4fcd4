//! `auth-server users`

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use auth_core::store::{Store, UserFilter, UserSearch};
use auth_core::{
    Administration as _, Administrator, AuthError, EmailProof, Engine, Enrollment as _,
    Registration, RegistrationMode, RequestContext, Role, Roles, User, UserId,
};
use serde_json::json;

use super::{new_password, user_lookup};
use crate::cli::{ChosenUser, CreateUser, InviteUser, ListUsers, LogOutUsers, SetRoles, Users};
use crate::config::Config;
use crate::error::CommandError;
use crate::node::{self, NodeStore};
use crate::output::say;

/// How many users are read at once.
const PAGE: u32 = 500;

const BY: Administrator = Administrator::Operator;

const PASSWORD_VARIABLE: &str = "AUTH_USER_PASSWORD";

pub(super) async fn run(config: &Config, command: Users) -> Result<(), CommandError> {
    let store = NodeStore::open(config).await?;
    store.require_migrated().await?;
    let users = Operator {
        engine: node::operator_engine(config, &store).await?,
        store: store.shared(),
    };
    let done = users.run(command).await;
    // What was refused is told to the trail as well.
    users.engine.audit_writer().flush().await?;
    done
}

struct Operator {
    engine: Engine,
    store: Arc<dyn Store>,
}

impl Operator {
    async fn run(&self, command: Users) -> Result<(), CommandError> {
        match command {
            Users::List(flags) => self.list(flags).await,
            Users::Show(flags) => self.show(&flags.user, flags.json).await,
            Users::Create(flags) => self.create(flags).await,
            Users::Invite(flags) => self.invite(flags).await,
            Users::Activate(chosen) => {
                let (user, context) = self.begin(&chosen).await?;
                let done = self.engine.activate_user(BY, user, &context).await;
                tell("activated", &chosen, done)
            }
            Users::Deactivate(chosen) => {
                let (user, context) = self.begin(&chosen).await?;
                let done = self.engine.deactivate_user(BY, user, &context).await;
                tell("deactivated", &chosen, done)
            }
            Users::Promote(chosen) => {
                let (user, context) = self.begin(&chosen).await?;
                let done = self.engine.grant_superuser(BY, user, &context).await;
                tell("promoted", &chosen, done)
            }
            Users::Demote(chosen) => {
                let (user, context) = self.begin(&chosen).await?;
                let done = self.engine.revoke_superuser(BY, user, &context).await;
                tell("demoted", &chosen, done)
            }
            Users::Roles(flags) => self.set_roles(flags).await,
            Users::SetPassword(flags) => {
                let (user, context) = self.begin(&flags.user).await?;
                let password = new_password::read(flags.noinput, PASSWORD_VARIABLE)?;
                let done = self.engine.set_password(BY, user, password, &context);
                tell("password set", &flags.user, done.await)
            }
            Users::Logout(chosen) => self.log_out(chosen).await,
            Users::Delete(flags) => {
                let user = self.find(&flags.user).await?;
                if !flags.yes {
                    confirm_deletion(&user)?;
                }
                let context = RequestContext::default();
                let done = self.engine.delete_user(BY, user.id, &context).await;
                tell("deleted", &flags.user, done)
            }
        }
    }

    async fn begin(&self, chosen: &ChosenUser) -> Result<(UserId, RequestContext), CommandError> {
        Ok((self.find(chosen).await?.id, RequestContext::default()))
    }

    async fn find(&self, chosen: &ChosenUser) -> Result<User, CommandError> {
        let id = user_lookup::id_of(self.store.as_ref(), &chosen.user, "USER").await?;
        match self.engine.read_user(BY, id).await {
            Err(AuthError::NotFound) => Err(CommandError::Argument {
                name: "USER",
                problem: format!("nobody has the id {id}"),
            }),
            found => Ok(found?),
        }
    }

    async fn list(&self, flags: ListUsers) -> Result<(), CommandError> {
        let mut filter = UserFilter::default();
        filter.search = UserSearch::of(&flags.search);
        let mut left = flags.limit;
        while left > 0 {
            filter.limit = left.min(PAGE);
            let page = self.engine.list_users(BY, &filter).await?;
            for user in &page {
                say(if flags.json {
                    as_json(user)
                } else {
                    line(user)
                })?;
            }
            match page.last() {
                Some(last) if page.len() == filter.limit as usize => {
                    filter = filter.following(last);
                }
                _ => break,
            }
            left -= filter.limit;
        }
        Ok(())
    }

    async fn show(&self, chosen: &ChosenUser, json: bool) -> Result<(), CommandError> {
        let user = self.find(chosen).await?;
        say(if json { as_json(&user) } else { record(&user) })?;
        Ok(())
    }

    async fn create(&self, flags: CreateUser) -> Result<(), CommandError> {
        let password = new_password::read(flags.noinput, PASSWORD_VARIABLE)?;
        let user = Registration::new(&flags.username, password, &flags.email);
        let proof = if flags.verified {
            EmailProof::Vouched
        } else {
            EmailProof::ByMail
        };
        let context = RequestContext::default();
        let created = self.engine.create_user(BY, user, proof, &context).await?;
        say(format_args!(
            "user created: {} {}",
            flags.username.escape_debug(),
            created.id
        ))?;
        Ok(())
    }

    async fn invite(&self, flags: InviteUser) -> Result<(), CommandError> {
        if self.engine.registration_mode() != RegistrationMode::Invitation {
            return Err(CommandError::Argument {
                name: "users invite",
                problem: "nobody can accept an invitation: AUTH_REGISTRATION is not `invitation`"
                    .to_owned(),
            });
        }
        let context = RequestContext::default();
        let invitation = self.engine.invite(BY, &flags.email, &context).await?;
        if flags.json {
            say(json!({ "email": flags.email, "invitation": invitation }))?;
        } else {
            say(format_args!("invited: {}", flags.email.escape_debug()))?;
        }
        Ok(())
    }

    async fn set_roles(&self, flags: SetRoles) -> Result<(), CommandError> {
        let roles = Roles::parse(flags.roles.iter().map(String::as_str));
        let roles = roles.map_err(|error| CommandError::Argument {
            name: "ROLE",
            problem: error.to_string(),
        })?;
        let (user, context) = self.begin(&flags.user).await?;
        self.engine.set_roles(BY, user, &roles, &context).await?;
        say(format_args!(
            "roles set: {} ({})",
            flags.user.user.escape_debug(),
            or_none(&roles)
        ))?;
        Ok(())
    }

    async fn log_out(&self, chosen: LogOutUsers) -> Result<(), CommandError> {
        let (whom, ended) = match chosen.user {
            Some(user) => {
                let chosen = ChosenUser { user };
                let (user, context) = self.begin(&chosen).await?;
                let ended = self.engine.end_user_sessions(BY, user, &context).await?;
                (chosen.user.escape_debug().to_string(), ended)
            }
            None => {
                let context = RequestContext::default();
                let ended = self.engine.end_all_sessions(BY, &context).await?;
                ("everybody".to_owned(), ended)
            }
        };
        say(format_args!("logged out: {whom} (sessions ended: {ended})"))?;
        Ok(())
    }
}

fn tell(act: &str, chosen: &ChosenUser, done: Result<(), AuthError>) -> Result<(), CommandError> {
    done?;
    say(format_args!("{act}: {}", chosen.user.escape_debug()))?;
    Ok(())
}

fn confirm_deletion(user: &User) -> Result<(), CommandError> {
    let not_confirmed = || CommandError::Argument {
        name: "users delete",
        problem: "nothing was deleted: say --yes if it is meant".to_owned(),
    };
    if !std::io::stdin().is_terminal() {
        return Err(not_confirmed());
    }
    let mut terminal = std::io::stderr();
    let asked = write!(terminal, "Delete {} for ever? [y/N] ", user.username);
    asked.map_err(CommandError::Terminal)?;
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(CommandError::Terminal)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(not_confirmed()),
    }
}

/// A user in one line of a list.
fn line(user: &User) -> String {
    let mut marks = Vec::new();
    if user.is_superuser {
        marks.push("superuser");
    }
    marks.extend(user.roles.iter().map(Role::as_str));
    if !user.is_active {
        marks.push("deactivated");
    }
    if user.email_verified_at.is_none() {
        marks.push("unverified");
    }
    let line = format!(
        "{}  {:<24} {:<32} {}",
        user.id,
        user.username.as_str(),
        user.email.as_str(),
        marks.join(",")
    );
    line.trim_end().to_owned()
}

/// A user, a line for each field.
fn record(user: &User) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" };
    let verified = user.email_verified_at.map(|at| at.to_string());
    format!(
        "id         {}\nusername   {}\nemail      {}\nverified   {}\nactive     {}\nsuperuser  {}\nroles      {}\ncreated    {}",
        user.id,
        user.username,
        user.email,
        verified.as_deref().unwrap_or("no"),
        yes(user.is_active),
        yes(user.is_superuser),
        or_none(&user.roles),
        user.created_at,
    )
}

fn or_none(roles: &Roles) -> String {
    match roles.to_string() {
        names if names.is_empty() => "none".to_owned(),
        names => names,
    }
}

fn as_json(user: &User) -> String {
    json!({
        "id": user.id,
        "username": user.username.as_str(),
        "email": user.email.as_str(),
        "email_verified_at": user.email_verified_at.map(|at| at.to_string()),
        "is_active": user.is_active,
        "is_superuser": user.is_superuser,
        "roles": user.roles.iter().map(Role::as_str).collect::<Vec<_>>(),
        "created_at": user.created_at.to_string(),
    })
    .to_string()
}
