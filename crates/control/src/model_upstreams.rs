//! Servers that answer for an organization's models: who is asked for which, and with which key.
//!
//! Keys go in with a request, sealed, and come out of one use case that no request reaches ([`Control::model_routes`]), which is for the engine.

mod config;
mod route;

use bailiwick_model::limits::{MODEL_UPSTREAM_PRIORITY, MODEL_UPSTREAMS};
use bailiwick_model::{
    ModelUpstreamId, OrganizationId, Permission, PolicySource, ResourceId as _, SecretText,
    SessionId, Verdict,
};
use bailiwick_policy::{
    EffectivePolicy, EgressPolicy, HostFacts, OrganizationFloor, Policy, SessionGrants, Uncompiled,
};
use bailiwick_store::{Change, ModelUpstream, ModelUpstreamValues};
use bailiwick_wire::FieldProblem;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::control::Control;
use crate::credentials::sealed;
use crate::error::ControlError;
use crate::names::{name, problem};
use crate::organizations::policies;
use crate::tightening::{narrowed_by, pinned};
use crate::{clock, fresh};

pub use config::{KeyHeader, ServedModel, TokensField, UpstreamConfig, UpstreamProtocol};
pub use route::{ModelRules, ServerUpstream};
pub(crate) use route::{NoRoute, Route};

/// What the errors call it.
const KIND: &str = "model upstream";
/// Where one stands if nothing is said.
const USUAL_PRIORITY: i64 = 100;
/// What its secret is called.
const API_KEY: &str = "api_key";

/// An upstream that is to be.
#[derive(Debug)]
pub struct NewUpstreamRequest {
    /// What people call it.
    pub name: String,
    /// The lowest is asked first; 100 if nothing is said.
    pub priority: Option<i64>,
    /// Where it is, what it speaks and which models it has.
    pub config: UpstreamConfig,
    /// What it knows the organization by.
    pub api_key: Option<SecretText>,
}

/// What of an upstream is to change: what is absent stays.
#[derive(Debug, Default)]
pub struct UpstreamChange {
    /// What people call it.
    pub name: Option<String>,
    /// The lowest is asked first.
    pub priority: Option<i64>,
    /// What it speaks.
    pub protocol: Option<UpstreamProtocol>,
    /// Where it is.
    pub base_url: Option<String>,
    /// Which models it has.
    pub models: Option<Vec<ServedModel>>,
    /// How it is shown the key; `None` inside is as its protocol has it.
    pub key_header: Option<Option<KeyHeader>>,
    /// What it calls the bound of an answer.
    pub max_tokens_field: Option<TokensField>,
    /// Whether it may be reached without TLS.
    pub allow_plain_http: Option<bool>,
    /// Seconds until it has to begin its answer; `None` inside is the usual time.
    pub timeout_seconds: Option<Option<i64>>,
    /// Another key; `None` inside takes it away.
    pub api_key: Option<Option<SecretText>>,
    /// Only if it is at this version.
    pub version: Option<i64>,
}

/// An upstream, without its key.
#[derive(Debug, Clone)]
pub struct UpstreamView {
    /// As it is stored.
    pub upstream: ModelUpstream,
    /// Where it is, what it speaks and which models it has.
    pub config: UpstreamConfig,
}

/// What there is to ask.
#[derive(Debug, Clone)]
pub struct UpstreamList {
    /// The organization's own, in the order in which they are asked.
    pub own: Vec<UpstreamView>,
    /// The server's, which is asked for what none of those has.
    pub server: Option<ServerUpstream>,
}

impl UpstreamView {
    fn of(upstream: ModelUpstream) -> Result<Self, ControlError> {
        Ok(Self {
            config: UpstreamConfig::stored(&upstream.values.config)?,
            upstream,
        })
    }

    /// For the audit log.
    fn evidence(&self) -> Value {
        let ModelUpstreamValues { name, priority, .. } = &self.upstream.values;
        let has_key = self.upstream.key.is_some();
        json!({"name": name, "priority": priority, "config": self.config, "has_key": has_key})
    }
}

impl Control {
    /// All upstreams, in the order in which they are asked.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn model_upstreams(&self, caller: &Caller) -> Result<UpstreamList, ControlError> {
        caller.require(Permission::ModelUpstreamRead)?;
        let stored = self
            .store
            .scope(&caller.organization)
            .model_upstreams()
            .await?;
        let own = stored.into_iter().map(UpstreamView::of);
        Ok(UpstreamList {
            own: own.collect::<Result<_, _>>()?,
            server: self.model_rules.server,
        })
    }

    /// One upstream.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn model_upstream(
        &self,
        caller: &Caller,
        id: &ModelUpstreamId,
    ) -> Result<UpstreamView, ControlError> {
        caller.require(Permission::ModelUpstreamRead)?;
        self.stored_upstream(caller, id).await
    }

    async fn stored_upstream(
        &self,
        caller: &Caller,
        id: &ModelUpstreamId,
    ) -> Result<UpstreamView, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let found = scope.model_upstream(id).await?;
        UpstreamView::of(found.ok_or(ControlError::NotFound(KIND))?)
    }

    /// Makes an upstream.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], [`ControlError::NameTaken`], [`ControlError::Full`], and what every use case may answer.
    pub async fn create_model_upstream(
        &self,
        caller: &Caller,
        request: NewUpstreamRequest,
    ) -> Result<UpstreamView, ControlError> {
        caller.require(Permission::ModelUpstreamAdmin)?;
        let name = name(&request.name)?;
        let priority = priority(request.priority.unwrap_or(USUAL_PRIORITY))?;
        self.check_upstream(caller, &request.config, request.api_key.as_ref())
            .await?;
        let mut change = self.change(caller, clock::now()).await?;
        let most = i64::try_from(MODEL_UPSTREAMS).unwrap_or(i64::MAX);
        if change.count_model_upstreams().await? >= most {
            return Err(ControlError::Full {
                kind: "organization",
                what: "model upstreams",
                limit: MODEL_UPSTREAMS,
            });
        }
        let values = ModelUpstreamValues {
            name,
            priority,
            config: request.config.to_json(),
        };
        let made = change.insert_model_upstream(fresh::id(change.at()), values);
        let mut made = made.await.map_err(ControlError::of(KIND))?;
        if let Some(key) = &request.api_key {
            made = self.put_key(&mut change, made, Some(key)).await?;
        }
        let made = UpstreamView::of(made)?;
        let (action, after) = ("model_upstream.create", made.evidence());
        let id = ("model_upstream", made.upstream.id.as_str());
        change
            .commit(&caller.event(action, id, None, Some(&after)))
            .await?;
        Ok(made)
    }

    /// Changes an upstream. The next request to a model goes by it.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Invalid`], [`ControlError::NameTaken`], [`ControlError::Stale`], and what every use case may
    /// answer.
    pub async fn update_model_upstream(
        &self,
        caller: &Caller,
        id: &ModelUpstreamId,
        request: UpstreamChange,
    ) -> Result<UpstreamView, ControlError> {
        caller.require(Permission::ModelUpstreamAdmin)?;
        let before = self.stored_upstream(caller, id).await?;
        let version = request.version.unwrap_or(before.upstream.version);
        if version != before.upstream.version {
            return Err(ControlError::Stale(KIND));
        }
        let (values, config) = after(&before, &request)?;
        let key = request.api_key.as_ref();
        let keeps_key = key.is_none() && before.upstream.key.is_some();
        if keeps_key && !config.is_where(&before.config) {
            // Else whoever may not know the key could have it sent to themselves.
            let message = "is needed again where another server is to be asked: the one that is stored is for the server before";
            return Err(problem(
                API_KEY,
                "key_needed",
                message,
                "give the key beside base_url, or null for none",
            ));
        }
        self.check_upstream(caller, &config, key.and_then(Option::as_ref))
            .await?;
        if values == before.upstream.values && key.is_none() {
            return Ok(before);
        }
        let mut change = self.change(caller, clock::now()).await?;
        let changed = change.update_model_upstream(&before.upstream, values);
        let mut changed = changed.await.map_err(ControlError::of(KIND))?;
        if let Some(key) = key {
            changed = self.put_key(&mut change, changed, key.as_ref()).await?;
        }
        let changed = UpstreamView::of(changed)?;
        let (was, mut becomes) = (before.evidence(), changed.evidence());
        if key.is_some() {
            becomes["key"] = json!("replaced");
        }
        let about = ("model_upstream", id.as_str());
        let event = caller.event("model_upstream.update", about, Some(&was), Some(&becomes));
        change.commit(&event).await?;
        Ok(changed)
    }

    /// Deletes an upstream with its key: no request that begins after this goes there.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn delete_model_upstream(
        &self,
        caller: &Caller,
        id: &ModelUpstreamId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::ModelUpstreamAdmin)?;
        let mut change = self.change(caller, clock::now()).await?;
        let found = change.model_upstream(id).await?;
        let before = UpstreamView::of(found.ok_or(ControlError::NotFound(KIND))?)?;
        change.delete_model_upstream(id).await?;
        let about = ("model_upstream", id.as_str());
        let event = caller.event(
            "model_upstream.delete",
            about,
            Some(&before.evidence()),
            None,
        );
        Ok(change.commit(&event).await?)
    }

    /// Whether an upstream could be asked: what is written, and whether its host may be connected to at all.
    async fn check_upstream(
        &self,
        caller: &Caller,
        config: &UpstreamConfig,
        key: Option<&SecretText>,
    ) -> Result<(), ControlError> {
        let mut problems = config.problems();
        if let Some(key) = key
            && let Err(error) = key.reveal().parse::<bailiwick_llm::Secret>()
        {
            problems.push(FieldProblem {
                field: API_KEY.to_owned(),
                code: "invalid_key",
                message: error.to_string(),
                help: "give the key as the upstream shows it".to_owned(),
            });
        }
        if !problems.is_empty() {
            return Err(ControlError::Invalid(problems));
        }
        let policy = self.upstream_policy(&caller.organization).await?;
        let destination = config.base()?.destination().clone();
        // What its name means is found out when it is asked, each time.
        let decision = policy.explain(&destination, &HostFacts::unknown());
        match decision.verdict {
            Verdict::Allow => Ok(()),
            Verdict::Deny => Err(problem(
                "base_url",
                "denied",
                &format!("cannot be asked: {}", decision.reason),
                "name a public server; the operator can open a private network with --model-upstream-cidr",
            )),
        }
    }

    /// What an organization's upstreams may be: all that is public and that its floor leaves, and what the operator opened.
    pub(crate) async fn upstream_policy(
        &self,
        organization: &OrganizationId,
    ) -> Result<Policy, ControlError> {
        let found = self.store.scope(organization).organization().await?;
        let found = found.ok_or(ControlError::NotFound("organization"))?;
        Ok(self.upstream_rules(policies(&found)?.floor).compile())
    }

    /// What a session may ask: what upstreams may be at all, as far as the policy that the session was made with and what tightened it since allow it.
    pub(crate) async fn model_rules_of_session(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
    ) -> Result<Uncompiled, ControlError> {
        let scope = self.store.scope(organization);
        let found = scope.organization().await?;
        let found = found.ok_or(ControlError::NotFound("organization"))?;
        // As it is now: it may have been tightened since it was taken up.
        let session = scope.session(session).await?;
        let session = session.ok_or(ControlError::NotFound("session"))?;
        let mut narrower: Vec<_> = pinned(&session)?.into_iter().collect();
        narrower.extend(narrowed_by(&session)?);
        Ok(Uncompiled {
            narrowed_by: narrower,
            ..self.upstream_rules(policies(&found)?.floor)
        })
    }

    /// The same, as rules: all that is public and that the floor leaves, and what the operator opened.
    pub(crate) fn upstream_rules(&self, floor: OrganizationFloor) -> Uncompiled {
        Uncompiled {
            effective: EffectivePolicy {
                policy: EgressPolicy {
                    allowed_cidrs: self.model_rules.allowed_cidrs.clone(),
                    ..EgressPolicy::unrestricted()
                },
                source: PolicySource::BuiltIn,
            },
            narrowed_by: Vec::new(),
            organization: floor,
            grants: SessionGrants::none(),
        }
    }

    async fn put_key(
        &self,
        change: &mut Change,
        upstream: ModelUpstream,
        key: Option<&SecretText>,
    ) -> Result<ModelUpstream, ControlError> {
        let organization = change.organization().clone();
        let place = place(&organization, &upstream.id);
        let key = key.map(|key| sealed(&self.sealing, &place, API_KEY, key.reveal().as_bytes()));
        Ok(change.put_model_upstream_key(upstream, key).await?)
    }
}

/// Where the key of an upstream belongs: it opens nowhere else.
pub(crate) fn place<'a>(
    organization: &'a OrganizationId,
    upstream: &'a ModelUpstreamId,
) -> [&'a str; 4] {
    [
        "model_upstream",
        organization.as_str(),
        upstream.as_str(),
        API_KEY,
    ]
}

fn after(
    before: &UpstreamView,
    request: &UpstreamChange,
) -> Result<(ModelUpstreamValues, UpstreamConfig), ControlError> {
    let was = &before.config;
    let config = UpstreamConfig {
        protocol: request.protocol.unwrap_or(was.protocol),
        base_url: request.base_url.as_ref().unwrap_or(&was.base_url).clone(),
        models: request.models.as_ref().unwrap_or(&was.models).clone(),
        key_header: request.key_header.unwrap_or(was.key_header),
        max_tokens_field: request.max_tokens_field.unwrap_or(was.max_tokens_field),
        allow_plain_http: request.allow_plain_http.unwrap_or(was.allow_plain_http),
        timeout_seconds: request.timeout_seconds.unwrap_or(was.timeout_seconds),
    };
    let values = &before.upstream.values;
    let values = ModelUpstreamValues {
        name: match &request.name {
            Some(text) => name(text)?,
            None => values.name.clone(),
        },
        priority: match request.priority {
            Some(number) => priority(number)?,
            None => values.priority,
        },
        config: config.to_json(),
    };
    Ok((values, config))
}

fn priority(number: i64) -> Result<i64, ControlError> {
    if (0..=MODEL_UPSTREAM_PRIORITY).contains(&number) {
        return Ok(number);
    }
    let message = format!("is a number from 0 to {MODEL_UPSTREAM_PRIORITY}");
    let help = "the lowest is asked first";
    Err(problem("priority", "out_of_range", &message, help))
}
