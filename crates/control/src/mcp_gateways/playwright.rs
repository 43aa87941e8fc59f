//! Playwright as an MCP server of gateways: a browser in a sandbox of the gateway's environment, under that environment's policy. It is exempt from
//! matching, by its kind; no entry of the catalog can be called like it, and no URL leads to it.
//!
//! Each view of a gateway has a browser of its own, which its first call starts and which ends with the view. What tools there are is known
//! without one: whoever lists tools starts nothing.

use std::sync::Arc;

use bailiwick_mcp::{
    Backing, Bytes, Greeting, HeldAccess, InProcess, InProcessError, InProcessFuture, Item, Joined,
    LocalMember, McpError, Member, Naming, ServerName, Talk, Verdict, View as _, ViewError,
    ViewRequest,
};
use bailiwick_model::{McpGatewayId, OrganizationId, ResourceId as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::runtime::Handle;

use super::control_plane::refusal;
use super::serving::McpGateways;
use crate::fresh;
use crate::hosted_servers::{Holder, HostedServers, Playwright};
use crate::mcp_catalog::BUILT_IN;

/// What it is called in gateways.
const NAME: &str = BUILT_IN[1];
/// What `tools/list` of the package answers that a browser is started from.
const TOOLS: &str = include_str!("playwright_tools.json");

/// The browser of a view, whether it runs or not.
pub(super) struct Browser {
    joined: Joined<BrowserBacking>,
}

/// That it is had: when this is dropped it is ended.
struct Held {
    hosted: HostedServers,
    organization: OrganizationId,
    holder: Holder,
}

struct BrowserBacking {
    gateways: Arc<McpGateways>,
    gateway: McpGatewayId,
    held: Held,
}

/// Whether a server is this one: no entry of the catalog has its name.
pub(super) fn is_it(server: &ServerName) -> bool {
    server.as_str() == NAME
}

/// Whether a thing of this server is served; nothing is said of another one's.
pub(super) fn judge(server: &ServerName, item: Item<'_>) -> Option<Verdict> {
    is_it(server).then_some(match item {
        Item::Tool(_) => Verdict::Served,
        Item::Prompt(_) | Item::Resource(_) | Item::Template(_) => Verdict::Hidden,
    })
}

impl Browser {
    /// None where nothing runs.
    pub(super) fn new(
        gateways: &Arc<McpGateways>,
        organization: &OrganizationId,
        gateway: &McpGatewayId,
    ) -> Option<Arc<Self>> {
        let hosted = gateways.hosted.clone()?;
        let held = Held {
            hosted,
            organization: organization.clone(),
            holder: Holder::One(format!(
                "{}:{}",
                gateway.as_str(),
                fresh::fresh_request_id()
            )),
        };
        let backing = BrowserBacking {
            gateways: Arc::clone(gateways),
            gateway: gateway.clone(),
            held,
        };
        let member = Member {
            name: NAME.parse().expect("a name of a server"),
            url: Playwright::url(),
        };
        let joined = Joined::new(vec![member], Naming::Own, Greeting::default(), backing);
        Some(Arc::new(Self {
            joined: joined.expect("one server, which has a URL"),
        }))
    }

    /// As a member of a gateway.
    pub(super) fn member(browser: &Arc<Self>) -> LocalMember {
        LocalMember {
            name: NAME.parse().expect("a name of a server"),
            server: Arc::clone(browser) as Arc<dyn InProcess>,
        }
    }

    async fn call(&self, params: &Bytes, talk: &Talk) -> Result<Bytes, InProcessError> {
        let called: Called<'_> = serde_json::from_slice(params)
            .map_err(|_| refusal("the call does not say which tool"))?;
        let arguments = called.arguments.map(RawValue::get);
        let request = ViewRequest::Call {
            tool: called.name,
            arguments: arguments.map(|raw| Bytes::copy_from_slice(raw.as_bytes())),
        };
        let asked = self.joined.ask(request, talk).await;
        asked.map_err(|error| match error {
            ViewError::Refused(error) => InProcessError::Refused(error),
            ViewError::NotOffered => InProcessError::NotOffered,
            error @ (ViewError::Tool(_)
            | ViewError::Prompt(_)
            | ViewError::Resource(_)
            | ViewError::Cursor
            | ViewError::Subscriptions
            | ViewError::Failed { .. }) => refusal(&error.to_string()),
        })
    }
}

/// What a tool is called with.
#[derive(Deserialize)]
struct Called<'a> {
    name: String,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

impl InProcess for Browser {
    fn ask<'a>(
        &'a self,
        method: &'static str,
        params: Bytes,
        talk: &'a Talk,
    ) -> InProcessFuture<'a> {
        Box::pin(async move {
            match method {
                "tools/list" => Ok(Bytes::from_static(TOOLS.as_bytes())),
                "tools/call" => self.call(&params, talk).await,
                _ => Err(InProcessError::NotOffered),
            }
        })
    }
}

impl Backing for BrowserBacking {
    async fn access(&self, _: &ServerName) -> Result<HeldAccess, McpError> {
        let (doors, control) = (&self.gateways.doors, &self.gateways.control);
        let Held {
            hosted,
            organization,
            holder,
        } = &self.held;
        let door = doors.find(control, organization, self.gateway.as_str());
        let door = door.await;
        let door = door.map_err(|error| McpError::NotAsked(error.to_string()))?;
        let environment = door.matched.environment().clone();
        let server = Playwright::default().of(organization.clone(), environment, holder.clone());
        Ok(Box::pin(hosted.access(&server)).await?)
    }

    /// The gateway's view has said whether its tools are served.
    async fn judge(&self, _: &ServerName, _: Item<'_>) -> Verdict {
        Verdict::Served
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Without a runtime nothing of the server runs any more.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (hosted, organization, holder) = (
            self.hosted.clone(),
            self.organization.clone(),
            self.holder.clone(),
        );
        runtime.spawn(async move { hosted.release(&organization, &holder).await });
    }
}
