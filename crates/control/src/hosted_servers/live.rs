//! A server that runs: its sandbox, its program, and the way to it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bailiwick_mcp::{Connections, HeldAccess, McpError, PipedServer, Pulse};
use bailiwick_model::limits::{
    HOSTED_BEGIN_TIME, HOSTED_GRACE, HOSTED_LISTEN_LOOK, HOSTED_PULSE, HOSTED_PULSE_TIME,
    HOSTED_PULSES_MISSED,
};
use bailiwick_model::{CredentialId, Flow, SandboxId, SecretText, Verdict};
use bailiwick_policy::{InForce, Placeholder};
use bailiwick_runtime::{
    ByteSink, ByteSource, Command, Event, Execution, ExecutionControl, ExitStatus, Limits, Sandbox,
    SandboxSpec, Streams,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::basis::{HostedBasis, values};
use super::error::HostedError;
use super::log::ServerLog;
use super::server::{Holder, HostedServer, HostedTransport};
use crate::control::Control;
use crate::flows::FlowsOf;
use crate::flows::journal::Journal;
use crate::fresh;
use crate::sandboxes::{SandboxRuntime, SessionImage};

type RunningSandbox = Arc<dyn Sandbox<Policy = InForce>>;

/// A server that runs.
pub(super) struct Live {
    pub(super) server: Arc<HostedServer>,
    pub(super) basis: HostedBasis,
    pub(super) access: HeldAccess,
    /// Its program or its sandbox has ended.
    pub(super) ended: CancellationToken,
    pub(super) since: Instant,
    /// When it was last known that what is in force is what holds.
    pub(super) renewed: Instant,
    pub(super) placeholders: BTreeMap<CredentialId, Placeholder>,
    sandbox: RunningSandbox,
    journal: Journal,
    health: Health,
    _image: Option<SessionImage>,
}

/// Whether it answers.
struct Health {
    pulse: Arc<Pulse>,
    asked: Instant,
    missed: Arc<AtomicU32>,
}

/// What it is made of.
pub(super) struct MadeOf {
    pub(super) server: Arc<HostedServer>,
    pub(super) basis: HostedBasis,
    pub(super) in_force: InForce,
    pub(super) placeholders: BTreeMap<CredentialId, Placeholder>,
    pub(super) image: Option<SessionImage>,
    pub(super) limits: Limits,
}

/// The ends of a program that runs.
struct Program {
    stdin: ByteSink,
    stdout: ByteSource,
    stderr: ByteSource,
    control: Box<dyn ExecutionControl>,
}

impl MadeOf {
    fn spec(&self) -> SandboxSpec<InForce> {
        let id = SandboxId::from_random(u64::from_ne_bytes(fresh::random()));
        let mut spec = SandboxSpec::new(id, self.in_force.clone());
        spec.environment = Some(self.basis.environment.clone());
        if let Some(image) = &self.image {
            spec.image = image.image.clone();
            spec.mounts.extend(image.project.clone());
        }
        spec.limits = both(self.server.limits, self.limits);
        spec
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.server.command);
        let variables = self.basis.environment_of(&self.server, &self.placeholders);
        let text = |(name, value)| (OsString::from(name), OsString::from(value));
        command.env = variables.into_iter().map(text).collect();
        command
    }

    /// Whose its flows are: those of a server that belongs to no session are its environment's.
    fn whose(&self) -> FlowsOf {
        let session = match &self.server.holder {
            Holder::Session(session) => Some(session.clone()),
            Holder::Everybody | Holder::One(_) => None,
        };
        FlowsOf {
            organization: self.server.organization.clone(),
            session,
            environment: self.server.environment.clone(),
        }
    }
}

/// What the first says, else the second.
fn both(own: Limits, usual: Limits) -> Limits {
    Limits {
        memory_bytes: own.memory_bytes.or(usual.memory_bytes),
        cpu_millis: own.cpu_millis.or(usual.cpu_millis),
        processes: own.processes.or(usual.processes),
        disk_bytes: own.disk_bytes.or(usual.disk_bytes),
        lifetime: own.lifetime.or(usual.lifetime),
    }
}

impl Live {
    /// Starts the sandbox and the program in it; whether it answers is another question. After an error nothing is left.
    pub(super) async fn start(
        (control, runtime): (&Arc<Control>, &SandboxRuntime),
        made_of: MadeOf,
        log: &Arc<ServerLog>,
    ) -> Result<Self, HostedError> {
        let pulse = Pulse::new(made_of.server.url()?);
        let pulse = pulse.map_err(|it| HostedError::NotStarted(it.to_string().into()))?;
        let running = runtime.start(made_of.spec()).await;
        let running = running.map_err(|error| HostedError::runtime(&error))?;
        let sandbox = running.sandbox;
        let (flows, journal) = Journal::begin(Arc::clone(control), made_of.whose());
        tokio::spawn(attend(running.events, Arc::clone(log), flows));
        let program = match program(&*sandbox, made_of.command()).await {
            Ok(program) => program,
            Err(error) => {
                stop(&*sandbox).await;
                return Err(error);
            }
        };
        let secrets = values(&made_of.server);
        log.hide(secrets.iter().cloned());
        let ended = CancellationToken::new();
        let access = access(
            &made_of.server,
            (&sandbox, program),
            (log, &secrets),
            &ended,
        );
        Ok(Self {
            server: made_of.server,
            basis: made_of.basis,
            access,
            ended,
            since: Instant::now(),
            renewed: Instant::now(),
            placeholders: made_of.placeholders,
            sandbox,
            journal,
            health: Health {
                pulse: Arc::new(pulse),
                asked: Instant::now(),
                missed: Arc::default(),
            },
            _image: made_of.image,
        })
    }

    /// Waits until it answers as an MCP server, or has failed to.
    pub(super) async fn begin(&self) -> Result<(), HostedError> {
        let deadline = Instant::now() + HOSTED_BEGIN_TIME;
        let beginning = async {
            if let HostedTransport::Http { port, .. } = self.server.transport {
                self.until_it_listens(port).await?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            self.health.pulse.beat(&self.access, left).await
        };
        let begun = tokio::select! {
            begun = timeout(HOSTED_BEGIN_TIME, beginning) => {
                begun.unwrap_or(Err(McpError::Timeout))
            }
            () = self.ended.cancelled() => Err(McpError::Ended),
        };
        begun.map_err(|error| HostedError::NotStarted(error.to_string().into()))
    }

    async fn until_it_listens(&self, port: NonZeroU16) -> Result<(), McpError> {
        loop {
            match self.sandbox.connect(port).await {
                Ok(_) => return Ok(()),
                Err(bailiwick_runtime::Error::NotListening(_)) => sleep(HOSTED_LISTEN_LOOK).await,
                Err(error) => return Err(McpError::NotRunning(error.to_string().into())),
            }
        }
    }

    /// Asks whether it is well, if it is time for that, and nobody waits for the answer: whoever calls it holds it. A server that is at work on
    /// something may be too busy to say so, and is not asked.
    pub(super) fn look(&mut self) {
        let Health {
            pulse,
            asked,
            missed,
        } = &mut self.health;
        if self.access.is_asked() {
            missed.store(0, Ordering::Relaxed);
            *asked = Instant::now();
            return;
        }
        if asked.elapsed() < HOSTED_PULSE {
            return;
        }
        *asked = Instant::now();
        let (pulse, missed, access) = (Arc::clone(pulse), Arc::clone(missed), self.access.clone());
        tokio::spawn(async move {
            match pulse.beat(&access, HOSTED_PULSE_TIME).await {
                Ok(()) => missed.store(0, Ordering::Relaxed),
                Err(_) => {
                    missed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }

    /// Whether it has not answered for long.
    pub(super) fn is_unwell(&self) -> bool {
        self.health.missed.load(Ordering::Relaxed) >= HOSTED_PULSES_MISSED
    }

    /// Puts other rules in force.
    pub(super) async fn apply(
        &mut self,
        basis: HostedBasis,
        in_force: InForce,
    ) -> Result<(), HostedError> {
        let applied = self.sandbox.apply_policy(in_force).await;
        applied.map_err(|error| HostedError::runtime(&error))?;
        self.basis = basis;
        self.renewed = Instant::now();
        Ok(())
    }

    /// Nothing is left of it when this returns.
    pub(super) async fn stop(self) {
        self.journal.hurry(true);
        stop(&*self.sandbox).await;
        self.journal.last().await;
    }
}

async fn stop(sandbox: &dyn Sandbox<Policy = InForce>) {
    if let Err(error) = sandbox.stop(HOSTED_GRACE).await {
        tracing::warn!(sandbox = %sandbox.id(), %error, "a sandbox has not ended as it should");
    }
}

async fn program(
    sandbox: &dyn Sandbox<Policy = InForce>,
    command: Command,
) -> Result<Program, HostedError> {
    let execution = sandbox.exec(command).await;
    let Execution { streams, control } = execution.map_err(|error| HostedError::runtime(&error))?;
    match streams {
        Streams::Pipes {
            stdin,
            stdout,
            stderr,
        } => Ok(Program {
            stdin,
            stdout,
            stderr,
            control,
        }),
        Streams::Terminal { .. } => Err(HostedError::NotStarted("it has no pipes".into())),
    }
}

/// The way to the program, and the tasks that read what it prints and wait for its end.
fn access(
    server: &HostedServer,
    (sandbox, program): (&RunningSandbox, Program),
    (log, secrets): (&Arc<ServerLog>, &[SecretText]),
    ended: &CancellationToken,
) -> HeldAccess {
    let secrets = secrets.iter().map(SecretText::reveal);
    let errors = Arc::clone(log);
    let stderr = program.stderr;
    tokio::spawn(async move { errors.read(stderr).await });
    let (access, held, piped) = match server.transport {
        HostedTransport::Stdio => {
            let printed = Arc::clone(log);
            let streams = (program.stdin, program.stdout);
            let piped = PipedServer::new(streams, secrets, move |line| printed.printed(line));
            (HeldAccess::piped(Arc::clone(&piped)), None, Some(piped))
        }
        HostedTransport::Http { port, .. } => {
            let (printed, stdout) = (Arc::clone(log), program.stdout);
            tokio::spawn(async move { printed.read(stdout).await });
            let sandbox = Arc::clone(sandbox);
            let connections = Connections::inside(move || {
                let sandbox = Arc::clone(&sandbox);
                async move {
                    let connected = sandbox.connect(port).await;
                    connected.map_err(|error| error.to_string().into())
                }
            });
            let access = HeldAccess::hiding(Arc::new(connections), secrets);
            (access, Some(program.stdin), None)
        }
    };
    let (log, ended, sandbox) = (Arc::clone(log), ended.clone(), Arc::clone(sandbox));
    let control = program.control;
    tokio::spawn(async move {
        // Some programs end with their input.
        let _held = held;
        let how = end_of(&*control, &*sandbox, piped.as_deref()).await;
        log.note(&how);
        ended.cancel();
    });
    access
}

/// Waits for the first of the ends that there are, and says which it was.
async fn end_of(
    control: &dyn ExecutionControl,
    sandbox: &dyn Sandbox<Policy = InForce>,
    piped: Option<&PipedServer>,
) -> String {
    let over = async {
        match piped {
            Some(piped) => piped.over().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        status = control.wait() => match status {
            Ok(status) => format!("the program has ended: {}", told(status)),
            Err(_) => "the sandbox has ended".to_owned(),
        },
        () = sandbox.gone() => "the sandbox has ended".to_owned(),
        () = over => {
            // Most often that is the end of the program, which says more.
            match timeout(Duration::from_secs(1), control.wait()).await {
                Ok(Ok(status)) => format!("the program has ended: {}", told(status)),
                Ok(Err(_)) | Err(_) => "the program has closed its output, or writes more than is read".to_owned(),
            }
        }
    }
}

fn told(status: ExitStatus) -> String {
    match status {
        ExitStatus::Exited(code) => format!("exit code {code}"),
        ExitStatus::Signaled(signal) => format!("signal {signal}"),
        ExitStatus::TimedOut => "its time was over".to_owned(),
        ExitStatus::OutOfMemory => "it had more memory than it may have".to_owned(),
    }
}

/// What happens in the sandbox, until nothing does any more. What it was denied stands in its log too.
async fn attend(mut events: mpsc::Receiver<Event>, log: Arc<ServerLog>, flows: mpsc::Sender<Flow>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Flow(flow) => {
                if flow.verdict == Verdict::Deny {
                    let Flow {
                        destination,
                        reason,
                        ..
                    } = &*flow;
                    log.note(&format!("denied: {destination}: {reason}"));
                }
                // Whoever writes them reads on for as long as there is a sender.
                let _ = flows.send(*flow).await;
            }
            Event::OutOfMemory => log.note("the kernel ended a process that had too much memory"),
            Event::Started | Event::Mark(_) | Event::Stopped(_) => {}
        }
    }
}
