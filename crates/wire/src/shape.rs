//! From tree nodes to fields of the right form; what does not fit becomes a problem and reading goes on.

use bailiwick_model::PackageManager;

use crate::draft::{Field, PackageDraft, Texts};
use crate::problem::{Cause, Form, PackagePlace, Problem};
use crate::tree::{Located, Node, Span, Value};
use crate::validate::only;

/// What a server adds to an environment that it returns; people paste these.
const SERVER_FIELDS: &[&str] = &[
    "id",
    "type",
    "archived_at",
    "created_at",
    "updated_at",
    "state",
];

/// How alike a field that does not exist must be to a known one, from 0 to 1, to be taken for a slip.
const ALIKE: f64 = 0.8;

/// Collects the problems of one document while its fields are taken.
pub(crate) struct Reader<'p> {
    problems: &'p mut Vec<Problem>,
}

/// The entries of one map; those that nobody asks for are unknown.
pub(crate) struct Fields {
    entries: Vec<(Located<String>, Node)>,
    known: Vec<&'static str>,
}

impl Fields {
    /// Where the value of a field stands that is there and was not taken.
    pub(crate) fn place(&self, name: &str) -> Option<Span> {
        let (_, node) = self.entries.iter().find(|(key, _)| key.value == name)?;
        Some(node.span.clone())
    }

    /// Takes a field away unread; where it stood.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Span> {
        let index = self.entries.iter().position(|(key, _)| key.value == name)?;
        Some(self.entries.remove(index).1.span)
    }

    /// Says nothing about what was not taken: which fields there are is not known.
    pub(crate) fn ignore_rest(&mut self) {
        self.entries.clear();
    }
}

impl<'p> Reader<'p> {
    pub(crate) fn new(problems: &'p mut Vec<Problem>) -> Self {
        Self { problems }
    }

    /// Reports what is wrong with a field.
    pub(crate) fn refuse(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reports a word that is not one of `known`.
    pub(crate) fn one_of(
        &mut self,
        word: &Located<String>,
        what: &'static str,
        known: &[&'static str],
    ) {
        only(word, what, known, self.problems);
    }

    /// Reads a map by taking its fields; those that `read` asks for are the known ones.
    pub(crate) fn map<T>(
        &mut self,
        node: Node,
        place: &'static str,
        read: impl FnOnce(&mut Self, &mut Fields) -> T,
    ) -> Option<T> {
        let Value::Map(entries) = node.value else {
            return self.wrong_form(place.to_owned(), Form::Map, &node);
        };
        let mut fields = Fields {
            entries,
            known: Vec::new(),
        };
        let value = read(self, &mut fields);
        for (key, _) in fields.entries {
            self.unknown_field(place, key, &fields.known);
        }
        Some(value)
    }

    /// The entries of a map, for whoever reads them in another way.
    pub(crate) fn entries(
        &mut self,
        place: &'static str,
        node: Node,
    ) -> Option<Vec<(Located<String>, Node)>> {
        let Value::Map(entries) = node.value else {
            return self.wrong_form(place.to_owned(), Form::Map, &node);
        };
        Some(entries)
    }

    /// Takes one field out of a map and reads it with `read`, which reports what it refuses.
    pub(crate) fn field<T>(
        &mut self,
        fields: &mut Fields,
        name: &'static str,
        read: impl FnOnce(&mut Self, &'static str, Node) -> Option<T>,
    ) -> Field<T> {
        fields.known.push(name);
        let Some(index) = fields.entries.iter().position(|(key, _)| key.value == name) else {
            return Field::Absent;
        };
        let (_, node) = fields.entries.remove(index);
        if node.value == Value::Null {
            return Field::Null;
        }
        let span = node.span.clone();
        match read(self, name, node) {
            Some(value) => Field::Set(Located { value, span }),
            None => Field::Refused,
        }
    }

    pub(crate) fn text(&mut self, name: &'static str, node: Node) -> Option<String> {
        let Value::Text(text) = node.value else {
            return self.wrong_form(format!("`{name}`"), Form::Text, &node);
        };
        Some(text)
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "every reader has the same form"
    )]
    pub(crate) fn boolean(&mut self, name: &'static str, node: Node) -> Option<bool> {
        let Located {
            value: Value::Bool(value),
            ..
        } = node
        else {
            return self.wrong_form(format!("`{name}`"), Form::Bool, &node);
        };
        Some(value)
    }

    /// A list of texts. An entry that is none is reported and left out.
    pub(crate) fn texts(&mut self, name: &'static str, node: Node) -> Option<Texts> {
        self.list(name, node, |reader, _, item| {
            let Value::Text(text) = item.value else {
                return reader.wrong_form(format!("an entry of `{name}`"), Form::Text, &item);
            };
            Some(Located {
                value: text,
                span: item.span,
            })
        })
    }

    /// A list of texts, each with its position. An entry that is none is reported and left out.
    pub(crate) fn numbered_texts(
        &mut self,
        name: &'static str,
        node: Node,
    ) -> Option<Vec<(usize, Located<String>)>> {
        self.list(name, node, |reader, index, item| {
            let Value::Text(value) = item.value else {
                return reader.wrong_form(format!("`{name}[{index}]`"), Form::Text, &item);
            };
            let span = item.span;
            Some((index, Located { value, span }))
        })
    }

    /// The packages of one manager. An entry that is no text is reported and left out.
    pub(crate) fn packages(
        &mut self,
        manager: PackageManager,
        node: Node,
    ) -> Option<Vec<PackageDraft>> {
        self.list(manager.name(), node, |reader, index, item| {
            let place = PackagePlace { manager, index };
            let Value::Text(text) = item.value else {
                return reader.wrong_form(format!("`{place}`"), Form::Text, &item);
            };
            let text = Located {
                value: text,
                span: item.span,
            };
            Some(PackageDraft { place, text })
        })
    }

    /// A list of port numbers. An entry that is none is reported and left out.
    pub(crate) fn ports(&mut self, name: &'static str, node: Node) -> Option<Vec<Located<u16>>> {
        self.list(name, node, |reader, _, item| {
            let port = if let Value::Number(digits) = &item.value {
                digits.parse().ok()
            } else {
                None
            };
            let Some(value) = port.filter(|port| *port > 0) else {
                return reader.wrong_form(format!("an entry of `{name}`"), Form::Port, &item);
            };
            Some(Located {
                value,
                span: item.span,
            })
        })
    }

    /// A map from text to text.
    pub(crate) fn pairs(
        &mut self,
        name: &'static str,
        node: Node,
    ) -> Option<Vec<(Located<String>, Located<String>)>> {
        let Value::Map(entries) = node.value else {
            return self.wrong_form(format!("`{name}`"), Form::Map, &node);
        };
        let pairs = entries.into_iter().filter_map(|(key, value)| {
            let span = value.span.clone();
            let Value::Text(text) = value.value else {
                return self.wrong_form(format!("a value of `{name}`"), Form::Text, &value);
            };
            Some((key, Located { value: text, span }))
        });
        Some(pairs.collect())
    }

    fn list<T>(
        &mut self,
        name: &'static str,
        node: Node,
        mut item: impl FnMut(&mut Self, usize, Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Value::List(items) = node.value else {
            return self.wrong_form(format!("`{name}`"), Form::List, &node);
        };
        Some(
            items
                .into_iter()
                .enumerate()
                .filter_map(|(index, node)| item(self, index, node))
                .collect(),
        )
    }

    fn wrong_form<T>(&mut self, field: String, wanted: Form, node: &Node) -> Option<T> {
        if let Some(found) = Form::of(&node.value) {
            self.problems.push(Problem::new(
                Cause::WrongForm {
                    field,
                    wanted,
                    found,
                },
                node.span.clone(),
            ));
        }
        None
    }

    fn unknown_field(&mut self, place: &'static str, key: Located<String>, known: &[&'static str]) {
        let field = key.value;
        let cause = if SERVER_FIELDS.contains(&field.as_str()) {
            Cause::ServerField(field)
        } else {
            Cause::UnknownField {
                place,
                meant: closest(&field, known),
                field,
                known: known.to_vec(),
            }
        };
        self.problems.push(Problem::new(cause, key.span));
    }
}

/// The known word that `word` is most likely a slip for.
pub(crate) fn closest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    // A very long word is no slip, and comparing costs its length.
    let word = (word.len() <= 64).then(|| word.to_lowercase().replace('-', "_"))?;
    let likeness = |candidate: &str| strsim::jaro_winkler(&word, candidate);
    let best = known
        .iter()
        .copied()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= ALIKE).then_some(best)
}
