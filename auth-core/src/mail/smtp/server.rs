//! Where a mail server is, and how to talk to it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use url::Url;

use super::Sender;

/// A mail server, as a URL names it.
pub(super) struct Server {
    host: Box<str>,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
}

/// How much of a connection is encrypted.
#[derive(Clone, Copy)]
enum Security {
    FromTheFirstByte,
    StartTls,
    PlainText,
}

impl Server {
    pub(super) fn from_url(url: &str, roots: Option<&[u8]>) -> Result<Self, SmtpSetupError> {
        let url = Url::parse(url).map_err(|_| SmtpSetupError::Syntax)?;
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(SmtpSetupError::Syntax);
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(SmtpSetupError::Host)?;
        // A URL writes IPv6 addresses in brackets, a socket and a certificate do not.
        let host = host.trim_start_matches('[').trim_end_matches(']');

        let security = security(&url, host)?;
        let tls = match security {
            Security::FromTheFirstByte => Tls::Wrapper(tls_parameters(host, roots)?),
            Security::StartTls => Tls::Required(tls_parameters(host, roots)?),
            Security::PlainText => Tls::None,
        };
        let default_port = match security {
            Security::FromTheFirstByte => 465,
            Security::StartTls => 587,
            Security::PlainText => 25,
        };
        Ok(Self {
            host: host.into(),
            port: url.port().unwrap_or(default_port),
            tls,
            credentials: credentials(&url)?,
        })
    }

    /// Connects, encrypts and logs in; the caller sets the time limit.
    pub(super) async fn connect(
        &self,
        sender: &Sender,
        timeout: Duration,
    ) -> Result<AsyncSmtpConnection, Error> {
        let implicit = match &self.tls {
            Tls::Wrapper(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let (_, domain) = sender.address().key().rsplit_once('@').unwrap_or_default();
        let hello = ClientId::Domain(domain.to_owned());
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            (&*self.host, self.port),
            // For each of the host's addresses: a dead one leaves time for the next.
            Some(timeout / 2),
            &hello,
            implicit,
            None,
        )
        .await?;
        if let Tls::Required(parameters) = &self.tls {
            connection.starttls(parameters.clone(), &hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

fn security(url: &Url, host: &str) -> Result<Security, SmtpSetupError> {
    let local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    match (url.scheme(), url.query()) {
        ("smtps", None) => Ok(Security::FromTheFirstByte),
        ("smtp", None) if local => Ok(Security::PlainText),
        ("smtp", None | Some("tls=required")) => Ok(Security::StartTls),
        ("smtp", Some("tls=insecure-none")) => Ok(Security::PlainText),
        ("smtp" | "smtps", Some(_)) => Err(SmtpSetupError::Query),
        _ => Err(SmtpSetupError::Scheme),
    }
}

fn credentials(url: &Url) -> Result<Option<Credentials>, SmtpSetupError> {
    let decode = |encoded: &str| {
        let decoded = percent_decode_str(encoded).decode_utf8();
        decoded.map_or(Err(SmtpSetupError::Credentials), |text| {
            Ok(text.into_owned())
        })
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None) => Err(SmtpSetupError::Credentials),
        (name, Some(password)) => Ok(Some(Credentials::new(decode(name)?, decode(password)?))),
    }
}

/// `lettre` takes the process's default `rustls` provider if one is installed, else AWS-LC's; it
/// neither needs nor installs one.
fn tls_parameters(host: &str, roots: Option<&[u8]>) -> Result<TlsParameters, SmtpSetupError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(pem) = roots {
        // Without a look at it, a file that holds something else would pass as no certificates.
        if !pem
            .windows(27)
            .any(|line| line == b"-----BEGIN CERTIFICATE-----")
        {
            return Err(SmtpSetupError::Certificate);
        }
        let roots = Certificate::from_pem(pem).map_err(|_| SmtpSetupError::Certificate)?;
        builder = builder.add_root_certificate(roots);
    }
    builder
        .build()
        .map_err(|error| SmtpSetupError::Tls(Box::new(error)))
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Why mail cannot be sent to the server that a URL names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmtpSetupError {
    /// No URL, or one with a path or a fragment.
    #[error("must be a URL like smtps://user:password@host:port")]
    Syntax,
    /// Another scheme.
    #[error("the URL must begin with smtps:// or smtp://")]
    Scheme,
    /// No host.
    #[error("the URL must name a host")]
    Host,
    /// A name without a password, a password without a name, or bytes that are no UTF-8.
    #[error("the URL must have both a name and a password, percent-encoded, or neither")]
    Credentials,
    /// An unknown parameter.
    #[error("after smtp://host only ?tls=required or ?tls=insecure-none may follow")]
    Query,
    /// No certificates in the PEM text.
    #[error("the root certificates must be certificates in PEM form")]
    Certificate,
    /// TLS cannot be set up: the system trusts no certificates, or one of those given is damaged.
    #[error("TLS cannot be set up")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[cfg(test)]
mod tests {
    use super::super::SmtpTransport;
    use super::*;

    fn server(url: &str) -> Result<Server, SmtpSetupError> {
        Server::from_url(url, None)
    }

    #[test]
    fn s8_7_only_this_machine_and_a_named_danger_go_without_tls() {
        for (url, tls, port) in [
            ("smtps://mail.example.org", "Wrapper", 465),
            ("smtps://localhost:4650", "Wrapper", 4650),
            ("smtp://mail.example.org", "Required", 587),
            ("smtp://mail.example.org:25", "Required", 25),
            ("smtp://10.0.0.1", "Required", 587),
            ("smtp://localhost.example.org", "Required", 587),
            ("smtp://localhost?tls=required", "Required", 587),
            ("smtp://localhost", "None", 25),
            ("smtp://127.0.0.1:2525", "None", 2525),
            ("smtp://[::1]", "None", 25),
            ("smtp://mail.example.org?tls=insecure-none", "None", 25),
        ] {
            let server = server(url).unwrap();
            assert_eq!(format!("{:?}", server.tls), tls, "{url}");
            assert_eq!(server.port, port, "{url}");
        }
    }

    #[test]
    fn a_url_that_says_anything_else_is_refused() {
        for url in [
            "",
            "mail.example.org",
            "http://mail.example.org",
            "smtp:mail.example.org",
            "smtp://",
            "smtps://mail.example.org/path",
            "smtps://mail.example.org#x",
            "smtps://mail.example.org?tls=insecure-none",
            "smtp://mail.example.org?tls=none",
            "smtp://mail.example.org?tls=opportunistic",
            "smtp://mail.example.org?tls=required&tls=insecure-none",
            "smtps://name@mail.example.org",
            "smtps://:password@mail.example.org",
            "smtps://name:%ff@mail.example.org",
        ] {
            assert!(server(url).is_err(), "{url}");
        }
    }

    #[test]
    fn credentials_are_decoded() {
        let server = server("smtps://a%40b:p%3A%2F%20%C3%A9@mail.example.org").unwrap();
        let expected = Credentials::new("a@b".into(), "p:/ é".into());
        assert!(server.credentials == Some(expected));
    }

    #[test]
    fn s13_3_neither_debug_nor_an_error_shows_the_credentials() {
        let sender = || "auth@example.org".parse().unwrap();
        let url = "smtps://canary-name:canary-password@mail.example.org";
        let transport = SmtpTransport::from_url(url, sender()).unwrap();
        assert!(!format!("{transport:?} {transport:#?}").contains("canary"));

        for suffix in ["/path", "?tls=canary", ":99999", "#canary"] {
            let error = SmtpTransport::from_url(&format!("{url}{suffix}"), sender()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{suffix}");
        }
    }

    #[test]
    fn root_certificates_must_be_certificates() {
        let url = "smtps://mail.example.org";
        for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nnonsense"] {
            assert!(
                Server::from_url(url, Some(pem.as_bytes())).is_err(),
                "{pem}"
            );
        }
    }
}
