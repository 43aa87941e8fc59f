//! Bodies of requests read field by field: what does not fit becomes a problem with its path, and reading goes on.

use std::fmt::Display;
use std::ops::RangeInclusive;

use bailiwick_model::limits::{REQUEST_PROBLEMS, UNKNOWN_FIELDS_TOLD};
use serde_json::{Map, Value};

use crate::json::{FieldProblem, join};
use crate::shape::closest;

/// A value of a body, and the path to it.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    pub(crate) value: &'a Value,
    pub(crate) path: String,
}

/// The fields of one object; those that nobody takes are unknown.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
    known: Vec<&'static str>,
    ignores_rest: bool,
}

/// Collects the problems of one body while it is read.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    problems: Vec<FieldProblem>,
}

impl<'a> Fields<'a> {
    /// One field, if it is there and not null.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Place<'a>> {
        self.known.push(name);
        let value = self.map.get(name).filter(|value| !value.is_null())?;
        Some(Place {
            value,
            path: join(&self.path, name),
        })
    }

    /// One field, if it is there.
    pub(crate) fn take_or_null(&mut self, name: &'static str) -> Option<Place<'a>> {
        self.known.push(name);
        let value = self.map.get(name)?;
        Some(Place {
            value,
            path: join(&self.path, name),
        })
    }

    /// Takes every other field too: what they should be cannot be said.
    pub(crate) fn ignore_rest(&mut self) {
        self.ignores_rest = true;
    }

    /// A field that must be there.
    pub(crate) fn required(
        &mut self,
        reader: &mut Reader,
        name: &'static str,
    ) -> Option<Place<'a>> {
        let place = self.take(name);
        if place.is_none() {
            let message = format!("`{name}` is needed");
            let help = format!("add `{name}`");
            reader.refuse(&join(&self.path, name), "missing_field", message, help);
        }
        place
    }
}

impl Reader {
    /// The value, if nothing is wrong with the body.
    pub(crate) fn end<T>(self, value: Option<T>) -> Result<T, Vec<FieldProblem>> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            Some(_) | None => Err(self.problems),
        }
    }

    /// One more problem. A body with a million mistakes is told of a hundred.
    pub(crate) fn refuse(
        &mut self,
        path: &str,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if self.problems.len() < REQUEST_PROBLEMS {
            self.problems.push(FieldProblem {
                field: path.to_owned(),
                code,
                message: message.into(),
                help: help.into(),
            });
        }
    }

    fn wrong_type<T>(&mut self, place: &Place<'_>, wanted: &str) -> Option<T> {
        let found = match place.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        let message = format!("{wanted} is wanted, this is {found}");
        self.refuse(
            &place.path,
            "wrong_type",
            message,
            format!("write {wanted}"),
        );
        None
    }

    /// Reads the body itself.
    pub(crate) fn body<'a, T>(
        &mut self,
        map: &'a Map<String, Value>,
        read: impl FnOnce(&mut Self, &mut Fields<'a>) -> Option<T>,
    ) -> Option<T> {
        self.map(map, String::new(), read)
    }

    /// Reads an object. `read` takes all fields that there are before it gives up on any.
    pub(crate) fn object<'a, T>(
        &mut self,
        place: &Place<'a>,
        read: impl FnOnce(&mut Self, &mut Fields<'a>) -> Option<T>,
    ) -> Option<T> {
        match place.value {
            Value::Object(map) => self.map(map, place.path.clone(), read),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => self.wrong_type(place, "an object"),
        }
    }

    fn map<'a, T>(
        &mut self,
        map: &'a Map<String, Value>,
        path: String,
        read: impl FnOnce(&mut Self, &mut Fields<'a>) -> Option<T>,
    ) -> Option<T> {
        let mut fields = Fields {
            map,
            path,
            known: Vec::new(),
            ignores_rest: false,
        };
        let value = read(self, &mut fields);
        let Fields {
            path,
            known,
            ignores_rest,
            map: _,
        } = fields;
        if ignores_rest {
            return value;
        }
        let unknown = map.keys().filter(|key| !known.contains(&key.as_str()));
        // Nobody reads more, and each costs a comparison with all that there are.
        for key in unknown.take(UNKNOWN_FIELDS_TOLD) {
            let help = match closest(key, &known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are: {}", known.join(", ")),
            };
            let message = "there is no such field here";
            self.refuse(&join(&path, key), "unknown_field", message, help);
        }
        value
    }

    /// The entries of a list.
    pub(crate) fn list<'a>(
        &mut self,
        place: &Place<'a>,
        count: RangeInclusive<usize>,
    ) -> Option<Vec<Place<'a>>> {
        let Value::Array(items) = place.value else {
            return self.wrong_type(place, "a list");
        };
        if !self.in_range(&place.path, items.len(), count, "entries", "too_much") {
            return None;
        }
        let item = |(index, value)| Place {
            value,
            path: format!("{}[{index}]", place.path),
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// Reads every entry of a list; `None` if any is refused.
    pub(crate) fn each<'a, T>(
        &mut self,
        places: &[Place<'a>],
        mut read: impl FnMut(&mut Self, &Place<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let read: Vec<_> = places.iter().map(|place| read(self, place)).collect();
        read.into_iter().collect()
    }

    /// A text.
    pub(crate) fn text<'a>(
        &mut self,
        place: &Place<'a>,
        chars: RangeInclusive<usize>,
    ) -> Option<&'a str> {
        let Value::String(text) = place.value else {
            return self.wrong_type(place, "a text");
        };
        let count = text.chars().count();
        self.in_range(&place.path, count, chars, "characters", "too_long")
            .then_some(text)
    }

    /// A text that somebody chose as a name: no control characters, and not only white space.
    pub(crate) fn name<'a>(
        &mut self,
        place: &Place<'a>,
        chars: RangeInclusive<usize>,
    ) -> Option<&'a str> {
        let text = self.text(place, chars)?;
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            let message = "a name has something to see, and no control characters";
            self.refuse(
                &place.path,
                "invalid_name",
                message,
                "use letters, digits and signs",
            );
            return None;
        }
        Some(text)
    }

    fn in_range(
        &mut self,
        path: &str,
        count: usize,
        range: RangeInclusive<usize>,
        what: &str,
        above: &'static str,
    ) -> bool {
        if range.contains(&count) {
            return true;
        }
        let (least, most) = range.into_inner();
        let message = format!("has {least} to {most} {what}, this one has {count}");
        if count < least {
            self.refuse(path, "too_short", message, "write more, or leave it out");
        } else {
            self.refuse(path, above, message, "shorten it");
        }
        false
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, place: &Place<'_>) -> Option<bool> {
        match place.value {
            Value::Bool(value) => Some(*value),
            Value::Null
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => self.wrong_type(place, "true or false"),
        }
    }

    /// A whole number from 1 to what 32 bits with a sign hold, which is the wire's.
    pub(crate) fn number(&mut self, place: &Place<'_>) -> Option<i64> {
        let number = place.value.as_i64();
        match number.filter(|number| (1..=i64::from(i32::MAX)).contains(number)) {
            Some(number) => Some(number),
            None => self.wrong_type(place, "a whole number from 1 to 2147483647"),
        }
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        place: &Place<'_>,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let Value::String(text) = place.value else {
            return self.wrong_type(place, "a text");
        };
        let found = words.iter().find(|(word, _)| word == text);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let help = format!("there are: {}", known.join(", "));
            let message = match closest(text, &known) {
                Some(meant) => format!("is none of the words for it; did you mean {meant:?}?"),
                None => "is none of the words for it".to_owned(),
            };
            self.refuse(&place.path, "unknown_value", message, help);
        }
        found.map(|(_, value)| *value)
    }

    /// Reports what stands twice in a list.
    pub(crate) fn distinct<T: Ord + Display>(
        &mut self,
        path: impl Fn(usize) -> String,
        items: impl IntoIterator<Item = T>,
    ) {
        let mut seen = std::collections::BTreeSet::new();
        for (index, item) in items.into_iter().enumerate() {
            if seen.contains(&item) {
                let message = format!("{item} stands here twice");
                self.refuse(&path(index), "duplicate", message, "keep one of the two");
            } else {
                seen.insert(item);
            }
        }
    }
}
