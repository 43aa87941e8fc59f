//! The tools of MCP servers: listed before the model is asked, where they are not known.

use std::sync::Arc;

use bailiwick_mcp::{LeftOut, Listing};
use bailiwick_model::limits::MCP_LEFT_OUT_TOLD;
use bailiwick_wire::{RetryStatus, SessionErrorKind};
use tokio::task::JoinSet;

use super::Runner;
use crate::engine::failing::failure;
use crate::engine::mcp::{McpFailure, OfSession};
use crate::engine::mcp_tools::McpServerOfAgent;
use crate::error::ControlError;
use crate::session_engine::{NewAgentEvent, TurnReport};

/// What a server answered.
type Listed = (McpServerOfAgent, Result<Listing, McpFailure>);

impl Runner {
    /// Asks servers what tools they have, all at once: those that were never asked, and those that said that it is something else now. One that
    /// fails is told of, and left out until the session runs again.
    pub(super) async fn list_mcp_tools(&mut self) -> Result<(), ControlError> {
        let mut listing = JoinSet::new();
        for server in self.mcp_servers_to_list() {
            let (shared, server) = (Arc::clone(&self.shared), server.clone());
            let (organization, session) = (self.run.organization.clone(), self.session.clone());
            listing.spawn(async move {
                let of = OfSession {
                    organization: &organization,
                    session: &session,
                };
                let listed = shared.list_mcp_tools(of, &server).await;
                (server, listed)
            });
        }
        let mut events = Vec::new();
        while !listing.is_empty() && !self.history.is_interrupted() {
            tokio::select! {
                listed = listing.join_next() => {
                    if let Some(Ok(listed)) = listed {
                        events.extend(self.take_list(listed));
                    }
                }
                news = Self::news(&mut self.watch, self.cursor) => {
                    news?;
                    self.catch_up().await?;
                }
            }
        }
        if events.is_empty() {
            return Ok(());
        }
        let report = TurnReport {
            events,
            ..self.nothing()
        };
        self.report(report).await.map(drop)
    }

    /// Those whose tools are not known, or are others by now.
    pub(super) fn mcp_servers_to_list(&self) -> Vec<&McpServerOfAgent> {
        let mcp = &self.shared.mcp;
        let is_wanted = |server: &&McpServerOfAgent| {
            !self.agent.is_unavailable(server)
                && (!self.agent.listed.knows(server) || mcp.has_changed(&self.session.id, server))
        };
        self.agent.mcp_servers().iter().filter(is_wanted).collect()
    }

    fn take_list(&mut self, (server, listed): Listed) -> Option<NewAgentEvent> {
        match listed {
            Ok(Listing { tools, left_out }) => {
                self.agent.listed.take(&server, tools);
                told(&server, &left_out)
            }
            Err(failure) => {
                self.agent.cannot_use(&server, failure.to_string());
                Some(failure.of_listing(&server.name))
            }
        }
    }
}

/// That tools are left out.
fn told(server: &McpServerOfAgent, left_out: &[LeftOut]) -> Option<NewAgentEvent> {
    if left_out.is_empty() {
        return None;
    }
    let named = left_out.iter().take(MCP_LEFT_OUT_TOLD);
    let named: Vec<_> = named
        .map(|tool| format!("{:?}: {}", tool.name, tool.reason))
        .collect();
    let (count, named) = (left_out.len(), named.join("; "));
    let words = format!(
        "{count} tools of the MCP server {:?} are left out: {named}",
        server.name
    );
    Some(failure(
        SessionErrorKind::Unknown,
        words,
        RetryStatus::Exhausted,
    ))
}
