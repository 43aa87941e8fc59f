//! Gateways that are served: one for each that somebody uses, with the sessions of its clients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bailiwick_mcp::{Entrance, Gateway, Hosts, Span};
use bailiwick_model::limits::{MCP_GATEWAY_CALLERS, MCP_GATEWAY_IDLE_TIME, MCP_GATEWAYS_SERVED};
use bailiwick_model::{McpGatewayId, OrganizationId, Permission};

use super::KIND;
use super::backing::{GatewayBacking, Who};
use super::door::{Door, Doors, lock};
use super::view::McpView;
use crate::caller::{Actor, Caller, Proof};
use crate::control::Control;
use crate::error::ControlError;
use crate::fresh;
use crate::hosted_servers::HostedServers;
use crate::oauth_server::GatewayToken;

/// The gateways of a server.
pub struct McpGateways {
    pub(super) control: Arc<Control>,
    pub(super) doors: Doors,
    /// Who runs what of the catalog runs here; without it no such server is served.
    pub(super) hosted: Option<HostedServers>,
    served: Mutex<HashMap<McpGatewayId, Arc<Served>>>,
}

/// A gateway with its clients.
struct Served {
    gateway: Gateway<McpView>,
    callers: Mutex<HashMap<String, Known>>,
    used: Mutex<Instant>,
}

/// A caller of a gateway, and what they see between sessions.
struct Known {
    who: Arc<Who>,
    view: Arc<McpView>,
    /// Every session has one.
    held: Arc<()>,
    at: Instant,
}

/// A gateway that somebody may use.
pub struct OpenMcpGateway {
    gateways: Arc<McpGateways>,
    served: Arc<Served>,
    door: Arc<Door>,
    id: McpGatewayId,
    caller: String,
    who: Arc<Who>,
    view: Arc<McpView>,
    held: Arc<()>,
}

impl McpGateways {
    /// Those of this control plane; nobody uses any yet.
    pub fn new(control: Arc<Control>) -> Self {
        Self {
            control,
            doors: Doors::default(),
            hosted: None,
            served: Mutex::default(),
        }
    }

    /// With servers of the catalog that run here, and with a browser for each caller.
    #[must_use]
    pub fn with_hosted_servers(self, hosted: HostedServers) -> Self {
        Self {
            hosted: Some(hosted),
            ..self
        }
    }

    /// Opens a gateway, by its id or its name, for whoever has a virtual key of it, or may use gateways.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Forbidden`], and what every use case may answer.
    pub async fn open(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
    ) -> Result<OpenMcpGateway, ControlError> {
        match &caller.actor {
            Actor::GatewayKey(own) => {
                let other = ControlError::NotFound(KIND);
                self.open_one(caller, Some((own, other)), reference).await
            }
            Actor::User(_)
            | Actor::ServiceAccount(_)
            | Actor::Worker(_)
            | Actor::WorkItem(_)
            | Actor::VirtualKey(_)
            | Actor::System => {
                caller.require(Permission::McpGatewayUse)?;
                self.open_one(caller, None, reference).await
            }
        }
    }

    /// The same, for whoever has an access token: another gateway than the token's is as closed as without one.
    ///
    /// # Errors
    ///
    /// Those of [`Self::open`], and [`ControlError::Unauthenticated`].
    pub async fn open_by_token(
        self: &Arc<Self>,
        token: &GatewayToken,
        reference: &str,
    ) -> Result<OpenMcpGateway, ControlError> {
        token.caller.require(Permission::McpGatewayUse)?;
        let own = Some((&token.gateway, ControlError::Unauthenticated));
        self.open_one(&token.caller, own, reference).await
    }

    /// `own` is the only one that may be opened, and what another one is answered with.
    async fn open_one(
        self: &Arc<Self>,
        caller: &Caller,
        own: Option<(&McpGatewayId, ControlError)>,
        reference: &str,
    ) -> Result<OpenMcpGateway, ControlError> {
        self.control.feeds_begin();
        let found = self
            .doors
            .find(&self.control, &caller.organization, reference);
        let door = match (found.await, own) {
            (Ok(door), Some((own, _))) if door.id() == Some(own) => door,
            (Ok(_) | Err(ControlError::NotFound(_)), Some((_, other))) => return Err(other),
            (door, _) => door?,
        };
        let id = door.id().ok_or(ControlError::NotFound(KIND))?.clone();
        let served = self.served(&id);
        let name = name_of(caller);
        let (who, view, held) = self.known(&served, (caller, &name), &id);
        view.begin(&door)?;
        Ok(OpenMcpGateway {
            gateways: Arc::clone(self),
            served,
            door,
            id,
            caller: name,
            who,
            view,
            held,
        })
    }

    fn served(&self, id: &McpGatewayId) -> Arc<Served> {
        let mut all = lock(&self.served);
        if let Some(served) = all.get(id) {
            *lock(&served.used) = Instant::now();
            return Arc::clone(served);
        }
        if all.len() >= MCP_GATEWAYS_SERVED {
            // Those that nobody has used for long have no sessions that anybody would miss.
            all.retain(|_, served| {
                served.gateway.end_idle();
                served.gateway.sessions() > 0
                    || lock(&served.used).elapsed() < MCP_GATEWAY_IDLE_TIME
            });
        }
        let served = Arc::new(Served {
            gateway: Gateway::new(Entrance {
                // A key is needed, which no page of somebody else has.
                hosts: Hosts::Any,
                origins: Vec::new(),
            }),
            callers: Mutex::default(),
            used: Mutex::new(Instant::now()),
        });
        all.insert(id.clone(), Arc::clone(&served));
        served
    }

    /// Who comes, and what they see where there are no sessions. What they may do is what they may do now.
    fn known(
        self: &Arc<Self>,
        served: &Served,
        (caller, name): (&Caller, &str),
        id: &McpGatewayId,
    ) -> (Arc<Who>, Arc<McpView>, Arc<()>) {
        let mut callers = lock(&served.callers);
        if let Some(known) = callers.get_mut(name) {
            known.at = Instant::now();
            known.who.is_now(caller);
            return known.parts();
        }
        if callers.len() >= MCP_GATEWAY_CALLERS {
            // Whoever has a session is told apart by this for as long as it is there: what they may do is looked up in it.
            callers.retain(|_, known| {
                let is_held = Arc::strong_count(&known.held) > 1;
                is_held || known.at.elapsed() < MCP_GATEWAY_IDLE_TIME
            });
        }
        let (who, held) = (Arc::new(Who::new(caller)), Arc::default());
        let view = McpView::new(self, &caller.organization, id, (&who, None));
        let known = Known {
            who,
            view: Arc::new(view),
            held,
            at: Instant::now(),
        };
        let parts = known.parts();
        callers.insert(name.to_owned(), known);
        parts
    }
}

impl Known {
    fn parts(&self) -> (Arc<Who>, Arc<McpView>, Arc<()>) {
        let (who, view, held) = (&self.who, &self.view, &self.held);
        (Arc::clone(who), Arc::clone(view), Arc::clone(held))
    }
}

/// What tells callers apart: a session of one is nobody else's.
fn name_of(caller: &Caller) -> String {
    use bailiwick_model::ResourceId as _;
    let shown = match (&caller.key, caller.proof) {
        (Some(key), _) => key.as_str().to_owned(),
        // Each of a member's browsers is one, and so is each program that they let.
        (None, Proof::BrowserSession(hash) | Proof::OauthGrant(hash)) => fresh::hex(&hash),
        (None, Proof::Key(_) | Proof::Work(_) | Proof::Itself) => String::new(),
    };
    format!("{}:{}:{shown}", caller.actor.kind(), caller.actor.id())
}

impl OpenMcpGateway {
    /// Whose it is.
    pub fn organization(&self) -> &OrganizationId {
        &self.door.organization
    }

    /// Which it is.
    pub fn id(&self) -> &McpGatewayId {
        &self.id
    }

    /// Who answers for it.
    pub fn gateway(&self) -> &Gateway<McpView> {
        &self.served.gateway
    }

    /// Who comes.
    pub fn caller(&self) -> bailiwick_mcp::Caller {
        bailiwick_mcp::Caller::new(&self.caller)
    }

    /// Ends once whoever came may not come any more, or there is nothing to come to: for what is sent without being asked.
    pub fn until_gone(&self) -> impl Future<Output = ()> + Send + 'static {
        let backing = GatewayBacking {
            gateways: Arc::clone(&self.gateways),
            organization: self.door.organization.clone(),
            gateway: self.id.clone(),
            who: Arc::clone(&self.who),
        };
        async move { backing.until_gone().await }
    }

    /// What they see.
    pub fn view(&self, span: Span) -> Arc<McpView> {
        match span {
            Span::Request => Arc::clone(&self.view),
            Span::Session => {
                let (gateways, organization) = (&self.gateways, &self.door.organization);
                let whose = (&self.who, Some(&self.held));
                let view = McpView::new(gateways, organization, &self.id, whose);
                // It could be joined a moment ago.
                let _ = view.begin(&self.door);
                Arc::new(view)
            }
        }
    }
}

impl McpGateways {
    /// Lets go of all gateways: the server is about to end.
    pub fn end(&self) {
        lock(&self.served).clear();
    }
}
