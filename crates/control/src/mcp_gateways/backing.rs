//! What a view of a gateway rests on: access now, and who is served what, now.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_mcp::{Backing, HeldAccess, Item, McpError, ServerName, Verdict};
use bailiwick_model::limits::{MCP_GATEWAY_LOOK, MCP_STREAM_LOOK};
use bailiwick_model::{McpGatewayId, OrganizationId, ResourceId as _};
use tokio::time::sleep;

use super::door::{Door, gone, lock};
use super::serving::McpGateways;
use super::{control_plane, playwright};
use crate::authentication::still;
use crate::caller::Caller;
use crate::clock;
use crate::error::ControlError;

/// So often it may fail, one time after the other, to find out what holds for a call under way.
const FAILED_LOOKS: u32 = 5;

/// Somebody who uses a gateway, as they were when they last came.
pub(super) struct Who(Mutex<Caller>);

impl Who {
    pub(super) fn new(caller: &Caller) -> Self {
        Self(Mutex::new(caller.clone()))
    }

    pub(super) fn is_now(&self, caller: &Caller) {
        *lock(&self.0) = caller.clone();
    }

    pub(super) fn caller(&self) -> Caller {
        lock(&self.0).clone()
    }
}

/// Of one caller of a gateway.
pub(super) struct GatewayBacking {
    pub(super) gateways: Arc<McpGateways>,
    pub(super) organization: OrganizationId,
    pub(super) gateway: McpGatewayId,
    pub(super) who: Arc<Who>,
}

impl GatewayBacking {
    /// The gateway as it is now.
    pub(super) async fn door(&self) -> Result<Arc<Door>, ControlError> {
        let (doors, control) = (&self.gateways.doors, &self.gateways.control);
        doors
            .find(control, &self.organization, self.gateway.as_str())
            .await
    }

    /// The gateway as it is now, if whoever came may still come.
    async fn still_there(&self) -> Result<Arc<Door>, Looked> {
        let control = &self.gateways.control;
        let caller = self.who.caller();
        match still(&control.store, &caller, clock::now()).await {
            Ok(()) => {}
            Err(error @ (ControlError::Unauthenticated | ControlError::Forbidden(_))) => {
                return Err(Looked::Denied(told(&error)));
            }
            Err(error) => return Err(Looked::Failed(told(&error))),
        }
        match self.door().await {
            Ok(door) => Ok(door),
            Err(error @ (ControlError::NotFound(_) | ControlError::Archived(_))) => {
                Err(Looked::Denied(told(&error)))
            }
            Err(error) => Err(Looked::Failed(told(&error))),
        }
    }

    /// Ends once whoever came may not come any more. While nobody can say so nothing ends: what is sent unasked says only that something changed.
    pub(super) async fn until_gone(&self) {
        let mut changed = self.gateways.control.gateways_at.subscribe();
        loop {
            tokio::select! {
                () = sleep(MCP_STREAM_LOOK) => {}
                _ = changed.changed() => {}
            }
            if let Err(Looked::Denied(_)) = Box::pin(self.still_there()).await {
                return;
            }
        }
    }

    /// The gateway as it is now, if whoever came may still come and the server is still let.
    async fn look(&self, server: &ServerName, began: &Door) -> Result<Arc<Door>, Looked> {
        let door = self.still_there().await?;
        let before = match began.matched.server(server) {
            Some(before) => before,
            // Its caller is all that counts.
            None if control_plane::is_it(server) => return Ok(door),
            // It is one of the environment that the gateway is in.
            None if playwright::is_it(server) && door.is_where(began) => return Ok(door),
            None => return Err(Looked::Denied(gone())),
        };
        let now = door.still(server, &before.entry.id);
        let now = now.ok_or_else(|| Looked::Denied(gone()))?;
        if now.tools != before.tools || now.config != before.config {
            return Err(Looked::Denied(gone()));
        }
        if !door.has_policy_of(began) {
            door.lets(now).await.map_err(Looked::Denied)?;
        }
        Ok(door)
    }
}

/// What a look came to that did not find that all is as it was.
enum Looked {
    Denied(McpError),
    Failed(McpError),
}

fn told(error: &ControlError) -> McpError {
    McpError::NotAsked(error.to_string())
}

impl Backing for GatewayBacking {
    async fn access(&self, server: &ServerName) -> Result<HeldAccess, McpError> {
        let door = self.door().await.map_err(|error| told(&error))?;
        door.access(&self.gateways, server).await
    }

    async fn access_anew(
        &self,
        server: &ServerName,
        refused: &HeldAccess,
    ) -> Result<HeldAccess, McpError> {
        let door = self.door().await.map_err(|error| told(&error))?;
        let anew = door.access_anew(&self.gateways.control, server, refused);
        anew.await
    }

    /// What cannot be found out is not there.
    async fn judge(&self, server: &ServerName, item: Item<'_>) -> Verdict {
        if let Some(verdict) = playwright::judge(server, item) {
            return verdict;
        }
        match self.door().await {
            Ok(door) if control_plane::is_it(server) => {
                control_plane::judge(item, &self.who.caller(), &door.matched)
            }
            Ok(door) => door.matched.judge(server, item),
            Err(_) => Verdict::Hidden,
        }
    }

    async fn until_denied(&self, server: &ServerName) -> McpError {
        let mut changed = self.gateways.control.gateways_at.subscribe();
        let mut began = match self.door().await {
            Ok(door) => door,
            Err(error) => return told(&error),
        };
        let mut failed = 0;
        loop {
            // What is changed here is looked at at once, and what is changed elsewhere soon.
            tokio::select! {
                () = sleep(MCP_GATEWAY_LOOK) => {}
                _ = changed.changed() => {}
            }
            match Box::pin(self.look(server, &began)).await {
                Ok(now) => (began, failed) = (now, 0),
                Err(Looked::Denied(error)) => return error,
                Err(Looked::Failed(error)) => {
                    failed += 1;
                    if failed >= FAILED_LOOKS {
                        return error;
                    }
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Of whoever looks at what one server has.
pub(super) struct Look {
    pub(super) gateways: Arc<McpGateways>,
    pub(super) door: Arc<Door>,
}

impl Backing for Look {
    async fn access(&self, server: &ServerName) -> Result<HeldAccess, McpError> {
        self.door.access(&self.gateways, server).await
    }

    async fn access_anew(
        &self,
        server: &ServerName,
        refused: &HeldAccess,
    ) -> Result<HeldAccess, McpError> {
        let control = &self.gateways.control;
        self.door.access_anew(control, server, refused).await
    }

    async fn judge(&self, server: &ServerName, item: Item<'_>) -> Verdict {
        self.door.matched.judge(server, item)
    }
}
