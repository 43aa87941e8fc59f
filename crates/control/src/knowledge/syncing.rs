//! Syncs: claimed, kept, and ended.
//!
//! A sync goes by what holds at each moment. Every [`KNOWLEDGE_LOOK`] it prolongs its lease and asks anew: a policy that has changed decides about
//! the next request; one that denies the source, a credential that is gone and a connector that was changed, moved or deleted end what runs.

use std::collections::HashSet;
use std::sync::Arc;

use bailiwick_knowledge::{BoxFuture, Checkout, Extent, Known, Outcome, ReadPdf, Room, sync};
use bailiwick_model::limits::{
    KNOWLEDGE_DUE_LOOK, KNOWLEDGE_GIVING_BACK, KNOWLEDGE_LEASE, KNOWLEDGE_LOOK,
    KNOWLEDGE_PDF_PROCESSES, KNOWLEDGE_PDF_PROCESSES_OF_ORGANIZATION, KNOWLEDGE_SWEPT_DOCUMENTS,
    KNOWLEDGE_SYNCS, KNOWLEDGE_SYNCS_OF_ORGANIZATION,
};
use bailiwick_model::{GitRef, OrganizationId, Repository, SecretText};
use bailiwick_outbound::Account;
use bailiwick_policy::{Policy, Uncompiled};
use bailiwick_store::{
    EndedSync, Environment, KeptSync, KnowledgeConnector, KnowledgeRun, KnowledgeSyncState,
    StoreError,
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::{KnowledgeSecret, judged};
use super::config::KnowledgeConfig;
use super::pdf::SharedPdf;
use super::sink::{Keeping, SyncCounts, shortened};
use super::source::{Means, NoConnector};
use crate::control::Control;
use crate::error::ControlError;
use crate::shares::Shares;
use crate::spend::zone;
use crate::{clock, fresh};

/// Connectors of one organization that are looked at: as many as may begin at once.
const DUE_OF_ORGANIZATION: u32 = KNOWLEDGE_SYNCS_OF_ORGANIZATION as u32;
/// Connectors that are looked at: as many as may begin, behind those of organizations that have their share, of which there are no more than places.
const DUE: u32 = 2 * KNOWLEDGE_SYNCS as u32;

/// A repository that is to be brought here.
pub struct WantedCheckout {
    /// For whom.
    pub organization: OrganizationId,
    /// Which.
    pub repository: Repository,
    /// Of what; the default branch if there is none.
    pub git_ref: Option<GitRef>,
    /// What its server knows the organization by.
    pub secret: Option<SecretText>,
    /// A name of the environment and the secret with which it is fetched: under another nothing of it is given.
    pub fetches_as: String,
    /// What decides whether it may be reached.
    pub policy: watch::Receiver<Arc<Policy>>,
    /// With whom flows are kept.
    pub account: Arc<Account>,
}

/// Who brings repositories here.
pub trait Checkouts: Send + Sync {
    /// One that is brought once it is asked for.
    fn checkout(&self, wanted: WantedCheckout) -> Arc<dyn Checkout>;
}

/// Who reads what the server's process does not read itself.
#[derive(Clone)]
pub struct KnowledgeReaders {
    /// PDF documents.
    pub pdf: Arc<dyn ReadPdf>,
    /// Repositories, where there are sandboxes.
    pub checkouts: Option<Arc<dyn Checkouts>>,
}

/// Syncs connectors.
pub struct KnowledgeSyncs {
    shared: Arc<Shared>,
}

struct Shared {
    control: Arc<Control>,
    readers: KnowledgeReaders,
    /// Places of syncs.
    places: Shares,
    /// Places of those who read PDF documents.
    pdf_places: Shares,
    /// What documents wait in.
    room: Room,
    /// What it is called where it holds connectors.
    holder: String,
}

/// Why a sync ended before it was through.
#[derive(Debug)]
enum Ended {
    /// Somebody wanted it to.
    Cancelled,
    /// The connector is another one now; another sync follows.
    Changed,
    /// It may not read any more, and why.
    Denied(String),
    /// It is somebody else's, or nobody's.
    Lost,
}

/// What holds for a sync.
struct Holds {
    connector: KnowledgeConnector,
    environment: Environment,
    config: KnowledgeConfig,
    rules: Uncompiled,
    secret: Option<KnowledgeSecret>,
}

impl KnowledgeSyncs {
    /// None has begun.
    pub fn new(control: Arc<Control>, readers: KnowledgeReaders) -> Self {
        let holder = u64::from_ne_bytes(fresh::random());
        Self {
            shared: Arc::new(Shared {
                control,
                readers,
                places: Shares::new(KNOWLEDGE_SYNCS, KNOWLEDGE_SYNCS_OF_ORGANIZATION),
                pdf_places: Shares::new(
                    KNOWLEDGE_PDF_PROCESSES,
                    KNOWLEDGE_PDF_PROCESSES_OF_ORGANIZATION,
                ),
                room: Room::default(),
                holder: format!("knowledge-{holder:016x}"),
            }),
        }
    }

    /// Syncs what is due, until it is stopped; what runs then is given back, and is begun again by another server or the next start.
    pub async fn run(self, stop: CancellationToken) {
        let working = TaskTracker::new();
        while !stop.is_cancelled() {
            if let Err(error) = self.shared.take(&working, &stop).await {
                tracing::warn!(%error, "knowledge connectors cannot be synced now");
            }
            let control = &self.shared.control;
            let is_more = control.store.sweep_knowledge(KNOWLEDGE_SWEPT_DOCUMENTS);
            if matches!(is_more.await, Ok(true)) {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(KNOWLEDGE_DUE_LOOK) => {}
                () = control.knowledge_wanted.notified() => {}
            }
        }
        working.close();
        if timeout(KNOWLEDGE_GIVING_BACK, working.wait())
            .await
            .is_err()
        {
            tracing::warn!("not all syncs have ended; they begin again when their time is over");
        }
    }
}

impl Shared {
    /// Begins what is due, as far as there are places; of an organization that has its share, what is due waits and is in nobody's way.
    async fn take(
        self: &Arc<Self>,
        working: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let store = &self.control.store;
        // So many may be due of organizations that have their share, before others.
        let due = store.knowledge_to_sync(clock::now(), DUE, DUE_OF_ORGANIZATION);
        for (organization, connector) in due.await? {
            let Some(place) = self.places.take(&organization) else {
                continue;
            };
            let now = clock::now();
            let times = (now, until(now));
            let claimed = store.claim_knowledge(&organization, &connector, &self.holder, times);
            if let Some(run) = claimed.await? {
                let (one, control) = (Arc::clone(self), Arc::clone(&self.control));
                let one = one.one(run, stop.clone());
                working.spawn(async move {
                    one.await;
                    control.knowledge_wanted.notify_one();
                    drop(place);
                });
            }
        }
        Ok(())
    }

    /// One sync, from its beginning to its end.
    async fn one(self: Arc<Self>, run: KnowledgeRun, stop: CancellationToken) {
        let began = clock::now();
        let ended = tokio::select! {
            ended = self.boxed(&run, began) => ended,
            () = stop.cancelled() => Ok(None),
        };
        let store = &self.control.store;
        let done = match ended {
            Ok(Some(ended)) => {
                tracing::info!(connector = %run.connector, state = %ended.state, "a sync has ended");
                let ending = store.end_knowledge_sync(&run, clock::now(), &ended);
                ending.await.map(|_| ())
            }
            Ok(None) => store.release_knowledge(&run).await,
            Err(error) => {
                tracing::warn!(connector = %run.connector, %error, "a sync was given up");
                store.release_knowledge(&run).await
            }
        };
        if let Err(error) = done {
            tracing::warn!(connector = %run.connector, %error, "a connector waits until its lease ends");
        }
    }

    /// Who reads PDF documents of an organization.
    fn pdf_of(&self, organization: &OrganizationId) -> Arc<dyn ReadPdf> {
        Arc::new(SharedPdf {
            reads: Arc::clone(&self.readers.pdf),
            places: self.pdf_places.clone(),
            organization: organization.clone(),
        })
    }

    /// A future whose type is not a part of others': it is a large one.
    fn boxed<'a>(
        &'a self,
        run: &'a KnowledgeRun,
        began: Timestamp,
    ) -> BoxFuture<'a, Result<Option<EndedSync>, ControlError>> {
        Box::pin(self.synced(run, began))
    }

    /// What a sync came to; `None` if it is somebody else's.
    async fn synced(
        &self,
        run: &KnowledgeRun,
        began: Timestamp,
    ) -> Result<Option<EndedSync>, ControlError> {
        let store = &self.control.store;
        let Some(connector) = store.knowledge_of_run(run).await? else {
            return Ok(None);
        };
        let holds = match self.holds(run, connector.clone()).await {
            Ok(holds) => holds,
            Err(error) if is_for_now(&error) => return Err(error),
            Err(error) => {
                let config = KnowledgeConfig::stored(&connector.values.config)?;
                let failed = self
                    .failed(run, &connector, &config, shortened(&error))
                    .await?;
                return Ok(Some(failed));
            }
        };
        let (known, failed) = self.known(run, &connector).await?;
        let keeping = Keeping::new(store, run, failed);
        let (policy, watched) = watch::channel(Arc::new(holds.rules.clone().compile()));
        let source = match self.source(run, &holds, watched) {
            Ok(source) => source,
            Err(error) => {
                let failed = self
                    .failed(run, &connector, &holds.config, shortened(&error))
                    .await?;
                return Ok(Some(failed));
            }
        };
        let cancel = CancellationToken::new();
        let means = (self.pdf_of(&run.organization), &self.room);
        let mut syncing: BoxFuture<'_, Outcome> =
            Box::pin(sync(&*source, &known, &keeping, means, &cancel));
        let (outcome, ended) = tokio::select! {
            outcome = &mut syncing => (outcome, None),
            ended = self.watch(run, &holds, &policy) => {
                cancel.cancel();
                (syncing.await, Some(ended))
            }
        };
        if outcome
            .listing
            .as_ref()
            .is_ok_and(|extent| *extent == Extent::Everything)
        {
            // What it was is lost with the lease, if it is.
            let _ = store
                .drop_unread_documents(run, clock::now(), began)
                .await?;
        }
        let next_at = self.next(&run.organization, &holds.config).await?;
        Ok(end_of(outcome, ended, keeping.counts(), next_at))
    }

    /// What is known of the documents, and which of them could not be read the last time.
    async fn known(
        &self,
        run: &KnowledgeRun,
        connector: &KnowledgeConnector,
    ) -> Result<(Known, HashSet<String>), StoreError> {
        let known = self.control.store.known_documents(run).await?;
        let failed = known.iter().filter(|(_, known)| known.has_failed);
        let failed = failed.map(|(key, _)| key.clone()).collect();
        let documents = known.into_iter().filter_map(|(key, known)| {
            Some((key.try_into().ok()?, known.revision?.try_into().ok()?))
        });
        let cursor = connector.sync.cursor.clone();
        let known = Known {
            documents: documents.collect(),
            cursor: cursor.and_then(|text| text.try_into().ok()),
        };
        Ok((known, failed))
    }

    fn source(
        &self,
        run: &KnowledgeRun,
        holds: &Holds,
        policy: watch::Receiver<Arc<Policy>>,
    ) -> Result<Box<dyn bailiwick_knowledge::Connector>, NoConnector> {
        let control = &self.control;
        let account = control.knowledge_account(&run.organization, &holds.environment);
        let account = Arc::new(account);
        let outbound = control.outbound.as_ref();
        let outbound = outbound.map(|outbound| outbound.on_account(Arc::clone(&account)));
        let means = Means {
            organization: &run.organization,
            readers: &self.readers,
            roots: &control.knowledge_roots,
            outbound,
            account,
            policy,
            secret: holds.secret.as_ref().map(|secret| secret.text.clone()),
            reads_as: reads_as(holds),
        };
        means.connector(&holds.config.source)
    }

    /// What holds for a connector now; an error if it may not read.
    async fn holds(
        &self,
        run: &KnowledgeRun,
        connector: KnowledgeConnector,
    ) -> Result<Holds, ControlError> {
        let (control, organization) = (&self.control, &run.organization);
        let scope = control.store.scope(organization);
        let environment = scope.environment(&connector.values.environment).await?;
        let environment = environment.ok_or(ControlError::NotFound("environment"))?;
        if environment.archived_at.is_some() {
            return Err(ControlError::Archived("environment"));
        }
        let config = KnowledgeConfig::stored(&connector.values.config)?;
        control.is_below_a_root(&config.source)?;
        let rules = control.knowledge_policy(organization, &environment).await?;
        judged(&rules.clone().compile(), &config)?;
        let secret = match &config.credential {
            Some(credential) => {
                let secret = control.knowledge_secret(organization, &config, credential);
                Some(secret.await?)
            }
            None => None,
        };
        Ok(Holds {
            connector,
            environment,
            config,
            rules,
            secret,
        })
    }

    /// Keeps the sync, and has the policy that is in force decide; returns once it has to end.
    async fn watch(
        &self,
        run: &KnowledgeRun,
        began_with: &Holds,
        policy: &watch::Sender<Arc<Policy>>,
    ) -> Ended {
        let mut kept_at = clock::now();
        let mut rules = began_with.rules.clone();
        loop {
            sleep(KNOWLEDGE_LOOK).await;
            let now = clock::now();
            match self.look(run, now).await {
                Ok(Err(ended)) => return ended,
                Ok(Ok(holds)) => {
                    kept_at = now;
                    let is_same = holds.connector.version == began_with.connector.version
                        && secret_of(&holds) == secret_of(began_with);
                    if !is_same {
                        return Ended::Changed;
                    }
                    if holds.rules != rules {
                        rules = holds.rules.clone();
                        policy.send_replace(Arc::new(holds.rules.compile()));
                    }
                }
                // Nobody can say what holds: that goes on for as long as the lease does.
                Err(error) => {
                    tracing::warn!(connector = %run.connector, %error, "it cannot be found out what holds for a sync");
                    if until(kept_at) <= clock::now() {
                        return Ended::Lost;
                    }
                }
            }
        }
    }

    async fn look(
        &self,
        run: &KnowledgeRun,
        now: Timestamp,
    ) -> Result<Result<Holds, Ended>, ControlError> {
        let kept = self.control.store.keep_knowledge(run, now, until(now));
        let connector = match kept.await? {
            KeptSync::Theirs(connector) => *connector,
            KeptSync::Cancelled => return Ok(Err(Ended::Cancelled)),
            KeptSync::Lost => return Ok(Err(Ended::Lost)),
        };
        match self.holds(run, connector).await {
            Ok(holds) => Ok(Ok(holds)),
            Err(error) if is_for_now(&error) => Err(error),
            Err(error) => Ok(Err(Ended::Denied(shortened(&error)))),
        }
    }

    /// A sync that could not begin.
    async fn failed(
        &self,
        run: &KnowledgeRun,
        connector: &KnowledgeConnector,
        config: &KnowledgeConfig,
        error: String,
    ) -> Result<EndedSync, ControlError> {
        Ok(EndedSync {
            state: KnowledgeSyncState::Failed,
            counts: SyncCounts::default().to_json(),
            error: Some(error),
            cursor: connector.sync.cursor.clone(),
            next_at: self.next(&run.organization, config).await?,
        })
    }

    /// When a connector is due again.
    async fn next(
        &self,
        organization: &OrganizationId,
        config: &KnowledgeConfig,
    ) -> Result<Option<Timestamp>, ControlError> {
        let Some(schedule) = &config.schedule else {
            return Ok(None);
        };
        let scope = self.control.store.scope(organization);
        let settings = scope.spend_settings().await?;
        Ok(schedule.after(clock::now(), &zone(settings.time_zone.as_deref())))
    }
}

/// Whether it may be otherwise in a moment, and says nothing about the connector.
fn is_for_now(error: &ControlError) -> bool {
    matches!(error, ControlError::Store(StoreError::Unavailable(_)))
}

fn secret_of(holds: &Holds) -> Option<&str> {
    let secret = holds.secret.as_ref();
    secret.map(|secret| secret.text.reveal())
}

/// What one environment may reach another may not, and what one secret opens another does not.
fn reads_as(holds: &Holds) -> String {
    let secret = holds.secret.as_ref();
    let secret = secret.map_or("nobody", |secret| &secret.name);
    format!("{} {secret}", holds.environment.id)
}

fn until(now: Timestamp) -> Timestamp {
    let lease = SignedDuration::try_from(KNOWLEDGE_LEASE).unwrap_or(SignedDuration::ZERO);
    now.checked_add(lease).unwrap_or(Timestamp::MAX)
}

fn end_of(
    outcome: Outcome,
    ended: Option<Ended>,
    counts: SyncCounts,
    next_at: Option<Timestamp>,
) -> Option<EndedSync> {
    use KnowledgeSyncState as S;
    let (state, error) = match (ended, &outcome.listing) {
        (Some(Ended::Lost), _) => return None,
        (Some(Ended::Cancelled), _) => (S::Cancelled, None),
        (Some(Ended::Changed), _) => {
            let why = "the connector, or its credential, was changed while it was synced";
            (S::Cancelled, Some(why.to_owned()))
        }
        (Some(Ended::Denied(why)), _) => (S::Failed, Some(why)),
        (None, Ok(Extent::Everything | Extent::Changes)) => (S::Done, None),
        (None, Ok(Extent::Cut)) => {
            let why = "not everything was read: there is more than a bound lets be read";
            (S::Done, Some(why.to_owned()))
        }
        (None, Err(error)) => (S::Failed, Some(shortened(error))),
    };
    Some(EndedSync {
        state,
        counts: counts.to_json(),
        error,
        cursor: outcome.cursor.map(String::from),
        next_at,
    })
}
