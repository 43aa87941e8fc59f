//! Bodies and parameters.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bailiwick_control::ControlError;
use bailiwick_model::ResourceId;
use bailiwick_model::limits::JSON_VALUES;
use bailiwick_wire::FieldProblem;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// A JSON object. No body at all is an empty one: SDKs send none with verbs that take nothing.
pub(crate) struct JsonObject(pub(crate) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let arriving = tokio::time::timeout(PATIENCE, Bytes::from_request(request, state));
        let bytes = arriving.await.map_err(|_| Failure::Slow)?;
        let bytes = bytes.map_err(|rejection| refused(&rejection))?;
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        if has_more_values(&bytes, JSON_VALUES) {
            let words = format!("it has more than {JSON_VALUES} values");
            return Err(Failure::NotJson(words));
        }
        let map: Map<String, Value> =
            serde_json::from_slice(&bytes).map_err(|error| Failure::NotJson(error.to_string()))?;
        match nul_in(&map, "") {
            Some(field) => Err(ControlError::Invalid(vec![nul(field)]).into()),
            None => Ok(Self(map)),
        }
    }
}

/// Whether JSON has more keys and values than that: two bytes of it can become 32 of memory.
fn has_more_values(json: &[u8], most: usize) -> bool {
    // Each begins after one of these, but for the first.
    let begins = |byte: u8| matches!(byte, b',' | b':' | b'[' | b'{');
    let (mut count, mut in_text, mut is_escaped) = (1, false, false);
    for byte in json {
        if in_text {
            in_text = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
        } else if *byte == b'"' {
            in_text = true;
        } else {
            count += usize::from(begins(*byte));
        }
    }
    count > most
}

/// The character that a text of PostgreSQL cannot hold, and that means nothing in one.
const NUL: char = '\0';

fn nul(field: String) -> FieldProblem {
    FieldProblem {
        field,
        code: "nul_character",
        message: "holds the character NUL, which no text of an organization does".to_owned(),
        help: "remove it".to_owned(),
    }
}

/// The first field that holds it, or is named with it.
fn nul_in(map: &Map<String, Value>, path: &str) -> Option<String> {
    map.iter().find_map(|(key, value)| {
        let separator = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{separator}{key}");
        if key.contains(NUL) {
            return Some(path.replace(NUL, ""));
        }
        nul_at(value, path)
    })
}

fn nul_at(value: &Value, path: String) -> Option<String> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
        Value::String(text) => text.contains(NUL).then_some(path),
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| nul_at(item, format!("{path}[{index}]")))
        }
        Value::Object(map) => nul_in(map, &path),
    }
}

/// A body of a known form; fields that it does not have are refused.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let JsonObject(map) = JsonObject::from_request(request, state).await?;
        let body = serde_json::from_value(Value::Object(map));
        Ok(Self(
            body.map_err(|error| Failure::NotJson(error.to_string()))?,
        ))
    }
}

fn refused(rejection: &BytesRejection) -> Failure {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Failure::TooLarge
    } else {
        Failure::NotJson(rejection.body_text())
    }
}

/// The id in a path. What cannot be an id is the id of nothing.
pub(crate) struct IdOf<I>(pub(crate) I);

impl<S: Send + Sync, I: ResourceId> FromRequestParts<S> for IdOf<I> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let found = Path::<String>::from_request_parts(parts, state).await;
        let id = found.ok().and_then(|Path(text)| text.parse().ok());
        Ok(Self(id.ok_or(ControlError::NotFound(kind::<I>()))?))
    }
}

/// The two ids in a path, of a thing and of what is in it.
pub(crate) struct IdsOf<I, J>(pub(crate) I, pub(crate) J);

impl<S: Send + Sync, I: ResourceId, J: ResourceId> FromRequestParts<S> for IdsOf<I, J> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let found = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Ok(Path((outer, inner))) = found else {
            return Err(ControlError::NotFound(kind::<I>()).into());
        };
        let missing = |kind| move |_| ControlError::NotFound(kind);
        let outer = outer.parse().map_err(missing(kind::<I>()))?;
        Ok(Self(outer, inner.parse().map_err(missing(kind::<J>()))?))
    }
}

/// The id and the number in a path: of a thing, and of one of its revisions, which count from 1. What is no number is 0.
pub(crate) struct IdAndNumber<I>(pub(crate) I, pub(crate) i64);

impl<S: Send + Sync, I: ResourceId> FromRequestParts<S> for IdAndNumber<I> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let found = Path::<(String, String)>::from_request_parts(parts, state).await;
        let missing = || ControlError::NotFound(kind::<I>());
        let Ok(Path((id, number))) = found else {
            return Err(missing().into());
        };
        Ok(Self(
            id.parse().map_err(|_| missing())?,
            number.parse().unwrap_or(0),
        ))
    }
}

/// What the prefix of an id stands for, for people.
fn kind<I: ResourceId>() -> &'static str {
    match I::PREFIX {
        "agent_" => "agent",
        "env_" => "environment",
        "key_" => "key",
        "user_" => "member",
        "team_" => "team",
        "role_" => "role",
        "sa_" => "service account",
        "grant_" => "grant",
        "vcrd_" => "credential",
        "vlt_" => "vault",
        "file_" => "file",
        "skill_" => "skill",
        "sesn_" => "session",
        "sesrsc_" => "session resource",
        "sthr_" => "session thread",
        "work_" => "work item",
        _ => "resource",
    }
}

/// The parameters of a query.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Failure::Parameter {
                field: "query",
                message: rejection.body_text(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_and_what_texts_hold_is_not() {
        for (json, count) in [
            ("{}", 2),
            ("[0,0,0]", 4),
            (r#"{"a":[1,2],"b":"x"}"#, 7),
            (r#"["a,b:[{\",","\\",0]"#, 4),
        ] {
            assert!(has_more_values(json.as_bytes(), count - 1), "{json}");
            assert!(!has_more_values(json.as_bytes(), count), "{json}");
        }
    }
}
