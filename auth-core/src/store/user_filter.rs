use crate::{EmailAddress, User, Username};

/// Which users to list, a page at a time, and in what order.
///
/// A page begins where the last one ended, whatever was written in between: nobody who was there
/// all the time is told twice or left out, and the hundredth page costs what the first one does.
///
/// ```
/// use auth_core::store::{UserFilter, UserSearch};
///
/// let mut filter = UserFilter::default();
/// filter.search = UserSearch::of("ali");
/// assert_eq!(filter.search, UserSearch::Username("ali".to_owned()));
/// assert_eq!(UserSearch::of("Ali@"), UserSearch::Email("ali@".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserFilter {
    /// Only those with such a name or address.
    pub search: UserSearch,
    /// Only those whose [key](UserSearch::key_of) comes after this one.
    pub after: Option<String>,
    /// At most so many (100 by default).
    pub limit: u32,
}

impl UserFilter {
    /// The filter of the page that follows the one which ended with this user.
    #[must_use]
    pub fn following(&self, last: &User) -> Self {
        Self {
            search: self.search.clone(),
            after: Some(self.search.key_of(last).to_owned()),
            limit: self.limit,
        }
    }
}

impl Default for UserFilter {
    fn default() -> Self {
        Self {
            search: UserSearch::Username(String::new()),
            after: None,
            limit: 100,
        }
    }
}

/// How a name or an address begins, and so by what the users are ordered: by the bytes of their
/// canonical usernames, or of the keys of their addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserSearch {
    /// The canonical username begins so; with nothing, everybody's does.
    Username(String),
    /// The e-mail address, in lower case, begins so.
    Email(String),
}

impl UserSearch {
    /// Searches for what somebody typed: an address if there is an `@` in it, else a username.
    #[must_use]
    pub fn of(typed: &str) -> Self {
        // No name and no address is longer, and none holds a control character.
        let plausible = typed.chars().take(EmailAddress::MAX_BYTES + 1);
        let plausible: String = plausible.filter(|c| !c.is_control()).collect();
        if plausible.contains('@') {
            Self::Email(plausible.to_lowercase())
        } else {
            Self::Username(Username::canonical_start(&plausible))
        }
    }

    /// What decides where in the list the user stands.
    #[must_use]
    pub fn key_of<'a>(&self, user: &'a User) -> &'a str {
        match self {
            Self::Username(_) => user.username.canonical(),
            Self::Email(_) => user.email.key(),
        }
    }

    /// How the keys begin.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self {
            Self::Username(prefix) | Self::Email(prefix) => prefix,
        }
    }
}
