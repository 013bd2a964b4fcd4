//! Who the mails are from.

use std::str::FromStr;

use crate::{EmailAddress, EmailError};

/// The sender of every mail: an address, and the name that mail programs show.
///
/// ```
/// use auth_core::mail::Sender;
///
/// let plain: Sender = "auth@example.org".parse()?;
/// assert_eq!(plain.name(), None);
///
/// let named: Sender = "Example Accounts <auth@example.org>".parse()?;
/// assert_eq!(named.name(), Some("Example Accounts"));
/// assert_eq!(named.address().as_str(), "auth@example.org");
/// # Ok::<(), auth_core::mail::SenderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    name: Option<Box<str>>,
    address: EmailAddress,
}

impl Sender {
    /// The name that mail programs show.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The address, to which refused mails return.
    #[must_use]
    pub const fn address(&self) -> &EmailAddress {
        &self.address
    }
}

impl From<EmailAddress> for Sender {
    fn from(address: EmailAddress) -> Self {
        Self {
            name: None,
            address,
        }
    }
}

impl FromStr for Sender {
    type Err = SenderError;

    fn from_str(typed: &str) -> Result<Self, SenderError> {
        if typed.chars().any(char::is_control) {
            return Err(SenderError::Control);
        }
        let bracketed = typed.trim().strip_suffix('>');
        let (name, address) = match bracketed.and_then(|typed| typed.rsplit_once('<')) {
            Some((name, address)) => (name.trim().trim_matches('"').trim(), address),
            None => ("", typed),
        };
        Ok(Self {
            name: (!name.is_empty()).then(|| name.into()),
            address: address.trim().parse()?,
        })
    }
}

/// Why a string names no sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SenderError {
    /// A line break or another control character.
    #[error("must not contain control characters")]
    Control,
    /// No address where one should be.
    #[error("must be an address or `Name <address>`")]
    Address(#[from] EmailError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_name_loses_its_quotes() {
        let sender: Sender = "\"Accounts, Example\" <a@example.org>".parse().unwrap();
        assert_eq!(sender.name(), Some("Accounts, Example"));
    }

    #[test]
    fn the_address_of_a_development_machine_is_a_sender() {
        assert!("auth@localhost".parse::<Sender>().is_ok());
    }

    #[test]
    fn s8_4_a_sender_is_one_address_on_one_line() {
        for typed in [
            "",
            "Name",
            "Name <>",
            "Name <a@example.org",
            "a@example.org, b@example.org",
            "A <a@example.org>, B",
            "A\r\nBcc: b@example.org <a@example.org>",
            "a@example.org\n",
        ] {
            assert!(typed.parse::<Sender>().is_err(), "{typed:?}");
        }
    }
}
