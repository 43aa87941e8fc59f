//! A gateway, as one of its callers sees it: the servers that it has at the moment, joined.

use std::sync::{Arc, Mutex};

use bailiwick_mcp::{
    Bytes, Change, Greeting, Joined, McpError, Member, Naming, News, NotJoined, Talk, View,
    ViewError, ViewRequest,
};
use bailiwick_model::limits::MCP_GATEWAY_LOOK;
use bailiwick_model::{McpGatewayId, OrganizationId};
use bailiwick_store::McpCatalogEntry;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::backing::{GatewayBacking, Who};
use super::control_plane::{Among, ControlPlane};
use super::door::{Door, lock};
use super::playwright::Browser;
use super::serving::McpGateways;
use crate::error::ControlError;
use crate::mcp_catalog::{McpServerConfig, server_url};

/// What one caller is served by a gateway. The servers that it joins are those of now: where others come or go, they are joined anew, and who
/// listens is told.
pub struct McpView {
    gateways: Arc<McpGateways>,
    organization: OrganizationId,
    gateway: McpGatewayId,
    who: Arc<Who>,
    /// Of a session: its caller stays known as long as it.
    _held: Option<Arc<()>>,
    /// Of this view alone; it ends with it.
    browser: Option<Arc<Browser>>,
    news: Arc<News>,
    current: Mutex<Option<Current>>,
}

/// What was joined, and of what.
#[derive(Clone)]
struct Current {
    of: Vec<McpCatalogEntry>,
    /// The version of the gateway.
    version: i64,
    has_knowledge: bool,
    joined: Arc<Joined<GatewayBacking>>,
}

/// Ends with whoever holds it.
struct Attending(AbortHandle);

impl Drop for Attending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl McpView {
    pub(super) fn new(
        gateways: &Arc<McpGateways>,
        organization: &OrganizationId,
        gateway: &McpGatewayId,
        (who, held): (&Arc<Who>, Option<&Arc<()>>),
    ) -> Self {
        Self {
            gateways: Arc::clone(gateways),
            organization: organization.clone(),
            gateway: gateway.clone(),
            who: Arc::clone(who),
            _held: held.cloned(),
            browser: Browser::new(gateways, organization, gateway),
            news: Arc::default(),
            current: Mutex::default(),
        }
    }

    fn backing(&self) -> GatewayBacking {
        GatewayBacking {
            gateways: Arc::clone(&self.gateways),
            organization: self.organization.clone(),
            gateway: self.gateway.clone(),
            who: Arc::clone(&self.who),
        }
    }

    /// The servers of now, joined.
    async fn joined(&self) -> Result<Arc<Joined<GatewayBacking>>, ViewError> {
        let door = self.backing().door().await;
        let door = door.map_err(|error| self.failed(&error.to_string()))?;
        let joined = self.of_door(&door);
        joined.map_err(|error| self.failed(&error.to_string()))
    }

    fn of_door(&self, door: &Door) -> Result<Arc<Joined<GatewayBacking>>, NotJoined> {
        let version = door.gateway.as_ref().map_or(0, |(it, _)| it.version);
        let of = || door.matched.servers().iter().map(|server| &server.entry);
        let has_knowledge = door.matched.has_knowledge();
        let mut current = lock(&self.current);
        if let Some(known) = &mut *current
            && known.version == version
            && known.of.iter().eq(of())
        {
            if known.has_knowledge != has_knowledge {
                // The same servers, of whose tools another one is judged to be there.
                known.has_knowledge = has_knowledge;
                self.news.tell(Change::Tools);
            }
            return Ok(Arc::clone(&known.joined));
        }
        let among = Among::default();
        let joined = self.join(door, &among)?.telling(Arc::clone(&self.news));
        let joined = Arc::new(joined);
        // Nobody else has it yet.
        let _ = among.set(Arc::downgrade(&joined));
        let has_had_others = current.is_some();
        *current = Some(Current {
            of: of().cloned().collect(),
            version,
            has_knowledge,
            joined: Arc::clone(&joined),
        });
        if has_had_others {
            for change in [Change::Tools, Change::Prompts, Change::Resources] {
                self.news.tell(change);
            }
        }
        Ok(joined)
    }

    /// Joins the servers of a gateway, and Bailiwick's own.
    fn join(&self, door: &Door, among: &Among) -> Result<Joined<GatewayBacking>, NotJoined> {
        let (naming, greeting) = (door.naming(), door.greeting());
        let mut local = Vec::new();
        match naming {
            Naming::Joined => {
                let (gateways, id) = (&self.gateways, &self.gateway);
                let who = (&self.who, among);
                let own = ControlPlane::new(gateways, &self.organization, id, who);
                local.push(own.member());
                local.extend(self.browser.as_ref().map(Browser::member));
            }
            Naming::Own => {}
        }
        Joined::new(members(door), naming, greeting, self.backing())?.with_local(local)
    }

    fn failed(&self, why: &str) -> ViewError {
        ViewError::Failed {
            server: self.gateway.to_string(),
            error: Arc::new(McpError::NotAsked(why.to_owned())),
        }
    }

    /// Says of a denial which host it was, and where.
    async fn explained(&self, failed: ViewError) -> ViewError {
        match self.backing().door().await {
            Ok(door) => door.explained(failed),
            Err(_) => failed,
        }
    }

    /// Listens to the servers of the moment, without end.
    async fn listen(&self) {
        let mut changed = self.gateways.control.gateways_at.subscribe();
        let mut listening = None;
        loop {
            if let Ok(joined) = self.joined().await {
                let is_other =
                    |(known, _): &(Arc<Joined<GatewayBacking>>, _)| !Arc::ptr_eq(known, &joined);
                if listening.as_ref().is_none_or(is_other) {
                    let attending = joined.attend();
                    listening = Some((joined, attending));
                }
            } else {
                listening = None;
            }
            tokio::select! {
                () = sleep(MCP_GATEWAY_LOOK) => {}
                _ = changed.changed() => {}
            }
        }
    }
}

/// The servers of a gateway: those that are asked somewhere, and those that run here.
pub(super) fn members(door: &Door) -> Vec<Member> {
    let servers = door.matched.servers().iter();
    // What is stored was a URL, or a path of one, when it was written.
    let members = servers.filter_map(|server| {
        let url = match &server.config {
            McpServerConfig::Remote { .. } => server_url(&server.config).ok()??.url().clone(),
            McpServerConfig::SelfHosted(command) => {
                command.transport.to_hosted().ok()?.url().ok()?
            }
        };
        let name = server.name.clone();
        Some(Member { name, url })
    });
    members.collect()
}

impl View for McpView {
    /// It was joined when its session began; a view that was not has nothing to say yet.
    fn greeting(&self) -> Greeting {
        let current = lock(&self.current);
        let joined = current.as_ref().map(|current| &current.joined);
        joined.map(|joined| joined.greeting()).unwrap_or_default()
    }

    async fn ask(&self, request: ViewRequest, talk: &Talk) -> Result<Bytes, ViewError> {
        let joined = self.joined().await?;
        match joined.ask(request, talk).await {
            Ok(result) => Ok(result),
            Err(failed) => Err(self.explained(failed).await),
        }
    }

    fn news(&self) -> &News {
        &self.news
    }

    fn attend(self: &Arc<Self>) -> impl Send + 'static {
        let view = Arc::clone(self);
        let listening = tokio::spawn(async move { view.listen().await });
        Attending(listening.abort_handle())
    }

    async fn end(&self) {
        let current = lock(&self.current).take();
        if let Some(current) = current {
            current.joined.end().await;
        }
    }
}

impl McpView {
    /// Joins what the gateway had a moment ago, so that there is something to greet with.
    pub(super) fn begin(&self, door: &Door) -> Result<(), ControlError> {
        self.of_door(door).map(drop).map_err(|error| {
            tracing::error!(gateway = %self.gateway, %error, "the servers of a gateway cannot be joined");
            crate::environments::corrupt("config")
        })
    }
}
