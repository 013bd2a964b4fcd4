//! Mails, caught instead of sent.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::mail::{Mail, MailError, MailTransport};

/// A transport that keeps every mail for the test to read.
#[derive(Debug, Default)]
pub struct Mailbox(Mutex<Vec<Mail>>);

impl Mailbox {
    /// Takes the mails that have come since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl MailTransport for Mailbox {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(mail.clone());
        Ok(())
    }

    async fn check(&self) -> Result<(), MailError> {
        Ok(())
    }
}

/// The link in a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailedLink {
    /// The whole link.
    pub url: String,
    /// Its path and its query, for an application that is asked in-process.
    pub path_and_query: String,
    /// The token in its query.
    pub token: String,
}

impl MailedLink {
    /// Finds the link in a mail's text.
    ///
    /// ```
    /// use auth_core::testing::MailedLink;
    ///
    /// let text = "Follow https://auth.example.org/api/register/verify/?token=avt_AbC-1 today.";
    /// let link = MailedLink::find(text).unwrap();
    /// assert_eq!(link.url, "https://auth.example.org/api/register/verify/?token=avt_AbC-1");
    /// assert_eq!(link.path_and_query, "/api/register/verify/?token=avt_AbC-1");
    /// assert_eq!(link.token, "avt_AbC-1");
    /// assert_eq!(MailedLink::find("no link"), None);
    /// ```
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        let (before, after) = text.split_once("?token=")?;
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        let token = after.get(..end.unwrap_or(after.len()))?;
        let page = before.split_whitespace().next_back()?;
        let (_, rest) = page.split_once("://")?;
        let path = rest.get(rest.find('/')?..)?;
        Some(Self {
            url: format!("{page}?token={token}"),
            path_and_query: format!("{path}?token={token}"),
            token: token.to_owned(),
        })
    }
}
