//! The names of the service, which make bad passwords.

use std::net::IpAddr;

use http::Uri;

/// What this program is called.
const PROGRAM: &str = "auth-server";

/// Shorter parts of a host stand in too many words.
const MIN_CHARS: usize = 4;

/// The names that a public URL gives away: its host, the domains above it, and their labels, in
/// Unicode.
///
/// None of a machine without a name, and no top-level domain, which says nothing of the service.
pub(crate) fn of(public_url: &str) -> Vec<String> {
    let mut names = vec![PROGRAM.to_owned()];
    let uri: Option<Uri> = public_url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let (host, _) = idna::domain_to_unicode(host.trim_end_matches('.'));
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    if is_address || host == "localhost" {
        return names;
    }
    let mut domain = host.as_str();
    while let Some((label, parent)) = domain.split_once('.') {
        if label.chars().count() >= MIN_CHARS {
            names.extend([domain.to_owned(), label.to_owned()]);
        }
        domain = parent;
    }
    if domain == host && host.chars().count() >= MIN_CHARS {
        names.push(host);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn gives(public_url: &str, names: &[&str]) {
        let (program, rest) = of(public_url).split_first().map_or_else(
            || panic!("not even the program"),
            |(first, rest)| (first.clone(), rest.to_vec()),
        );
        assert_eq!(
            (program.as_str(), rest),
            (PROGRAM, names.iter().map(ToString::to_string).collect())
        );
    }

    #[test]
    fn s2_7_a_host_gives_its_domains_and_their_labels() {
        gives(
            "https://login.wonderland.example:8443/auth",
            &[
                "login.wonderland.example",
                "login",
                "wonderland.example",
                "wonderland",
            ],
        );
        gives(
            "https://www.wonderland.co.uk.",
            &["wonderland.co.uk", "wonderland"],
        );
        gives(
            "https://xn--bcher-kva.example",
            &["bücher.example", "bücher"],
        );
        gives("http://intranet", &["intranet"]);
    }

    #[test]
    fn s2_7_a_machine_without_a_name_gives_none() {
        for public_url in [
            "http://127.0.0.1:8000",
            "http://[::1]:8000",
            "http://localhost:8000",
            "https://www.x.example",
            "https://pc",
        ] {
            gives(public_url, &[]);
        }
    }
}
