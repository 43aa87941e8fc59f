//! What a validation of a credential found, as the wire writes it. `detail` is an extension: why there was no answer.

use bailiwick_control::{ProbeFailure, RefreshOutcome, Validation, ValidationStatus};
use bailiwick_mcp::ShownAnswer;
use bailiwick_model::{CredentialId, VaultId};
use bailiwick_wire::Schema;
use serde_json::{Value, json};

pub(super) fn validation_schema() -> Schema {
    let probe = Schema::answer()
        .has("method", Schema::text())
        .has("http_response", answer_schema().or_null())
        .has("detail", Schema::text().or_null());
    let outcomes = ["succeeded", "failed", "connect_error", "no_refresh_token"];
    let refresh = Schema::answer()
        .has("status", Schema::words(outcomes))
        .has("http_response", answer_schema().or_null())
        .has("detail", Schema::text().or_null());
    Schema::answer()
        .has("type", Schema::word("vault_credential_validation"))
        .has("credential_id", Schema::id::<CredentialId>())
        .has("vault_id", Schema::id::<VaultId>())
        .has("validated_at", Schema::moment())
        .has("has_refresh_token", Schema::boolean())
        .has("status", Schema::words(["valid", "invalid", "unknown"]))
        .has("mcp_probe", probe.or_null())
        .has("refresh", refresh.or_null())
        .named("CredentialValidation")
}

fn answer_schema() -> Schema {
    Schema::answer()
        .has("status_code", Schema::count())
        .has("content_type", Schema::text())
        .has("body", Schema::text())
        .has("body_truncated", Schema::boolean())
}

pub(super) fn validation_json(vault: &VaultId, id: &CredentialId, found: &Validation) -> Value {
    json!({
        "type": "vault_credential_validation",
        "credential_id": id,
        "vault_id": vault,
        "validated_at": found.at,
        "has_refresh_token": found.has_refresh_token,
        "status": match found.status {
            ValidationStatus::Valid => "valid",
            ValidationStatus::Invalid => "invalid",
            ValidationStatus::Unknown => "unknown",
        },
        "mcp_probe": found.mcp_probe.as_ref().map(probe),
        "refresh": found.refresh.as_ref().map(refresh),
    })
}

fn probe(failure: &ProbeFailure) -> Value {
    json!({
        "method": failure.method,
        "http_response": failure.answer.as_ref().map(answer),
        "detail": failure.detail,
    })
}

fn refresh(outcome: &RefreshOutcome) -> Value {
    let (status, response, detail) = match outcome {
        RefreshOutcome::Succeeded => ("succeeded", None, None),
        RefreshOutcome::Failed(response) => ("failed", Some(answer(response)), None),
        RefreshOutcome::ConnectError(detail) => ("connect_error", None, Some(detail)),
        RefreshOutcome::NoRefreshToken => ("no_refresh_token", None, None),
    };
    json!({"status": status, "http_response": response, "detail": detail})
}

fn answer(answer: &ShownAnswer) -> Value {
    json!({
        "status_code": answer.status,
        "content_type": answer.content_type,
        "body": answer.body,
        "body_truncated": answer.is_truncated,
    })
}
