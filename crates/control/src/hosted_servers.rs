//! Self-hosted MCP servers: each is a program in a sandbox of its environment.
//!
//! The first use starts it, one start however many ask. One loop ([`HostedServers::run`]) looks at each every [`HOSTED_LOOK`]: whether its entry and
//! its environment are still there, whether what it was made from still holds (another policy is put in force, for another image it is started
//! anew), whether it answers, whether somebody uses it. One that has failed is started again after a pause, which grows.
//!
//! What this must never do: let a server run on under rules that it could not be given, or reach a server other than over its sandbox's own
//! streams and loopback.

mod basis;
mod error;
mod live;
mod log;
mod place;
mod playwright;
mod server;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_mcp::HeldAccess;
use bailiwick_model::limits::{
    HOSTED_IDLE, HOSTED_LOOK, HOSTED_SERVERS, HOSTED_SERVERS_OF_ORGANIZATION, HOSTED_STALE,
    HOSTED_START_WAIT, HOSTED_STARTS, HOSTED_STARTS_OF_ORGANIZATION,
};
use bailiwick_model::{EnvironmentId, OrganizationId};
use bailiwick_runtime::Limits;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::engine::PortFuture;
use crate::error::ControlError;
use crate::sandboxes::error::SandboxError;
use crate::sandboxes::{Revision, SandboxRuntime, SessionImage, SessionImages, built};
use crate::shares::Shares;
use basis::HostedBasis;
use live::{Live, MadeOf};
use place::{Outcome, Place, State};

pub use error::HostedError;
pub use place::HostedCondition;
pub use playwright::Playwright;
pub use server::{Holder, HostedProblem, HostedSecret, HostedServer, HostedTransport};

/// By what a place is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    organization: OrganizationId,
    entry: String,
    environment: EnvironmentId,
    holder: Holder,
}

/// Who knows which servers there are: the catalog.
pub trait HostedEntries: Send + Sync + 'static {
    /// What a server is now; `None` if there is no such entry any more, or it is in another environment.
    fn now<'a>(
        &'a self,
        server: &'a HostedServer,
    ) -> PortFuture<'a, Result<Option<HostedServer>, ControlError>>;
}

/// How a server is.
#[derive(Debug, Clone)]
pub struct HostedState {
    /// Which.
    pub server: Arc<HostedServer>,
    /// How.
    pub condition: HostedCondition,
    /// How often in a row it has failed.
    pub failures: u32,
    /// The last that it printed, and what happened to it, the oldest first.
    pub log: Vec<String>,
}

/// The self-hosted servers of this process.
#[derive(Clone)]
pub struct HostedServers {
    control: Arc<Control>,
    runtime: SandboxRuntime,
    images: Option<Arc<SessionImages>>,
    entries: Option<Arc<dyn HostedEntries>>,
    limits: Limits,
    idle: Duration,
    places: Arc<Mutex<BTreeMap<Key, Arc<Place>>>>,
    /// Who makes an image ready.
    starts: Shares,
    /// Nothing is started any more.
    over: CancellationToken,
}

impl Key {
    fn of(server: &HostedServer) -> Self {
        Self {
            organization: server.organization.clone(),
            entry: server.entry.clone(),
            environment: server.environment.clone(),
            holder: server.holder.clone(),
        }
    }
}

impl fmt::Debug for HostedServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostedServers").finish_non_exhaustive()
    }
}

impl HostedServers {
    /// None yet.
    pub fn new(control: Arc<Control>, runtime: SandboxRuntime) -> Self {
        Self {
            control,
            runtime,
            images: None,
            entries: None,
            limits: Limits::default(),
            idle: HOSTED_IDLE,
            places: Arc::default(),
            starts: Shares::new(HOSTED_STARTS, HOSTED_STARTS_OF_ORGANIZATION),
            over: CancellationToken::new(),
        }
    }

    /// With images of what environments and servers declare, built like this.
    #[must_use]
    pub fn with_images(self, images: SessionImages) -> Self {
        Self {
            images: Some(Arc::new(images)),
            ..self
        }
    }

    /// With a catalog, which is asked whether servers are still what they were.
    #[must_use]
    pub fn with_entries(self, entries: Arc<dyn HostedEntries>) -> Self {
        Self {
            entries: Some(entries),
            ..self
        }
    }

    /// With these bounds of what one may use that has none of its own.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// With another time after which one that nobody uses is stopped.
    #[must_use]
    pub fn with_idle_time(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// The way to a server, which is started if it does not run. It is used by this; whoever has it for long asks for it again.
    ///
    /// # Errors
    ///
    /// See [`HostedError`]. A start that takes longer than [`HOSTED_START_WAIT`] goes on.
    pub async fn access(&self, server: &HostedServer) -> Result<HeldAccess, HostedError> {
        server.check()?;
        let place = self.place(server)?;
        place.is_used(server);
        // A start that was under way may have been that of another command.
        for _ in 0..2 {
            if let Some(ready) = place.ready() {
                return Ok(ready);
            }
            let mut outcome = self.started(&place);
            let waited = timeout(HOSTED_START_WAIT, outcome.wait_for(Option::is_some)).await;
            let waited = waited.map_err(|_| HostedError::Starting)?;
            if let Some(Err(error)) = &*waited.map_err(|_| HostedError::Ending)? {
                return Err(error.clone());
            }
        }
        place.ready().ok_or(HostedError::Starting)
    }

    /// How the server of an entry is that everybody shares; nothing if nobody has used it here.
    pub fn state(&self, organization: &OrganizationId, entry: &str) -> Option<HostedState> {
        let mut own = self.states(organization).into_iter();
        own.find(|state| state.server.entry == entry && state.server.holder == Holder::Everybody)
    }

    /// How the servers of an organization are.
    pub fn states(&self, organization: &OrganizationId) -> Vec<HostedState> {
        let known = self.known();
        let own = known
            .iter()
            .filter(|(key, _)| key.organization == *organization);
        let state = own.map(|(_, place)| {
            let (condition, failures) = place.condition();
            HostedState {
                server: place.server(),
                condition,
                failures,
                log: place.log.all(),
            }
        });
        state.collect()
    }

    /// Ends all servers of an entry, which is gone.
    pub async fn withdraw(&self, organization: &OrganizationId, entry: &str) {
        self.end_those(|key| key.organization == *organization && key.entry == entry)
            .await;
    }

    /// Ends all servers that somebody has alone, and will not use any more.
    pub async fn release(&self, organization: &OrganizationId, holder: &Holder) {
        self.end_those(|key| key.organization == *organization && key.holder == *holder)
            .await;
    }

    /// Looks after the servers until it is stopped, and then ends them all. When this returns, none is left.
    pub async fn run(self, stop: CancellationToken) {
        let mut looking = JoinSet::new();
        let mut changed = self.control.gateways_at.subscribe();
        let mut looks = tokio::time::interval(HOSTED_LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = looks.tick() => {}
                // An entry may be gone, or a policy another one. The sender is the control's, so that it does not close.
                _ = changed.changed() => {}
            }
            for (key, place) in self.known() {
                let servers = self.clone();
                looking.spawn(async move { servers.look_after(&key, &place).await });
            }
            while looking.try_join_next().is_some() {}
        }
        looking.join_all().await;
        self.end_all().await;
    }

    /// Ends all servers, and starts none any more. When this returns, none is left.
    pub async fn end_all(&self) {
        // Under the lock that places are made under: none is made after those that are ended were counted.
        {
            let _places = self.places();
            self.over.cancel();
        }
        self.end_those(|_| true).await;
    }

    async fn end_those(&self, which: impl Fn(&Key) -> bool) {
        let mut ending = JoinSet::new();
        for (key, place) in self.known() {
            if which(&key) {
                let servers = self.clone();
                ending.spawn(async move { servers.end(&key, &place).await });
            }
        }
        ending.join_all().await;
    }

    async fn end(&self, key: &Key, place: &Arc<Place>) {
        place.over.cancel();
        let mut state = place.state.lock().await;
        place.stop(&mut state, "ended").await;
        drop(state);
        let mut places = self.places();
        if places
            .get(key)
            .is_some_and(|known| Arc::ptr_eq(known, place))
        {
            places.remove(key);
        }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> Vec<(Key, Arc<Place>)> {
        let places = self.places();
        let all = places.iter();
        all.map(|(key, place)| (key.clone(), Arc::clone(place)))
            .collect()
    }

    /// Where a server is, or will be. If there is no room for it, one that does not run is forgotten.
    fn place(&self, server: &HostedServer) -> Result<Arc<Place>, HostedError> {
        let mut places = self.places();
        if self.over.is_cancelled() {
            return Err(HostedError::Ending);
        }
        let key = Key::of(server);
        if let Some(place) = places.get(&key) {
            return Ok(Arc::clone(place));
        }
        let is_own = |known: &&Key| known.organization == key.organization;
        if places.keys().filter(is_own).count() >= HOSTED_SERVERS_OF_ORGANIZATION {
            forget_one(&mut places, |known| is_own(&known)).ok_or(HostedError::OrganizationFull)?;
        }
        if places.len() >= HOSTED_SERVERS {
            forget_one(&mut places, |_| true).ok_or(HostedError::Full)?;
        }
        let place = Arc::new(Place::new(server));
        places.insert(key, Arc::clone(&place));
        Ok(place)
    }

    /// A start of what the place is for now: whoever stops waiting for it does not stop it.
    fn started(&self, place: &Arc<Place>) -> tokio::sync::watch::Receiver<Option<Outcome>> {
        place.started(|tell| {
            let (servers, place) = (self.clone(), Arc::clone(place));
            tokio::spawn(async move {
                let outcome = servers.begin(&place).await;
                tell.send_replace(Some(outcome));
            });
        })
    }

    async fn begin(&self, place: &Arc<Place>) -> Outcome {
        let mut state = place.state.lock().await;
        if place.over.is_cancelled() {
            return Err(HostedError::Ending);
        }
        place.settle(&mut state).await;
        let server = place.server();
        match &state.live {
            Some(live) if live.server == server => {
                let access = live.access.clone();
                place.is_now(&state, HostedCondition::Running);
                return Ok(access);
            }
            Some(_) => {
                let why = "stopped: its entry has changed";
                place.stop(&mut state, why).await;
            }
            None => {}
        }
        if let Some(pausing) = state.pausing() {
            return Err(pausing);
        }
        place.is_now(&state, HostedCondition::Starting);
        match self.live(place, server).await {
            Ok(live) => {
                let access = live.access.clone();
                state.live = Some(live);
                place.is_now(&state, HostedCondition::Running);
                Ok(access)
            }
            Err(error) => {
                place.fail(&mut state, &error.to_string()).await;
                Err(error)
            }
        }
    }

    /// Starts a server; when this returns, it answers.
    async fn live(
        &self,
        place: &Arc<Place>,
        server: Arc<HostedServer>,
    ) -> Result<Live, HostedError> {
        let made_of = tokio::select! {
            () = place.over.cancelled() => return Err(HostedError::Ending),
            made_of = self.made_of(server) => made_of?,
        };
        place.log.note("starting");
        let live = Live::start((&self.control, &self.runtime), made_of, &place.log).await?;
        let begun = tokio::select! {
            () = place.over.cancelled() => Err(HostedError::Ending),
            begun = live.begin() => begun,
        };
        match begun {
            Ok(()) => Ok(live),
            Err(error) => {
                live.stop().await;
                Err(error.with(&place.log.last()))
            }
        }
    }

    async fn made_of(&self, server: Arc<HostedServer>) -> Result<MadeOf, HostedError> {
        let _turn = self.starts.wait(&server.organization).await;
        let before = self.control.hosted_basis(&server).await?;
        let image = self.image(&server, &before).await?;
        // That may have taken minutes. What the image is made of stays; what it may do is what holds now, if it is to be there at all.
        match self.entry_of(&server).await? {
            EntryNow::Same => {}
            EntryNow::Other | EntryNow::Gone => return Err(HostedError::Ending),
        }
        let now = self.control.hosted_basis(&server).await?;
        let basis = HostedBasis {
            declared: before.declared,
            revision: before.revision,
            ..now
        };
        let mut placeholders = BTreeMap::new();
        let in_force = self
            .control
            .hosted_in_force(&server, &basis, &mut placeholders);
        Ok(MadeOf {
            in_force: in_force.await?,
            server,
            basis,
            placeholders,
            image,
            limits: self.limits,
        })
    }

    /// The image of the environment's base, packages and project, and of what the server needs besides.
    async fn image(
        &self,
        server: &HostedServer,
        basis: &HostedBasis,
    ) -> Result<Option<SessionImage>, HostedError> {
        if basis.declared.is_nothing() {
            return Ok(None);
        }
        let images = self.images.as_ref();
        let images = images.ok_or_else(|| HostedError::of(SandboxError::NoImages))?;
        let revision = Revision {
            organization: &server.organization,
            environment: &server.environment,
            number: basis.revision,
        };
        let floor = basis.uncompiled.organization.clone();
        let built = built(
            &self.control,
            images,
            basis.declared.clone(),
            floor,
            revision,
        );
        built.await.map(Some).map_err(HostedError::of)
    }

    /// One that is being started, or looked at, is looked at the next time.
    async fn look_after(&self, key: &Key, place: &Arc<Place>) {
        let Ok(mut state) = place.state.try_lock() else {
            return;
        };
        place.settle(&mut state).await;
        let is_idle = place.is_idle_for(self.idle);
        if state.live.is_none() {
            let is_to_run = place.condition().0 == HostedCondition::Failed && !is_idle;
            if is_to_run && state.pausing().is_none() {
                let entry = self.entry_of(&place.server()).await;
                match entry {
                    Ok(EntryNow::Same) => {
                        drop(state);
                        drop(self.started(place));
                    }
                    // The next use starts what it is then.
                    Ok(EntryNow::Other) => place.is_now(&state, HostedCondition::Stopped),
                    Ok(EntryNow::Gone) => {
                        drop(state);
                        self.end(key, place).await;
                    }
                    // Nobody knows now: the next look asks again.
                    Err(_) => {}
                }
            }
            return;
        }
        let followed = self.follow(place, &mut state, is_idle).await;
        drop(state);
        if let Followed::Gone = followed {
            self.end(key, place).await;
        }
    }

    /// Does what has to be done about a server that runs.
    async fn follow(&self, place: &Place, state: &mut State, is_idle: bool) -> Followed {
        let Some(live) = &mut state.live else {
            return Followed::Stays;
        };
        if is_idle && !live.access.is_asked() {
            place.stop(state, "stopped: nobody uses it").await;
            return Followed::Stays;
        }
        if live.is_unwell() {
            let problem = "it does not answer any more";
            place.log.note(problem);
            place.fail(state, problem).await;
            return Followed::Stays;
        }
        live.look();
        match self.renewed(live).await {
            Ok(Renewed::Holds) => Followed::Stays,
            Ok(Renewed::IsOther(why)) => {
                place.stop(state, why).await;
                Followed::Stays
            }
            Ok(Renewed::IsGone) => Followed::Gone,
            Err(error) if error.is_final() => Followed::Gone,
            // Nobody knows what holds now, or it cannot be put in force: not for long.
            Err(error) => {
                if live.renewed.elapsed() >= HOSTED_STALE {
                    let why = format!("stopped: what holds for it cannot be found out: {error}");
                    place.stop(state, &why).await;
                }
                Followed::Stays
            }
        }
    }

    /// What the catalog says now of a server.
    async fn entry_of(&self, server: &HostedServer) -> Result<EntryNow, HostedError> {
        let Some(entries) = &self.entries else {
            return Ok(EntryNow::Same);
        };
        let now = entries.now(server).await?;
        Ok(match now {
            Some(now) if now == *server => EntryNow::Same,
            Some(_) => EntryNow::Other,
            None => EntryNow::Gone,
        })
    }

    /// Puts what holds now in force, if it is another thing than before.
    async fn renewed(&self, live: &mut Live) -> Result<Renewed, HostedError> {
        match self.entry_of(&live.server).await? {
            EntryNow::Same => {}
            EntryNow::Other => return Ok(Renewed::IsOther("stopped: its entry has changed")),
            EntryNow::Gone => return Ok(Renewed::IsGone),
        }
        let now = self.control.hosted_basis(&live.server).await?;
        if now.declared != live.basis.declared {
            return Ok(Renewed::IsOther(
                "stopped: its environment declares another image",
            ));
        }
        if now == live.basis {
            live.renewed = Instant::now();
            return Ok(Renewed::Holds);
        }
        let in_force = self
            .control
            .hosted_in_force(&live.server, &now, &mut live.placeholders)
            .await?;
        match live.apply(now, in_force).await {
            Ok(()) => Ok(Renewed::Holds),
            Err(_) => Ok(Renewed::IsOther(
                "stopped: another policy cannot be put in force while it runs",
            )),
        }
    }
}

/// Whether there is still a place for it.
enum Followed {
    Stays,
    Gone,
}

/// What a server is to the catalog.
enum EntryNow {
    /// What it was.
    Same,
    /// Another one, by the same id.
    Other,
    /// Nothing: its entry is not there any more.
    Gone,
}

/// What became of a look at what holds.
enum Renewed {
    /// It is in force.
    Holds,
    /// It is another server, which the next use starts.
    IsOther(&'static str),
    /// There is none any more.
    IsGone,
}

/// Forgets a place where nothing runs, if there is one.
fn forget_one(
    places: &mut BTreeMap<Key, Arc<Place>>,
    which: impl Fn(&Key) -> bool,
) -> Option<Arc<Place>> {
    let found = places
        .iter()
        .find(|(key, place)| which(key) && place.is_at_rest());
    let key = found.map(|(key, _)| key.clone())?;
    let place = places.remove(&key)?;
    // Somebody may be about to start something there.
    place.over.cancel();
    Some(place)
}
