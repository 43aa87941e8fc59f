//! Values of which little matters.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Reads one kind of value, and takes all others without minding what they are. What is inside a map or a list is read for its form and its depth.
macro_rules! reads {
    ($seed:ident => $value:ty, else $other:expr; $($visits:item)*) => {
        impl<'b> DeserializeSeed<'b> for $seed {
            type Value = $value;

            fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<$value, D::Error> {
                deserializer.deserialize_any(self)
            }
        }

        impl<'b> Visitor<'b> for $seed {
            type Value = $value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<$value, A::Error> {
                while map.next_key::<de::IgnoredAny>()?.is_some() {
                    map.next_value_seed(Anything)?;
                }
                Ok($other)
            }

            fn visit_seq<A: SeqAccess<'b>>(self, mut list: A) -> Result<$value, A::Error> {
                while list.next_element_seed(Anything)?.is_some() {}
                Ok($other)
            }

            $($visits)*
        }
    };
}

/// Whatever it is.
#[derive(Clone, Copy)]
pub(super) struct Anything;

/// A yes or a no; nothing is a no, and anything else is none.
pub(super) struct Flag;

/// A whole number from 0; nothing is none.
pub(super) struct Number;

/// Something other than a number that was to be one.
pub(super) struct NotANumber;

/// Whether there is something.
pub(super) struct Present;

/// A string; anything else is none.
pub(super) struct Word;

reads! { Anything => (), else ();
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> { Ok(()) }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> { Ok(()) }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> { Ok(()) }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> { Ok(()) }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> { Ok(()) }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> { Ok(()) }
}

reads! { Flag => Option<bool>, else None;
    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Option<bool>, E> { Ok(Some(flag)) }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Option<bool>, E> { Ok(None) }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Option<bool>, E> { Ok(None) }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Option<bool>, E> { Ok(None) }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<Option<bool>, E> { Ok(None) }
    fn visit_unit<E: de::Error>(self) -> Result<Option<bool>, E> { Ok(Some(false)) }
}

reads! { Number => Result<Option<u64>, NotANumber>, else Err(NotANumber);
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> { Ok(Err(NotANumber)) }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> { Ok(Err(NotANumber)) }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> { Ok(Ok(Some(number))) }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> { Ok(Err(NotANumber)) }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> { Ok(Err(NotANumber)) }
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> { Ok(Ok(None)) }
}

reads! { Present => bool, else true;
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<bool, E> { Ok(true) }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<bool, E> { Ok(true) }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<bool, E> { Ok(true) }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<bool, E> { Ok(true) }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<bool, E> { Ok(true) }
    fn visit_unit<E: de::Error>(self) -> Result<bool, E> { Ok(false) }
}

impl<'b> DeserializeSeed<'b> for Word {
    type Value = Option<Cow<'b, str>>;

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Word {
    type Value = Option<Cow<'b, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: de::Error>(self, word: &'b str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(word)))
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(word.to_owned())))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'b>>(self, map: A) -> Result<Self::Value, A::Error> {
        Anything.visit_map(map).map(|()| None)
    }

    fn visit_seq<A: SeqAccess<'b>>(self, list: A) -> Result<Self::Value, A::Error> {
        Anything.visit_seq(list).map(|()| None)
    }
}
