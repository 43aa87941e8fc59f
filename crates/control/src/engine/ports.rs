//! What the engine needs of others: where tools run.

use std::pin::Pin;

use bailiwick_model::OrganizationId;
use bailiwick_store::Session;
use bailiwick_tools::{Context, ToolResult};
use bailiwick_wire::SessionError;
use serde_json::Value;

/// A future of a port.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The sandboxes of sessions, each with its tools.
pub trait Workplaces: Send + Sync {
    /// Runs a call of a built-in tool in the sandbox of a session, which is started if it does not run. Where there is no sandbox, the model
    /// is told why, and goes on without.
    fn call<'a>(
        &'a self,
        organization: &'a OrganizationId,
        session: &'a Session,
        tool: &'a str,
        input: Value,
        context: &'a Context,
    ) -> PortFuture<'a, Called>;

    /// A turn of a session is over: what is to be kept of its sandbox is, and the sandbox may end after a while.
    fn rest<'a>(
        &'a self,
        organization: &'a OrganizationId,
        session: &'a Session,
    ) -> PortFuture<'a, ()>;
}

/// What a call came to.
#[derive(Debug)]
pub struct Called {
    /// For the model.
    pub outcome: Result<ToolResult, NoWorkplace>,
    /// What failed of the sandbox, whether the call was run or not: for whoever reads the session.
    pub failures: Vec<SessionError>,
}

impl From<Result<ToolResult, NoWorkplace>> for Called {
    fn from(outcome: Result<ToolResult, NoWorkplace>) -> Self {
        Self {
            outcome,
            failures: Vec::new(),
        }
    }
}

/// Why a session has no sandbox.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoWorkplace {
    /// This server runs none.
    #[error("this server runs no sandboxes")]
    NoSandboxes,
    /// It could not be started, or was lost. The text is for people and for the model.
    #[error("the sandbox cannot be used: {0}")]
    Failed(String),
}
