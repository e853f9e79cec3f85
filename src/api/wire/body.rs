//! The body of an answer: a head of fields, and somewhere in it the list. Invariant: a good page is read in one pass
//! over its text, row by row into place, without a tree in between.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::lenient::{Count, Text, read, token};
use super::{Malformed, Object, Row};

/// What an answer says.
#[derive(Debug)]
pub(in crate::api) struct Body<T> {
    pub(in crate::api) head: Head,
    pub(in crate::api) found: Found<T>,
    pub(in crate::api) malformed: Malformed,
}

/// What an answer says beside the list; of an error, all that it says.
#[derive(Debug, Default)]
pub(in crate::api) struct Head {
    pub(in crate::api) code: Option<String>,
    pub(in crate::api) message: Option<String>,
    pub(in crate::api) request_id: Option<String>,
    pub(in crate::api) next_token: Option<String>,
    pub(in crate::api) total_count: Option<u64>,
}

/// What stands where the rows should be.
#[derive(Debug, PartialEq)]
pub(in crate::api) enum Found<T> {
    /// No such key, or null.
    Nothing,
    /// A list: its good rows, and how many it has in all.
    List { rows: Vec<T>, row_count: usize },
    /// A single object; `None` where it is malformed.
    Object(Option<T>),
    /// Something else.
    Other,
}

/// Parses an answer whose rows stand at `place`: the keys that lead to them.
pub(in crate::api) fn parse<T: Row>(
    text: &str,
    place: &'static [&'static str],
) -> serde_json::Result<Body<T>> {
    // What a row holds that no Rust value can (a number beyond every float, half a surrogate pair where an object
    // should be) stops the quick pass. The careful one cuts the rows out first, so that each fails alone.
    pass(text, place, false).or_else(|error| pass(text, place, true).map_err(|_| error))
}

fn pass<T: Row>(text: &str, place: &'static [&'static str], careful: bool) -> serde_json::Result<Body<T>> {
    let mut body = Body { head: Head::default(), found: Found::Nothing, malformed: Malformed::new() };
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Seed(Answer { place, is_root: true, careful, body: &mut body }))?;
    json.end()?;
    Ok(body)
}

/// An object on its own, from its JSON text.
pub(super) fn object<T: Object>(json: &str, malformed: &mut Malformed) -> Option<T> {
    Seed(One { malformed, object: PhantomData })
        .deserialize(&mut serde_json::Deserializer::from_str(json))
        .ok()?
}

impl Object for Head {
    const FIELDS: &'static [&'static str] = &["code", "message", "requestId", "nextToken", "totalCount"];

    fn set(&mut self, key: &str, json: &str, malformed: &mut Malformed) {
        match key {
            "code" | "Code" => self.code = read::<Text>(json, "code", malformed),
            "message" | "Message" => self.message = read::<Text>(json, "message", malformed),
            "requestId" | "RequestId" => self.request_id = read::<Text>(json, "requestId", malformed),
            "nextToken" => self.next_token = token(json, "nextToken", malformed),
            "totalCount" => self.total_count = read::<Count>(json, "totalCount", malformed),
            _ => {}
        }
    }
}

/// Takes a value of any type.
trait Take<'de>: Sized {
    type Value;
    fn object<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error>;
    fn list<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error>;
    fn null(self) -> Self::Value;
    fn scalar(self) -> Self::Value;
}

/// The answer's object, or one within it that leads to the rows.
struct Answer<'b, T> {
    place: &'static [&'static str],
    is_root: bool,
    careful: bool,
    body: &'b mut Body<T>,
}

impl<'de, T: Row> Take<'de> for Answer<'_, T> {
    type Value = ();

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { place, is_root, careful, body } = self;
        while let Some(Key(key)) = map.next_key()? {
            match place {
                [last] if key == *last => {
                    let rows = Rows { careful, malformed: &mut body.malformed, row: PhantomData };
                    body.found = map.next_value_seed(Seed(rows))?;
                }
                [first, rest @ ..] if key == *first => {
                    map.next_value_seed(Seed(Answer {
                        place: rest,
                        is_root: false,
                        careful,
                        body: &mut *body,
                    }))?;
                }
                _ if is_root => {
                    body.head.set(&key, map.next_value::<&RawValue>()?.get(), &mut body.malformed);
                }
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }

    fn list<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.body.found = Found::Other;
        drain(seq)
    }

    fn null(self) {}

    fn scalar(self) {
        self.body.found = Found::Other;
    }
}

/// The value at the place of the rows.
struct Rows<'m, T> {
    careful: bool,
    malformed: &'m mut Malformed,
    row: PhantomData<T>,
}

impl<'de, T: Row> Take<'de> for Rows<'_, T> {
    type Value = Found<T>;

    fn list<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found<T>, A::Error> {
        let (mut rows, mut row_count) = (Vec::new(), 0);
        loop {
            let row = if self.careful {
                let Some(json) = seq.next_element::<&RawValue>()? else { break };
                object(json.get(), self.malformed)
            } else {
                let one = One { malformed: &mut *self.malformed, object: PhantomData };
                let Some(row) = seq.next_element_seed(Seed(one))? else { break };
                row
            };
            row_count += 1;
            rows.extend(identified(row, self.malformed));
        }
        Ok(Found::List { rows, row_count })
    }

    fn object<A: MapAccess<'de>>(self, map: A) -> Result<Found<T>, A::Error> {
        let row = One { malformed: &mut *self.malformed, object: PhantomData }.object(map)?;
        Ok(Found::Object(identified(row, self.malformed)))
    }

    fn null(self) -> Found<T> {
        Found::Nothing
    }

    fn scalar(self) -> Found<T> {
        Found::Other
    }
}

/// A row that is one: an object with an id.
fn identified<T: Row>(row: Option<T>, malformed: &mut Malformed) -> Option<T> {
    let row = row.filter(Row::has_id);
    if row.is_none() {
        malformed.push(T::ROW);
    }
    row
}

/// One object; `None` where it is something else.
struct One<'m, T> {
    malformed: &'m mut Malformed,
    object: PhantomData<T>,
}

impl<'de, T: Object> Take<'de> for One<'_, T> {
    type Value = Option<T>;

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<T>, A::Error> {
        let mut object = T::default();
        while let Some(Key(key)) = map.next_key()? {
            object.set(&key, map.next_value::<&RawValue>()?.get(), self.malformed);
        }
        Ok(Some(object))
    }

    fn list<A: SeqAccess<'de>>(self, seq: A) -> Result<Option<T>, A::Error> {
        drain(seq).map(|()| None)
    }

    fn null(self) -> Option<T> {
        None
    }

    fn scalar(self) -> Option<T> {
        None
    }
}

/// Reads a list to its end.
fn drain<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Hands a value to what takes it, by its type.
struct Seed<T>(T);

impl<'de, T: Take<'de>> DeserializeSeed<'de> for Seed<T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Take<'de>> Visitor<'de> for Seed<T> {
    type Value = T::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T::Value, A::Error> {
        self.0.object(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T::Value, A::Error> {
        self.0.list(seq)
    }

    fn visit_unit<E>(self) -> Result<T::Value, E> {
        Ok(self.0.null())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T::Value, E> {
        Ok(self.0.scalar())
    }

    fn visit_i64<E>(self, _: i64) -> Result<T::Value, E> {
        Ok(self.0.scalar())
    }

    fn visit_u64<E>(self, _: u64) -> Result<T::Value, E> {
        Ok(self.0.scalar())
    }

    fn visit_f64<E>(self, _: f64) -> Result<T::Value, E> {
        Ok(self.0.scalar())
    }

    fn visit_str<E>(self, _: &str) -> Result<T::Value, E> {
        Ok(self.0.scalar())
    }
}

/// A key, borrowed where nothing in it is escaped.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(key.to_owned())))
    }
}
