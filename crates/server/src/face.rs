//! The two sets of paths, each with a form of its own for failures.

use axum::http::header::ALLOW;
use axum::response::Response;
use bailiwick_model::RequestId;

use crate::failure;
use crate::{api, v1};

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// `/v1`.
    Wire,
    /// `/api`.
    Api,
}

impl Face {
    /// That of a path; `None` for what only operators ask for.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let first = path.split('/').nth(1)?;
        [Self::Wire, Self::Api]
            .into_iter()
            .find(|face| face.name() == first)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wire => "v1",
            Self::Api => "api",
        }
    }

    pub(crate) fn prefix(self) -> String {
        format!("/{}", self.name())
    }

    /// A failed answer with its body; any other as it is.
    pub(crate) fn written(self, response: Response, id: &RequestId) -> Response {
        let Some(failure) = failure::of(&response) else {
            return response;
        };
        let mut written = match self {
            Self::Wire => v1::edge::written(failure, id),
            Self::Api => api::edge::written(failure, id),
        };
        failure::pass_on(failure, &mut written);
        // Of an answer to a method that the path does not take (RFC 9110, section 15.5.6).
        if let Some(methods) = response.headers().get(ALLOW) {
            written.headers_mut().insert(ALLOW, methods.clone());
        }
        written
    }
}
