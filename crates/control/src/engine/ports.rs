//! What the engine needs of others: where tools run.

use std::pin::Pin;

use bailiwick_store::Session;
use bailiwick_tools::{Context, ToolResult};
use serde_json::Value;

/// A future of a port.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The sandboxes of sessions, each with its tools.
pub trait Workplaces: Send + Sync {
    /// Runs a call of a built-in tool in the sandbox of a session, which is started if it does not run.
    ///
    /// # Errors
    ///
    /// Why there is no sandbox: the model is told, and goes on without.
    fn call<'a>(
        &'a self,
        session: &'a Session,
        tool: &'a str,
        input: Value,
        context: &'a Context,
    ) -> PortFuture<'a, Result<ToolResult, NoWorkplace>>;

    /// A turn of a session is over: what is to be kept of its sandbox is, and the sandbox may end after a while.
    fn rest<'a>(&'a self, session: &'a Session) -> PortFuture<'a, ()>;
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
