//! One build in a sandbox of its own: what it runs, its log, and what it reached for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::{Flow, Verdict, limits};
use bailiwick_policy::{EgressPolicy, InForce};
use bailiwick_runtime::{
    Access, Base, ByteSource, Command, Draft, Event, ExitStatus, Identity, Image, Mount,
    MountSource, Profile, Running, Sandbox, SandboxSpec, StopReason, Streams,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::{BuildError, BuildLimit, Builder, Progress, disk};
use crate::recipe;

/// How long the programs of a build have to end before they are killed.
const GRACE: Duration = Duration::from_millis(200);
/// How long output is still read once the command has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a build runs. What is printed of it has of variables the names alone: one may be a password.
pub(crate) struct Job {
    /// Program and arguments.
    pub(crate) argv: Vec<OsString>,
    /// What it reaches.
    pub(crate) policy: EgressPolicy,
    /// On what it runs.
    pub(crate) image: Image,
    /// What else it sees.
    pub(crate) mounts: Vec<Mount>,
    /// Variables besides the fixed ones.
    pub(crate) env: BTreeMap<OsString, OsString>,
    /// Where it starts, as a path inside.
    pub(crate) directory: PathBuf,
    /// What it reads on standard input.
    pub(crate) input: Vec<u8>,
    /// What of its writing is kept.
    pub(crate) keeps: Keeps,
    /// Who waits for it, if it is not done for whoever comes later too.
    pub(crate) watched: Option<Watched>,
}

/// Who waits for a fetch.
#[derive(Clone)]
pub struct Watched {
    /// It is given up once the other end is gone.
    pub waits: watch::Receiver<()>,
    /// Takes what it connected to, and what it was denied.
    pub flow: Arc<dyn Fn(&Flow) + Send + Sync>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl Watched {
    /// Returns once nobody waits any more; never, if nobody was to.
    async fn is_alone(watched: Option<&mut Self>) {
        let Some(watched) = watched else {
            return std::future::pending().await;
        };
        while watched.waits.changed().await.is_ok() {}
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("argv", &self.argv)
            .field("image", &self.image)
            .field("mounts", &self.mounts)
            .field("env", &self.env.keys())
            .field("directory", &self.directory)
            .field("keeps", &self.keeps)
            .finish_non_exhaustive()
    }
}

/// What of a build's writing is kept.
#[derive(Debug, Default)]
pub(crate) struct Keeps {
    /// What it writes to the image.
    pub(crate) image: bool,
    /// What it writes to a directory of its own.
    pub(crate) besides: Option<PathBuf>,
}

/// How a build ended.
pub(crate) enum Outcome {
    /// Well; this is its report.
    Done(String),
    /// Not well; this is the end of its output.
    Failed(ExitStatus, String),
    /// It used something up.
    Over(BuildLimit),
}

/// This machine's own programs, on which what is no package manager runs, whatever an image stands on.
pub(super) fn host() -> Image {
    Image {
        base: Base::Host,
        layers: Vec::new(),
    }
}

/// A file or directory of this machine, to be seen and not changed.
pub(super) fn read_only(source: &Path, target: &str) -> Mount {
    Mount {
        source: MountSource::Host(source.to_owned()),
        target: target.into(),
        access: Access::ReadOnly,
    }
}

impl Builder {
    /// Runs a job; `directory` has an empty `tree` and `work` for what is kept.
    pub(crate) async fn run(
        &self,
        job: Job,
        directory: Option<&Path>,
        log: Option<File>,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Outcome, BuildError> {
        let mut output = Output {
            log,
            room: limits::BUILD_LOG_BYTES,
            line: Vec::new(),
            tail: Vec::new(),
            told,
        };
        let (argv, input) = (job.argv.clone(), job.input.clone());
        let mut watched = job.watched.clone();
        let told_of = watched.as_ref().map(|watched| Arc::clone(&watched.flow));
        let tree = directory.map(|directory| directory.join("tree"));
        let Running {
            sandbox,
            mut events,
        } = self.runtime.start(self.spec(job, directory)).await?;
        let whole = async {
            let result = tokio::select! {
                result = execute(&*sandbox, argv, &input, &mut output) => Ok(result),
                limit = disk::exceeded(tree.as_deref(), self.limits.disk_bytes) => Err(Outcome::Over(limit)),
                () = Watched::is_alone(watched.as_mut()) => Err(given_up()),
            };
            (result, sandbox.stop(GRACE).await)
        };
        // Side by side: what is not read waits, and the build with it.
        let ((result, stopped), seen) =
            tokio::join!(whole, seen_until_gone(&mut events, told_of.as_deref()));
        stopped?;
        output.note(&seen.denials).map_err(BuildError::Log)?;
        if seen.stopped == Some(StopReason::Lifetime) {
            return Ok(Outcome::Over(BuildLimit::Time(self.limits.time)));
        }
        let result = match result {
            Ok(result) => result?,
            Err(ended) => return Ok(ended),
        };
        match result {
            (ExitStatus::Exited(0), report) => Ok(Outcome::Done(report)),
            // Whichever of its programs it was.
            (_, _) if seen.out_of_memory => {
                Ok(Outcome::Over(BuildLimit::Memory(self.limits.memory_bytes)))
            }
            (status, _) => {
                let tail = String::from_utf8_lossy(&output.tail).into_owned();
                Ok(Outcome::Failed(status, tail))
            }
        }
    }

    fn spec(&self, job: Job, directory: Option<&Path>) -> SandboxSpec<InForce> {
        let policy = Arc::new(self.compiled(job.policy));
        let mut spec = SandboxSpec::new((self.sandbox_id)(), policy.into());
        spec.image = job.image;
        spec.draft = directory.map(|directory| Draft {
            directory: directory.to_owned(),
            image: job.keeps.image,
            besides: job.keeps.besides,
        });
        spec.mounts = job.mounts;
        spec.directory = job.directory;
        spec.identity = Identity::Root;
        spec.profile = Profile::Build;
        spec.limits.lifetime = Some(self.limits.time);
        spec.limits.memory_bytes = self.limits.memory_bytes;
        spec.limits.processes = self.limits.processes;
        spec.env = job.env;
        spec
    }
}

/// It was killed with its sandbox: nobody waits for it any more.
fn given_up() -> Outcome {
    const SIGKILL: u8 = 9;
    let told = "nobody waits for it any more".to_owned();
    Outcome::Failed(ExitStatus::Signaled(SIGKILL), told)
}

/// Runs the command; what it reported, if it ended well.
async fn execute(
    sandbox: &dyn Sandbox<Policy = InForce>,
    argv: Vec<OsString>,
    input: &[u8],
    output: &mut Output<'_, '_>,
) -> Result<(ExitStatus, String), BuildError> {
    let execution = sandbox.exec(Command::new(argv)).await?;
    let copy = async {
        let Streams::Pipes {
            mut stdin,
            stdout,
            stderr,
        } = execution.streams
        else {
            return Ok(());
        };
        let feed = async move {
            // Whoever does not read all of it says why by how it ends.
            let _ = stdin.write_all(input).await;
        };
        let ((), copied) = tokio::join!(feed, output.copy(stdout, stderr));
        copied
    };
    let mut copy = std::pin::pin!(copy);
    let wait = execution.control.wait();
    let mut wait = std::pin::pin!(wait);
    let status = tokio::select! {
        copied = &mut copy => {
            copied.map_err(BuildError::Log)?;
            wait.await?
        }
        status = &mut wait => {
            // What it left running may hold its streams, and ends with the sandbox.
            if let Ok(copied) = timeout(LAST_WORDS, copy).await {
                copied.map_err(BuildError::Log)?;
            }
            status?
        }
    };
    if status != ExitStatus::Exited(0) {
        return Ok((status, String::new()));
    }
    let report = Path::new(recipe::REPORT);
    let bytes = sandbox
        .read_file(report, limits::BUILD_REPORT_BYTES)
        .await?;
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

/// What happened in the sandbox of a build, besides its output.
#[derive(Debug, Default)]
struct Seen {
    /// What of its network was denied: the first of it.
    denials: Vec<String>,
    /// The kernel ended a program for the memory limit.
    out_of_memory: bool,
    stopped: Option<StopReason>,
}

/// Reads events until the sandbox is gone.
async fn seen_until_gone(
    events: &mut mpsc::Receiver<Event>,
    told: Option<&(dyn Fn(&Flow) + Send + Sync)>,
) -> Seen {
    let mut seen = Seen::default();
    while let Some(event) = events.recv().await {
        match event {
            Event::Flow(flow) => {
                if let Some(told) = told {
                    told(&flow);
                }
                let is_told = flow.verdict == Verdict::Deny;
                if is_told && seen.denials.len() < limits::BUILD_DENIALS {
                    let denial = format!("denied {}: {}", flow.destination, flow.reason.code());
                    seen.denials.push(denial);
                }
            }
            Event::Stopped(reason) => seen.stopped = Some(reason),
            Event::Mark(_) => {}
            Event::OutOfMemory => seen.out_of_memory = true,
            Event::Started => {}
        }
    }
    seen
}

/// The output of a build: to its log, line by line to whoever waits, and its end kept.
struct Output<'a, 'b> {
    /// `None` for what leaves nothing behind.
    log: Option<File>,
    /// Bytes that the log still takes.
    room: u64,
    line: Vec<u8>,
    tail: Vec<u8>,
    told: &'a mut (dyn FnMut(Progress<'_>) + 'b),
}

impl Output<'_, '_> {
    /// Lines of Bailiwick's own, at the end of the log.
    fn note(&mut self, lines: &[String]) -> std::io::Result<()> {
        for line in lines {
            let line = format!("bailiwick: {line}\n").into_bytes();
            if let Some(log) = &mut self.log {
                log.write_all(&line)?;
            }
            self.tail.extend(line);
        }
        Ok(())
    }

    async fn copy(
        &mut self,
        mut stdout: ByteSource,
        mut stderr: ByteSource,
    ) -> std::io::Result<()> {
        let (mut out, mut err) = ([0; 8192], [0; 8192]);
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            tokio::select! {
                read = stdout.read(&mut out), if out_open => {
                    let length = read?;
                    out_open = length > 0;
                    self.take(&out[..length])?;
                }
                read = stderr.read(&mut err), if err_open => {
                    let length = read?;
                    err_open = length > 0;
                    self.take(&err[..length])?;
                }
            }
        }
        Ok(())
    }

    /// To the log, up to its end.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let Some(log) = self.log.as_mut().filter(|_| self.room > 0) else {
            return Ok(());
        };
        let length = usize::try_from(self.room).map_or(bytes.len(), |room| room.min(bytes.len()));
        log.write_all(&bytes[..length])?;
        self.room -= length as u64;
        if self.room == 0 {
            let mebibytes = limits::BUILD_LOG_BYTES >> 20;
            return self.note(&[format!("the rest is not kept: {mebibytes} MiB are enough")]);
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write(bytes)?;
        self.tail.extend_from_slice(bytes);
        let surplus = self.tail.len().saturating_sub(limits::BUILD_TAIL_BYTES);
        self.tail.drain(..surplus);
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    if !line.is_empty() {
                        (self.told)(Progress::Line(&String::from_utf8_lossy(&line)));
                    }
                }
                _ if self.line.len() < limits::BUILD_LINE_BYTES => self.line.push(*byte),
                _ => {}
            }
        }
        Ok(())
    }
}
