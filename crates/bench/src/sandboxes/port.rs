//! Sandboxes through the runtime port, as a server has them: in this process, or in hosts.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_egress::Egress;
use bailiwick_local::{
    HostSettings, HostedRuntime, LocalOptions, LocalRuntime, StateDirectory, Surroundings,
    host_facts,
};
use bailiwick_model::SandboxId;
use bailiwick_policy::InForce;
use bailiwick_runtime::{Command, ExitStatus, Running, Runtime, SandboxSpec};
use tokio::runtime::Builder;
use tokio::sync::watch;

use super::policy;
use crate::protocol::Ported;
use crate::worker;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The state directory.
    #[arg(long)]
    state: PathBuf,
    /// How many hosts; without one, all sandboxes are this process's own.
    #[arg(long)]
    hosts: usize,
}

struct Port {
    runtime: Arc<dyn Runtime<Policy = InForce>>,
    number: u32,
    /// In which commands are started, and those that are only held.
    held: Vec<Running<InForce>>,
}

/// Obeys [`Ported`] orders; milliseconds.
pub(crate) fn run(args: &Args) -> Result<()> {
    let tokio = match NonZeroUsize::new(args.hosts) {
        Some(_) => Builder::new_multi_thread().enable_all().build()?,
        None => Builder::new_current_thread().enable_all().build()?,
    };
    let mut port = Port {
        runtime: tokio.block_on(async { runtime(args) })?,
        number: 0,
        held: Vec::new(),
    };
    let warm = tokio.block_on(port.start())?;
    port.held.push(warm);
    worker::obey(|order: Ported| tokio.block_on(port.obey(order)))
}

fn runtime(args: &Args) -> Result<Arc<dyn Runtime<Policy = InForce>>> {
    let state = StateDirectory::open(args.state.clone())?;
    let settings = HostSettings::new(&state);
    if let Some(hosts) = NonZeroUsize::new(args.hosts) {
        return Ok(Arc::new(HostedRuntime::new(settings, hosts)?));
    }
    let (_, facts) = watch::channel(Arc::new(host_facts(Vec::new())));
    Ok(Arc::new(LocalRuntime::new(LocalOptions {
        state,
        egress: Arc::new(Egress::new(Arc::new(Dialer::new(DialOptions::new(facts))))),
        layers: settings.layers,
        checkpoints: None,
        repositories: settings.repositories,
        snapshot: None,
        surroundings: Surroundings::default(),
        certificates: None,
        now: || 0,
    })?))
}

impl Port {
    async fn obey(&mut self, order: Ported) -> Result<Vec<f64>> {
        let begun = Instant::now();
        match order {
            Ported::Start => {
                let running = self.start().await?;
                true_in(&running).await?;
                let took = begun.elapsed();
                running.sandbox.stop(Duration::ZERO).await?;
                return Ok(vec![took.as_secs_f64() * 1e3]);
            }
            Ported::Exec => {
                let warm = self.held.first().context("nothing runs")?;
                true_in(warm).await?;
            }
            Ported::Hold(count) => {
                for _ in 0..count {
                    let running = self.start().await?;
                    let sleep = Command::new(["/bin/sleep", "infinity"]);
                    running.sandbox.exec(sleep).await?;
                    self.held.push(running);
                }
            }
        }
        Ok(vec![begun.elapsed().as_secs_f64() * 1e3])
    }

    async fn start(&mut self) -> Result<Running<InForce>> {
        self.number += 1;
        let number = u64::from(std::process::id()) << 32 | u64::from(self.number);
        let spec = SandboxSpec::new(SandboxId::from_random(number), policy(&[])?);
        Ok(self.runtime.start(spec).await?)
    }
}

async fn true_in(running: &Running<InForce>) -> Result<()> {
    let execution = running.sandbox.exec(Command::new(["/bin/true"])).await?;
    let status = execution.control.wait().await?;
    ensure!(status == ExitStatus::Exited(0), "{status:?}");
    Ok(())
}
