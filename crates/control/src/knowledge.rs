//! What an environment knows: connectors that read it, their syncs, and the one way in which it is searched.
//!
//! A connector belongs to one environment and reads under its policy, as that is at each moment ([`access`]). Its syncs are claimed with a lease, so
//! that of several servers one runs each ([`syncing`]). What was read is found through [`search`] alone, which asks for an environment.

mod access;
mod checkout;
mod config;
mod pdf;
mod schedule;
mod search;
mod sink;
mod source;
mod syncing;

use bailiwick_model::limits::KNOWLEDGE_CONNECTORS;
use bailiwick_model::{
    EnvironmentId, KnowledgeConnectorId, KnowledgeDocumentId, Permission, ResourceId as _,
};
use bailiwick_store::{
    Environment, KnowledgeConnector, KnowledgeConnectorValues, KnowledgeDocument,
    KnowledgeDocuments, Page, PageRequest, StoreError,
};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;
use crate::names::name;
use crate::{clock, fresh};

pub use checkout::GitCheckouts;
pub use config::{
    KnowledgeConfig, KnowledgeCredential, KnowledgeGather, KnowledgeSchedule, KnowledgeSource,
};
pub use search::{KnowledgeAnswer, KnowledgeSearch, KnowledgeTool};
pub use sink::SyncCounts;
pub use syncing::{Checkouts, KnowledgeReaders, KnowledgeSyncs, WantedCheckout};

/// What the errors call it.
const KIND: &str = "knowledge connector";
/// What the audit log calls it.
const RESOURCE: &str = "knowledge_connector";

/// A connector that is to be.
#[derive(Debug, Clone)]
pub struct NewKnowledgeConnectorRequest {
    /// What people call it.
    pub name: String,
    /// Where it belongs.
    pub environment: EnvironmentId,
    /// Where it reads, with what and when.
    pub config: KnowledgeConfig,
}

/// What of a connector is to change: what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct KnowledgeConnectorChange {
    /// What people call it.
    pub name: Option<String>,
    /// Where it belongs.
    pub environment: Option<EnvironmentId>,
    /// Where it reads; of the same kind as before.
    pub source: Option<KnowledgeSource>,
    /// With what; `None` inside is nothing.
    pub credential: Option<Option<KnowledgeCredential>>,
    /// When; `None` inside is by hand alone.
    pub schedule: Option<Option<KnowledgeSchedule>>,
    /// The set of `bailiwick apply` that it belongs to; `None` inside is none.
    pub apply_set: Option<Option<String>>,
    /// Only if it is at this version.
    pub version: Option<i64>,
}

/// A connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnowledgeConnectorView {
    /// As it is stored.
    pub connector: KnowledgeConnector,
    /// Where it reads, with what and when.
    pub config: KnowledgeConfig,
    /// How many documents the last sync made of what, if there was one.
    pub counts: Option<SyncCounts>,
}

impl KnowledgeConnectorView {
    fn of(connector: KnowledgeConnector) -> Result<Self, ControlError> {
        let counts = connector.sync.counts.as_deref().map(SyncCounts::stored);
        Ok(Self {
            config: KnowledgeConfig::stored(&connector.values.config)?,
            counts: counts.transpose()?,
            connector,
        })
    }

    /// For the audit log.
    fn evidence(&self) -> Value {
        let values = &self.connector.values;
        json!({"name": values.name, "environment_id": values.environment, "config": self.config})
    }
}

impl Control {
    /// Connectors, the newest first; of one environment, if one is named.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn knowledge_connectors(
        &self,
        caller: &Caller,
        environment: Option<&EnvironmentId>,
        page: &PageRequest<KnowledgeConnectorId>,
    ) -> Result<Page<KnowledgeConnectorView, KnowledgeConnectorId>, ControlError> {
        caller.require(Permission::KnowledgeRead)?;
        let scope = self.store.scope(&caller.organization);
        let found = scope.knowledge_connectors(environment, page).await?;
        let items = found.items.into_iter().map(KnowledgeConnectorView::of);
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next: found.next,
        })
    }

    /// One connector, with how far its sync is.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn knowledge_connector(
        &self,
        caller: &Caller,
        id: &KnowledgeConnectorId,
    ) -> Result<KnowledgeConnectorView, ControlError> {
        caller.require(Permission::KnowledgeRead)?;
        self.stored_connector(caller, id).await
    }

    async fn stored_connector(
        &self,
        caller: &Caller,
        id: &KnowledgeConnectorId,
    ) -> Result<KnowledgeConnectorView, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let found = scope.knowledge_connector(id).await?;
        KnowledgeConnectorView::of(found.ok_or(ControlError::NotFound(KIND))?)
    }

    /// Documents of a connector, the newest first.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn knowledge_documents(
        &self,
        caller: &Caller,
        id: &KnowledgeConnectorId,
        which: KnowledgeDocuments,
        page: &PageRequest<KnowledgeDocumentId>,
    ) -> Result<Page<KnowledgeDocument, KnowledgeDocumentId>, ControlError> {
        caller.require(Permission::KnowledgeRead)?;
        self.stored_connector(caller, id).await?;
        let scope = self.store.scope(&caller.organization);
        Ok(scope.knowledge_documents(id, which, page).await?)
    }

    /// Makes a connector in an environment, and has it synced at once.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Invalid`] (also if the environment's policy denies where it reads),
    /// [`ControlError::NameTaken`], [`ControlError::Full`], and what every use case may answer.
    pub async fn create_knowledge_connector(
        &self,
        caller: &Caller,
        request: NewKnowledgeConnectorRequest,
    ) -> Result<KnowledgeConnectorView, ControlError> {
        caller.require(Permission::KnowledgeWrite)?;
        let name = name(&request.name)?;
        let environment = self.to_be_read_in(caller, &request.environment).await?;
        let config = request.config;
        self.may_read(caller, &environment, &config).await?;
        let mut change = self.change(caller, clock::now()).await?;
        let count = change.count_knowledge_connectors().await?;
        if usize::try_from(count).unwrap_or(usize::MAX) >= KNOWLEDGE_CONNECTORS {
            return Err(ControlError::Full {
                kind: "organization",
                what: "knowledge connectors",
                limit: KNOWLEDGE_CONNECTORS,
            });
        }
        let values = KnowledgeConnectorValues {
            environment: environment.id,
            name,
            kind: config.source.kind().to_owned(),
            config: config.to_json(),
        };
        let (id, at) = (fresh::id(change.at()), change.at());
        let made = change.insert_knowledge_connector(id, values, Some(at));
        let made = KnowledgeConnectorView::of(made.await.map_err(gone)?)?;
        let about = (RESOURCE, made.connector.id.as_str());
        let event = caller.event(
            "knowledge_connector.create",
            about,
            None,
            Some(&made.evidence()),
        );
        change.commit(&event).await?;
        self.knowledge_wanted.notify_one();
        self.gateways_changed();
        Ok(made)
    }

    /// Changes a connector, or moves it to another environment with all that it knows, at once. Its sync, if one runs, ends and begins anew.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Invalid`] (also if the environment's policy denies where it reads),
    /// [`ControlError::NameTaken`], [`ControlError::Stale`], and what every use case may answer.
    pub async fn update_knowledge_connector(
        &self,
        caller: &Caller,
        id: &KnowledgeConnectorId,
        request: KnowledgeConnectorChange,
    ) -> Result<KnowledgeConnectorView, ControlError> {
        caller.require(Permission::KnowledgeWrite)?;
        let before = self.stored_connector(caller, id).await?;
        let connector = &before.connector;
        if request
            .version
            .is_some_and(|version| version != connector.version)
        {
            return Err(ControlError::Stale(KIND));
        }
        let (values, config) = after(&before, &request)?;
        if values == connector.values {
            return Ok(before);
        }
        let moves = values.environment != connector.values.environment;
        let reads_otherwise = moves || !config.reads_as(&before.config);
        if reads_otherwise || config != before.config {
            let environment = match moves {
                true => self.to_be_read_in(caller, &values.environment).await?,
                false => self.environment_of(caller, &values.environment).await?,
            };
            self.may_read(caller, &environment, &config).await?;
        }
        let mut change = self.change(caller, clock::now()).await?;
        let at = change.at();
        let wanted = match reads_otherwise {
            true => Some(at),
            false => connector.sync.wanted_at,
        };
        let changed = change.update_knowledge_connector(connector, values, wanted);
        let changed = KnowledgeConnectorView::of(changed.await.map_err(gone)?)?;
        let (was, is) = (before.evidence(), changed.evidence());
        let about = (RESOURCE, id.as_str());
        let event = caller.event("knowledge_connector.update", about, Some(&was), Some(&is));
        change.commit(&event).await?;
        self.knowledge_wanted.notify_one();
        self.gateways_changed();
        Ok(changed)
    }

    /// Deletes a connector. Nothing of what it knew is found any more when this returns.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn delete_knowledge_connector(
        &self,
        caller: &Caller,
        id: &KnowledgeConnectorId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::KnowledgeWrite)?;
        let mut change = self.change(caller, clock::now()).await?;
        let found = change.knowledge_connector(id).await?;
        let before = KnowledgeConnectorView::of(found.ok_or(ControlError::NotFound(KIND))?)?;
        change.delete_knowledge_connector(id).await?;
        let (about, was) = ((RESOURCE, id.as_str()), before.evidence());
        let event = caller.event("knowledge_connector.delete", about, Some(&was), None);
        change.commit(&event).await?;
        self.knowledge_wanted.notify_one();
        self.gateways_changed();
        Ok(())
    }

    /// Has a connector synced as soon as a server can; if one runs, another one follows it.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`] with its environment, and what every use case may answer.
    pub async fn sync_knowledge_connector(
        &self,
        caller: &Caller,
        id: &KnowledgeConnectorId,
    ) -> Result<KnowledgeConnectorView, ControlError> {
        caller.require(Permission::KnowledgeWrite)?;
        let before = self.stored_connector(caller, id).await?;
        let environment = &before.connector.values.environment;
        self.environment_of(caller, environment).await?;
        let mut change = self.change(caller, clock::now()).await?;
        if !change.want_knowledge_sync(id).await? {
            return Err(ControlError::NotFound(KIND));
        }
        let about = (RESOURCE, id.as_str());
        let event = caller.event("knowledge_connector.sync", about, None, None);
        change.commit(&event).await?;
        self.knowledge_wanted.notify_one();
        self.stored_connector(caller, id).await
    }

    /// Has the sync of a connector end that runs; what it has read until then stays. Nothing happens where none runs.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn cancel_knowledge_sync(
        &self,
        caller: &Caller,
        id: &KnowledgeConnectorId,
    ) -> Result<KnowledgeConnectorView, ControlError> {
        caller.require(Permission::KnowledgeWrite)?;
        self.stored_connector(caller, id).await?;
        let mut change = self.change(caller, clock::now()).await?;
        if change.cancel_knowledge_sync(id).await? {
            let about = (RESOURCE, id.as_str());
            let event = caller.event("knowledge_connector.cancel_sync", about, None, None);
            change.commit(&event).await?;
        }
        self.stored_connector(caller, id).await
    }

    /// An environment that the caller may put something into that reads.
    async fn to_be_read_in(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
    ) -> Result<Environment, ControlError> {
        let environment = self.environment_of(caller, id).await?;
        self.may_deploy(caller, &environment).await?;
        Ok(environment)
    }

    /// An environment that is not archived.
    async fn environment_of(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
    ) -> Result<Environment, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let found = scope.environment(id).await?;
        let environment = found.ok_or(ControlError::NotFound("environment"))?;
        match environment.archived_at {
            Some(_) => Err(ControlError::Archived("environment")),
            None => Ok(environment),
        }
    }
}

fn after(
    before: &KnowledgeConnectorView,
    request: &KnowledgeConnectorChange,
) -> Result<(KnowledgeConnectorValues, KnowledgeConfig), ControlError> {
    let (values, was) = (&before.connector.values, &before.config);
    let config = KnowledgeConfig {
        source: request.source.clone().unwrap_or(was.source.clone()),
        credential: match &request.credential {
            Some(credential) => credential.clone(),
            None => was.credential.clone(),
        },
        schedule: match &request.schedule {
            Some(schedule) => schedule.clone(),
            None => was.schedule.clone(),
        },
        apply_set: match &request.apply_set {
            Some(set) => set.clone(),
            None => was.apply_set.clone(),
        },
    };
    config.source.is_like(&was.source)?;
    let values = KnowledgeConnectorValues {
        environment: match &request.environment {
            Some(environment) => environment.clone(),
            None => values.environment.clone(),
        },
        name: match &request.name {
            Some(text) => name(text)?,
            None => values.name.clone(),
        },
        kind: values.kind.clone(),
        // What did not change stays as it was written.
        config: match config == *was {
            true => values.config.clone(),
            false => config.to_json(),
        },
    };
    Ok((values, config))
}

/// The environment went between two looks.
fn gone(error: StoreError) -> ControlError {
    if matches!(error, StoreError::Referred) {
        return ControlError::NotFound("environment");
    }
    ControlError::of(KIND)(error)
}
