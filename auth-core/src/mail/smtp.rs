//! Mails sent over SMTP.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use percent_encoding::percent_decode_str;
use url::Url;

use super::message::{Sender, build};
use super::{Mail, MailError, MailTransport};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends mails through a mail server, under TLS with the server's certificate checked.
///
/// | URL | connection |
/// |---|---|
/// | `smtps://user:password@mail.example.org` | TLS from the first byte, port 465 |
/// | `smtp://user:password@mail.example.org` | port 587; STARTTLS, or nothing is sent |
/// | `smtp://127.0.0.1:25` | in the clear, for a relay on this machine only |
#[derive(Clone)]
pub struct SmtpTransport {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Sender,
    host: String,
}

impl SmtpTransport {
    /// Prepares to send through the mail server of the URL; nothing connects yet.
    ///
    /// # Errors
    ///
    /// [`SmtpUrlError`] says what is wrong with the URL, without showing it.
    ///
    /// # Panics
    ///
    /// If called outside of a Tokio runtime.
    pub fn from_url(url: &str, sender: Sender) -> Result<Self, SmtpUrlError> {
        Self::build(url, sender, None)
    }

    /// As [`from_url`](Self::from_url), trusting one more certificate authority (PEM): a
    /// company's own.
    ///
    /// # Errors
    ///
    /// [`SmtpUrlError`] says what is wrong.
    ///
    /// # Panics
    ///
    /// If called outside of a Tokio runtime.
    pub fn from_url_with_root(
        url: &str,
        sender: Sender,
        root_certificate_pem: &[u8],
    ) -> Result<Self, SmtpUrlError> {
        let root = Certificate::from_pem(root_certificate_pem)
            .map_err(|error| SmtpUrlError::Tls(Box::new(error)))?;
        Self::build(url, sender, Some(root))
    }

    fn build(url: &str, sender: Sender, root: Option<Certificate>) -> Result<Self, SmtpUrlError> {
        let url = Url::parse(url).map_err(|_| SmtpUrlError::Syntax)?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or(SmtpUrlError::Syntax)?;
        let has_rest = !matches!(url.path(), "" | "/") || url.query().is_some();
        if has_rest || url.fragment().is_some() {
            return Err(SmtpUrlError::Syntax);
        }
        let tls = || {
            let mut parameters = TlsParameters::builder(host.to_owned());
            if let Some(root) = &root {
                parameters = parameters.add_root_certificate(root.clone());
            }
            parameters
                .build()
                .map_err(|error| SmtpUrlError::Tls(Box::new(error)))
        };
        let (tls, port) = match url.scheme() {
            "smtps" => (Tls::Wrapper(tls()?), 465),
            "smtp" if is_this_machine(host) => (Tls::None, 25),
            "smtp" => (Tls::Required(tls()?), 587),
            _ => return Err(SmtpUrlError::Scheme),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(url.port().unwrap_or(port))
            .tls(tls)
            .timeout(Some(TIMEOUT))
            .pool_config(PoolConfig::new().max_size(4));
        if !url.username().is_empty() {
            let decode = |text: &str| {
                let decoded = percent_decode_str(text).decode_utf8();
                decoded.map(String::from).map_err(|_| SmtpUrlError::Syntax)
            };
            let user = decode(url.username())?;
            let password = decode(url.password().unwrap_or_default())?;
            builder = builder.credentials(Credentials::new(user, password));
        }
        Ok(Self {
            transport: builder.build(),
            sender,
            host: host.to_owned(),
        })
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

impl fmt::Debug for SmtpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpTransport")
            .field("host", &self.host)
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl MailTransport for SmtpTransport {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = build(&self.sender, mail)?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(MailError::Permanent(Box::new(error))),
            Err(error) => Err(MailError::Temporary(Box::new(error))),
        }
    }

    async fn check(&self) -> Result<(), MailError> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(MailError::Temporary(
                "the mail server does not answer".into(),
            )),
            Err(error) => Err(MailError::Temporary(Box::new(error))),
        }
    }
}

/// Why mails cannot be sent with this URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmtpUrlError {
    /// Neither `smtps://` nor `smtp://`.
    #[error("must begin with smtps:// (TLS) or smtp:// (STARTTLS)")]
    Scheme,
    /// No URL of the form `smtps://user:password@host:port`.
    #[error("must be like smtps://user:password@mail.example.org:465")]
    Syntax,
    /// TLS cannot be prepared.
    #[error("TLS to the mail server cannot be prepared")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(url: &str) -> Result<SmtpTransport, SmtpUrlError> {
        SmtpTransport::from_url(url, "auth@example.org".parse().unwrap())
    }

    #[tokio::test]
    async fn what_is_no_smtp_url_is_refused() {
        for url in [
            "",
            "mail.example.org",
            "http://mail.example.org",
            "smtp:",
            "smtps://",
        ] {
            assert!(transport(url).is_err(), "{url}");
        }
        for url in [
            "smtp://mail.example.org/path",
            "smtp://mail.example.org?tls=none",
        ] {
            assert!(matches!(transport(url), Err(SmtpUrlError::Syntax)), "{url}");
        }
    }

    #[tokio::test]
    async fn s13_3_credentials_do_not_show_in_debug_output() {
        let transport = transport("smtp://us%40er:pass%2Fword@127.0.0.1:2525").unwrap();
        let shown = format!("{transport:?}");
        assert!(!shown.contains("pass") && !shown.contains("er@"), "{shown}");
    }

    #[test]
    fn only_this_machine_is_reached_in_the_clear() {
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "localhost.example.org",
            "10.0.0.1",
            "[::2]",
            "127.0.0.1.example.org",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
