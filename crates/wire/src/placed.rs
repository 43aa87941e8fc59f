//! A map of the tree as JSON, for what reads JSON; what that finds wrong gets its place in the source back.

use std::collections::HashMap;

use serde_json::{Map, Number, Value as Json};

use crate::json::{FieldProblem, join};
use crate::problem::{Cause, Problem};
use crate::tree::{Located, Node, Span, Value};

/// JSON, and where everything in it was written.
pub(crate) struct Placed {
    pub(crate) json: Map<String, Json>,
    places: HashMap<String, Place>,
    whole: Span,
}

struct Place {
    key: Span,
    value: Span,
}

impl Placed {
    /// Nothing if something was refused already, or cannot be written as JSON.
    pub(crate) fn of(
        entries: &[(Located<String>, Node)],
        whole: Span,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let mut placed = Self {
            json: Map::new(),
            places: HashMap::new(),
            whole,
        };
        placed.json = placed.entries(entries, "", problems)?;
        Some(placed)
    }

    /// A problem with one field, at its place. What is missing has none: there it is what it is missing in.
    pub(crate) fn located(&self, problem: FieldProblem) -> Problem {
        let span = match self.places.get(&problem.field) {
            Some(place) if problem.code == "unknown_field" => place.key.clone(),
            Some(place) => place.value.clone(),
            None => {
                let around = self.around(&problem.field);
                around.start..around.start
            }
        };
        Problem::new(Cause::Field(problem), span)
    }

    fn around(&self, path: &str) -> Span {
        let mut path = path;
        while let Some(end) = path.rfind(['.', '[']) {
            path = &path[..end];
            if let Some(place) = self.places.get(path) {
                return place.value.clone();
            }
        }
        self.whole.clone()
    }

    fn entries(
        &mut self,
        entries: &[(Located<String>, Node)],
        path: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<Map<String, Json>> {
        let mut map = Map::new();
        let mut complete = true;
        for (key, node) in entries {
            let path = join(path, &key.value);
            match self.node(node, &path, problems) {
                Some(value) => {
                    map.insert(key.value.clone(), value);
                }
                None => complete = false,
            }
            let place = Place {
                key: key.span.clone(),
                value: node.span.clone(),
            };
            self.places.insert(path, place);
        }
        complete.then_some(map)
    }

    fn node(&mut self, node: &Node, path: &str, problems: &mut Vec<Problem>) -> Option<Json> {
        Some(match &node.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Text(text) => Json::String(text.clone()),
            Value::Number(text) => {
                let number = number(text);
                if number.is_none() {
                    let cause = Cause::NotANumberOfJson(text.clone());
                    problems.push(Problem::new(cause, node.span.clone()));
                }
                Json::Number(number?)
            }
            Value::List(items) => {
                let item = |(index, item): (usize, &Node)| {
                    let path = format!("{path}[{index}]");
                    let value = self.node(item, &path, problems);
                    let place = Place {
                        key: item.span.clone(),
                        value: item.span.clone(),
                    };
                    self.places.insert(path, place);
                    value
                };
                let items: Vec<_> = items.iter().enumerate().map(item).collect();
                Json::Array(items.into_iter().collect::<Option<_>>()?)
            }
            Value::Map(entries) => Json::Object(self.entries(entries, path, problems)?),
            Value::Refused => return None,
        })
    }
}

/// Numbers of the core schema (YAML 1.2.2, section 10.3.2) as JSON has them: nothing infinite.
fn number(text: &str) -> Option<Number> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let radix = |prefix, radix| {
        let digits = unsigned.strip_prefix(prefix)?;
        i64::from_str_radix(digits, radix).ok()
    };
    let whole = radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .or_else(|| unsigned.parse::<i64>().ok());
    match whole {
        Some(whole) if negative => Some((-whole).into()),
        Some(whole) => Some(whole.into()),
        None if !negative && unsigned.parse::<u64>().is_ok() => {
            unsigned.parse::<u64>().ok().map(Number::from)
        }
        None => {
            let number: f64 = unsigned.parse().ok()?;
            Number::from_f64(if negative { -number } else { number })
        }
    }
}
