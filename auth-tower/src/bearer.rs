//! Bearer tokens in the `Authorization` header (RFC 6750 section 2.1).

use auth_core::{AccessTokenVerifier, AuthError, Principal};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::ApiError;

/// Finds out who makes the request; `None` if it presents no bearer token.
///
/// Only the header counts: a token in the query, in the body or in a cookie is not looked at.
pub(crate) fn authenticate(
    headers: &HeaderMap,
    verifier: &AccessTokenVerifier,
) -> Result<Option<Principal>, ApiError> {
    let verified = match credentials(headers) {
        Credentials::Absent => return Ok(None),
        Credentials::Malformed => Err(AuthError::TokenInvalid),
        Credentials::Token(token) => verifier.verify(token),
    };
    verified.map(Some).map_err(ApiError::Bearer)
}

#[derive(Debug, PartialEq, Eq)]
enum Credentials<'a> {
    Absent,
    Malformed,
    Token(&'a str),
}

fn credentials(headers: &HeaderMap) -> Credentials<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Credentials::Absent;
    };
    if values.next().is_some() {
        // Which of them counts would be a guess, and a proxy in front may have guessed otherwise.
        return Credentials::Malformed;
    }
    let Ok(value) = std::str::from_utf8(value.as_bytes()) else {
        return Credentials::Malformed;
    };
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    // `1*SP` (RFC 9110 section 11.4).
    let rest = rest.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Credentials::Absent;
    }
    // RFC 6750 section 2.1: `"Bearer" 1*SP b64token`.
    let token = rest.trim_start_matches(' ');
    if is_b64token(token) {
        Credentials::Token(token)
    } else {
        Credentials::Malformed
    }
}

fn is_b64token(token: &str) -> bool {
    let unpadded = token.trim_end_matches('=');
    // Without a branch for each byte the compiler takes many at once: a fifth of the layer's time.
    let allowed = |byte: u8| {
        byte.is_ascii_alphabetic()
            | matches!(byte, b'-'..=b'9')
            | (byte == b'+')
            | (byte == b'_')
            | (byte == b'~')
    };
    !unpadded.is_empty() && unpadded.bytes().fold(true, |all, byte| all & allowed(byte))
}

/// The token, if the header is well-formed; `Err` if it is not.
#[cfg(feature = "fuzzing")]
pub(crate) fn token(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    match credentials(headers) {
        Credentials::Absent => Ok(None),
        Credentials::Malformed => Err(AuthError::TokenInvalid),
        Credentials::Token(token) => Ok(Some(token)),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn s6_16_the_scheme_is_read_without_regard_to_case() {
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            let headers = headers(&[&format!("{scheme} a.b-c_d~e+f/0==")]);
            assert_eq!(
                credentials(&headers),
                Credentials::Token("a.b-c_d~e+f/0=="),
                "{scheme}"
            );
        }
    }

    #[test]
    fn s6_16_one_or_more_spaces_stand_before_the_token() {
        for spaces in [" ", "  ", "     "] {
            let headers = headers(&[&format!("Bearer{spaces}a.b.c")]);
            assert_eq!(credentials(&headers), Credentials::Token("a.b.c"));
        }
    }

    #[test]
    fn s6_16_exactly_one_header_counts() {
        for values in [
            ["Bearer a", "Bearer a"],
            ["Bearer a", "Basic YTpi"],
            ["Basic YTpi", "Bearer a"],
        ] {
            assert_eq!(credentials(&headers(&values)), Credentials::Malformed);
        }
    }

    #[test]
    fn s6_16_what_is_no_b64token_is_malformed() {
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer a ",
            "Bearer  ",
            "Bearer \ta",
            "Bearer a b",
            "Bearer a,b",
            "Bearer =",
            "Bearer a=b",
            "Bearer \"a\"",
            "Bearer a\t",
            "Bearer é",
        ] {
            assert_eq!(
                credentials(&headers(&[value])),
                Credentials::Malformed,
                "{value:?}"
            );
        }
    }

    #[test]
    fn s6_16_the_characters_of_a_b64token_are_those_of_the_rfc() {
        for byte in 0..=u8::MAX {
            let token = format!("a{}a", char::from(byte));
            let listed = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_b64token(&token), listed, "{byte}");
        }
    }

    #[test]
    fn other_schemes_are_no_bearer_credentials() {
        for value in ["", "Basic YTpi", "Bearertoken", "Token abc"] {
            assert_eq!(
                credentials(&headers(&[value])),
                Credentials::Absent,
                "{value:?}"
            );
        }
        assert_eq!(credentials(&HeaderMap::new()), Credentials::Absent);
    }
}
