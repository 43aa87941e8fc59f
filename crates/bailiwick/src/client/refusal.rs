//! Why a server refused, whichever face it answers with.

use std::fmt;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

/// Problem details (RFC 9457), as `/api` writes them, or what says the same on `/v1`.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    status: u16,
    detail: String,
    code: String,
    #[serde(default)]
    errors: Vec<FieldError>,
    /// What stands in the way.
    #[serde(default)]
    conflicts: Vec<Value>,
    /// What refers to what was to go.
    #[serde(default)]
    references: References,
    request_id: Option<String>,
}

/// The first of what refers to something.
#[derive(Debug, Default, Deserialize)]
struct References {
    data: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct FieldError {
    field: String,
    message: String,
    help: String,
}

/// The wire's error.
#[derive(Deserialize)]
struct WireRefusal {
    error: WireError,
    request_id: Option<String>,
}

#[derive(Deserialize)]
struct WireError {
    message: String,
    details: WireDetails,
}

#[derive(Deserialize)]
struct WireDetails {
    error_code: String,
}

impl Refusal {
    /// Reads the body of an answer; nothing if it is neither.
    pub(super) fn read(status: StatusCode, text: &str) -> Option<Self> {
        if let Ok(refusal) = serde_json::from_str(text) {
            return Some(refusal);
        }
        let WireRefusal { error, request_id } = serde_json::from_str(text).ok()?;
        Some(Self {
            status: status.as_u16(),
            detail: error.message,
            code: error.details.error_code,
            errors: Vec::new(),
            conflicts: Vec::new(),
            references: References::default(),
            request_id,
        })
    }

    /// Whether the same request would be refused again.
    pub(super) fn is_final(&self) -> bool {
        self.status < 500
    }

    /// What can be done about it, where the server does not say so itself.
    fn help(&self) -> Option<&'static str> {
        match self.code.as_str() {
            "unauthenticated" => Some(
                "BAILIWICK_API_KEY holds no key that this server takes; it may be revoked, expired or another server's",
            ),
            "forbidden" => Some("an administrator can give you a role that has it"),
            "referred" => Some("`bailiwick environment references` shows what refers to it"),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.errors.is_empty() {
            f.write_str(&self.detail)?;
        }
        for (index, error) in self.errors.iter().enumerate() {
            let FieldError {
                field,
                message,
                help,
            } = error;
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{field}: {message} ({help})")?;
        }
        let obstacles = self.conflicts.iter().chain(&self.references.data);
        let obstacles: Vec<_> = obstacles.map(told).collect();
        if !obstacles.is_empty() {
            write!(f, ": {}", obstacles.join(", "))?;
        }
        if let Some(help) = self.help() {
            write!(f, " ({help})")?;
        }
        if self.status >= 500 {
            let id = self.request_id.as_deref().unwrap_or("-");
            write!(f, " (request {id})")?;
        }
        write!(f, " [{}]", self.code)
    }
}

impl std::error::Error for Refusal {}

/// An id, or what it is of and the id.
fn told(conflict: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match (conflict.get("kind"), conflict.get("id")) {
        (Some(kind), Some(id)) => format!("{} {}", text(kind), text(id)),
        (Some(_) | None, Some(_) | None) => text(conflict),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(status: StatusCode, body: &Value) -> Option<String> {
        Refusal::read(status, &body.to_string()).map(|refusal| refusal.to_string())
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        let references = json!({"counts": {"agent": 1}, "data": [{"kind": "agent", "id": "agent_1"}], "next_page": null});
        let body = json!({"status": 409, "detail": "it is in use", "code": "referred", "references": references, "request_id": null});
        let text = "it is in use: agent agent_1 (`bailiwick environment references` shows what refers to it) [referred]";
        assert_eq!(shown(StatusCode::CONFLICT, &body).as_deref(), Some(text));
        let body = json!({"status": 409, "detail": "no", "code": "x", "conflicts": ["agent_1", {"kind": "delegate", "id": "agent_2"}]});
        let text = "no: agent_1, delegate agent_2 [x]";
        assert_eq!(shown(StatusCode::CONFLICT, &body).as_deref(), Some(text));
    }

    #[test]
    fn both_faces_say_the_same() {
        let body = json!({"type": "error", "error": {"type": "api_error", "message": "no", "details": {"error_code": "x"}}, "request_id": "req_1"});
        let text = "no (request req_1) [x]";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(shown(status, &body).as_deref(), Some(text));
        let body = json!({"status": 503, "detail": "no", "code": "x", "request_id": "req_1"});
        assert_eq!(shown(status, &body).as_deref(), Some(text));
        assert_eq!(shown(status, &json!({"error": "no"})), None);
    }
}
