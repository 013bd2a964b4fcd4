//! Reading a JSON object, so that no two parsers could read it differently.

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
    let object = Object::read(request, max_body, &names).await?;
    object.strings(names)
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
    let mut object = Object::read(request, max_body, &[name]).await?;
    let is = object.flag(name);
    object.finish()?;
    Ok(is.unwrap_or(false))
}

/// Reads a request of which nothing is needed: it has no body, or a JSON object.
pub(super) async fn nothing<B>(request: Request<B>, max_body: usize) -> Result<(), ApiError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    match read::optional_body(request, read::JSON, max_body).await? {
        Some(body) => Object::parse(&body, &[]).map(drop),
        None => Ok(()),
    }
}

/// The members of a JSON object that were asked for.
///
/// Each is taken out as what it must be; what is wrong with them is told of all together, by
/// [`finish`](Self::finish).
pub(super) struct Object {
    members: BTreeMap<&'static str, Value>,
    errors: FieldErrors,
}

impl Object {
    /// Reads the request's JSON object. Members with other names are ignored, but must be
    /// well-formed like everything else.
    pub(super) async fn read<B>(
        request: Request<B>,
        max_body: usize,
        names: &[&'static str],
    ) -> Result<Self, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let body = read::body(request, read::JSON, max_body).await?;
        Self::parse(&body, names)
    }

    pub(super) fn parse(body: &[u8], names: &[&'static str]) -> Result<Self, ApiError> {
        let members = members(body, names).map_err(|_| ApiError::MalformedJson)?;
        let errors = FieldErrors::default();
        Ok(Self { members, errors })
    }

    pub(super) fn strings<const N: usize>(
        mut self,
        names: [&'static str; N],
    ) -> Result<[Zeroizing<String>; N], ApiError> {
        let fields = names.map(|name| self.required_string(name));
        self.finish()?;
        Ok(fields)
    }

    /// Whether nothing of what was asked for is there, or is left.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn required_string(&mut self, name: &'static str) -> Zeroizing<String> {
        if !self.members.contains_key(name) {
            self.refuse(name, "is required");
        }
        self.string(name).unwrap_or_default()
    }

    pub(super) fn string(&mut self, name: &'static str) -> Option<Zeroizing<String>> {
        self.take(name, "must be a string", Value::string)
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.take(name, "must be true or false", |value| match value {
            Value::Bool(is) => Some(is),
            _ => None,
        })
    }

    pub(super) fn list(&mut self, name: &'static str) -> Option<Vec<Zeroizing<String>>> {
        self.take(name, "must be an array of strings", |value| match value {
            Value::Strings(texts) => Some(texts),
            _ => None,
        })
    }

    /// Adds what else is wrong with a member.
    pub(super) fn refuse(&mut self, name: &'static str, message: impl Into<String>) {
        self.errors.add(name, message);
    }

    /// Fails if anything was wrong.
    pub(super) fn finish(self) -> Result<(), FieldErrors> {
        self.errors.into_result()
    }

    /// Takes out a member that may be missing, but not be anything else.
    fn take<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.members.remove(name)?;
        let message = match value {
            Value::Null => "must not be null",
            _ => expected,
        };
        let read = read(value);
        if read.is_none() {
            self.refuse(name, message);
        }
        read
    }
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
    Strings(Vec<Zeroizing<String>>),
    Other,
}

impl Value {
    fn string(self) -> Option<Zeroizing<String>> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
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
        let mut strings = Some(Vec::new());
        while let Some(element) = array.next_element_seed(Nested { depth })? {
            strings = strings.zip(element.string()).map(|(mut strings, next)| {
                strings.push(next);
                strings
            });
        }
        Ok(strings.map_or(Value::Other, Value::Strings))
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
        let object = Object::parse(body.as_ref(), &["a"]);
        match object.and_then(|object| object.strings(["a"])) {
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

    #[test]
    fn s11_3_flags_and_lists_may_be_missing_and_are_never_coerced() {
        let read = |value: &str| {
            let body = format!(r#"{{"flag": {value}, "list": {value}}}"#);
            let mut object = Object::parse(body.as_bytes(), &["flag", "list"]).unwrap();
            let flag = object.flag("flag");
            let list = object.list("list");
            let list = list.map(|texts| texts.iter().map(|text| text.to_string()).collect());
            let refused = object.finish().err();
            let refused: Vec<_> = refused.iter().flat_map(FieldErrors::iter).collect();
            let refused = refused
                .iter()
                .map(|(name, text)| format!("{name} {}", text.concat()));
            (flag, list, refused.collect::<Vec<_>>())
        };
        let (not_flag, not_list) = (
            "flag must be true or false",
            "list must be an array of strings",
        );
        assert_eq!(read("true"), (Some(true), None, vec![not_list.to_owned()]));
        assert_eq!(read("[]"), (None, Some(vec![]), vec![not_flag.to_owned()]));
        let texts: Vec<String> = vec!["x".to_owned(), String::new()];
        assert_eq!(
            read(r#"["x", ""]"#),
            (None, Some(texts), vec![not_flag.to_owned()])
        );
        for other in [
            "1",
            "\"true\"",
            "{}",
            "[1]",
            "[\"x\", null]",
            "[[\"x\"]]",
            "[true]",
        ] {
            let refused = vec![not_flag.to_owned(), not_list.to_owned()];
            assert_eq!(read(other), (None, None, refused), "{other}");
        }
        let (flag, list, refused) = read("null");
        assert_eq!((flag, list), (None, None::<Vec<String>>));
        assert_eq!(refused, ["flag must not be null", "list must not be null"]);

        let mut object = Object::parse(b"{}", &["flag", "list"]).unwrap();
        assert!(object.is_empty());
        assert!(object.flag("flag").is_none() && object.list("list").is_none());
        assert_eq!(object.finish(), Ok(()));
    }
}
