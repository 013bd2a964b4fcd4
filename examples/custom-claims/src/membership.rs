//! What this application knows of its users, with or without accounts.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Membership {
    pub(crate) tenant: String,
    pub(crate) permissions: Vec<String>,
}

impl Membership {
    /// Finds out about a user; an application asks its own tables here.
    pub(crate) fn of(user: impl Display) -> Self {
        Self {
            tenant: "acme".to_owned(),
            permissions: vec![format!("read the notes of {user}"), "leave".to_owned()],
        }
    }

    pub(crate) fn greeting(&self) -> String {
        let may = self.permissions.join(" and ");
        format!("Hello, user of {} who may {may}.\n", self.tenant)
    }
}
