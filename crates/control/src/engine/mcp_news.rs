//! Hearing what the MCP servers of sessions say without being asked: that they have other tools now.
//!
//! One task for each session with a server. It looks up every few seconds what holds for the server, and closes what is open where that is not
//! the same any more; so neither a policy nor a token outlives its end by a stream that nobody uses.

use std::sync::Arc;

use bailiwick_mcp::{Listening, McpClient};
use bailiwick_model::limits::MCP_LISTEN_LOOK;
use bailiwick_model::{OrganizationId, SessionId};
use tokio::task::JoinHandle;

use crate::control::Control;
use crate::shares::Share;

/// A task that ends with its value.
pub(super) struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listener {
    /// Whether it listens still.
    pub(super) fn is_at_work(&self) -> bool {
        !self.0.is_finished()
    }

    /// Listens to a server for as long as its session is at work and may use it, and the server has something to say.
    pub(super) fn start(
        control: Arc<Control>,
        (organization, session): (OrganizationId, SessionId),
        server: String,
        client: Arc<McpClient>,
        place: Share,
    ) -> Self {
        Self(tokio::spawn(async move {
            while goes_on(&control, (&organization, &session), &server, &client).await {}
            client.hang_up().await;
            drop(place);
        }))
    }
}

/// Listens for a while; whether there may be more.
async fn goes_on(
    control: &Arc<Control>,
    (organization, session): (&OrganizationId, &SessionId),
    server: &str,
    client: &McpClient,
) -> bool {
    let Ok(Some(session)) = control.session_at_work(organization, session).await else {
        return false;
    };
    let Ok(access) = control.mcp_access(organization, &session, server).await else {
        return false;
    };
    let listened = client.listen(access.under(), MCP_LISTEN_LOOK).await;
    matches!(listened, Ok(Listening::GoesOn))
}
