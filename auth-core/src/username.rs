//! Usernames.

use std::fmt;

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

use crate::blanks::without_blanks;

/// A username, valid and with its canonical form.
///
/// By default the rule of Django, ASCII part: 1 to 150 of letters, digits and `@ . + - _`. Two
/// names with the same [canonical form](Self::canonical) are the same name, also where `==` tells
/// apart how they were typed. Blanks around a name are not part of it.
///
/// ```
/// use auth_core::Username;
///
/// let alice: Username = "Alice".parse()?;
/// assert_eq!(alice.as_str(), "Alice");
/// assert_eq!(alice.canonical(), "alice");
/// assert!("no spaces".parse::<Username>().is_err());
/// # Ok::<(), auth_core::UsernameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Username {
    typed: Box<str>,
    canonical: Box<str>,
}

impl Username {
    /// The most characters a name may have.
    pub const MAX_CHARS: usize = 150;

    /// Puts together what a store has kept, without asking whether today's rules would allow it.
    #[must_use]
    pub fn from_stored(typed: impl Into<Box<str>>, canonical: impl Into<Box<str>>) -> Self {
        Self {
            typed: typed.into(),
            canonical: canonical.into(),
        }
    }

    /// The name as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// The form that decides whether two names are the same: NFKC, case-folded, NFKC (RFC 8265).
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// How the canonical forms begin of names that begin like this.
    pub(crate) fn canonical_start(typed: &str) -> String {
        canonical(typed.chars()).into()
    }

    /// Reads a name for a look-up, as the login does: anything that could be a canonical name.
    #[must_use]
    pub fn for_lookup(typed: &str) -> Option<Self> {
        let canonical = canonical(without_blanks(typed).chars().take(Self::MAX_CHARS + 1));
        let typed = canonical.clone();
        let plausible = !canonical.is_empty()
            && canonical.chars().count() <= Self::MAX_CHARS
            && !canonical.chars().any(char::is_control);
        plausible.then_some(Self { typed, canonical })
    }
}

impl std::str::FromStr for Username {
    type Err = UsernameError;

    fn from_str(typed: &str) -> Result<Self, UsernameError> {
        let typed = without_blanks(typed);
        if typed.is_empty() {
            return Err(UsernameError::Empty);
        }
        if typed.chars().nth(Self::MAX_CHARS).is_some() {
            return Err(UsernameError::TooLong);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "@.+-_".contains(c);
        if !typed.chars().all(allowed) {
            return Err(UsernameError::Character);
        }
        Ok(Self {
            typed: typed.into(),
            canonical: canonical(typed.chars()),
        })
    }
}

fn canonical(typed: impl Iterator<Item = char>) -> Box<str> {
    typed
        .nfkc()
        .default_case_fold()
        .nfkc()
        .collect::<String>()
        .into()
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Username({:?})", self.typed)
    }
}

/// Why a string is no username.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsernameError {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// More than [`Username::MAX_CHARS`].
    #[error("must have at most 150 characters")]
    TooLong,
    /// A character outside of the allowed ones.
    #[error("may contain only letters, digits and @ . + - _")]
    Character,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn s3_1_names_that_differ_in_case_or_width_have_one_canonical_form() {
        let alice: Username = "Alice".parse().unwrap();
        assert_eq!(alice.as_str(), "Alice");
        for spelling in ["alice", "ALICE", "ａｌｉｃｅ", "ＡＬＩＣＥ"] {
            let found = Username::for_lookup(spelling).unwrap();
            assert_eq!(found.canonical(), alice.canonical(), "{spelling}");
        }
    }

    #[test]
    fn s3_1_a_name_has_1_to_150_characters() {
        assert_eq!("".parse::<Username>(), Err(UsernameError::Empty));
        assert!("a".repeat(150).parse::<Username>().is_ok());
        assert_eq!(
            "a".repeat(151).parse::<Username>(),
            Err(UsernameError::TooLong)
        );
    }

    #[test]
    fn s3_2_only_ascii_letters_digits_and_five_signs_are_allowed() {
        assert!("a.B+c-d_e@1".parse::<Username>().is_ok());
        for name in [
            "a b",
            "a\u{a0}b",
            "a\t",
            "pаypal",
            "é",
            "a\u{200b}",
            "a\u{202e}",
            "a/b",
            "a:b",
            "ａ",
        ] {
            assert_eq!(
                name.parse::<Username>(),
                Err(UsernameError::Character),
                "{name:?}"
            );
        }
    }

    #[test]
    fn fault_b5_blanks_around_a_name_are_not_part_of_it() {
        for typed in [" Alice", "Alice ", "\u{a0}\u{3000} Alice  "] {
            let parsed: Username = typed.parse().unwrap();
            assert_eq!(parsed.as_str(), "Alice", "{typed:?}");
            let found = Username::for_lookup(typed).unwrap();
            assert_eq!(found.canonical(), "alice", "{typed:?}");
        }
        assert_eq!(" ".parse::<Username>(), Err(UsernameError::Empty));
        let longest = format!(" {} ", "a".repeat(150));
        assert!(longest.parse::<Username>().is_ok());
        assert!(Username::for_lookup(&longest).is_some());
    }

    #[test]
    fn s3_5_control_characters_are_refused() {
        for control in ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}') {
            let name = format!("a{control}b");
            assert_eq!(name.parse::<Username>(), Err(UsernameError::Character));
            assert!(Username::for_lookup(&name).is_none());
        }
    }

    proptest! {
        #[test]
        fn a_valid_name_is_found_by_its_own_spelling(name in "[A-Za-z0-9@.+_-]{1,150}") {
            let parsed: Username = name.parse().unwrap();
            let found = Username::for_lookup(&name).unwrap();
            prop_assert_eq!(parsed.canonical(), found.canonical());
        }

        #[test]
        fn no_input_panics(name in any::<String>()) {
            let _ = name.parse::<Username>();
            let _ = Username::for_lookup(&name);
        }
    }
}
