//! The input of a tool, read strictly: what is wrong is told to the model, with what is expected.

use serde_json::{Map, Value};

use crate::Tool;

/// What is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InputProblem {
    #[error("the input is {found} and not an object")]
    NotAnObject { found: &'static str },
    #[error("`{field}` is missing")]
    Missing { field: &'static str },
    #[error("`{field}` is {found} and not {expected}")]
    WrongType {
        field: &'static str,
        found: &'static str,
        expected: &'static str,
    },
    #[error("there is no field {0:?}")]
    Unknown(String),
    #[error("`{field}` is empty")]
    Empty { field: &'static str },
    #[error("`{field}` has {found} bytes, and {most} is the most")]
    TooLong {
        field: &'static str,
        found: usize,
        most: usize,
    },
    #[error("`{field}` holds a NUL byte")]
    Nul { field: &'static str },
    #[error("`{field}` is {found}; it is from {least} to {most}")]
    OutOfRange {
        field: &'static str,
        found: i64,
        least: i64,
        most: i64,
    },
    #[error("`view_range` has {0} entries; it is [first line, last line]")]
    Range(usize),
    #[error("`{0}` stands beside `{1}`; give one of the two")]
    Exclusive(&'static str, &'static str),
    #[error("`old_string` and `new_string` are the same")]
    NothingToChange,
}

/// The fields of an input that were not taken yet.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn new(input: Value) -> Result<Self, InputProblem> {
        match input {
            Value::Object(fields) => Ok(Self(fields)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err(InputProblem::NotAnObject {
                found: kind(&input),
            }),
        }
    }

    /// A field that is absent or null is absent.
    fn take(&mut self, field: &str) -> Option<Value> {
        self.0.remove(field).filter(|value| !value.is_null())
    }

    pub(crate) fn optional_text(
        &mut self,
        field: &'static str,
        most: usize,
    ) -> Result<Option<String>, InputProblem> {
        let text = match self.take(field) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(other) => return Err(wrong(field, &other, "a string")),
        };
        let found = text.len();
        if found > most {
            return Err(InputProblem::TooLong { field, found, most });
        }
        Ok(Some(text))
    }

    pub(crate) fn text(
        &mut self,
        field: &'static str,
        most: usize,
    ) -> Result<String, InputProblem> {
        let text = self.optional_text(field, most)?;
        text.ok_or(InputProblem::Missing { field })
    }

    /// A path or a pattern: not empty, and without a NUL byte.
    pub(crate) fn optional_path(
        &mut self,
        field: &'static str,
    ) -> Result<Option<String>, InputProblem> {
        let path = self.optional_text(field, bailiwick_model::limits::TOOL_PATH_BYTES)?;
        match path {
            Some(path) if path.is_empty() => Err(InputProblem::Empty { field }),
            Some(path) if path.contains('\0') => Err(InputProblem::Nul { field }),
            other => Ok(other),
        }
    }

    pub(crate) fn path(&mut self, field: &'static str) -> Result<String, InputProblem> {
        let path = self.optional_path(field)?;
        path.ok_or(InputProblem::Missing { field })
    }

    /// False where it is absent.
    pub(crate) fn flag(&mut self, field: &'static str) -> Result<bool, InputProblem> {
        match self.take(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(wrong(field, &other, "true or false")),
        }
    }

    pub(crate) fn optional_number(
        &mut self,
        field: &'static str,
    ) -> Result<Option<i64>, InputProblem> {
        self.take(field)
            .map(|value| whole(field, &value))
            .transpose()
    }

    /// Two whole numbers.
    pub(crate) fn optional_range(
        &mut self,
        field: &'static str,
    ) -> Result<Option<[i64; 2]>, InputProblem> {
        let numbers = match self.take(field) {
            None => return Ok(None),
            Some(Value::Array(numbers)) => numbers,
            Some(other) => return Err(wrong(field, &other, "an array of two whole numbers")),
        };
        match numbers.as_slice() {
            [first, last] => Ok(Some([whole(field, first)?, whole(field, last)?])),
            other => Err(InputProblem::Range(other.len())),
        }
    }

    /// Nothing may be left.
    pub(crate) fn done(self) -> Result<(), InputProblem> {
        match self.0.into_iter().next() {
            Some((field, _)) => Err(InputProblem::Unknown(field.chars().take(64).collect())),
            None => Ok(()),
        }
    }
}

fn whole(field: &'static str, value: &Value) -> Result<i64, InputProblem> {
    value
        .as_i64()
        .ok_or_else(|| wrong(field, value, "a whole number"))
}

fn wrong(field: &'static str, found: &Value, expected: &'static str) -> InputProblem {
    InputProblem::WrongType {
        field,
        found: kind(found),
        expected,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The problem as the model is told of it.
pub(crate) fn explain(tool: Tool, problem: &InputProblem) -> String {
    format!("{}: {problem}. It takes {}.", tool.name(), tool.shape())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(input: Value) -> String {
        let read = || {
            let mut fields = Fields::new(input)?;
            fields.optional_text("command", 5)?;
            fields.flag("restart")?;
            fields.optional_number("timeout_ms")?;
            fields.optional_range("view_range")?;
            fields.done()
        };
        read().map_or_else(|problem| problem.to_string(), |()| "good".to_owned())
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_expected() {
        assert_eq!(
            problem(json!({"command": "ls", "restart": null, "view_range": [1, -1]})),
            "good"
        );
        insta::assert_snapshot!(problem(json!([])), @"the input is an array and not an object");
        insta::assert_snapshot!(problem(json!({"command": 5})), @"`command` is a number and not a string");
        insta::assert_snapshot!(problem(json!({"restart": "yes"})), @"`restart` is a string and not true or false");
        insta::assert_snapshot!(problem(json!({"timeout_ms": 1.5})), @"`timeout_ms` is a number and not a whole number");
        insta::assert_snapshot!(problem(json!({"view_range": [1]})), @"`view_range` has 1 entries; it is [first line, last line]");
        insta::assert_snapshot!(problem(json!({"comand": "ls"})), @r#"there is no field "comand""#);
        insta::assert_snapshot!(problem(json!({"command": "longer"})), @"`command` has 6 bytes, and 5 is the most");
    }
}
