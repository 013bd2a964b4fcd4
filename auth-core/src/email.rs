//! E-mail addresses.

use std::fmt;
use std::str::FromStr;

use email_address::Options;

use crate::blanks::without_blanks;

/// An e-mail address, valid, with the key that decides whether two addresses are the same.
///
/// The spelling is kept for display and for delivery; the [key](Self::key) is lower case, with
/// the domain in its ASCII form (IDNA). Dots and `+` tags count: they are a provider's business.
/// Two addresses with one key are the same address, also where `==` tells apart how they were typed.
/// Blanks around an address are not part of it.
///
/// ```
/// use auth_core::EmailAddress;
///
/// let address: EmailAddress = "Alice@Bücher.example".parse()?;
/// assert_eq!(address.as_str(), "Alice@Bücher.example");
/// assert_eq!(address.key(), "alice@xn--bcher-kva.example");
/// # Ok::<(), auth_core::EmailError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    typed: Box<str>,
    key: Box<str>,
}

impl EmailAddress {
    /// The most bytes an address may have (RFC 5321 section 4.5.3.1, less the angle brackets).
    pub const MAX_BYTES: usize = 254;

    /// Puts together what a store has kept, without asking whether today's rules would allow it.
    #[must_use]
    pub fn from_stored(typed: impl Into<Box<str>>, key: impl Into<Box<str>>) -> Self {
        Self {
            typed: typed.into(),
            key: key.into(),
        }
    }

    /// The address as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// The form that decides whether two addresses are the same.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl FromStr for EmailAddress {
    type Err = EmailError;

    fn from_str(typed: &str) -> Result<Self, EmailError> {
        let typed = without_blanks(typed);
        if typed.len() > Self::MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        if typed
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '"')
        {
            return Err(EmailError::Syntax);
        }
        let options = Options::default()
            .without_display_text()
            .without_domain_literal();
        let parsed = email_address::EmailAddress::parse_with_options(typed, options)
            .map_err(|_| EmailError::Syntax)?;
        let domain =
            idna::domain_to_ascii_strict(parsed.domain()).map_err(|_| EmailError::Syntax)?;
        // No top-level domain is a number: this is an address of IPv4, whatever its spelling.
        let last = domain.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(EmailError::Syntax);
        }
        let key = format!("{}@{domain}", parsed.local_part().to_lowercase());
        if key.len() > Self::MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        Ok(Self {
            typed: typed.into(),
            key: key.into(),
        })
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailAddress({:?})", self.typed)
    }
}

/// Why a string is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmailError {
    /// More than [`EmailAddress::MAX_BYTES`].
    #[error("must have at most 254 bytes")]
    TooLong,
    /// Not of the form `name@domain`.
    #[error("must be an e-mail address like name@example.org")]
    Syntax,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(address: &str) -> Result<String, EmailError> {
        address
            .parse::<EmailAddress>()
            .map(|parsed| parsed.key().to_owned())
    }

    #[test]
    fn s3_4_addresses_are_compared_without_regard_to_case_and_domain_spelling() {
        assert_eq!(
            key("Bob.X+tag@EXAMPLE.org").unwrap(),
            "bob.x+tag@example.org"
        );
        assert_eq!(
            key("bob@BÜCHER.example").unwrap(),
            "bob@xn--bcher-kva.example"
        );
        assert_ne!(key("b.ob@example.org"), key("bob@example.org"));
    }

    #[test]
    fn s3_4_the_parts_of_an_address_are_limited() {
        assert!(key(&format!("{}@example.org", "a".repeat(64))).is_ok());
        assert!(key(&format!("{}@example.org", "a".repeat(65))).is_err());
        let label = "d".repeat(60);
        let domain = format!("{label}.{label}.{label}.org");
        assert!(key(&format!("{}@{domain}", "a".repeat(64))).is_ok());
        assert_eq!(
            key(&format!("{}@{label}.{domain}", "a".repeat(10))),
            Err(EmailError::TooLong)
        );
    }

    #[test]
    fn s3_4_what_is_no_plain_address_is_refused() {
        for address in [
            "",
            "a",
            "@example.org",
            "a@",
            "a@@example.org",
            "a@b@example.org",
            "a b@example.org",
            "a@exa mple.org",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a(comment)@example.org",
            "<a@example.org>",
            "A <a@example.org>",
            "@relay:a@example.org",
            "a@-example.org",
            "a@example..org",
            ".a@example.org",
            "a.@example.org",
            "a..b@example.org",
            "\"a b\"@example.org",
            "a@example.org,b@example.org",
        ] {
            assert_eq!(key(address), Err(EmailError::Syntax), "{address:?}");
        }
    }

    #[test]
    fn fault_b5_blanks_around_an_address_are_not_part_of_it() {
        for typed in [
            " Bob@example.org",
            "Bob@example.org ",
            "\u{a0}Bob@example.org\u{2003}",
        ] {
            let parsed: EmailAddress = typed.parse().unwrap();
            assert_eq!(parsed.as_str(), "Bob@example.org", "{typed:?}");
            assert_eq!(parsed.key(), "bob@example.org", "{typed:?}");
        }
    }

    #[test]
    fn s3_5_control_characters_are_refused() {
        for control in ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}') {
            assert_eq!(
                key(&format!("a{control}@example.org")),
                Err(EmailError::Syntax)
            );
            assert_eq!(
                key(&format!("a@exam{control}ple.org")),
                Err(EmailError::Syntax)
            );
        }
    }

    proptest! {
        #[test]
        fn no_input_panics_and_a_key_is_its_own_key(address in "\\PC{0,40}@\\PC{0,40}") {
            if let Ok(parsed) = address.parse::<EmailAddress>() {
                prop_assert_eq!(key(parsed.key()), Ok(parsed.key().to_owned()));
            }
        }
    }
}
