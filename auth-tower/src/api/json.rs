//! Reading a JSON object of strings, so that no two parsers could read it differently.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::fmt;

use auth_core::FieldErrors;
use http::Request;
use http_body::Body;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::read;
use crate::error::ApiError;

/// How deep arrays and objects may stand in each other, the outermost included.
const MAX_DEPTH: usize = 16;

/// Reads the request's JSON object and takes these fields, which must be strings, out of it.
///
/// Other fields are ignored, but must be well-formed like everything else.
pub(super) async fn fields<B, const N: usize>(
    request: Request<B>,
    max_body: usize,
    names: [&'static str; N],
) -> Result<[Zeroizing<String>; N], ApiError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let body = read::body(request, read::JSON, max_body).await?;
    parse(&body, names)
}

/// Reads the request's JSON object and tells whether this member is true; it may be missing.
pub(super) async fn flag<B>(
    request: Request<B>,
    max_body: usize,
    name: &'static str,
) -> Result<bool, ApiError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let body = read::body(request, read::JSON, max_body).await?;
    let mut found = members(&body, &[name]).map_err(|_| ApiError::MalformedJson)?;
    match found.remove(name) {
        None => Ok(false),
        Some(Value::Bool(is)) => Ok(is),
        Some(_) => {
            let mut errors = FieldErrors::default();
            errors.add(name, "must be true or false");
            errors.into_result()?;
            Ok(false)
        }
    }
}

fn parse<const N: usize>(
    body: &[u8],
    names: [&'static str; N],
) -> Result<[Zeroizing<String>; N], ApiError> {
    let mut found = members(body, &names).map_err(|_| ApiError::MalformedJson)?;
    let mut errors = FieldErrors::default();
    let fields = names.map(|name| match found.remove(name) {
        Some(Value::String(text)) => text,
        Some(Value::Null) => refuse(&mut errors, name, "must not be null"),
        Some(Value::Bool(_) | Value::Other) => refuse(&mut errors, name, "must be a string"),
        None => refuse(&mut errors, name, "is required"),
    });
    errors.into_result()?;
    Ok(fields)
}

fn refuse(errors: &mut FieldErrors, name: &'static str, message: &str) -> Zeroizing<String> {
    errors.add(name, message);
    Zeroizing::default()
}

fn members(
    body: &[u8],
    names: &[&'static str],
) -> Result<BTreeMap<&'static str, Value>, serde_json::Error> {
    let text = std::str::from_utf8(body).map_err(de::Error::custom)?;
    let mut parser = serde_json::Deserializer::from_str(text);
    let members = parser.deserialize_map(Members { names })?;
    parser.end()?;
    Ok(members)
}

/// As much as we want to know of a value.
enum Value {
    String(Zeroizing<String>),
    Null,
    Bool(bool),
    Other,
}

/// Visits the outermost object.
struct Members<'n> {
    names: &'n [&'static str],
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = BTreeMap<&'static str, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        each_member(map, 1, |key, value| {
            if let Some(name) = self.names.iter().find(|name| **name == key) {
                members.insert(*name, value);
            }
        })?;
        Ok(members)
    }
}

/// Visits any value inside of `depth` others.
struct Nested {
    depth: usize,
}

impl Nested {
    fn deeper<E: de::Error>(&self) -> Result<usize, E> {
        if self.depth < MAX_DEPTH {
            Ok(self.depth + 1)
        } else {
            Err(E::custom("nested too deep"))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(Zeroizing::new(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, is: bool) -> Result<Value, E> {
        Ok(Value::Bool(is))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        while array.next_element_seed(Nested { depth })?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        each_member(map, self.deeper()?, |_, _| ())?;
        Ok(Value::Other)
    }
}

/// Visits the members of an object, whose names must all differ: which of two counts is read
/// differently by different parsers (RFC 8259 section 4).
fn each_member<'de, A: MapAccess<'de>>(
    mut map: A,
    depth: usize,
    mut visit: impl FnMut(&str, Value),
) -> Result<(), A::Error> {
    let mut seen = HashSet::new();
    while let Some(key) = map.next_key::<String>()? {
        visit(&key, map.next_value_seed(Nested { depth })?);
        if !seen.insert(key) {
            return Err(de::Error::custom("duplicate key"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(body: impl AsRef<[u8]>) -> Result<String, String> {
        match parse(body.as_ref(), ["a"]) {
            Ok([text]) => Ok(text.to_string()),
            Err(ApiError::Auth(auth_core::AuthError::Validation(errors))) => {
                let (_, messages) = errors.iter().next().unwrap();
                Err(messages.join(", "))
            }
            Err(error) => Err(error.code().to_owned()),
        }
    }

    fn malformed() -> Result<String, String> {
        Err("malformed_json".to_owned())
    }

    #[test]
    fn s8_8_fields_that_nobody_asked_for_are_ignored() {
        let body = r#" {"is_superuser": true, "a": "x", "b": {"a": ["y", null, 1.5, -1]}} "#;
        assert_eq!(outcome(body), Ok("x".to_owned()));
    }

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(
            outcome(r#"{"a": "\u00e9\ud83d\ude00\n"}"#),
            Ok("é😀\n".to_owned())
        );
        assert_eq!(outcome(r#"{"\u0061": "x"}"#), Ok("x".to_owned()));
    }

    #[test]
    fn s11_2_what_is_not_exactly_one_well_formed_object_is_malformed() {
        for body in [
            "",
            " ",
            "\u{feff}{\"a\": \"x\"}",
            "{\"a\": \"x\"} {}",
            "{\"a\": \"x\"},",
            "{\"a\": \"x\",}",
            "{\"a\": \"x\"",
            "{'a': 'x'}",
            "{a: \"x\"}",
            "{\"a\": \"x\"} // comment",
            "/* comment */ {\"a\": \"x\"}",
            "{\"a\": NaN}",
            "{\"a\": Infinity}",
            "{\"a\": 01}",
            "{\"a\": \"x\ny\"}",
            "{\"a\": \"\\ud800\"}",
            "{\"a\": \"\\udc00\\ud800\"}",
            "{\"b\": \"\\ud800\"}",
            "{\"a\": \"\\x41\"}",
        ] {
            assert_eq!(outcome(body), malformed(), "{body:?}");
        }
    }

    #[test]
    fn s11_2_only_utf_8_is_read() {
        assert_eq!(outcome(b"{\"a\": \"\xff\"}"), malformed());
        assert_eq!(outcome(b"{\"b\": \"\xc0\xaf\"}"), malformed());
        let utf16: Vec<u8> = "{\"a\": \"x\"}"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(outcome(utf16), malformed());
    }

    #[test]
    fn s11_2_duplicate_keys_are_malformed_at_any_depth() {
        for body in [
            r#"{"a": "x", "a": "x"}"#,
            r#"{"a": "x", "\u0061": "y"}"#,
            r#"{"a": "x", "b": 1, "b": 1}"#,
            r#"{"a": "x", "b": [{"c": 1, "c": 2}]}"#,
        ] {
            assert_eq!(outcome(body), malformed(), "{body}");
        }
    }

    #[test]
    fn s11_2_nesting_is_limited_to_16() {
        let nested = |depth: usize| {
            let inner = depth - 1;
            format!(
                "{{\"a\": \"x\", \"b\": {}{}}}",
                "[".repeat(inner),
                "]".repeat(inner)
            )
        };
        assert_eq!(outcome(nested(16)), Ok("x".to_owned()));
        assert_eq!(outcome(nested(17)), malformed());
        assert_eq!(outcome(nested(10_000)), malformed());
        assert_eq!(outcome("[".repeat(10_000)), malformed());
        assert_eq!(outcome("{\"a\":".repeat(10_000)), malformed());
    }

    #[test]
    fn s11_3_the_outermost_value_must_be_an_object() {
        for body in ["null", "1", "\"a\"", "[]", "[{\"a\": \"x\"}]", "true"] {
            assert_eq!(outcome(body), malformed(), "{body}");
        }
    }

    #[test]
    fn s11_3_other_types_are_named_and_never_coerced() {
        for value in ["1", "-1", "1.5", "true", "[\"x\"]", "{\"$ne\": \"\"}", "{}"] {
            let body = format!("{{\"a\": {value}}}");
            assert_eq!(outcome(body), Err("must be a string".to_owned()), "{value}");
        }
        assert_eq!(
            outcome(r#"{"a": null}"#),
            Err("must not be null".to_owned())
        );
        assert_eq!(outcome("{}"), Err("is required".to_owned()));
        assert_eq!(outcome(r#"{"A": "x"}"#), Err("is required".to_owned()));
    }
}
