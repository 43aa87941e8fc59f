//! Names that people give.

use bailiwick_model::limits::{EMAIL_BYTES, NAME_CHARS};
use bailiwick_wire::FieldProblem;

use crate::error::ControlError;

/// A problem with one field.
pub(crate) fn problem(field: &str, code: &'static str, message: &str, help: &str) -> ControlError {
    ControlError::Invalid(vec![FieldProblem {
        field: field.to_owned(),
        code,
        message: message.to_owned(),
        help: help.to_owned(),
    }])
}

/// A name, trimmed. A character that cannot be seen is refused at its ends too.
pub(crate) fn name(text: &str) -> Result<String, ControlError> {
    let name = text.trim();
    let fits =
        (1..=NAME_CHARS).contains(&name.chars().count()) && !text.chars().any(char::is_control);
    if fits {
        return Ok(name.to_owned());
    }
    let message = format!("a name has 1 to {NAME_CHARS} characters, and no control characters");
    Err(problem(
        "name",
        "invalid_name",
        &message,
        "choose another one",
    ))
}

/// An address of mail: something, an `@`, something. Whether it exists only a mail can tell.
pub(crate) fn email(text: &str) -> Result<String, ControlError> {
    let email = text.trim();
    let plain = |c: char| !c.is_control() && !c.is_whitespace();
    let fits = email.len() <= EMAIL_BYTES
        && email.chars().all(plain)
        && email
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if fits {
        return Ok(email.to_owned());
    }
    let message = format!("an address is NAME@DOMAIN of at most {EMAIL_BYTES} bytes");
    Err(problem(
        "email",
        "invalid_email",
        &message,
        "write one address",
    ))
}
