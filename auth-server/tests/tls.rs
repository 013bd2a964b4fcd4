//! TLS, from the certificate to both versions of HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::Path;

use reqwest::{Certificate, Client, ClientBuilder, Version};
use support::raw::{exchange, status};
use support::{Server, run};

struct Files {
    folder: tempfile::TempDir,
    certificate: String,
}

/// Makes a certificate of `localhost` and its key.
fn files() -> Files {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    fs::write(folder.path().join("tls.crt"), &certificate).unwrap();
    let key = folder.path().join("tls.key");
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    allow(&key, 0o600);
    Files {
        folder,
        certificate,
    }
}

fn allow(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;

    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}

impl Files {
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn start(&self) -> Server {
        Server::start(&[
            ("AUTH_TLS_CERT", &self.path("tls.crt")),
            ("AUTH_TLS_KEY", &self.path("tls.key")),
        ])
    }

    fn client(&self) -> ClientBuilder {
        let trusted = Certificate::from_pem(self.certificate.as_bytes()).unwrap();
        Client::builder().tls_certs_only([trusted])
    }
}

#[tokio::test]
async fn s10_1_tls_is_served_with_both_versions_of_http_and_told_to_browsers() {
    let files = files();
    let server = files.start();
    let port = server.url("").rsplit_once(':').unwrap().1.to_owned();
    let url = format!("https://localhost:{port}/livez");
    for (client, version) in [
        (files.client(), Version::HTTP_2),
        (files.client().http1_only(), Version::HTTP_11),
    ] {
        let answer = client.build().unwrap().get(&url).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        assert!(answer.headers().contains_key("strict-transport-security"));
    }
    let plain = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    let received = exchange(&format!("127.0.0.1:{port}"), plain.as_bytes());
    assert_eq!(status(&received), "none", "{received}");
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
