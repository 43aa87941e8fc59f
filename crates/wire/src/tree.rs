//! YAML text as a small tree in which everything knows where it stands.
//!
//! Only the plain part of YAML is taken: maps with text keys, lists, and scalars of the core schema (YAML 1.2.2 section
//! 10.3). What makes one text mean something elsewhere (anchors, aliases, merge keys, tags, directives, a second
//! document) is refused, so that a file cannot grow beyond its own bytes and a reader sees what is in force.
//! JSON is YAML, and taken as such.

use std::collections::HashMap;
use std::ops::Range;

use bailiwick_model::limits::{
    ENVIRONMENT_FILE_BYTES, ENVIRONMENT_FILE_DEPTH, ENVIRONMENT_FILE_NODES,
};
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle};

use crate::problem::{Cause, Problem};

/// A range of bytes in the source.
pub(crate) type Span = Range<usize>;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// One node of the tree.
pub(crate) type Node = Located<Value>;

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    /// Anything else that is a scalar.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the source; each key once.
    Map(Vec<(Located<String>, Node)>),
    /// Something that was refused already: whoever finds it says nothing more.
    Refused,
}

/// Reads one document. The node is missing where nothing useful could be read; then there is at least one problem.
pub(crate) fn read(text: &str) -> (Option<Node>, Vec<Problem>) {
    let (roots, problems) = read_documents(text, ENVIRONMENT_FILE_DEPTH, 1);
    (roots.into_iter().next(), problems)
}

/// Reads all documents but the empty ones. If there is none, there is at least one problem.
pub(crate) fn read_all(text: &str, depth: usize) -> (Vec<Node>, Vec<Problem>) {
    let (mut roots, mut problems) = read_documents(text, depth, usize::MAX);
    roots.retain(|root| root.value != Value::Null);
    if roots.is_empty() && problems.is_empty() {
        problems.push(Problem::new(Cause::NothingThere, 0..0));
    }
    (roots, problems)
}

fn read_documents(text: &str, depth: usize, most_documents: usize) -> (Vec<Node>, Vec<Problem>) {
    if text.len() > ENVIRONMENT_FILE_BYTES {
        let problem = Problem::new(Cause::TooLarge(text.len()), 0..0);
        return (Vec::new(), vec![problem]);
    }
    let mut builder = Builder {
        text,
        depth,
        open: Vec::new(),
        roots: Vec::new(),
        nodes: 0,
        problems: Vec::new(),
    };
    let options = granit_parser::options! { emit_unresolved_aliases: true, emit_anchor_events: true, disallow_directives: true };
    let mut documents = 0;
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match next {
            Ok((event, span)) => (event, span.byte_range().unwrap_or(0..0)),
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
                let too_deep = matches!(error.kind(), ErrorKind::RecursionLimitExceeded);
                let cause = if too_deep {
                    Cause::TooDeep(depth)
                } else {
                    Cause::Syntax(error.info())
                };
                builder.problems.push(Problem::new(cause, at..at));
                return (Vec::new(), builder.problems);
            }
        };
        if matches!(event, Event::DocumentStart(..)) {
            documents += 1;
            if documents > most_documents {
                builder
                    .problems
                    .push(Problem::new(Cause::SeveralDocuments, span));
                break;
            }
        } else if builder.take(event, span).is_err() {
            return (Vec::new(), builder.problems);
        }
    }
    if builder.roots.is_empty() && builder.problems.is_empty() {
        builder
            .problems
            .push(Problem::new(Cause::NothingThere, 0..0));
    }
    (builder.roots, builder.problems)
}

/// A bound was passed; the problem is recorded and reading ends.
struct Exhausted;

/// A list or map whose end has not been read yet.
enum Open {
    List {
        start: usize,
        items: Vec<Node>,
    },
    Map {
        start: usize,
        entries: Vec<(Located<String>, Node)>,
        seen: HashMap<String, Span>,
        key: Key,
    },
}

/// What the next value in a map belongs to.
enum Key {
    /// The next node is a key.
    Expected,
    /// The next node is the value of this key.
    Text(Located<String>),
    /// The next node is the value of a key that was refused.
    Refused,
}

struct Builder<'a> {
    text: &'a str,
    /// Maps and lists inside one another.
    depth: usize,
    open: Vec<Open>,
    /// One of each document.
    roots: Vec<Node>,
    nodes: usize,
    problems: Vec<Problem>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Exhausted> {
        match event {
            Event::Scalar(text, style, _, tag) => {
                let value = self.tagged(tag.is_some(), &span, scalar(&text, style));
                self.place(Located { value, span })
            }
            Event::SequenceStart(_, _, tag) => {
                self.tagged(tag.is_some(), &span, Value::Null);
                self.enter(
                    Open::List {
                        start: span.start,
                        items: Vec::new(),
                    },
                    span,
                )
            }
            Event::MappingStart(_, _, tag) => {
                self.tagged(tag.is_some(), &span, Value::Null);
                let (entries, seen) = (Vec::new(), HashMap::new());
                self.enter(
                    Open::Map {
                        start: span.start,
                        entries,
                        seen,
                        key: Key::Expected,
                    },
                    span,
                )
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { start, items }) => self.place(Located {
                    value: Value::List(items),
                    span: start..span.end,
                }),
                Some(Open::Map { start, entries, .. }) => self.place(Located {
                    value: Value::Map(entries),
                    span: start..span.end,
                }),
                None => Ok(()),
            },
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let name = self.text.get(span.clone()).unwrap_or("*").to_owned();
                self.problems
                    .push(Problem::new(Cause::Alias(name), span.clone()));
                self.place(Located {
                    value: Value::Refused,
                    span,
                })
            }
            Event::Anchor(_, name) => {
                self.problems
                    .push(Problem::new(Cause::Anchor(name.into_owned()), span));
                Ok(())
            }
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd => Ok(()),
            // The enum is not ours and is open. What nobody knows is not passed over.
            _ => {
                let cause = Cause::Syntax("an event that is not known".to_owned());
                self.problems.push(Problem::new(cause, span));
                Err(Exhausted)
            }
        }
    }

    fn tagged(&mut self, tagged: bool, span: &Span, value: Value) -> Value {
        if !tagged {
            return value;
        }
        self.problems.push(Problem::new(Cause::Tag, span.clone()));
        Value::Refused
    }

    fn enter(&mut self, open: Open, span: Span) -> Result<(), Exhausted> {
        if self.open.len() >= self.depth {
            self.problems
                .push(Problem::new(Cause::TooDeep(self.depth), span));
            return Err(Exhausted);
        }
        self.open.push(open);
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, node: Node) -> Result<(), Exhausted> {
        self.nodes += 1;
        if self.nodes > ENVIRONMENT_FILE_NODES {
            self.problems
                .push(Problem::new(Cause::TooManyNodes, node.span));
            return Err(Exhausted);
        }
        match self.open.last_mut() {
            None => self.roots.push(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map {
                entries, seen, key, ..
            }) => match std::mem::replace(key, Key::Expected) {
                Key::Expected => *key = accept_key(node, seen, &mut self.problems),
                Key::Text(key) => entries.push((key, node)),
                Key::Refused => {}
            },
        }
        Ok(())
    }
}

fn accept_key(node: Node, seen: &mut HashMap<String, Span>, problems: &mut Vec<Problem>) -> Key {
    let span = node.span;
    let text = match node.value {
        Value::Text(text) if text == "<<" => {
            problems.push(Problem::new(Cause::MergeKey, span));
            return Key::Refused;
        }
        Value::Text(text) => text,
        Value::Refused => return Key::Refused,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
            problems.push(Problem::new(Cause::KeyNotText, span));
            return Key::Refused;
        }
    };
    match seen.get(&text) {
        Some(first) => {
            problems.push(Problem::new(Cause::DuplicateKey(text), span).with_first(first.clone()));
            Key::Refused
        }
        None => {
            seen.insert(text.clone(), span.clone());
            Key::Text(Located { value: text, span })
        }
    }
}

/// The core schema: only a plain scalar can be something else than text.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if !matches!(style, ScalarStyle::Plain) {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if is_number(text) => Value::Number(text.to_owned()),
        _ => Value::Text(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['-', '+']);
    let radix = |prefix, radix| {
        text.strip_prefix(prefix).is_some_and(|digits: &str| {
            !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix))
        })
    };
    let special = matches!(
        unsigned,
        ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN"
    );
    let decimal = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text.parse::<f64>().is_ok();
    special || decimal || radix("0x", 16) || radix("0o", 8)
}
