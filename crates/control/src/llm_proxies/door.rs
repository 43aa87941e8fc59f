//! What a request through a proxy goes by: who may, where it leads, and for whom it counts.
//!
//! What is read for one request is remembered for a second, as keys are: another policy, key, upstream or team holds from then on. Connections are
//! kept as long as the same policy decides.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bailiwick_llm::proxy::{ListedModel, Route as ProxyRoute, Target};
use bailiwick_llm::{Client, Timeouts, Upstream};
use bailiwick_model::{
    EnvironmentId, LlmProxyId, ModelUpstreamId, OrganizationId, Permission, TeamId, UserId, Verdict,
};
use bailiwick_outbound::{Outbound, Way};
use bailiwick_policy::{EffectivePolicy, HostFacts, Policy, SessionGrants, Uncompiled};
use bailiwick_store::{Spender, StoreError, VirtualKey};

use super::{KIND, LlmProxyView};
use crate::caller::{Actor, Caller};
use crate::control::Control;
use crate::environments::own_policy;
use crate::error::ControlError;
use crate::model_upstreams::{NoRoute, Route, ServedModel};
use crate::organizations::policies;
use crate::registry_tools::registry_names;
use crate::spend::{Candidate, is_named};

/// How long what was read is not asked again.
const KNOWN_FOR: Duration = Duration::from_secs(1);
/// More proxies than this in one second are asked for each time.
const KNOWN: usize = 10_000;
/// Models of one proxy that are remembered.
const KNOWN_MODELS: usize = 1000;
/// Environments whose connections are kept.
const KEPT: usize = 1000;

/// Proxies that were asked for a moment ago, and their connections.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    known: RwLock<HashMap<Named, (Instant, Arc<Door>)>>,
    kept: Mutex<HashMap<(OrganizationId, EnvironmentId), Arc<Kept>>>,
}

/// A proxy of an organization, by its id or its name.
type Named = (OrganizationId, String);

/// A proxy, as it was a moment ago.
#[derive(Debug)]
struct Door {
    view: LlmProxyView,
    kept: Arc<Kept>,
    routes: Mutex<HashMap<String, Arc<ModelRoutes>>>,
    teams: Mutex<HashMap<UserId, Vec<TeamId>>>,
}

/// The policy of an environment, and connections that it decided about.
#[derive(Debug)]
struct Kept {
    policy: Arc<Policy>,
    clients: Mutex<HashMap<Timeouts, Client>>,
    /// To the server's own upstream.
    to_server: OnceLock<Client>,
}

/// A proxy that somebody may ask.
#[derive(Debug)]
pub struct OpenProxy {
    organization: OrganizationId,
    door: Arc<Door>,
    /// For whom what is asked counts.
    pub spender: Spender,
}

/// Who may be asked for a model.
#[derive(Debug, Default)]
pub struct ModelRoutes {
    /// In the order in which they are asked.
    pub routes: Vec<ProxyRoute>,
    /// The same, as the ledger knows them.
    pub candidates: Vec<Candidate>,
}

/// An upstream whose models a proxy may have.
#[derive(Debug)]
pub struct ListedUpstream {
    /// How it is asked.
    pub route: ProxyRoute,
    /// Which models it is asked for; all that it has if it is the server's.
    models: Vec<ServedModel>,
}

/// Why nobody can be asked for a model.
#[derive(Debug, thiserror::Error)]
pub enum NoModelRoute {
    /// The proxy does not have it, or no upstream does.
    #[error("the model {0:?} is not one of this proxy's")]
    NotServed(String),
    /// What it could not be found out by.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl Door {
    fn serves(&self, model: &str) -> bool {
        let served = &self.view.config.models;
        served.is_empty() || served.iter().any(|pattern| is_named(pattern, model))
    }
}

impl ListedUpstream {
    /// The models that it is asked for, by the names that clients have for them, of those that it says it has. `unsaid` is one that it does not
    /// list and is asked for by name.
    pub fn names(
        &self,
        there: &[ListedModel],
        unsaid: impl Fn(&str) -> ListedModel,
    ) -> Vec<ListedModel> {
        let mut all = Vec::new();
        for served in &self.models {
            if served.is_pattern() {
                all.extend(there.iter().filter(|one| served.is_for(&one.id)).cloned());
                continue;
            }
            let own = served.upstream_model.as_ref().unwrap_or(&served.model);
            let known = there.iter().find(|one| one.id == *own);
            all.push(known.map_or_else(
                || unsaid(&served.model),
                |known| known.called(&served.model),
            ));
        }
        all
    }
}

impl OpenProxy {
    /// The policy of its environment.
    pub(super) fn policy(&self) -> &Policy {
        &self.door.kept.policy
    }

    /// Whether the proxy has a model.
    pub fn serves(&self, model: &str) -> bool {
        self.door.serves(model)
    }

    /// Whose it is.
    pub fn organization(&self) -> &OrganizationId {
        &self.organization
    }
}

impl Doors {
    fn known(&self, key: &Named) -> Option<Arc<Door>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (read, door) = known.get(key)?;
        (read.elapsed() < KNOWN_FOR).then(|| Arc::clone(door))
    }

    fn learn(&self, key: Named, read: Instant, door: Arc<Door>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(key, (read, door));
    }

    /// The connections of an environment, as long as the same policy decides.
    fn kept(
        &self,
        organization: &OrganizationId,
        environment: &EnvironmentId,
        rules: Uncompiled,
    ) -> Arc<Kept> {
        let mut kept = lock(&self.kept);
        let key = (organization.clone(), environment.clone());
        let before = kept.get(&key);
        if let Some(before) = before.filter(|before| *before.policy.uncompiled() == rules) {
            return Arc::clone(before);
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        let new = Arc::new(Kept {
            policy: Arc::new(rules.compile()),
            clients: Mutex::default(),
            to_server: OnceLock::new(),
        });
        kept.insert(key, Arc::clone(&new));
        new
    }
}

impl Kept {
    fn client(&self, way: &Outbound, timeouts: Timeouts) -> Client {
        let mut clients = lock(&self.clients);
        let client = clients
            .entry(timeouts)
            .or_insert_with(|| Client::new(way, Way::Policy(Arc::clone(&self.policy)), timeouts));
        client.clone()
    }

    /// As the server asks its own upstream, but not where the environment's policy denies an address that its name means.
    fn client_of_server(&self, client: &Client) -> Client {
        let within = || client.within(Arc::clone(&self.policy));
        self.to_server.get_or_init(within).clone()
    }

    /// Whether the server's own upstream may be asked, by its name. Where it is is the operator's business; that this environment does not reach it
    /// is the environment's.
    fn may_ask(&self, upstream: &Upstream) -> bool {
        use bailiwick_model::Reason as R;
        let decision = self
            .policy
            .explain(upstream.base.destination(), &HostFacts::unknown());
        let is_operators = matches!(decision.reason, R::Floor | R::PrivateAddress);
        decision.verdict == Verdict::Allow || is_operators
    }
}

impl Control {
    /// Opens a proxy, by its id or its name, for whoever has a virtual key of it, or may use proxies.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Forbidden`], and what every use case may answer.
    pub async fn open_llm_proxy(
        &self,
        caller: &Caller,
        reference: &str,
    ) -> Result<OpenProxy, ControlError> {
        let virtual_key = match &caller.actor {
            Actor::VirtualKey(opens) => Some(opens),
            Actor::User(_)
            | Actor::ServiceAccount(_)
            | Actor::Worker(_)
            | Actor::WorkItem(_)
            | Actor::GatewayKey(_)
            | Actor::System => {
                caller.require(Permission::LlmProxyUse)?;
                None
            }
        };
        let door = self.door(&caller.organization, reference).await?;
        if virtual_key.is_some_and(|opens| opens.llm_proxy != door.view.proxy.id) {
            return Err(ControlError::NotFound(KIND));
        }
        let spender = self.spender(caller, &door, virtual_key).await?;
        Ok(OpenProxy {
            organization: caller.organization.clone(),
            door,
            spender,
        })
    }

    async fn door(
        &self,
        organization: &OrganizationId,
        reference: &str,
    ) -> Result<Arc<Door>, ControlError> {
        let key = (organization.clone(), reference.to_owned());
        if let Some(door) = self.doors.known(&key) {
            return Ok(door);
        }
        let read = Instant::now();
        let scope = self.store.scope(organization);
        let found = match reference.parse::<LlmProxyId>() {
            Ok(id) => scope.llm_proxy(&id).await?,
            Err(_) => scope.llm_proxy_named(reference).await?,
        };
        let view = LlmProxyView::of(found.ok_or(ControlError::NotFound(KIND))?)?;
        let environment = &view.proxy.values.environment;
        let rules = self.proxy_policy(organization, environment).await?;
        let door = Arc::new(Door {
            kept: self.doors.kept(organization, environment, rules),
            view,
            routes: Mutex::default(),
            teams: Mutex::default(),
        });
        self.doors.learn(key, read, Arc::clone(&door));
        Ok(door)
    }

    /// What upstreams may be at all, as far as the environment's policy allows it too.
    async fn proxy_policy(
        &self,
        organization: &OrganizationId,
        environment: &EnvironmentId,
    ) -> Result<Uncompiled, ControlError> {
        let scope = self.store.scope(organization);
        let found = scope.environment(environment).await?;
        let environment = found.ok_or(ControlError::NotFound("environment"))?;
        if environment.archived_at.is_some() {
            return Err(ControlError::Archived("environment"));
        }
        let organization = scope.organization().await?;
        let organization = organization.ok_or(ControlError::NotFound("organization"))?;
        let policies = policies(&organization)?;
        let effective: EffectivePolicy =
            bailiwick_policy::effective(own_policy(&environment)?, policies.default);
        Ok(Uncompiled {
            narrowed_by: vec![effective],
            grants: SessionGrants::none(),
            ..self.upstream_rules(policies.floor)
        })
    }

    async fn spender(
        &self,
        caller: &Caller,
        door: &Door,
        virtual_key: Option<&VirtualKey>,
    ) -> Result<Spender, ControlError> {
        let (user, agent) = match virtual_key {
            Some(opens) => (opens.user.clone(), opens.agent.clone()),
            None => (caller.user().cloned(), None),
        };
        let teams = match &user {
            Some(user) => self.teams_of_door(&caller.organization, door, user).await?,
            None => Vec::new(),
        };
        Ok(Spender {
            environment: door.view.proxy.values.environment.clone(),
            agent,
            user,
            teams,
            key: caller.key.clone(),
            llm_proxy: Some(door.view.proxy.id.clone()),
            session: None,
        })
    }

    /// The teams of a user, for whom something counts.
    pub(crate) async fn teams_of_spender(
        &self,
        organization: &OrganizationId,
        user: &UserId,
    ) -> Result<Vec<TeamId>, StoreError> {
        self.store.scope(organization).teams_of(user).await
    }

    async fn teams_of_door(
        &self,
        organization: &OrganizationId,
        door: &Door,
        user: &UserId,
    ) -> Result<Vec<TeamId>, ControlError> {
        if let Some(teams) = lock(&door.teams).get(user) {
            return Ok(teams.clone());
        }
        let teams = self.store.scope(organization).teams_of(user).await?;
        lock(&door.teams).insert(user.clone(), teams.clone());
        Ok(teams)
    }

    /// The first of the tools that a request defines which the registry has in another environment, and not in that of the proxy.
    ///
    /// # Errors
    ///
    /// What every use case may answer: then it is not known, and nothing is passed on.
    pub async fn foreign_tool<'n>(
        &self,
        open: &OpenProxy,
        tools: impl Iterator<Item = &'n str>,
    ) -> Result<Option<String>, ControlError> {
        let names = registry_names(tools);
        if names.is_empty() {
            return Ok(None);
        }
        let environment = &open.spender.environment;
        let registry = &self.registry_tools;
        registry
            .foreign(&open.organization, environment, &names)
            .await
    }

    /// Who may be asked for a model through a proxy: the organization's upstreams that have it, else the server's own.
    ///
    /// # Errors
    ///
    /// [`NoModelRoute`].
    pub async fn llm_routes(
        &self,
        open: &OpenProxy,
        model: &str,
    ) -> Result<Arc<ModelRoutes>, NoModelRoute> {
        if let Some(routes) = lock(&open.door.routes).get(model) {
            return Ok(Arc::clone(routes));
        }
        if !open.door.serves(model) {
            return Err(NoModelRoute::NotServed(model.to_owned()));
        }
        let found = match self.model_routes(&open.organization, model).await {
            Ok(found) => found,
            Err(NoRoute::Control(error)) => return Err(error.into()),
            Err(lost @ NoRoute::Key(_)) => {
                tracing::error!(error = %lost, "a model cannot be asked");
                Vec::new()
            }
        };
        let routes = Arc::new(self.routes_of(&open.door.kept, model, found));
        if routes.routes.is_empty() {
            return Err(NoModelRoute::NotServed(model.to_owned()));
        }
        let mut known = lock(&open.door.routes);
        if known.len() >= KNOWN_MODELS {
            known.clear();
        }
        known.insert(model.to_owned(), Arc::clone(&routes));
        Ok(routes)
    }

    /// All whose models a proxy may have, in the order in which they are asked.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn llm_upstreams(
        &self,
        open: &OpenProxy,
    ) -> Result<Vec<ListedUpstream>, ControlError> {
        let found = match self.all_routes(&open.organization).await {
            Ok(found) => found,
            Err(NoRoute::Control(error)) => return Err(error),
            Err(lost @ NoRoute::Key(_)) => {
                tracing::error!(error = %lost, "models cannot be listed");
                Vec::new()
            }
        };
        let mut all = Vec::new();
        for route in found {
            let models = route.models.clone();
            let routes = self.routes_of(&open.door.kept, "", vec![route]).routes;
            all.extend(routes.into_iter().map(|route| ListedUpstream {
                route,
                models: models.clone(),
            }));
        }
        let servers = self.routes_of(&open.door.kept, "", Vec::new()).routes;
        all.extend(servers.into_iter().map(|route| ListedUpstream {
            route,
            models: vec![ServedModel::any()],
        }));
        Ok(all)
    }

    fn routes_of(&self, kept: &Kept, model: &str, found: Vec<Route>) -> ModelRoutes {
        let mut all = ModelRoutes::default();
        let mut add = |target: Target, upstream: Option<ModelUpstreamId>, name: String| {
            all.routes.push(ProxyRoute {
                target,
                model: (name != model).then(|| name.as_str().into()),
            });
            all.candidates.push(Candidate {
                upstream,
                model: name,
            });
        };
        let is_served = !found.is_empty();
        if let Some(way) = &self.outbound {
            for route in found {
                let usual = Timeouts::default();
                let timeouts = Timeouts {
                    first_byte: route.timeout.unwrap_or(usual.first_byte),
                    ..usual
                };
                let client = kept.client(way, timeouts);
                let target = Target::new(&client, &route.upstream);
                add(target, Some(route.id), route.model);
            }
        }
        // What an organization's own upstreams answer for goes nowhere else.
        if let Some((client, upstream)) = &self.server_upstream
            && !is_served
            && kept.may_ask(upstream)
        {
            let client = kept.client_of_server(client);
            add(Target::new(&client, upstream), None, model.to_owned());
        }
        all
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
