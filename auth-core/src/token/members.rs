//! JSON objects in which no member stands twice, not even one that we do not know.
//!
//! serde refuses a second member only of the names that a struct has. Another reader of the same
//! token may know more names, and take the other of the two (RFC 7515 section 4, RFC 7519 section
//! 4). Objects within members that we do not know are nobody's to read at the verification, and are
//! not looked at; a host that reads them reads an [`UniqueObject`].

use std::borrow::Cow;
use std::fmt;

use serde::de::value::CowStrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IntoDeserializer as _, MapAccess, SeqAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::claims::CowStr;

/// Reads a struct from an object with each member once.
pub(super) struct UniqueMembers<'f, D> {
    pub(super) reader: D,
    /// Becomes true if the object has members that the struct has not.
    pub(super) has_others: &'f mut bool,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for UniqueMembers<'_, D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.reader.deserialize_map(UniqueVisitor {
            visitor,
            known,
            has_others: self.has_others,
        })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.reader.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct UniqueVisitor<'f, V> {
    visitor: V,
    known: &'static [&'static str],
    has_others: &'f mut bool,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for UniqueVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(UniqueAccess {
            members,
            known: self.known,
            others: Vec::new(),
            has_others: self.has_others,
        })
    }
}

struct UniqueAccess<'de, 'f, A> {
    members: A,
    known: &'static [&'static str],
    /// The names so far of those members that the struct does not have.
    others: Vec<Cow<'de, str>>,
    has_others: &'f mut bool,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for UniqueAccess<'de, '_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(CowStr(name)) = self.members.next_key()? else {
            return Ok(None);
        };
        if !self.known.contains(&&*name) {
            if self.others.contains(&name) {
                return Err(A::Error::custom("a member stands twice"));
            }
            self.others.push(name.clone());
            *self.has_others = true;
        }
        let name: CowStrDeserializer<'_, A::Error> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.members.next_value_seed(seed)
    }
}

/// An object in which no member stands twice, at any depth.
pub(super) struct UniqueObject(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueObject {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        match UniqueValue::deserialize(reader)?.0 {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(D::Error::custom("no object")),
        }
    }
}

struct UniqueValue(Value);

impl<'de> Deserialize<'de> for UniqueValue {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(ValueVisitor).map(Self)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(UniqueValue(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, UniqueValue(value))) = map.next_entry::<String, _>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(members.into())
    }
}
