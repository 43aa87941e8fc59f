//! Bailiwick's relay alone, on plain loopback: what is left of its cost without namespaces and nftables.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Result;
use bailiwick_egress::{Attachment, Egress, SandboxLimits, SandboxNetwork};
use bailiwick_model::{Host, HostName, SandboxId};
use tokio::sync::watch;

use super::{egress, flows, policy};
use crate::protocol::{NAMES, ServiceArgs, Services};
use crate::worker;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    services: ServiceArgs,
}

/// Relays until standard input ends; the first line on standard output says from where.
pub(crate) fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    let services: Services = args.services.into();
    let engine = egress(services)?;
    let mut attached = Vec::new();
    let mut stand_in = |(name, address): (&str, SocketAddr)| -> Result<SocketAddr> {
        let (listener, attachment) = attach(&engine, name, address.port())?;
        attached.push(attachment);
        Ok(listener)
    };
    let by_name = NAMES.zip(services);
    let here = Services {
        echo: stand_in(by_name.echo)?,
        source: stand_in(by_name.source)?,
        https: stand_in(by_name.https)?,
    };
    worker::say(&here)?;
    worker::wait_for_end()
}

/// A sandbox of its own for each service, since one listener stands for one destination.
fn attach(egress: &Egress, name: &str, port: u16) -> Result<(SocketAddr, Attachment)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    // Nothing changes it: the last value of a closed channel stays in force.
    let (_, in_force) = watch::channel(policy(&[name])?);
    let network = SandboxNetwork {
        sandbox: SandboxId::from_random(u64::from(port)),
        environment: None,
        in_force,
        authority: None,
        limits: SandboxLimits::default(),
        flows: flows(),
    };
    let host = Host::Name(HostName::from_normalised(name)?);
    let attachment = egress.attach_relay(network, listener.into(), (&host, port))?;
    Ok((address, attachment))
}
