//! JSON objects in which no member stands twice, not even one that we do not know.
//!
//! serde refuses a second member only of the names that a struct has. Another reader of the same
//! token may know more names, and take the other of the two (RFC 7515 section 4, RFC 7519 section
//! 4). Objects within members that we do not know are nobody's to read here, and are not looked at.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::CowStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer as _, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::claims::CowStr;

/// Reads a struct from an object with each member once.
pub(super) struct UniqueMembers<D>(pub(super) D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for UniqueMembers<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(UniqueVisitor { visitor, known })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct UniqueVisitor<V> {
    visitor: V,
    known: &'static [&'static str],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for UniqueVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(UniqueAccess {
            members,
            known: self.known,
            others: Vec::new(),
        })
    }
}

struct UniqueAccess<'de, A> {
    members: A,
    known: &'static [&'static str],
    /// The names so far of those members that the struct does not have.
    others: Vec<Cow<'de, str>>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for UniqueAccess<'de, A> {
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
        }
        let name: CowStrDeserializer<'_, A::Error> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.members.next_value_seed(seed)
    }
}
