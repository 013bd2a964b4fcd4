//! What proxies say of their clients.

use std::net::{IpAddr, Ipv6Addr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client that a trusted peer names: the right-most entry that is not a trusted proxy's, or the
/// left-most if all are; `None` if it names nobody.
pub(crate) fn client(headers: &HeaderMap, trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    // Hardly any proxy writes `Forwarded`, so that it comes from clients where the other is there.
    let (name, address): (_, fn(&str) -> Option<IpAddr>) = if headers.contains_key(X_FORWARDED_FOR)
    {
        (X_FORWARDED_FOR, node)
    } else {
        (FORWARDED, forwarded_for)
    };
    let mut passed = None;
    for line in headers.get_all(name).iter().rev() {
        // From the right: nothing that a client wrote can change how a proxy's entry reads. A comma
        // within quotes, which no address has, makes its entry one that cannot be read.
        for entry in line.as_bytes().rsplit(|byte| *byte == b',') {
            let entry = str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
            if entry.is_empty() {
                continue;
            }
            let address = address(entry)?;
            if !trusted(address) {
                return Some(address);
            }
            passed = Some(address);
        }
    }
    passed
}

/// The address in an element of `Forwarded` (RFC 7239 section 4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") {
            let value = value.trim();
            let quoted = value
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            // A parameter stands once.
            if found.replace(quoted.unwrap_or(value)).is_some() {
                return None;
            }
        }
    }
    node(found?)
}

/// The address of a node, with or without a port (RFC 7239 section 6). `unknown` and names that
/// proxies give (`_hidden`) are no addresses.
fn node(node: &str) -> Option<IpAddr> {
    let address = if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
            return None;
        }
        address.parse::<Ipv6Addr>().ok()?.into()
    } else if let Some((address, port)) = node.split_once(':').filter(|_| node.contains('.'))
        && is_port(port)
    {
        address.parse().ok()?
    } else {
        node.parse::<IpAddr>().ok()?
    };
    Some(address.to_canonical())
}

/// A port, or the name that a proxy gives it.
fn is_port(port: &str) -> bool {
    let named = |name: &str| {
        let is_part = |byte| matches!(byte, b'.' | b'_' | b'-') || u8::is_ascii_alphanumeric(&byte);
        !name.is_empty() && name.bytes().all(is_part)
    };
    match port.strip_prefix('_') {
        Some(name) => named(name),
        None => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// Proxies are in 10.0.0.0/8.
    fn trusted(address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(address) if address.octets()[0] == 10)
    }

    fn found(name: &str, lines: &[&str]) -> Option<String> {
        let name: HeaderName = name.parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name, HeaderValue::from_str(line).unwrap());
        }
        client(&headers, trusted).map(|address| address.to_string())
    }

    #[track_caller]
    fn x_forwarded_for(lines: &[&str], client: &str) {
        let client = Some(client.to_owned()).filter(|client| client != "unknown");
        assert_eq!(found("x-forwarded-for", lines), client, "{lines:?}");
    }

    #[track_caller]
    fn forwarded(lines: &[&str], client: &str) {
        let client = Some(client.to_owned()).filter(|client| client != "unknown");
        assert_eq!(found("forwarded", lines), client, "{lines:?}");
    }

    #[test]
    fn s5_4_the_right_most_entry_that_is_not_a_proxys_is_the_client() {
        x_forwarded_for(&["192.0.2.1"], "192.0.2.1");
        x_forwarded_for(&["198.51.100.9, 192.0.2.1"], "192.0.2.1");
        x_forwarded_for(
            &["198.51.100.9,192.0.2.1 ,10.0.0.1,\t10.0.0.2"],
            "192.0.2.1",
        );
        x_forwarded_for(&["198.51.100.9", "192.0.2.1", "10.0.0.1"], "192.0.2.1");
        x_forwarded_for(&["nonsense, 192.0.2.1"], "192.0.2.1");
        x_forwarded_for(&["192.0.2.1,"], "192.0.2.1");
        forwarded(
            &["for=198.51.100.9, for=192.0.2.1, for=10.0.0.1"],
            "192.0.2.1",
        );
        forwarded(&["for=\"oops, for=192.0.2.1"], "192.0.2.1");
        forwarded(&["for=\"oops", "for=192.0.2.1;by=\"[::1]\""], "192.0.2.1");
    }

    #[test]
    fn s5_4_if_all_are_proxies_the_left_most_is_the_client() {
        x_forwarded_for(&["10.0.0.7, 10.0.0.1"], "10.0.0.7");
        forwarded(&["for=10.0.0.7", "for=10.0.0.1"], "10.0.0.7");
    }

    #[test]
    fn s5_4_addresses_come_in_many_forms() {
        x_forwarded_for(&["192.0.2.1:4711"], "192.0.2.1");
        x_forwarded_for(&["2001:db8::1"], "2001:db8::1");
        x_forwarded_for(&["[2001:db8::1]"], "2001:db8::1");
        x_forwarded_for(&["[2001:db8::1]:4711"], "2001:db8::1");
        x_forwarded_for(&["::ffff:192.0.2.1"], "192.0.2.1");
        x_forwarded_for(&["[::ffff:192.0.2.1]:1, ::ffff:10.0.0.1"], "192.0.2.1");
        forwarded(&["For=192.0.2.1"], "192.0.2.1");
        forwarded(
            &["by=10.0.0.1; FOR=\"192.0.2.1:80\" ;proto=http"],
            "192.0.2.1",
        );
        forwarded(&["for=192.0.2.1;"], "192.0.2.1");
        forwarded(&["for=\"[2001:db8::1]:4711\""], "2001:db8::1");
        forwarded(&["for=\"[2001:db8::1]:_a.b-c\""], "2001:db8::1");
    }

    #[test]
    fn s5_4_who_names_nobody_leaves_the_client_unknown() {
        for malformed in [
            "",
            ",",
            "unknown",
            "_hidden",
            "192.0.2",
            "192.0.2.1.",
            "192.0.2.256",
            "192.0.2.1:",
            "192.0.2.1:+1",
            "192.0.2.1:65536",
            "192.0.2.1:_",
            "192.0.2.1 192.0.2.2",
            "[192.0.2.1]",
            "[2001:db8::1",
            "[2001:db8::1]x",
            "[2001:db8::1]:",
            "2001:db8::1::",
            "fe80::1%eth0",
            "\"192.0.2.1\"x",
        ] {
            x_forwarded_for(&[malformed], "unknown");
            forwarded(&[&format!("for={malformed}")], "unknown");
        }
        x_forwarded_for(&["198.51.100.9", "nonsense", "10.0.0.1"], "unknown");
        for malformed in [
            "192.0.2.1",
            "by=192.0.2.1",
            "for=192.0.2.1;for=192.0.2.1",
            "for=\"192.0.2.1",
            "for=\"192.0.2.\\1\"",
            "for",
        ] {
            forwarded(&[malformed], "unknown");
        }
    }

    #[test]
    fn s5_4_forwarded_counts_only_without_x_forwarded_for() {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED, HeaderValue::from_static("for=198.51.100.9"));
        let of = |headers: &HeaderMap| client(headers, trusted).map(|it| it.to_string());
        assert_eq!(of(&headers).as_deref(), Some("198.51.100.9"));
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"));
        assert_eq!(of(&headers).as_deref(), Some("192.0.2.1"));
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("unknown"));
        assert_eq!(of(&headers), None);
        assert_eq!(of(&HeaderMap::new()), None);
    }

    proptest! {
        #[test]
        fn s5_4_nothing_panics_and_a_proxys_entry_counts_whatever_stands_before_it(
            before in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            for (name, entry) in [(X_FORWARDED_FOR, "192.0.2.1"), (FORWARDED, "for=192.0.2.1")] {
                let Ok(alone) = HeaderValue::from_bytes(&before) else {
                    return Ok(());
                };
                let mut headers = HeaderMap::new();
                headers.insert(&name, alone);
                let _ = client(&headers, trusted);
                let appended = [&before, &b", "[..], entry.as_bytes()].concat();
                headers.insert(&name, HeaderValue::from_bytes(&appended).unwrap());
                prop_assert_eq!(client(&headers, trusted), Some([192, 0, 2, 1].into()));
            }
        }
    }
}
