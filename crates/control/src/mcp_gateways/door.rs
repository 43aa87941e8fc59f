//! What a request through a gateway goes by: what of the environment it has, and under what its servers are asked.
//!
//! What is read is used for a second, and not even that long once something was changed on this server. Connections are kept as long as the same
//! policy decides.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use bailiwick_mcp::{Connections, Greeting, HeldAccess, McpError, Naming, ServerName, ViewError};
use bailiwick_model::limits::{MCP_ENVIRONMENTS_KEPT, MCP_GATEWAY_KNOWN_FOR, MCP_GATEWAYS_KNOWN};
use bailiwick_model::{
    Decision, EnvironmentId, McpCatalogEntryId, McpGatewayId, OrganizationId, SandboxId, SecretText,
};
use bailiwick_outbound::{HttpUrl, Outbound};
use bailiwick_policy::{Policy, SessionGrants, Uncompiled};
use bailiwick_store::{Environment, McpGateway};
use tokio::sync::OnceCell;

use super::serving::McpGateways;
use super::{KIND, McpGatewayConfig, McpGatewayNaming};
use crate::control::Control;
use crate::environments::own_policy;
use crate::error::ControlError;
use crate::flows::FlowsOf;
use crate::fresh;
use crate::hosted_servers::HostedServer;
use crate::mcp_access::NoMcpAccess;
use crate::mcp_catalog::{HostedCommand, McpServerConfig, NoHostedServer, denial, server_url};
use crate::mcp_matching::{Matched, MatchedServer};
use crate::organizations::policies;

/// A gateway of an organization, by its id or its name.
type Named = (OrganizationId, String);

/// One that was read: when, and after how many changes.
type Read = (Instant, u64, Arc<Door>);

/// Gateways that were asked for a moment ago, and connections of their environments.
#[derive(Default)]
pub(super) struct Doors {
    known: RwLock<HashMap<Named, Read>>,
    kept: Mutex<HashMap<(OrganizationId, EnvironmentId), Arc<Kept>>>,
}

/// A gateway, as it was a moment ago.
pub(super) struct Door {
    pub(super) organization: OrganizationId,
    /// Without one it is a look at one server.
    pub(super) gateway: Option<(McpGateway, McpGatewayConfig)>,
    pub(super) matched: Matched,
    environment_name: String,
    kept: Arc<Kept>,
    /// Under what servers are asked, once it was looked up.
    accesses: HashMap<ServerName, LookedUp>,
}

/// What a server is asked under: of one somewhere the way to it, of one that runs here what is run.
#[derive(Default)]
struct LookedUp {
    remote: OnceCell<HeldAccess>,
    hosted: OnceCell<HostedServer>,
}

/// The policy of an environment, and connections that it decided about.
pub(super) struct Kept {
    policy: Arc<Policy>,
    /// The way out, and what is open; nothing where no server is asked at all.
    out: Option<(Outbound, Arc<Connections>)>,
}

impl Doors {
    fn known(&self, key: &Named, number: u64) -> Option<Arc<Door>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (read, of, door) = known.get(key)?;
        let holds = *of == number && read.elapsed() < MCP_GATEWAY_KNOWN_FOR;
        holds.then(|| Arc::clone(door))
    }

    fn learn(&self, key: Named, at: (Instant, u64), door: Arc<Door>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MCP_GATEWAYS_KNOWN {
            known.clear();
        }
        known.insert(key, (at.0, at.1, door));
    }

    /// The connections of an environment, as long as the same policy decides.
    fn kept(
        &self,
        control: &Arc<Control>,
        organization: &OrganizationId,
        environment: &Environment,
        rules: Uncompiled,
    ) -> Arc<Kept> {
        let mut kept = lock(&self.kept);
        let key = (organization.clone(), environment.id.clone());
        let before = kept.get(&key);
        if let Some(before) = before.filter(|before| *before.policy.uncompiled() == rules) {
            return Arc::clone(before);
        }
        if kept.len() >= MCP_ENVIRONMENTS_KEPT {
            kept.clear();
        }
        let new = Arc::new(Kept::new(control, organization, environment, rules));
        kept.insert(key, Arc::clone(&new));
        new
    }
}

impl Kept {
    fn new(
        control: &Arc<Control>,
        organization: &OrganizationId,
        environment: &Environment,
        rules: Uncompiled,
    ) -> Self {
        let policy = Arc::new(rules.compile());
        let out = control.outbound.as_ref().map(|outbound| {
            let whose = FlowsOf {
                organization: organization.clone(),
                session: None,
                environment: environment.id.clone(),
            };
            let sandbox = SandboxId::from_random(u64::from_ne_bytes(fresh::random()));
            let name = environment.values.name.parse().ok();
            let account = control.account(whose, sandbox, name);
            let outbound = outbound.on_account(Arc::new(account));
            let connections = Connections::new(&outbound, Arc::clone(&policy));
            (outbound, Arc::new(connections))
        });
        Self { policy, out }
    }
}

impl Door {
    fn new(
        organization: &OrganizationId,
        gateway: Option<(McpGateway, McpGatewayConfig)>,
        matched: Matched,
        (environment, kept): (Environment, Arc<Kept>),
    ) -> Self {
        let names = matched.servers().iter().map(|server| server.name.clone());
        Self {
            organization: organization.clone(),
            gateway,
            accesses: names.map(|name| (name, LookedUp::default())).collect(),
            matched,
            environment_name: environment.values.name,
            kept,
        }
    }

    pub(super) fn id(&self) -> Option<&McpGatewayId> {
        self.gateway.as_ref().map(|(gateway, _)| &gateway.id)
    }

    pub(super) fn naming(&self) -> Naming {
        match &self.gateway {
            // One server, looked at by itself.
            None => Naming::Own,
            Some((_, config)) => match config.naming {
                McpGatewayNaming::Joined => Naming::Joined,
                McpGatewayNaming::Own => Naming::Own,
            },
        }
    }

    pub(super) fn greeting(&self) -> Greeting {
        let Some((gateway, config)) = &self.gateway else {
            return Greeting::default();
        };
        let title = config.title.as_ref().unwrap_or(&gateway.values.name);
        Greeting {
            title: Some(title.clone()),
            instructions: config.instructions.clone(),
        }
    }

    /// Whether the same connections serve both.
    pub(super) fn has_policy_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.kept, &other.kept)
    }

    /// Whether both are in one environment.
    pub(super) fn is_where(&self, other: &Self) -> bool {
        self.matched.environment() == other.matched.environment()
    }

    /// A server of this name, if it is this entry still.
    pub(super) fn still(
        &self,
        name: &ServerName,
        id: &McpCatalogEntryId,
    ) -> Option<&MatchedServer> {
        self.matched
            .server(name)
            .filter(|server| server.entry.id == *id)
    }

    /// What a denial is told as: which host, where, and why.
    pub(super) fn denied(&self, url: &HttpUrl, decision: &Decision) -> McpError {
        let (environment, host) = (&self.environment_name, url.destination());
        let hint = decision.hint.as_deref().unwrap_or_default();
        let hint = match hint {
            "" => String::new(),
            hint => format!(": {hint}"),
        };
        McpError::NotAsked(format!(
            "environment {environment} does not let {host} be reached ({}){hint}",
            decision.reason
        ))
    }

    /// Says of a denial which host it was, and where. By its name a server is denied before it is asked; this is of its addresses, and of where it
    /// redirected to.
    pub(super) fn explained(&self, failed: ViewError) -> ViewError {
        let ViewError::Failed { server, error } = &failed else {
            return failed;
        };
        let McpError::Outbound(outbound) = &**error else {
            return failed;
        };
        let (Some(decision), Ok(name)) = (outbound.denial(), server.parse::<ServerName>()) else {
            return failed;
        };
        let known = self.matched.server(&name);
        let Some(Ok(Some(url))) = known.map(|known| server_url(&known.config)) else {
            return failed;
        };
        ViewError::Failed {
            server: server.clone(),
            error: Arc::new(self.denied(&url, decision)),
        }
    }

    /// Whether the policy of now, asked anew, lets a server be reached: its name, and the addresses that it has.
    pub(super) async fn lets(&self, server: &MatchedServer) -> Result<(), McpError> {
        let url = server_url(&server.config).map_err(|_| unreadable())?;
        let (Some(url), Some((outbound, _))) = (url, &self.kept.out) else {
            return Ok(());
        };
        if let Some(decision) = denial(&self.kept.policy, &url) {
            return Err(self.denied(&url, &decision));
        }
        let client = bailiwick_mcp::McpClient::new(outbound.clone(), url.url().clone());
        let allowed = client.allowed(&self.kept.policy).await;
        allowed.map_err(|error| match error.denial() {
            Some(decision) => self.denied(&url, decision),
            None => error.into(),
        })
    }

    /// Under what a server is asked: the policy of its environment, and the token of now; of one that runs here the way into its sandbox.
    pub(super) async fn access(
        &self,
        gateways: &McpGateways,
        name: &ServerName,
    ) -> Result<HeldAccess, McpError> {
        let server = self.matched.server(name).ok_or_else(gone)?;
        let looked_up = self.accesses.get(name).ok_or_else(gone)?;
        match &server.config {
            McpServerConfig::Remote { .. } => {
                self.remote(&gateways.control, server, looked_up).await
            }
            McpServerConfig::SelfHosted(command) => {
                self.hosted(gateways, (server, command), looked_up).await
            }
        }
    }

    async fn remote(
        &self,
        control: &Arc<Control>,
        server: &MatchedServer,
        looked_up: &LookedUp,
    ) -> Result<HeldAccess, McpError> {
        let url = server_url(&server.config).map_err(|_| unreadable())?;
        let url = url.ok_or_else(unreadable)?;
        if let Some(decision) = denial(&self.kept.policy, &url) {
            return Err(self.denied(&url, &decision));
        }
        let (cell, server) = (&looked_up.remote, server);
        let access = cell.get_or_try_init(|| Box::pin(self.looked_up(control, server, &url)));
        access.await.cloned()
    }

    /// The same of a server somewhere, after it did not take the token of `refused`: with one that was stored meanwhile, or another one that is
    /// asked for, which others who look it up have within a second.
    pub(super) async fn access_anew(
        &self,
        control: &Arc<Control>,
        name: &ServerName,
        refused: &HeldAccess,
    ) -> Result<HeldAccess, McpError> {
        let server = self.matched.server(name).ok_or_else(gone)?;
        let url = server_url(&server.config).map_err(|_| unreadable())?;
        let (Some(url), Some(vault)) = (url, &server.entry.values.vault) else {
            return Err(McpError::Unauthorized);
        };
        let (_, connections) = self.kept.out.as_ref().ok_or_else(no_way)?;
        let of = (&self.organization, vault);
        let token = control.vault_token_anew(of, url.url().as_str(), |token| {
            refused.has_token(token.reveal())
        });
        let token = token.await.map_err(|error| match error {
            NoMcpAccess::NotTaken => McpError::Unauthorized,
            error @ (NoMcpAccess::NoWayOut
            | NoMcpAccess::NoCredential
            | NoMcpAccess::NoToken(_)
            | NoMcpAccess::Control(_)) => no_token(&error),
        })?;
        HeldAccess::at(Arc::clone(connections), Some(token.reveal()), &url)
    }

    /// What it may reach is its sandbox's business; here nothing is dialled.
    async fn hosted(
        &self,
        gateways: &McpGateways,
        (server, command): (&MatchedServer, &HostedCommand),
        looked_up: &LookedUp,
    ) -> Result<HeldAccess, McpError> {
        let hosted = gateways.hosted.as_ref().ok_or_else(not_served)?;
        let control = &gateways.control;
        let of = (&self.organization, &server.entry);
        let found = looked_up
            .hosted
            .get_or_try_init(|| Box::pin(control.hosted_server(of.0, of.1, command)));
        let found = found.await.map_err(|error| no_server(&error))?;
        // A start is long, and few requests come to one.
        Ok(Box::pin(hosted.access(found)).await?)
    }

    async fn looked_up(
        &self,
        control: &Arc<Control>,
        server: &MatchedServer,
        url: &HttpUrl,
    ) -> Result<HeldAccess, McpError> {
        let (_, connections) = self.kept.out.as_ref().ok_or_else(no_way)?;
        let token = match &server.entry.values.vault {
            None => None,
            Some(vault) => {
                let url = url.url().as_str();
                let token = control.vault_token(&self.organization, vault, url);
                Some(token.await.map_err(|error| no_token(&error))?)
            }
        };
        let token = token.as_ref().map(SecretText::reveal);
        HeldAccess::at(Arc::clone(connections), token, url)
    }
}

/// What clients are told of a credential that is not there; what failed here is in the log.
fn no_token(error: &NoMcpAccess) -> McpError {
    let told = match error {
        NoMcpAccess::NoCredential => {
            "its vault has no credential for its URL: add one, or name no vault".to_owned()
        }
        NoMcpAccess::NoWayOut | NoMcpAccess::NotTaken | NoMcpAccess::NoToken(_) => {
            error.to_string()
        }
        NoMcpAccess::Control(cause) => {
            tracing::error!(
                error = cause as &dyn std::error::Error,
                "the credential of an MCP server cannot be read"
            );
            error.to_string()
        }
    };
    McpError::NotAsked(told)
}

/// What clients are told of a server that cannot be run; what failed here is in the log.
fn no_server(error: &NoHostedServer) -> McpError {
    if let NoHostedServer::Control(cause) = error {
        tracing::error!(
            error = cause as &dyn std::error::Error,
            "a self-hosted MCP server cannot be read"
        );
    }
    McpError::NotAsked(error.to_string())
}

/// Of a server that nobody runs.
pub(super) fn not_served() -> McpError {
    let told = "the server is self-hosted, and such servers are not served here: this server of Bailiwick runs no sandboxes";
    McpError::NotAsked(told.to_owned())
}

fn no_way() -> McpError {
    McpError::NotAsked("this server asks no MCP servers".to_owned())
}

pub(super) fn gone() -> McpError {
    McpError::NotAsked("the server is not in this gateway any more".to_owned())
}

fn unreadable() -> McpError {
    McpError::NotAsked("what is stored of the server cannot be read".to_owned())
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Doors {
    /// A gateway as it is now, give or take a second.
    pub(super) async fn find(
        &self,
        control: &Arc<Control>,
        organization: &OrganizationId,
        reference: &str,
    ) -> Result<Arc<Door>, ControlError> {
        let key = (organization.clone(), reference.to_owned());
        let at = (Instant::now(), *control.gateways_at.borrow());
        if let Some(door) = self.known(&key, at.1) {
            return Ok(door);
        }
        // In a place of its own: every request has room for what it awaits, and few come here.
        let door = Box::pin(self.read(control, organization, reference)).await?;
        self.learn(key, at, Arc::clone(&door));
        Ok(door)
    }

    async fn read(
        &self,
        control: &Arc<Control>,
        organization: &OrganizationId,
        reference: &str,
    ) -> Result<Arc<Door>, ControlError> {
        let scope = control.store.scope(organization);
        let found = match reference.parse::<McpGatewayId>() {
            Ok(id) => scope.mcp_gateway(&id).await?,
            Err(_) => scope.mcp_gateway_named(reference).await?,
        };
        let gateway = found.ok_or(ControlError::NotFound(KIND))?;
        let config = McpGatewayConfig::stored(&gateway.values.config)?;
        let environment = gateway.values.environment.clone();
        let own = scope.in_environment(&environment);
        let matched = Matched::of_gateway(own, &gateway.id, config.access).await?;
        let (environment, rules) = rules(control, organization, matched.environment()).await?;
        let kept = self.kept(control, organization, &environment, rules);
        let gateway = Some((gateway, config));
        let door = Door::new(organization, gateway, matched, (environment, kept));
        Ok(Arc::new(door))
    }
}

/// A look at one server, with connections of its own.
pub(super) async fn look_at(
    control: &Arc<Control>,
    organization: &OrganizationId,
    matched: Matched,
) -> Result<Door, ControlError> {
    let (environment, rules) = rules(control, organization, matched.environment()).await?;
    let kept = Arc::new(Kept::new(control, organization, &environment, rules));
    Ok(Door::new(organization, None, matched, (environment, kept)))
}

/// The policy that holds in an environment now.
async fn rules(
    control: &Control,
    organization: &OrganizationId,
    environment: &EnvironmentId,
) -> Result<(Environment, Uncompiled), ControlError> {
    let scope = control.store.scope(organization);
    let found = scope.environment(environment).await?;
    let environment = found.ok_or(ControlError::NotFound("environment"))?;
    if environment.archived_at.is_some() {
        return Err(ControlError::Archived("environment"));
    }
    let organization = scope.organization().await?;
    let organization = organization.ok_or(ControlError::NotFound("organization"))?;
    let policies = policies(&organization)?;
    let rules = Uncompiled {
        effective: bailiwick_policy::effective(own_policy(&environment)?, policies.default),
        narrowed_by: Vec::new(),
        organization: policies.floor,
        grants: SessionGrants::none(),
    };
    Ok((environment, rules))
}
