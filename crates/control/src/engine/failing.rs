//! What is told of a model that could not be asked.

use bailiwick_llm::UpstreamError;
use bailiwick_wire::{AgentEvent, RetryStatus, SessionError, SessionErrorKind};

use crate::control::Control;
use crate::session_engine::NewAgentEvent;

/// That something failed.
pub(crate) fn failure(
    kind: SessionErrorKind,
    message: String,
    retry_status: RetryStatus,
) -> NewAgentEvent {
    let error = SessionError {
        kind,
        message,
        retry_status,
    };
    NewAgentEvent {
        id: Control::fresh_event_id(),
        event: AgentEvent::Error { error },
        private: None,
    }
}

/// That a request to a model failed. What the upstream said is added for people: its text, with the key taken out.
pub(crate) fn upstream_failure(error: &UpstreamError, retry_status: RetryStatus) -> NewAgentEvent {
    let kind = match error {
        UpstreamError::Overloaded { .. } => SessionErrorKind::ModelOverloaded,
        UpstreamError::RateLimited { .. } => SessionErrorKind::ModelRateLimited,
        UpstreamError::Billing { .. } => SessionErrorKind::Billing,
        UpstreamError::Server { .. }
        | UpstreamError::Refused { .. }
        | UpstreamError::ContextTooLong { .. }
        | UpstreamError::NotFound { .. }
        | UpstreamError::Authentication { .. }
        | UpstreamError::Dial(_)
        | UpstreamError::Tls(_)
        | UpstreamError::Http(_)
        | UpstreamError::Cut
        | UpstreamError::Malformed(_)
        | UpstreamError::Timeout(_)
        | UpstreamError::Status { .. }
        | UpstreamError::Untranslatable(_)
        | UpstreamError::RequestTooLarge { .. } => SessionErrorKind::ModelRequestFailed,
    };
    let told = error.told().map(|told| told.message.as_str());
    let message = match told.filter(|told| !told.is_empty()) {
        Some(told) => format!("{error}: {told}"),
        None => error.to_string(),
    };
    failure(kind, message, retry_status)
}
