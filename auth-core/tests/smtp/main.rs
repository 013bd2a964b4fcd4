//! The SMTP transport, against mail servers on real sockets.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod copies;
mod listener;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use auth_core::mail::{Mail, MailError, MailTransport, SmtpTransport};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mail_parser::MessageParser;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use self::listener::{Listener, Tls};

fn mail() -> Mail {
    Mail::new(
        "bob@example.org".parse().unwrap(),
        "Hello".into(),
        "Hello Bob".into(),
        "<p>Hello Bob</p>".into(),
    )
}

/// A certificate for `name`, and the PEM of the authority that has signed it.
fn certificate(name: &str) -> (TlsAcceptor, String) {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let issuer = Issuer::new(root, root_key);

    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), root_pem)
}

fn transport(url: &str) -> SmtpTransport {
    SmtpTransport::from_url(url, "auth@example.org".parse().unwrap()).unwrap()
}

fn trusting(url: &str, root: &str) -> SmtpTransport {
    let sender = "auth@example.org".parse().unwrap();
    SmtpTransport::from_url_trusting(url, sender, root.as_bytes()).unwrap()
}

fn everything_told(error: &MailError) -> String {
    let mut told = format!("{error:?}");
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(cause) = next {
        told.push_str(&cause.to_string());
        next = cause.source();
    }
    told
}

#[tokio::test]
async fn a_local_relay_gets_the_mail_for_its_one_recipient() {
    let server = Listener::start(Tls::Never, []).await;
    let transport = transport(&format!("smtp://{}", server.address));
    transport.send(&mail()).await.unwrap();

    let log = server.log();
    assert_eq!(
        log.commands,
        [
            "EHLO example.org",
            "MAIL FROM:<auth@example.org>",
            "RCPT TO:<bob@example.org>",
            "DATA"
        ]
    );
    let parsed = MessageParser::default()
        .parse(log.contents[0].as_bytes())
        .unwrap();
    assert_eq!(parsed.subject(), Some("Hello"));
}

#[tokio::test]
async fn s8_7_tls_from_the_first_byte_covers_login_and_mail() {
    let (acceptor, root) = certificate("127.0.0.1");
    let server = Listener::start(Tls::FromTheFirstByte(acceptor), []).await;
    let url = format!("smtps://na%40me:pass%20word@{}", server.address);
    trusting(&url, &root).send(&mail()).await.unwrap();

    let login = BASE64_STANDARD.encode("\0na@me\0pass word");
    let commands = server.log().commands;
    assert!(commands.contains(&format!("*AUTH PLAIN {login}")));
    assert!(commands.iter().all(|command| command.starts_with('*')));
    assert_eq!(server.log().contents.len(), 1);
}

#[tokio::test]
async fn s8_7_starttls_comes_before_login_and_mail() {
    let (acceptor, root) = certificate("127.0.0.1");
    let server = Listener::start(Tls::OnRequest(acceptor), []).await;
    let url = format!("smtp://name:password@{}?tls=required", server.address);
    trusting(&url, &root).send(&mail()).await.unwrap();
    assert_eq!(
        server.verbs(),
        [
            "EHLO", "STARTTLS", "*EHLO", "*AUTH", "*MAIL", "*RCPT", "*DATA"
        ]
    );
}

#[tokio::test]
async fn s8_7_a_server_without_starttls_gets_neither_password_nor_mail() {
    let (acceptor, root) = certificate("127.0.0.1");
    for tls in [Tls::Never, Tls::OnRequest(acceptor)] {
        let server = Listener::start(tls, [("STARTTLS", "454 not now")]).await;
        let url = format!("smtp://name:password@{}?tls=required", server.address);
        let sent = trusting(&url, &root).send(&mail()).await;
        assert!(matches!(sent, Err(MailError::Temporary(_))), "{sent:?}");

        let verbs = server.verbs();
        assert!(
            verbs
                .iter()
                .all(|verb| verb == "EHLO" || verb == "STARTTLS"),
            "{verbs:?}"
        );
    }
}

#[tokio::test]
async fn s8_7_a_certificate_of_a_stranger_or_for_another_name_gets_nothing() {
    let (_, another_root) = certificate("127.0.0.1");
    let (acceptor, _) = certificate("127.0.0.1");
    let (misnamed, misnamed_root) = certificate("mail.example.org");
    for (acceptor, root) in [
        (acceptor.clone(), None),
        (acceptor, Some(another_root)),
        (misnamed, Some(misnamed_root)),
    ] {
        for (tls, scheme, query) in [
            (Tls::FromTheFirstByte(acceptor.clone()), "smtps", ""),
            (Tls::OnRequest(acceptor.clone()), "smtp", "?tls=required"),
        ] {
            let server = Listener::start(tls, []).await;
            let url = format!("{scheme}://name:password@{}{query}", server.address);
            let transport = match &root {
                Some(root) => trusting(&url, root),
                None => transport(&url),
            };
            let sent = transport.send(&mail()).await;
            assert!(matches!(sent, Err(MailError::Temporary(_))), "{sent:?}");
            let verbs = server.verbs();
            assert!(verbs.iter().all(|verb| !verb.starts_with('*')), "{verbs:?}");
        }
    }
}

#[tokio::test]
async fn fault_d10_only_what_the_server_says_of_the_mail_ends_it() {
    for (verb, reply, permanent) in [
        ("MAIL", "451 later", false),
        // What is said of the sender is about us, and would end every mail.
        ("MAIL", "530 5.7.0 log in first", false),
        ("MAIL", "550 5.1.8 no such domain", false),
        ("MAIL", "550 5.1.0 sender refused", false),
        ("RCPT", "450 4.2.1 mailbox busy", false),
        ("RCPT", "550 5.1.1 no such user", true),
        ("RCPT", "552 5.2.2 mailbox full", true),
        ("RCPT", "554 5.7.1 you are on a list", false),
        ("RCPT", "550 no", false),
        ("RCPT", "550 5.10.1 no such subject", false),
        ("DATA", "554 5.5.1 no valid recipients", false),
        ("content", "452 4.3.1 disk full", false),
        ("content", "554 5.6.0 cannot be read", true),
        ("content", "554 5.7.1 looks like spam", false),
        ("DATA", "hang up", false),
    ] {
        let server = Listener::start(Tls::Never, [(verb, reply)]).await;
        let transport = transport(&format!("smtp://{}", server.address));
        let error = transport.send(&mail()).await.unwrap_err();
        assert_eq!(
            matches!(error, MailError::Permanent(_)),
            permanent,
            "{verb}: {reply}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_refuses_us_does_not_make_us_give_mails_up() {
    for (verb, reply) in [
        ("greeting", "421 too busy"),
        ("greeting", "554 no service for you"),
        ("EHLO", "550 who are you"),
        ("AUTH", "535 wrong password"),
        ("greeting", "hang up"),
    ] {
        let server = Listener::start(Tls::Never, [(verb, reply)]).await;
        let transport = transport(&format!("smtp://name:canary@{}", server.address));
        let error = transport.send(&mail()).await.unwrap_err();
        assert!(matches!(error, MailError::Temporary(_)), "{verb}: {reply}");
        assert!(!everything_told(&error).contains("canary"));
        assert!(transport.check().await.is_err(), "{verb}: {reply}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_temporary_error() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let transport = transport(&format!("smtp://{address}"));
    let sent = transport.send(&mail()).await;
    assert!(matches!(sent, Err(MailError::Temporary(_))), "{sent:?}");
}

#[tokio::test]
async fn a_server_that_falls_silent_is_a_temporary_error() {
    for verb in ["greeting", "AUTH", "RCPT", "content"] {
        let server = Listener::start(Tls::Never, [(verb, "fall silent")]).await;
        let transport = transport(&format!("smtp://name:password@{}", server.address))
            .with_timeout(Duration::from_millis(50));
        let sent = transport.send(&mail()).await;
        assert!(matches!(sent, Err(MailError::Temporary(_))), "{verb}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again_while_it_lives() {
    let server = Listener::start(Tls::Never, []).await;
    let transport = transport(&format!("smtp://{}", server.address));
    transport.check().await.unwrap();
    transport.send(&mail()).await.unwrap();
    transport.send(&mail()).await.unwrap();
    assert_eq!(server.log().connections, 1);

    let server = Listener::start(Tls::Never, [("NOOP", "421 you waited too long")]).await;
    let transport = self::transport(&format!("smtp://{}", server.address));
    transport.send(&mail()).await.unwrap();
    transport.send(&mail()).await.unwrap();
    assert_eq!(server.log().connections, 2);
    assert_eq!(server.log().contents.len(), 2);
}

#[tokio::test]
async fn works_beside_a_crate_that_has_installed_another_crypto_provider() {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.truncate(1);
    provider.install_default().unwrap();
    assert_eq!(
        CryptoProvider::get_default().unwrap().cipher_suites.len(),
        1
    );

    let (acceptor, root) = certificate("127.0.0.1");
    let server = Listener::start(Tls::FromTheFirstByte(acceptor), []).await;
    let url = format!("smtps://{}", server.address);
    trusting(&url, &root).send(&mail()).await.unwrap();
}
