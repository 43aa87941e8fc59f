//! What bodies look like, in the words of JSON Schema (2020-12, which OpenAPI 3.1 speaks).
//!
//! A schema stands beside the code that judges such a body, and takes its bounds from the same constants. It says less than that code: what
//! several fields have to do with each other, or what a text means, only the code knows. Nothing is judged by a schema.

mod agent;
mod credential;
mod environment;
mod event;
mod session;
mod vault;
mod work;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bailiwick_model::ResourceId;
use bailiwick_model::limits::{
    METADATA_KEY_CHARS, METADATA_PAIRS, METADATA_VALUE_CHARS, NAME_CHARS,
};
use serde_json::{Map, Value, json};

pub use work::work_update_schema;

use crate::validate::RESERVED_METADATA;

/// What a value looks like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schema {
    words: Map<String, Value>,
    named: BTreeMap<&'static str, Value>,
}

/// The id of nothing, to be shown.
pub fn example_id<I: ResourceId>() -> String {
    I::made(1_795_000_000_000, [7; 10]).as_str().to_owned()
}

/// Where an OpenAPI document keeps what has a name.
const NAMED: &str = "#/components/schemas/";

impl Schema {
    /// Anything.
    pub fn any() -> Self {
        Self::default()
    }

    /// A text.
    pub fn text() -> Self {
        Self::of("string")
    }

    /// A text of so many characters.
    pub fn chars(count: RangeInclusive<usize>) -> Self {
        Self::text()
            .with("minLength", json!(count.start()))
            .with("maxLength", json!(count.end()))
    }

    /// A name that people give, trimmed before its characters are counted: something to see, and no control characters.
    pub fn name() -> Self {
        Self::visible(NAME_CHARS)
    }

    /// A text of at most so many characters, with something to see and no control characters.
    pub fn visible(most: usize) -> Self {
        let (plain, seen) = (
            "[^\\u0000-\\u001F\\u007F-\\u009F]",
            "[^\\s\\u0000-\\u001F\\u007F-\\u009F]",
        );
        Self::chars(1..=most).matching(&format!("^{plain}*{seen}{plain}*$"))
    }

    /// A moment (RFC 3339).
    pub fn moment() -> Self {
        Self::text().with("format", json!("date-time"))
    }

    /// The id of such a thing.
    pub fn id<I: ResourceId>() -> Self {
        Self::text()
            .matching(&format!("^{}[1-9A-HJ-NP-Za-km-z]{{22}}$", I::PREFIX))
            .example(json!(example_id::<I>()))
    }

    /// `true` or `false`.
    pub fn boolean() -> Self {
        Self::of("boolean")
    }

    /// A whole number.
    pub fn number(range: RangeInclusive<i64>) -> Self {
        Self::of("integer")
            .with("minimum", json!(range.start()))
            .with("maximum", json!(range.end()))
    }

    /// A whole number from 1 to what 32 bits with a sign hold.
    pub fn positive() -> Self {
        Self::number(1..=i64::from(i32::MAX))
    }

    /// Seconds, with their fractions.
    pub fn seconds() -> Self {
        Self::of("number").with("minimum", json!(0))
    }

    /// How many there are of something.
    pub fn count() -> Self {
        Self::of("integer").with("minimum", json!(0))
    }

    /// A version, which counts changes from 1 on.
    pub fn version() -> Self {
        Self::of("integer").with("minimum", json!(1))
    }

    /// One of some words.
    pub fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let words: Vec<_> = words.into_iter().collect();
        Self::text().with("enum", json!(words))
    }

    /// One of the words of a table.
    pub(crate) fn words_of<T>(table: &[(&'static str, T)]) -> Self {
        Self::words(table.iter().map(|(word, _)| *word))
    }

    /// This very word.
    pub fn word(word: &str) -> Self {
        Self::text().with("const", json!(word))
    }

    /// A list.
    pub fn list(item: Self) -> Self {
        let mut list = Self::of("array");
        let item = list.take(item);
        list.with("items", item)
    }

    /// A list of so many entries.
    pub fn list_of(count: RangeInclusive<usize>, item: Self) -> Self {
        let list = Self::list(item).with("maxItems", json!(count.end()));
        if *count.start() == 0 {
            list
        } else {
            list.with("minItems", json!(count.start()))
        }
    }

    /// An object with these fields and no others: [`Self::needs`], [`Self::may`].
    pub fn object() -> Self {
        let object = Self::of("object").with("properties", json!({}));
        object.with("additionalProperties", json!(false))
    }

    /// An object of an answer, to which a later version may add fields: [`Self::has`].
    pub fn answer() -> Self {
        Self::of("object").with("properties", json!({}))
    }

    /// An object whose values are all alike.
    pub fn map(value: Self) -> Self {
        let mut map = Self::of("object");
        let value = map.take(value);
        map.with("additionalProperties", value)
    }

    /// Free pairs, as answers show them.
    pub fn metadata() -> Self {
        Self::map(Self::text()).says("Free pairs.")
    }

    /// Free pairs of a request. In one that changes something a pair that is null goes, whatever its key.
    pub(crate) fn pairs(changes: bool) -> Self {
        let about = "Free pairs; keys that begin with `bailiwick.` or `sandbox0.managed_agents.` are reserved.";
        let value = Self::chars(0..=METADATA_VALUE_CHARS);
        if changes {
            return Self::map(value.or_null()).says(about);
        }
        let prefixes = RESERVED_METADATA.map(|prefix| prefix.replace('.', "\\."));
        let keys = json!({
            "minLength": 1,
            "maxLength": METADATA_KEY_CHARS,
            "pattern": format!("^(?!{})", prefixes.join("|")),
        });
        Self::map(value)
            .with("propertyNames", keys)
            .with("maxProperties", json!(METADATA_PAIRS))
            .says(about)
    }

    /// One of several forms.
    pub fn any_of(forms: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Self::any();
        let forms: Vec<_> = forms.into_iter().map(|form| whole.take(form)).collect();
        whole.with("anyOf", json!(forms))
    }

    /// What the tool that reads it may be shown.
    #[must_use]
    pub fn example(self, value: Value) -> Self {
        self.with("examples", Value::Array(vec![value]))
    }

    /// A sentence for people.
    #[must_use]
    pub fn says(self, sentence: &str) -> Self {
        self.with("description", json!(sentence))
    }

    /// What it is if it is absent.
    #[must_use]
    pub fn otherwise(self, value: Value) -> Self {
        self.with("default", value)
    }

    /// Only texts that match (ECMA-262, section 22.2).
    #[must_use]
    pub fn matching(self, pattern: &str) -> Self {
        self.with("pattern", json!(pattern))
    }

    /// Or null.
    #[must_use]
    pub fn or_null(mut self) -> Self {
        let Some(Value::String(kind)) = self.words.get("type").cloned() else {
            return Self::any_of([self, Self::of("null")]);
        };
        if let Some(Value::Array(words)) = self.words.get_mut("enum") {
            words.push(Value::Null);
        }
        if let Some(word) = self.words.remove("const") {
            self = self.with("enum", json!([word, null]));
        }
        self.with("type", json!([kind, "null"]))
    }

    /// A field that must be there.
    #[must_use]
    pub fn needs(mut self, field: &'static str, schema: Self) -> Self {
        let required = self.words.entry("required").or_insert_with(|| json!([]));
        if let Value::Array(fields) = required {
            fields.push(json!(field));
        }
        self.may(field, schema)
    }

    /// A field of an answer, which is always there.
    #[must_use]
    pub fn has(self, field: &'static str, schema: Self) -> Self {
        self.needs(field, schema)
    }

    /// A field that may be there.
    #[must_use]
    pub fn may(mut self, field: &'static str, schema: Self) -> Self {
        let schema = self.take(schema);
        if let Some(Value::Object(fields)) = self.words.get_mut("properties") {
            fields.insert(field.to_owned(), schema);
        }
        self
    }

    /// A field that may be there, or be null, which is the same.
    #[must_use]
    pub fn may_be(self, field: &'static str, schema: Self) -> Self {
        self.may(field, schema.or_null())
    }

    /// Stands under this name in a document, and is referred to by it. One name is one schema.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        let Self { words, mut named } = self;
        named.insert(name, Value::Object(words));
        let reference = json!(format!("{NAMED}{name}"));
        Self {
            words: Map::from_iter([("$ref".to_owned(), reference)]),
            named,
        }
    }

    /// The schema, and those that it refers to by their names.
    pub fn into_parts(self) -> (Value, BTreeMap<&'static str, Value>) {
        (Value::Object(self.words), self.named)
    }

    fn of(kind: &str) -> Self {
        Self::any().with("type", json!(kind))
    }

    /// One more keyword, which replaces what it said before.
    #[must_use]
    pub fn with(mut self, keyword: &str, value: Value) -> Self {
        self.words.insert(keyword.to_owned(), value);
        self
    }

    /// Takes the names of another over.
    fn take(&mut self, other: Self) -> Value {
        self.named.extend(other.named);
        Value::Object(other.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_one_more_type_or_one_more_form() {
        let (text, _) = Schema::chars(0..=3).or_null().into_parts();
        assert_eq!(
            text,
            json!({"type": ["string", "null"], "minLength": 0, "maxLength": 3})
        );
        let (words, _) = Schema::words(["a", "b"]).or_null().into_parts();
        assert_eq!(
            words,
            json!({"type": ["string", "null"], "enum": ["a", "b", null]})
        );
        let (reference, _) = Schema::text().named("Text").or_null().into_parts();
        assert_eq!(
            reference,
            json!({"anyOf": [{"$ref": "#/components/schemas/Text"}, {"type": "null"}]})
        );
    }

    #[test]
    fn what_has_a_name_comes_along() {
        let inner = Schema::object()
            .needs("a", Schema::boolean())
            .named("Inner");
        let (outer, named) = Schema::list(inner).named("Outer").into_parts();
        assert_eq!(outer, json!({"$ref": "#/components/schemas/Outer"}));
        assert_eq!(
            named.keys().copied().collect::<Vec<_>>(),
            ["Inner", "Outer"]
        );
        assert_eq!(named["Inner"]["required"], json!(["a"]));
    }
}
