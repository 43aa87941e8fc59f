//! Where authorization servers of MCP servers send browsers back to. It sends nobody anywhere, and what it shows is good for who began alone.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_control::{ConnectionAnswer, ConnectionProblem, Control, ControlError};

use super::form::Parameters;
use super::page;
use crate::authenticated::ClientAddress;
use crate::failure::Failure;

/// Takes what was brought back, once, and shows what finishes it.
pub(super) async fn callback(
    State(control): State<Arc<Control>>,
    ClientAddress(address): ClientAddress,
    RawQuery(query): RawQuery,
) -> Response {
    let Ok(parameters) = Parameters::read(query.unwrap_or_default().as_bytes()) else {
        return page::refusal(StatusCode::BAD_REQUEST, page::UNREADABLE, None);
    };
    let answer = ConnectionAnswer {
        code: parameters.get("code"),
        state: parameters.get("state"),
        issuer: parameters.get("iss"),
        error: parameters.get("error"),
    };
    let problem = match control.answer_mcp_connection(answer, Some(address)).await {
        Ok(shown) => return page::confirmation(&shown),
        Err(problem) => problem,
    };
    let message = problem.to_string();
    let status = match problem {
        ConnectionProblem::Unknown
        | ConnectionProblem::OtherIssuer
        | ConnectionProblem::Declined(_) => StatusCode::BAD_REQUEST,
        ConnectionProblem::Control(error) => failed(error),
    };
    page::refusal(
        status,
        &format!("{message}. Begin again where you began."),
        None,
    )
}

fn failed(error: ControlError) -> StatusCode {
    let failure = Failure::from(error);
    if failure.status().is_server_error() {
        tracing::error!(
            error = &failure as &dyn std::error::Error,
            "what a browser brought back could not be taken"
        );
    }
    failure.status()
}
