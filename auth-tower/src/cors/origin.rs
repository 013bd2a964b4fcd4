use std::fmt;
use std::str::FromStr;

use http::{HeaderValue, Uri};

/// An origin as browsers spell it in the header `Origin`: scheme, host, and port unless it is the
/// scheme's own.
///
/// ```
/// use auth_tower::cors::Origin;
///
/// assert!("https://app.example.org".parse::<Origin>().is_ok());
/// for bad in ["*", "null", "app.example.org", "https://app.example.org/", "https://*.example.org"] {
///     assert!(bad.parse::<Origin>().is_err());
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(HeaderValue);

impl Origin {
    pub(super) const fn as_header(&self) -> &HeaderValue {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    /// # Errors
    ///
    /// - [`OriginError::Any`] for `*` and hosts with one: each page of the internet could call;
    /// - [`OriginError::Null`] for `null`, which any page can have itself called;
    /// - [`OriginError::Spelling`] for what no browser would send.
    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text.contains('*') {
            return Err(OriginError::Any);
        }
        if text.eq_ignore_ascii_case("null") {
            return Err(OriginError::Null);
        }
        if !is_spelt_by_browsers(text) {
            return Err(OriginError::Spelling);
        }
        let value = HeaderValue::from_str(text).map_err(|_| OriginError::Spelling)?;
        Ok(Self(value))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

/// Another spelling would never match, and its owner would look for the reason in vain.
fn is_spelt_by_browsers(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return false;
    };
    let port = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => None,
        Some(port) => match port.strip_prefix(':').map(str::parse::<u16>) {
            // No leading zeros, and no sign.
            Some(Ok(number)) if port.get(1..) == Some(number.to_string().as_str()) => Some(number),
            _ => return false,
        },
        // A user before the host.
        None => return false,
    };
    let is_default = matches!((scheme, port), ("http", Some(80)) | ("https", Some(443)));
    // Neither a path nor a capital letter.
    text == format!("{scheme}://{authority}")
        && !authority.host().is_empty()
        && !is_default
        && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Why a string is not an origin that can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// It would stand for more than one origin.
    #[error("`*` is refused: each origin must be listed exactly")]
    Any,
    /// Any page can make itself this origin.
    #[error("`null` is refused: any page can have this origin")]
    Null,
    /// No browser spells an origin like this.
    #[error(
        "must be an origin as browsers spell it, such as https://app.example.org: lower case, \
         no path or slash at the end, no port where it is the usual one"
    )]
    Spelling,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_5_only_exact_origins_can_be_listed() {
        for good in [
            "https://app.example.org",
            "https://app.example.org:8443",
            "http://localhost:3000",
            "http://127.0.0.1:5173",
            "http://[::1]:5173",
            "https://xn--bcher-kva.example",
            "capacitor://localhost",
            "https://a.example:80",
        ] {
            let origin: Origin = good.parse().unwrap();
            assert_eq!(origin.to_string(), good);
        }
        for (bad, error) in [
            ("*", OriginError::Any),
            ("https://*.example.org", OriginError::Any),
            ("null", OriginError::Null),
            ("NULL", OriginError::Null),
            ("", OriginError::Spelling),
            ("app.example.org", OriginError::Spelling),
            ("https://", OriginError::Spelling),
            ("https://app.example.org/", OriginError::Spelling),
            ("https://app.example.org/path", OriginError::Spelling),
            ("https://app.example.org?a", OriginError::Spelling),
            ("https://app.example.org#a", OriginError::Spelling),
            ("https://App.example.org", OriginError::Spelling),
            ("HTTPS://app.example.org", OriginError::Spelling),
            ("https://app.example.org:443", OriginError::Spelling),
            ("http://app.example.org:80", OriginError::Spelling),
            ("https://app.example.org:08443", OriginError::Spelling),
            ("https://app.example.org:", OriginError::Spelling),
            ("https://user@app.example.org", OriginError::Spelling),
            ("https://b\u{fc}cher.example", OriginError::Spelling),
            ("https://a.example https://b.example", OriginError::Spelling),
        ] {
            assert_eq!(bad.parse::<Origin>(), Err(error), "{bad}");
        }
    }
}
