//! Which upstream a model is asked at, and what it costs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_llm::{Client, ModelPrice, PriceTable, Priced, Service, Timeouts, Upstream, Usage};
use bailiwick_model::limits::{CONTEXT_TOKENS, MODEL_POLICIES_KEPT};
use bailiwick_model::{ModelUpstreamId, OrganizationId, SessionId, SessionUsage};
use bailiwick_outbound::{Outbound, Way};
use bailiwick_policy::{Policy, Uncompiled};

use crate::control::Control;
use crate::error::ControlError;
use crate::model_upstreams::{NoRoute, Route};
use crate::spend::Candidate;

/// Where models are asked.
pub struct Models {
    /// The server's own upstream.
    server: Option<(Client, Upstream)>,
    /// The way to upstreams that organizations name.
    way: Option<Outbound>,
    clients: Mutex<BTreeMap<OrganizationId, Vec<Clients>>>,
    prices: PriceTable,
}

/// The clients of one organization's upstreams, all for one policy.
struct Clients {
    policy: Arc<Policy>,
    /// To the server's own upstream.
    to_server: Option<Client>,
    by_upstream: BTreeMap<ModelUpstreamId, (Timeouts, Client)>,
}

/// An upstream that a model is asked at.
pub(crate) struct Asked {
    pub(crate) client: Client,
    pub(crate) upstream: Upstream,
    /// It, as the ledger knows it, with its name for the model.
    pub(crate) candidate: Candidate,
}

/// Nobody can be asked. The text is for whoever reads the session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NobodyToAsk {
    /// Neither the organization nor the server has an upstream that answers for it.
    #[error(
        "model_not_found: no model upstream answers for {0:?}. Name one that does (`bailiwick model-upstream create`), or start the server with \
         ANTHROPIC_API_KEY (and ANTHROPIC_BASE_URL, if it is not the usual one)"
    )]
    NotServed(String),
    /// Its key is lost.
    #[error("{0}")]
    Key(NoRoute),
    /// The database.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl Clients {
    fn of_server(&mut self, client: &Client) -> Client {
        let within = || client.within(Arc::clone(&self.policy));
        self.to_server.get_or_insert_with(within).clone()
    }

    fn of_routes(&mut self, way: &Outbound, routes: Vec<Route>) -> Vec<Asked> {
        let asked = routes.into_iter().map(|route| {
            let usual = Timeouts::default();
            let timeouts = Timeouts {
                first_byte: route.timeout.unwrap_or(usual.first_byte),
                ..usual
            };
            let known = self.by_upstream.get(&route.id);
            let client = match known.filter(|(times, _)| *times == timeouts) {
                Some((_, client)) => client.clone(),
                None => {
                    let policy = Way::Policy(Arc::clone(&self.policy));
                    Client::new(way, policy, timeouts)
                }
            };
            let of_route = (timeouts, client.clone());
            self.by_upstream.insert(route.id.clone(), of_route);
            Asked {
                client,
                upstream: route.upstream,
                candidate: Candidate {
                    upstream: Some(route.id),
                    model: route.model,
                },
            }
        });
        asked.collect()
    }
}

impl Models {
    /// All models that no upstream of an organization answers for are asked at this one, if there is one. Organizations' own are asked by
    /// way of `way`; without it, by nobody.
    pub fn new(server: Option<(Client, Upstream)>, way: Option<Outbound>) -> Self {
        Self {
            server,
            way,
            clients: Mutex::default(),
            prices: PriceTable::built_in(),
        }
    }

    /// Who is asked for a model, in this order: the organization's own upstreams that have it, else the server's. Looked up for each request,
    /// so that another key, another floor and another upstream hold from the next one on.
    ///
    /// An organization's upstream has to be one that may be named at all, and one that the session's policy allows. The server's own needs no rule,
    /// since without it an agent in a closed environment would have no model; what is denied expressly holds for it too.
    pub(crate) async fn to_ask(
        &self,
        control: &Control,
        organization: &OrganizationId,
        session: &SessionId,
        model: &str,
    ) -> Result<Vec<Asked>, NobodyToAsk> {
        let rules = control.model_rules_of_session(organization, session);
        let rules = rules.await?;
        let routes = match control.model_routes(organization, model).await {
            Ok(routes) => routes,
            Err(NoRoute::Control(error)) => return Err(error.into()),
            Err(lost @ NoRoute::Key(_)) => return Err(NobodyToAsk::Key(lost)),
        };
        if let (false, Some(way)) = (routes.is_empty(), &self.way) {
            return Ok(self.with_clients(organization, rules, |clients| {
                clients.of_routes(way, routes)
            }));
        }
        match &self.server {
            // What an organization's own upstreams answer for goes nowhere else.
            Some((client, upstream)) if routes.is_empty() => Ok(vec![Asked {
                client: self.with_clients(organization, rules, |clients| clients.of_server(client)),
                upstream: upstream.clone(),
                candidate: Candidate {
                    upstream: None,
                    model: model.to_owned(),
                },
            }]),
            Some(_) | None => Err(NobodyToAsk::NotServed(model.to_owned())),
        }
    }

    /// Clients are kept for their connections, and with them as long as the same policy decides.
    fn with_clients<T>(
        &self,
        organization: &OrganizationId,
        rules: Uncompiled,
        take: impl FnOnce(&mut Clients) -> T,
    ) -> T {
        let mut all = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.entry(organization.clone()).or_default();
        let known = kept
            .iter()
            .position(|one| *one.policy.uncompiled() == rules);
        let mut clients = match known {
            Some(place) => kept.remove(place),
            None => Clients {
                policy: Arc::new(rules.compile()),
                to_server: None,
                by_upstream: BTreeMap::new(),
            },
        };
        let taken = take(&mut clients);
        // The one that was used last is the last.
        if kept.len() >= MODEL_POLICIES_KEPT {
            kept.remove(0);
        }
        kept.push(clients);
        taken
    }

    /// What a model costs; what nobody knows the price of can have no budget.
    pub(crate) fn price(&self, model: &str) -> Option<&ModelPrice> {
        match self.prices.look_up(model) {
            Priced::Override(price) | Priced::Table { price, .. } => Some(price),
            Priced::Unknown => None,
        }
    }

    /// Tokens of a model's context.
    pub(crate) fn context_tokens(&self, model: &str) -> u64 {
        let known = self.price(model).and_then(|price| price.context_tokens);
        known.unwrap_or(CONTEXT_TOKENS)
    }

    /// What a request has used. Of a model without a price, the tokens alone.
    pub(crate) fn used(&self, model: &str, usage: &Usage) -> SessionUsage {
        let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let cost = self.price(model).map_or(0, |price| {
            price.cost(usage, Service::Standard).nano_dollars().0
        });
        SessionUsage {
            input_tokens: count(usage.input_tokens),
            output_tokens: count(usage.output_tokens),
            cache_read_tokens: count(usage.cache_read_tokens),
            cache_5m_tokens: count(usage.cache_write_5m_tokens),
            cache_1h_tokens: count(usage.cache_write_1h_tokens),
            list_cost_nanos: cost,
            ..SessionUsage::default()
        }
    }
}
