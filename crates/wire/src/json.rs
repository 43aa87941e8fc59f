//! JSON values as the tree that shapes are read from. A place in it is the number of a path instead of a range of bytes.

use bailiwick_model::limits::{ENVIRONMENT_FILE_DEPTH, ENVIRONMENT_FILE_NODES};
use serde_json::{Map, Value as Json};

use crate::problem::{Cause, Problem};
use crate::tree::{Located, Node, Span, Value};

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldProblem {
    /// The field, such as `config.networking.allowed_hosts[2]`.
    pub field: String,
    /// A stable word for a program.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// A request's body, and the path of everything in it.
pub(crate) struct Body {
    pub(crate) root: Node,
    paths: Vec<String>,
}

impl Body {
    /// Takes a body apart.
    ///
    /// # Errors
    ///
    /// It is nested too deep, or holds too much.
    pub(crate) fn of(map: &Map<String, Json>) -> Result<Self, FieldProblem> {
        let mut body = Self {
            root: Located {
                value: Value::Null,
                span: 0..1,
            },
            paths: vec![String::new()],
        };
        let entries = body
            .entries(map, "", 1)
            .map_err(|cause| body.told(&Problem::new(cause, 0..1)))?;
        body.root.value = Value::Map(entries);
        Ok(body)
    }

    /// A problem with the path of its field.
    pub(crate) fn told(&self, problem: &Problem) -> FieldProblem {
        let mut field = self
            .paths
            .get(problem.span().start)
            .cloned()
            .unwrap_or_default();
        if let Cause::MissingField { field: missing, .. } = problem.cause() {
            field = join(&field, missing);
        }
        FieldProblem {
            field,
            code: problem.cause().code(),
            message: problem.to_string(),
            help: problem.cause().help(),
        }
    }

    fn place(&mut self, path: String) -> Span {
        self.paths.push(path);
        self.paths.len() - 1..self.paths.len()
    }

    fn entries(
        &mut self,
        map: &Map<String, Json>,
        path: &str,
        depth: usize,
    ) -> Result<Vec<(Located<String>, Node)>, Cause> {
        map.iter()
            .map(|(key, value)| {
                let path = join(path, key);
                let span = self.place(path.clone());
                Ok((
                    Located {
                        value: key.clone(),
                        span,
                    },
                    self.node(value, path, depth + 1)?,
                ))
            })
            .collect()
    }

    fn node(&mut self, json: &Json, path: String, depth: usize) -> Result<Node, Cause> {
        if depth > ENVIRONMENT_FILE_DEPTH {
            return Err(Cause::TooDeep(ENVIRONMENT_FILE_DEPTH));
        }
        if self.paths.len() > ENVIRONMENT_FILE_NODES {
            return Err(Cause::TooManyNodes);
        }
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(number.to_string()),
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(items) => {
                let item = |(index, item): (usize, &Json)| {
                    self.node(item, format!("{path}[{index}]"), depth + 1)
                };
                Value::List(
                    items
                        .iter()
                        .enumerate()
                        .map(item)
                        .collect::<Result<_, _>>()?,
                )
            }
            Json::Object(map) => Value::Map(self.entries(map, &path, depth)?),
        };
        let span = self.place(path);
        Ok(Located { value, span })
    }
}

pub(crate) fn join(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}
