//! What commands read for a server: objects, declarations and secrets, of files or standard input.

use std::io::Read as _;
use std::path::Path;

use bailiwick_model::limits::{ENVIRONMENT_FILE_BYTES, SECRET_FILE_BYTES};
use bailiwick_wire::{
    Declaration, DefaultKind, EnvironmentFileErrors, parse_declarations, parse_object,
};
use serde_json::{Map, Value};

use crate::bad_input::{BadInput, read_text};
use crate::host_environment::HostEnvironment;
use crate::output;

/// Standard input, as a file's name.
pub(crate) const STDIN: &str = "-";

/// Reads a text of at most `limit` bytes; `-` is standard input.
pub(crate) fn text(path: &Path, limit: usize) -> Result<String, BadInput> {
    if path != Path::new(STDIN) {
        return read_text(path, limit);
    }
    let unreadable = |source| BadInput::Unreadable {
        path: name(path).into(),
        source,
    };
    let mut bytes = Vec::new();
    let stdin = std::io::stdin().lock();
    stdin
        .take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > limit {
        let path = name(path).into();
        return Err(BadInput::TooLarge { path, limit });
    }
    String::from_utf8(bytes).map_err(|_| BadInput::NotText(name(path).into()))
}

/// What errors call a file.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new(STDIN) {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

/// The body of a request, written as YAML or JSON.
pub(crate) fn object(path: &Path) -> Result<Map<String, Value>, BadInput> {
    let text = text(path, ENVIRONMENT_FILE_BYTES)?;
    Ok(parse_object(&name(path), &text)?)
}

/// The body of a request that holds a secret: what is wrong with it is told without showing it.
pub(crate) fn secret_object(path: &Path) -> Result<Map<String, Value>, BadInput> {
    let text = text(path, ENVIRONMENT_FILE_BYTES)?;
    parse_object(&name(path), &text).map_err(|errors| BadInput::SecretFile {
        path: name(path).into(),
        places: places(&errors),
    })
}

fn places(errors: &EnvironmentFileErrors) -> String {
    let place = |(position, problem): (bailiwick_wire::Position, &bailiwick_wire::Problem)| {
        let bailiwick_wire::Position { line, column } = position;
        format!("{line}:{column} [{}]", problem.cause().code())
    };
    errors.problems().map(place).collect::<Vec<_>>().join(", ")
}

/// A secret: a whole file, but for the end of its last line.
pub(crate) fn secret(path: &Path) -> Result<String, BadInput> {
    let mut text = text(path, SECRET_FILE_BYTES)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(BadInput::NoSecret(name(path).into()));
    }
    Ok(text)
}

/// The documents of a file, whose warnings are printed.
pub(crate) fn declarations(
    path: &Path,
    default: DefaultKind,
    host: &HostEnvironment,
) -> Result<Vec<Declaration>, BadInput> {
    let text = text(path, ENVIRONMENT_FILE_BYTES)?;
    let read = parse_declarations(&name(path), &text, default)?;
    if let Some(warnings) = &read.warnings {
        output::print_diagnostic(warnings, host);
    }
    Ok(read.list)
}
