//! Bailiwick as a library: many sandboxes in one process, as a server would hold them.

pub(crate) mod alone;
pub(crate) mod flow;
pub(crate) mod held;
pub(crate) mod launcher;
pub(crate) mod port;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_egress::Egress;
use bailiwick_local::{Base, Layers, Limits, Request, RunAs, Surroundings, Workspace, host_facts};
use bailiwick_model::{Flow, PolicySource, SandboxId};
use bailiwick_policy::{
    EffectivePolicy, EgressPolicy, HostPattern, InForce, OrganizationFloor, Pin, Pins, Policy,
    SessionGrants,
};
use tokio::sync::{mpsc, watch};

use crate::protocol::{NAMES, Services};

/// A request for the `number`th sandbox of this process, with everything that can be left out left out.
fn request(number: u32, work: Option<PathBuf>) -> Request {
    Request {
        id: SandboxId::from_random(u64::from(std::process::id()) << 32 | u64::from(number)),
        environment: None,
        workspace: work.map(|path| Workspace {
            path,
            writable_meta: false,
            allow_sockets: false,
            read_only: Vec::new(),
        }),
        base: Base::Host,
        layers: Layers::default(),
        toolchains: Vec::new(),
        run_as: RunAs::Agent,
        variables: Vec::new(),
        certificates: None,
        credentials: false,
        limits: Limits::default(),
        surroundings: Surroundings::default(),
    }
}

/// `limited`, with these hosts allowed.
fn policy(hosts: &[&str]) -> Result<InForce> {
    let mut policy = EgressPolicy::limited();
    policy.allowed_hosts = hosts
        .iter()
        .map(|host| host.parse())
        .collect::<Result<Vec<HostPattern>, _>>()?;
    let effective = EffectivePolicy {
        policy,
        source: PolicySource::OrganizationDefault,
    };
    let policy = Policy::compile(
        effective,
        &OrganizationFloor::empty(),
        &SessionGrants::none(),
    );
    Ok(Arc::new(policy).into())
}

/// The network side, with the server's names pinned to where it is.
fn egress(services: Services) -> Result<Egress> {
    let pins = NAMES
        .zip(services)
        .into_array()
        .map(|(name, address)| format!("{name}={address}").parse::<Pin>());
    let (_, host) = watch::channel(Arc::new(host_facts(Vec::new())));
    let mut options = DialOptions::new(host);
    options.pins = pins.into_iter().collect::<Result<Pins, _>>()?;
    Ok(Egress::new(Arc::new(Dialer::new(options))))
}

/// Somewhere for flows to go: a reader that drops them.
fn flows() -> mpsc::Sender<Flow> {
    let (sender, mut receiver) = mpsc::channel(1024);
    tokio::spawn(async move { while receiver.recv().await.is_some() {} });
    sender
}

/// A standard stream that leads nowhere.
fn nowhere() -> Result<OwnedFd> {
    Ok(File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?
        .into())
}
