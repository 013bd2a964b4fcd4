//! Mails over SMTP.

mod dialogue;
mod server;

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lettre::transport::smtp::client::AsyncSmtpConnection;

use self::server::Server;
pub use self::server::SmtpSetupError;
use super::message::{Form, message};
use super::{Mail, MailError, MailTransport, Sender};

/// Hands mails to a mail server.
///
/// The URL decides how:
///
/// | URL | connection | port |
/// |---|---|---|
/// | `smtps://user:password@host` | TLS from the first byte (RFC 8314); the best choice | 465 |
/// | `smtp://user:password@host` | STARTTLS, without which nothing is sent | 587 |
/// | `smtp://localhost`, `smtp://127.0.0.1`, `smtp://[::1]` | plain text, on this machine only; `?tls=required` asks for STARTTLS here too | 25 |
/// | `smtp://host?tls=insecure-none` | **plain text over the network**: who listens there reads the links and the password | 25 |
///
/// Certificates are checked against those that the system trusts. Name and password are optional
/// and percent-encoded. A connection is kept for the next mail, four at most.
///
/// Switch `lettre`'s own feature `tracing` off: its debug events show name and password.
///
/// ```
/// use auth_core::mail::SmtpTransport;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sender = "Example <auth@example.org>".parse()?;
/// let transport = SmtpTransport::from_url("smtp://localhost:2525", sender)?;
/// # Ok(())
/// # }
/// ```
pub struct SmtpTransport {
    server: Server,
    sender: Sender,
    timeout: Duration,
    idle: Mutex<Vec<AsyncSmtpConnection>>,
}

impl SmtpTransport {
    const MAX_IDLE: usize = 4;

    /// Reads where the server is and how to talk to it; no connection is made yet.
    ///
    /// # Errors
    ///
    /// [`SmtpSetupError`] if the URL is not as described above, or if the system trusts no
    /// certificates. The error shows nothing of the URL's name and password.
    pub fn from_url(url: &str, sender: Sender) -> Result<Self, SmtpSetupError> {
        Ok(Self::to(Server::from_url(url, None)?, sender))
    }

    /// As [`from_url`](Self::from_url), and trusts the root certificates in `pem` besides those
    /// of the system: for a mail server with a private authority.
    ///
    /// # Errors
    ///
    /// As for [`from_url`](Self::from_url), and [`SmtpSetupError::Certificate`] if `pem` holds no
    /// certificate.
    pub fn from_url_trusting(
        url: &str,
        sender: Sender,
        pem: &[u8],
    ) -> Result<Self, SmtpSetupError> {
        Ok(Self::to(Server::from_url(url, Some(pem))?, sender))
    }

    /// Sets how long connecting and logging in may take, and then again the sending of a mail
    /// (30 seconds by default).
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    const fn to(server: Server, sender: Sender) -> Self {
        Self {
            server,
            sender,
            timeout: Duration::from_secs(30),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// An idle connection that is still alive, or a new one.
    ///
    /// Not `lettre`'s transport, which does the same: what the server says to us (it refuses our
    /// password) must not be taken for what it says to a mail, which would be given up.
    async fn connection(&self) -> Result<AsyncSmtpConnection, MailError> {
        let connect = async {
            while let Some(mut idle) = self.take_idle() {
                if idle.test_connected().await {
                    return Ok(idle);
                }
            }
            self.server.connect(&self.sender, self.timeout).await
        };
        match tokio::time::timeout(self.timeout, connect).await {
            Ok(connected) => connected.map_err(|error| MailError::Temporary(Box::new(error))),
            Err(_) => Err(timed_out()),
        }
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < Self::MAX_IDLE {
            idle.push(connection);
        }
    }
}

#[async_trait]
impl MailTransport for SmtpTransport {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message(mail, &self.sender, Form::Ascii)?;
        let mut connection = self.connection().await?;
        let sending = dialogue::hand_on(&mut connection, &message);
        match tokio::time::timeout(self.timeout, sending).await {
            Ok(Ok(())) => {
                self.keep(connection);
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(timed_out()),
        }
    }

    async fn check(&self) -> Result<(), MailError> {
        let mut connection = self.connection().await?;
        match tokio::time::timeout(self.timeout, connection.test_connected()).await {
            Ok(true) => {
                self.keep(connection);
                Ok(())
            }
            Ok(false) => Err(MailError::Temporary(Box::new(io::Error::from(
                io::ErrorKind::ConnectionAborted,
            )))),
            Err(_) => Err(timed_out()),
        }
    }
}

fn timed_out() -> MailError {
    MailError::Temporary(Box::new(io::Error::from(io::ErrorKind::TimedOut)))
}

impl fmt::Debug for SmtpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpTransport")
            .field("server", &self.server)
            .field("sender", &self.sender)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
