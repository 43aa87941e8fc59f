//! Holds many sandboxes at once, each with one program, all under one policy that can be changed.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, PipeReader};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bailiwick_local::{Description, Launching, Running, StateDirectory, prepare};
use bailiwick_policy::InForce;
use bailiwick_sandbox::TerminalStreams;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::watch;

use super::flow::{Said, now_ns};
use super::{egress, flows, nowhere, policy, request};
use crate::protocol::{Cut, NAMES, Services};
use crate::worker;

/// A pause before a cut, so that what the last one stirred up has settled.
const SETTLE: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The state directory.
    #[arg(long)]
    state: PathBuf,
    /// How many.
    #[arg(long)]
    count: u32,
    /// The work directory, with this program in it; then each sandbox holds a flow to the echo service. Without: idle.
    #[arg(long)]
    work: Option<PathBuf>,
    #[command(flatten)]
    services: crate::protocol::ServiceArgs,
}

/// What the sandboxes were started with, and all of them.
struct Held {
    _running: Vec<Running>,
    /// One for each sandbox.
    policies: Vec<watch::Sender<InForce>>,
    said: BufReader<PipeReader>,
    /// Flows that are open now.
    open: usize,
    /// Whose turn it is to be cut alone.
    next: usize,
}

/// Says 0 when all are there; then obeys [`Cut`] orders.
pub(crate) fn run(args: &Args) -> Result<()> {
    raise_descriptors()?;
    let state = StateDirectory::open(args.state.clone())?;
    // Before there is a second thread.
    let launching = (0..args.count)
        .map(|number| boot(number, args, &state))
        .collect::<Result<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut held = runtime.block_on(serve(launching, args))?;
    worker::say(&0)?;
    worker::obey(|order| held.cut(order))?;
    // Dropping the sandboxes ends them; their tasks need the runtime until then.
    let _inside = runtime.enter();
    drop(held);
    Ok(())
}

/// A dozen descriptors for each sandbox are more than the usual soft limit.
fn raise_descriptors() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

fn boot(number: u32, args: &Args, state: &StateDirectory) -> Result<Launching> {
    let description = Description {
        command: "bench".to_owned(),
        started_at: 0,
    };
    let prepared = prepare(&request(number, args.work.clone()), state)?;
    prepared
        .launch(state, description)
        .with_context(|| format!("sandbox {number}"))
}

async fn serve(launching: Vec<Launching>, args: &Args) -> Result<Held> {
    let services: Services = args.services.into();
    let (egress, flows) = (egress(services)?, flows());
    let (said, say) = std::io::pipe()?;
    let argv = match args.work {
        Some(_) => vec![
            "/workspace/bailiwick-bench".to_owned(),
            "flow".to_owned(),
            format!("{}:{}", NAMES.echo, services.echo.port()),
        ],
        None => vec!["/bin/sleep".to_owned(), "infinity".to_owned()],
    };
    let argv: Vec<_> = argv.into_iter().map(OsString::from).collect();
    let (mut running, mut policies) = (Vec::new(), Vec::new());
    for launching in launching {
        let (change, in_force) = watch::channel(policy(&[NAMES.echo])?);
        policies.push(change);
        let sandbox = launching.serve(&egress, in_force, flows.clone())?;
        let command = sandbox.handle().command(argv.clone(), &[]);
        let streams = vec![nowhere()?, OwnedFd::from(say.try_clone()?), nowhere()?];
        sandbox
            .handle()
            .start(command, TerminalStreams::default(), streams)
            .await?;
        running.push(sandbox);
    }
    Ok(Held {
        _running: running,
        policies,
        said: BufReader::new(said),
        open: 0,
        next: 0,
    })
}

impl Held {
    /// Waits until every sandbox has its flow, forbids some, and says after how many milliseconds each of them was cut.
    fn cut(&mut self, order: Cut) -> Result<Vec<f64>> {
        while self.open < self.policies.len() {
            ensure!(self.hear()? == Said::Open, "a flow was cut that is allowed");
            self.open += 1;
        }
        std::thread::sleep(SETTLE);
        let of = match order {
            Cut::One => self.next..self.next + 1,
            Cut::All => 0..self.policies.len(),
        };
        self.next = (self.next + 1) % self.policies.len();
        let (tight, wide) = (policy(&[])?, policy(&[NAMES.echo])?);
        let start = now_ns();
        for policy in &self.policies[of.clone()] {
            policy.send(tight.clone())?;
        }
        let mut samples = Vec::new();
        for _ in of.clone() {
            match self.hear()? {
                Said::Cut { at_ns } => samples.push((at_ns - start) as f64 / 1e6),
                Said::Open => bail!("a flow was opened under a policy that forbids it"),
            }
            self.open -= 1;
        }
        for policy in &self.policies[of] {
            policy.send(wide.clone())?;
        }
        Ok(samples)
    }

    fn hear(&mut self) -> Result<Said> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}
