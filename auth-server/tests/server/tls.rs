//! TLS, from the certificate to both versions of HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Server, raw, run};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

struct Files {
    folder: tempfile::TempDir,
    certificate: String,
}

/// Makes a certificate of `localhost` and its key.
fn files() -> Files {
    let mut files = Files {
        folder: tempfile::tempdir().unwrap(),
        certificate: String::new(),
    };
    files.renew();
    files
}

fn allow(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;

    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}

impl Files {
    /// Replaces the certificate and its key by others.
    fn renew(&mut self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        self.certificate = made.cert.pem();
        fs::write(self.path("tls.crt"), &self.certificate).unwrap();
        let key = self.path("tls.key");
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        allow(Path::new(&key), 0o600);
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn start(&self) -> Server {
        Server::start(&[
            ("AUTH_TLS_CERT", &self.path("tls.crt")),
            ("AUTH_TLS_KEY", &self.path("tls.key")),
        ])
    }

    /// Connects, and offers one version of HTTP, which the server must take.
    fn connect(&self, server: &Server, version: &[u8]) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![version.to_vec()];
        let name = "localhost".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = raw::connect(server.socket_address());
        client.complete_io(&mut stream).unwrap();
        assert_eq!(client.alpn_protocol(), Some(version));
        StreamOwned::new(client, stream)
    }
}

#[test]
fn s10_1_over_tls_browsers_are_told_to_stay_with_it() {
    let files = files();
    let server = files.start();
    assert!(server.url("").starts_with("https://127.0.0.1:"));
    let mut stream = files.connect(&server, b"http/1.1");
    let request = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    assert_eq!(raw::status(&received), "200");
    assert!(
        received.contains("strict-transport-security: max-age="),
        "{received}"
    );
}

#[test]
fn http_2_is_spoken_over_tls() {
    let files = files();
    let server = files.start();
    let mut stream = files.connect(&server, b"h2");
    // The client's settings, empty; the server begins with its own.
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4, "{frame:?}");
}

#[test]
fn http_in_the_clear_gets_no_answer_where_tls_is_served() {
    let server = files().start();
    let request = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = raw::connect(server.socket_address());
    stream.write_all(request.as_bytes()).unwrap();
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    assert!(!received.starts_with(b"HTTP/"), "{received:?}");
}

#[test]
fn s13_2_s17_3_a_certificate_or_key_that_cannot_be_used_ends_the_start_before_anything_is_made() {
    let files = files();
    let (certificate, key) = (files.path("tls.crt"), files.path("tls.key"));
    let readable = files.path("readable.key");
    fs::copy(&key, &readable).unwrap();
    allow(Path::new(&readable), 0o640);
    for (certificate, key, named) in [
        ("nowhere.crt", key.as_str(), "AUTH_TLS_CERT"),
        (&certificate, "nowhere.key", "AUTH_TLS_KEY"),
        (&certificate, &readable, "chmod 600"),
        (&key, &key, "AUTH_TLS_CERT"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let variables = [
            ("AUTH_BIND", "127.0.0.1:0"),
            ("AUTH_TLS_CERT", certificate),
            ("AUTH_TLS_KEY", key),
        ];
        let refused = run(folder.path(), &[], &variables);
        let log = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{log}");
        assert!(log.contains(named) && !log.contains("listening"), "{log}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{log}");
    }
}

/// Lets the server read its files again, and waits until it has.
fn hang_up(server: &Server, expected: &str) {
    let id = server.process_id().to_string();
    assert!(
        Command::new("kill")
            .args(["-HUP", &id])
            .status()
            .unwrap()
            .success()
    );
    let started = Instant::now();
    while !server.log().contains(expected) {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{}",
            server.log()
        );
        std::thread::yield_now();
    }
}

#[test]
fn fault_d6_a_renewed_certificate_is_served_after_sighup_and_a_broken_one_never() {
    let mut files = files();
    let server = files.start();
    let mut earlier = files.connect(&server, b"http/1.1");
    files.renew();
    hang_up(&server, "TLS certificate reloaded");
    files.connect(&server, b"http/1.1");
    let request = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    earlier.write_all(request.as_bytes()).unwrap();
    let mut received = String::new();
    earlier.read_to_string(&mut received).unwrap();
    assert_eq!(raw::status(&received), "200", "connections of before go on");

    fs::write(files.path("tls.crt"), "no certificate").unwrap();
    hang_up(&server, "the TLS certificate cannot be reloaded");
    files.connect(&server, b"http/1.1");
}
