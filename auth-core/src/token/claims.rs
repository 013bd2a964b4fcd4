//! Reading the header and the claims of an access token, strictly.
//!
//! Only members that we know are read, and each must have its type: a wrong type is refused, never
//! taken for an absence (RFC 8725; the class of CVE-2026-25537). No member may stand twice. The
//! others are the host's, and are read when it asks for them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::members::{UniqueMembers, UniqueObject};
use crate::{Role, Timestamp};

/// The header of a token from somebody else's library, signed with our key.
#[derive(serde::Deserialize)]
pub(super) struct Header<'a> {
    #[serde(borrow)]
    pub(super) alg: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) typ: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) kid: Option<Cow<'a, str>>,
    // Members that tell a verifier to fetch, trust or understand something (RFC 8725 section 3).
    #[serde(default, rename = "crit")]
    _critical: Forbidden,
    #[serde(default, rename = "b64")]
    _unencoded: Forbidden,
    #[serde(default, rename = "zip")]
    _compression: Forbidden,
    #[serde(default, rename = "enc")]
    _encryption: Forbidden,
    #[serde(default, rename = "jwk")]
    _key: Forbidden,
    #[serde(default, rename = "jku")]
    _key_url: Forbidden,
    #[serde(default, rename = "x5u")]
    _certificate_url: Forbidden,
    #[serde(default, rename = "x5c")]
    _certificate: Forbidden,
    #[serde(default, rename = "x5t")]
    _thumbprint: Forbidden,
    #[serde(default, rename = "x5t#S256")]
    _thumbprint_sha256: Forbidden,
}

/// The claims that we check or hand on.
#[derive(serde::Deserialize)]
pub(super) struct Claims<'a> {
    #[serde(borrow)]
    pub(super) iss: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) aud: Audience<'a>,
    pub(super) sub: Uuid,
    pub(super) sid: Uuid,
    #[serde(borrow)]
    pub(super) jti: Cow<'a, str>,
    pub(super) iat: NumericDate,
    pub(super) exp: NumericDate,
    #[serde(default, deserialize_with = "present")]
    pub(super) nbf: Option<NumericDate>,
    #[serde(default)]
    pub(super) roles: Roles,
    // We issue it, so that to know its name saves every verification an allocation.
    #[serde(default, rename = "client_id")]
    _client_id: IgnoredAny,
}

/// Parses a JSON object; serde would read an array into a struct as well.
pub(super) fn parse_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<Parsed<T>> {
    if json.first() != Some(&b'{') {
        return None;
    }
    // Members that nobody reads must be UTF-8, too: another reader of the same token may refuse them.
    let mut reader = serde_json::Deserializer::from_str(std::str::from_utf8(json).ok()?);
    let mut has_others = false;
    let unique = UniqueMembers {
        reader: &mut reader,
        has_others: &mut has_others,
    };
    let object = T::deserialize(unique).ok()?;
    reader.end().ok()?;
    Some(Parsed { object, has_others })
}

/// A JSON object as a struct.
pub(super) struct Parsed<T> {
    pub(super) object: T,
    /// Whether the object has members that the struct has not.
    pub(super) has_others: bool,
}

/// The names of [`Claims`], which are those that we issue and `nbf`.
const OURS: [&str; 10] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "sid",
    "client_id",
    "roles",
];

/// Names that we do not issue, but that tell a verifier what the token is good for.
const RESERVED: [&str; 11] = [
    "scope",
    "scp",
    "authorization_details",
    "act",
    "may_act",
    "cnf",
    "acr",
    "amr",
    "auth_time",
    "azp",
    "nonce",
];

/// Whether a claim of this name is not the host's to make.
pub(crate) fn is_reserved(name: &str) -> bool {
    OURS.contains(&name) || RESERVED.contains(&name)
}

/// The members of a token's claims that are not ours.
pub(crate) fn other_members(json: &str) -> Result<Map<String, Value>, serde_json::Error> {
    let UniqueObject(mut members) = serde_json::from_str(json)?;
    members.retain(|name, _| !OURS.contains(&name.as_str()));
    Ok(members)
}

/// Reads a member that may be left out but must not be `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A member that must not stand in the header at all.
#[derive(Default)]
struct Forbidden;

impl<'de> Deserialize<'de> for Forbidden {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(de::Error::custom("forbidden header parameter"))
    }
}

/// A number of seconds since the Unix epoch (RFC 7519 section 2), from 0 to 2^53.
#[derive(Clone, Copy)]
pub(super) struct NumericDate(u64);

impl NumericDate {
    const MAX: u64 = 1 << 53;

    pub(super) fn timestamp(self) -> Timestamp {
        Timestamp::from_unix_seconds(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumericDateVisitor;

        impl Visitor<'_> for NumericDateVisitor {
            type Value = NumericDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds from 0 to 2^53")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
                if seconds > NumericDate::MAX {
                    return Err(E::custom("out of range"));
                }
                Ok(NumericDate(seconds))
            }

            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked, and the fraction of a second is to go"
            )]
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
                if !(0.0..=9_007_199_254_740_992.0).contains(&seconds) {
                    return Err(E::custom("out of range"));
                }
                Ok(NumericDate(seconds as u64))
            }
        }

        deserializer.deserialize_any(NumericDateVisitor)
    }
}

/// The `aud` claim: one string or several.
pub(super) enum Audience<'a> {
    One(Cow<'a, str>),
    Several(Vec<CowStr<'a>>),
}

impl Audience<'_> {
    pub(super) fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(several) => several.iter().any(|one| one.0 == audience),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Audience<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AudienceVisitor;

        impl<'de> Visitor<'de> for AudienceVisitor {
            type Value = Audience<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_borrowed_str<E: de::Error>(self, one: &'de str) -> Result<Self::Value, E> {
                Ok(Audience::One(Cow::Borrowed(one)))
            }

            fn visit_str<E: de::Error>(self, one: &str) -> Result<Self::Value, E> {
                Ok(Audience::One(Cow::Owned(one.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut several = Vec::new();
                while let Some(one) = seq.next_element()? {
                    several.push(one);
                }
                Ok(Audience::Several(several))
            }
        }

        deserializer.deserialize_any(AudienceVisitor)
    }
}

/// A string, borrowed from the token unless it has escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub(super) struct CowStr<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// The `roles` claim: an array of strings.
#[derive(Default)]
pub(super) struct Roles(pub(super) Vec<Role>);

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<CowStr<'de>>::deserialize(deserializer)?;
        Ok(Self(
            names
                .into_iter()
                .map(|name| Role::from_stored(name.0))
                .collect(),
        ))
    }
}
