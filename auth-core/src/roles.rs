//! The named roles of users.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A named role, carried in the `roles` claim (RFC 9068 section 2.2.3.1).
///
/// What an administrator may give is [parsed](str::parse); what a token carries is taken
/// [as it is](Self::from_stored).
///
/// ```
/// use auth_core::{Role, RoleError};
///
/// let editor: Role = "editor".parse()?;
/// assert_eq!(editor.as_str(), "editor");
/// assert_eq!("superuser".parse::<Role>(), Err(RoleError::Superuser));
/// # Ok::<(), RoleError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(Box<str>);

impl Role {
    /// The name of the role that every superuser carries.
    pub const SUPERUSER: &'static str = "superuser";

    /// The most characters of a role that an administrator may give.
    pub const MAX_CHARS: usize = 50;

    /// Takes what a token or a store has kept, without asking whether it could be given today.
    #[must_use]
    pub fn from_stored(name: impl Into<Box<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(name: &str) -> Result<Self, RoleError> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(is_allowed)
            && name.len() <= Self::MAX_CHARS;
        if !is_name {
            return Err(RoleError::Malformed);
        }
        if name.eq_ignore_ascii_case(Self::SUPERUSER) {
            return Err(RoleError::Superuser);
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Role({:?})", self.0)
    }
}

/// The roles that a user has been given: a set, in the order of the names.
///
/// That a user is a superuser is no part of it.
///
/// ```
/// use auth_core::{RoleError, Roles};
///
/// let roles = Roles::parse(["editor", "auditor", "editor"])?;
/// assert_eq!(roles.to_string(), "auditor editor");
/// assert!(roles.contains("editor"));
/// # Ok::<(), RoleError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// The most roles of a user: with the longest names they fit into an access token.
    pub const MAX: usize = 32;

    /// Makes the set of these names.
    ///
    /// # Errors
    ///
    /// [`RoleError`] of the first name that is no role, or if there are too many.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, RoleError> {
        let roles: BTreeSet<_> = names
            .into_iter()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        if roles.len() > Self::MAX {
            return Err(RoleError::TooMany);
        }
        Ok(Self(roles))
    }

    /// Reads what [`Display`](fmt::Display) writes, as a store keeps it: the names, separated by
    /// spaces.
    #[must_use]
    pub fn from_stored(names: &str) -> Self {
        Self(
            names
                .split_ascii_whitespace()
                .map(Role::from_stored)
                .collect(),
        )
    }

    /// Whether the role is one of them.
    #[must_use]
    pub fn contains(&self, role: &str) -> bool {
        self.iter().any(|held| held.as_str() == role)
    }

    /// The roles, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.0.iter()
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, role) in self.iter().enumerate() {
            let separator = if position == 0 { "" } else { " " };
            write!(f, "{separator}{role}")?;
        }
        Ok(())
    }
}

/// Why a name cannot be given as a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoleError {
    /// It has other characters, begins with none of the alphabet, or is too long.
    #[error(
        "a role begins with an ASCII letter and has letters, digits and `_.:-`, at most 50 of them"
    )]
    Malformed,
    /// Superusers are made in another way.
    #[error("`superuser` is no role that can be given: make the user a superuser")]
    Superuser,
    /// Access tokens would become too long.
    #[error("a user can have at most 32 roles")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_a_short_word() {
        for name in [
            "a",
            "Editor",
            "billing:read",
            "org-7.admin_2",
            &"x".repeat(50),
        ] {
            assert_eq!(name.parse::<Role>().unwrap().as_str(), name);
        }
        for name in [
            "",
            " ",
            "a b",
            "7up",
            "-a",
            "é",
            "a\0",
            "a,b",
            &"x".repeat(51),
        ] {
            assert_eq!(name.parse::<Role>(), Err(RoleError::Malformed), "{name:?}");
        }
    }

    #[test]
    fn s9_2_nobody_becomes_a_superuser_by_a_role() {
        for name in ["superuser", "SuperUser"] {
            assert_eq!(name.parse::<Role>(), Err(RoleError::Superuser));
            assert_eq!(Roles::parse(["a", name]), Err(RoleError::Superuser));
        }
    }

    #[test]
    fn a_user_has_at_most_32_roles() {
        let names: Vec<String> = (0..33).map(|number| format!("r{number}")).collect();
        let parse = |count| Roles::parse(names.iter().take(count).map(String::as_str));
        assert_eq!(parse(32).unwrap().iter().count(), 32);
        assert_eq!(parse(33), Err(RoleError::TooMany));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        for names in [vec![], vec!["a"], vec!["b", "a", "c:d"]] {
            let roles = Roles::parse(names).unwrap();
            assert_eq!(Roles::from_stored(&roles.to_string()), roles);
        }
    }
}
