//! `bailiwick up`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bailiwick_control::{Bootstrap, Control};
use bailiwick_server::{ConnectionLimits, Service};
use bailiwick_store::{DatabaseUrl, Store};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::database::DatabaseArguments;
use crate::database_lock::DatabaseLock;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::log::{self, LogArguments};
use crate::output;

/// Serve an organization: its environments, policies, keys and audit log.
///
/// Without a database's URL everything is kept in SQLite in the data directory. The first start makes an organization, its Default
/// environment and an administrator, and prints the administrator's key, once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick up
  bailiwick up --listen 0.0.0.0:8080 --database-url postgres://bailiwick@db.example.com/bailiwick
  BAILIWICK_BOOTSTRAP_KEY=\"$(openssl rand -hex 32)\" bailiwick up
      Unattended: the administrator's key is the one that was given.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: DatabaseArguments,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where to answer `/metrics`, and there alone [default: with everything else].
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
    #[command(flatten)]
    log: LogArguments,
}

pub(crate) fn execute(arguments: Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    log::start(&arguments.log, host)?;
    let url = arguments.database.url(host)?;
    let _lock = match &url {
        DatabaseUrl::Sqlite(path) => Some(DatabaseLock::take(path)?),
        // Several servers share one.
        DatabaseUrl::Postgres(_) => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let addresses = (arguments.listen, arguments.metrics_listen);
    runtime.block_on(serve(&url, addresses, host))?;
    Ok(Exit::Done.into())
}

/// Each connection is a file; what the system gives at first is meant for programs that have few.
fn connection_limits() -> ConnectionLimits {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where that is refused fewer connections are taken.
    let _ = setrlimit(Resource::Nofile, raised);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let usual = ConnectionLimits::default();
    // The rest is the database's.
    let most = usize::try_from(files / 2).unwrap_or(usize::MAX);
    ConnectionLimits {
        connections: usual.connections.min(most),
        ..usual
    }
}

async fn serve(
    url: &DatabaseUrl,
    (listen, metrics_listen): (SocketAddr, Option<SocketAddr>),
    host: &HostEnvironment,
) -> anyhow::Result<()> {
    let end = asked_to_end()?;
    let store = Store::open(url)
        .await
        .with_context(|| format!("cannot open the database {url:?}"))?;
    let control = Arc::new(Control::new(store));
    // Before there is a key that would be made and never be shown.
    let mut service = Service::listen(listen, Arc::clone(&control))
        .await?
        .with_limits(connection_limits());
    if let Some(address) = metrics_listen {
        service = service.with_metrics_at(address).await?;
    }
    let bootstrap = Bootstrap {
        key: host.bootstrap_key.clone(),
    };
    let preset = bootstrap.key.is_some();
    let first = control
        .bootstrap(bootstrap)
        .await
        .context("cannot make the first organization")?;
    if let Some(first) = first {
        let key = if preset {
            "the one that was given"
        } else {
            &first.key
        };
        output::print(&format!(
            "first start; the administrator's key, shown this once: {key}\n"
        ))?;
    }
    if let Some(address) = service.metrics_address()? {
        output::print(&format!("numbers on http://{address}/metrics\n"))?;
    }
    let address = service.address()?;
    output::print(&format!("listening on http://{address}\n"))?;
    service.run(end).await;
    Ok(())
}

/// Resolves at the first SIGTERM or SIGINT.
fn asked_to_end() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
