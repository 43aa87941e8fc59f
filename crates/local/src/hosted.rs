//! The runtime port for a process with threads: sandboxes in *hosts*, processes of this same program with one thread.
//!
//! A [`crate::LocalRuntime`] launches by copying its process, which must have one thread for that. So a server starts hosts, one for each processor,
//! and asks them over a unix socket pair. What a host needs it is told: it has no environment and no descriptor of its server's, and
//! it compiles each policy itself. Standard streams and files go as descriptors; the events of each sandbox have a channel of their own, which
//! holds up that sandbox alone when nobody reads them.
//!
//! A host ends when its server's end of the socket closes, and its sandboxes end with it. A host that dies takes its sandboxes along; the
//! next start gets another host. A host is no boundary against its server: it runs as the same user, and what a sandbox could do to one by a
//! mistake in the relay it could do to the other. The boundaries are those of each sandbox.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use bailiwick_model::SandboxId;
use bailiwick_policy::{InForce, Projections};
use bailiwick_runtime::{
    BoxFuture, Checkpoint, Error, Event, Running, Runtime, SandboxSpec, SandboxSummary, StopReason,
    Verb,
};
use bailiwick_sandbox::channel::Channel;
use bailiwick_sandbox::role;
use tokio::sync::{Mutex, mpsc};

use crate::backend::{EVENTS_WAITING, list};
use crate::checkpoint::Checkpoints;
use crate::state::{StateDirectory, StateError};

mod connection;
mod failure;
mod link;
mod message;
mod policy;
mod sandbox;
mod serve;
mod settings;

use connection::{Connection, HostError};
use link::Link;
use message::{Answer, Events, Question};
use policy::PolicyText;
use sandbox::HostedSandbox;

pub use settings::HostSettings;

/// What a host is called, by which this program knows that it is one.
const ROLE: &str = "bailiwick-sandbox-host";

/// Serves as a sandbox host if this process was started as one. For the beginning of `main`, before there is a second thread; `now` is the
/// time in seconds since 1970.
pub fn serve_if_host(now: fn() -> i64) -> Option<ExitCode> {
    match role::taken(ROLE) {
        Ok(channel) => channel.map(|channel| serve::serve(channel, now)),
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// Sandboxes in hosts. It is used inside one tokio runtime, from any of its threads.
#[derive(Clone)]
pub struct HostedRuntime {
    settings: Arc<HostSettings>,
    state: StateDirectory,
    places: Arc<[Place]>,
    /// Hosts of one sandbox each, which may have secrets.
    own: Arc<std::sync::Mutex<Vec<Weak<Connection>>>>,
}

/// Where one host is.
#[derive(Default)]
struct Place {
    /// Sandboxes that run there or are about to.
    sandboxes: AtomicUsize,
    host: Mutex<Option<Arc<Connection>>>,
}

/// What a sandbox has of its host as long as this lives.
enum Share {
    /// It counts in this place.
    Counted(Arc<[Place]>, usize),
    /// All of it: the host ends with the sandbox.
    Own(Arc<OwnHost>),
}

/// A host of one sandbox, which ends once nothing more is heard of that, and nobody has it any more: an answer may be on its way.
pub(super) struct OwnHost(Arc<Connection>);

impl Drop for OwnHost {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Share {
    fn own(&self) -> Option<Arc<OwnHost>> {
        match self {
            Self::Counted(..) => None,
            Self::Own(host) => Some(Arc::clone(host)),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Self::Counted(places, number) = self {
            places[*number].sandboxes.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl HostedRuntime {
    /// Also removes what sandboxes left behind whose holder died. A host is started when the first sandbox needs it.
    ///
    /// The program's `main` must begin with [`serve_if_host`].
    ///
    /// # Errors
    ///
    /// The state directory cannot be used.
    pub fn new(settings: HostSettings, hosts: NonZeroUsize) -> Result<Self, StateError> {
        let state = StateDirectory::open(settings.state.clone())?;
        state.clean_up()?;
        Ok(Self {
            settings: Arc::new(settings),
            state,
            places: (0..hosts.get()).map(|_| Place::default()).collect(),
            own: Arc::default(),
        })
    }

    /// Ends every host, and with it every sandbox. When this returns, nothing of them is left; a start after it starts a host again.
    pub async fn shut_down(&self) {
        let mut ending = Vec::new();
        for place in &*self.places {
            ending.extend(place.host.lock().await.take());
        }
        ending.extend(self.own().drain(..).filter_map(|host| host.upgrade()));
        ending.iter().for_each(|host| host.finish());
        for host in ending {
            host.gone().await;
        }
    }

    fn own(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Connection>>> {
        // Nothing that holds it panics.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A host that nothing else runs in. A launch copies the memory of its host, so one that has secrets launches nothing any more.
    async fn own_host(&self) -> Result<(Arc<Connection>, Share), Error> {
        let connection = Connection::start(&self.settings, &self.state).await?;
        let mut own = self.own();
        own.retain(|host| host.strong_count() > 0);
        own.push(Arc::downgrade(&connection));
        drop(own);
        let own = Share::Own(Arc::new(OwnHost(Arc::clone(&connection))));
        Ok((connection, own))
    }

    /// The host with the fewest sandboxes.
    async fn host(&self) -> Result<(Arc<Connection>, Share), Error> {
        let places = self.places.iter().enumerate();
        let least = places.min_by_key(|(_, place)| place.sandboxes.load(Ordering::Relaxed));
        let (number, place) = least.ok_or(HostError::Gone)?;
        place.sandboxes.fetch_add(1, Ordering::Relaxed);
        let share = Share::Counted(Arc::clone(&self.places), number);
        let mut host = place.host.lock().await;
        let connection = match host.as_ref().filter(|host| host.is_alive()) {
            Some(connection) => Arc::clone(connection),
            None => {
                let connection = Connection::start(&self.settings, &self.state).await?;
                host.insert(connection).clone()
            }
        };
        Ok((connection, share))
    }

    /// What may have secrets gets them once it is launched, in a host of its own: its init is a copy of a process that has none.
    async fn begin(
        &self,
        spec: SandboxSpec<InForce>,
        restore: Option<Checkpoint>,
    ) -> Result<Running<InForce>, Error> {
        let in_force = spec.network.policy.clone();
        if !in_force.projections.may_have_credentials() {
            return self.launch(self.host().await?, spec, restore).await;
        }
        let without = InForce {
            policy: Arc::clone(&in_force.policy),
            projections: Arc::new(Projections::new(Vec::new(), Vec::new())),
        };
        let spec = spec.with_policy(|_| Ok::<_, Error>(without))?;
        let running = self.launch(self.own_host().await?, spec, restore).await?;
        match running.sandbox.apply_policy(in_force).await {
            Ok(()) => Ok(running),
            Err(error) => {
                // What was brought back is lost with it: nothing runs under rules that it could not be given.
                let _ = running.sandbox.stop(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    async fn launch(
        &self,
        (connection, share): (Arc<Connection>, Share),
        spec: SandboxSpec<InForce>,
        restore: Option<Checkpoint>,
    ) -> Result<Running<InForce>, Error> {
        spec.validate()?;
        let id = spec.id.clone();
        let spec = spec.with_policy(|in_force| PolicyText::of(&in_force))?;
        let backend = |error: std::io::Error| Error::Backend(error.into());
        let (ours, theirs) = Channel::pair().map_err(backend)?;
        let told = Link::new(ours).map_err(backend)?;
        let number = connection.number();
        let end = connection.end_of(number);
        let question = Question::Start {
            spec: Box::new(spec),
            restore,
        };
        let asked = connection.ask(number, question, &[theirs.as_fd()]).await;
        drop(theirs);
        let answer = asked
            .map_err(Error::from)
            .and_then(|asked| asked.map_err(|failure| failure.about(&id)))
            .inspect_err(|_| connection.forget(number))?;
        if !started(&answer.0) {
            connection.forget(number);
            return Err(HostError::Confused.into());
        }
        let (events, receiver) = mpsc::channel(EVENTS_WAITING);
        let own = share.own();
        tokio::spawn(pass_on(told, events, Arc::clone(&connection), share));
        let sandbox = Arc::new(HostedSandbox {
            id,
            number,
            connection,
            end,
            _own: own,
        });
        Ok(Running {
            sandbox,
            events: receiver,
        })
    }
}

/// Whether something runs now that nobody had before.
fn started(answer: &Answer) -> bool {
    match answer {
        Answer::Started { .. } => true,
        // A connection that nobody has is closed.
        Answer::Done
        | Answer::Connected
        | Answer::Contents { .. }
        | Answer::Entries(_)
        | Answer::Captured(_)
        | Answer::Checkpoint(_) => false,
    }
}

/// Events go on in order. The channel from the host holds what is not read, and then the sandbox waits; of a sandbox that is lost the last
/// event is made here.
async fn pass_on(
    told: Link,
    events: mpsc::Sender<Event>,
    connection: Arc<Connection>,
    _share: Share,
) {
    let mut stopped = false;
    while let Ok(Some(message)) = told.receive::<Events>().await {
        for event in message.body {
            stopped |= matches!(event, Event::Stopped(_));
            // Nobody has to read them.
            let _ = events.send(event).await;
        }
    }
    if !stopped {
        connection.gone().await;
        let _ = events.send(Event::Stopped(StopReason::Lost)).await;
    }
}

impl Runtime for HostedRuntime {
    type Policy = InForce;

    fn supports(&self, verb: Verb) -> bool {
        crate::backend::supports(verb)
    }

    fn start(&self, spec: SandboxSpec<InForce>) -> BoxFuture<'_, Result<Running<InForce>, Error>> {
        Box::pin(self.begin(spec, None))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<SandboxSummary>, Error>> {
        Box::pin(async {
            let state = self.state.clone();
            let listed = tokio::task::spawn_blocking(move || list(&state)).await;
            listed.map_err(|error| Error::Backend(error.into()))?
        })
    }

    fn adopt<'a>(&'a self, _id: &'a SandboxId) -> BoxFuture<'a, Result<Running<InForce>, Error>> {
        Box::pin(async { Err(Error::Unsupported(Verb::Adopt)) })
    }

    fn restore<'a>(
        &'a self,
        spec: SandboxSpec<InForce>,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<Running<InForce>, Error>> {
        Box::pin(self.begin(spec, Some(checkpoint.clone())))
    }

    fn discard<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Result<(), Error>> {
        let checkpoints = Checkpoints::at(self.settings.checkpoints.clone(), &self.state);
        let checkpoint = checkpoint.clone();
        Box::pin(async {
            let discarded = move || checkpoints.discard(&checkpoint);
            let discarded = tokio::task::spawn_blocking(discarded).await;
            discarded.map_err(|error| Error::Backend(error.into()))?
        })
    }

    fn checkpoint_bytes<'a>(
        &'a self,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        let checkpoints = Checkpoints::at(self.settings.checkpoints.clone(), &self.state);
        Box::pin(async move { checkpoints.bytes(checkpoint) })
    }
}
