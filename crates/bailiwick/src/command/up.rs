//! `bailiwick up`.

use std::fs::{self, DirBuilder};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bailiwick_control::{Bootstrap, Control};
use bailiwick_server::Service;
use bailiwick_store::{DatabaseUrl, Store};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::{output, state};

/// How often expired files, and bytes that nothing refers to, are taken away.
const SWEEP: Duration = Duration::from_secs(60);

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
    /// Where data is kept [default: `server` in the state directory].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The database: sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE [default: sqlite in the data directory].
    #[arg(long, value_name = "URL")]
    database_url: Option<DatabaseUrl>,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

pub(crate) fn execute(arguments: Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let url = match arguments.database_url {
        Some(url) => url,
        None => DatabaseUrl::Sqlite(data_directory(arguments.data, host)?.join("bailiwick.db")),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(&url, arguments.listen, host))?;
    Ok(Exit::Done.into())
}

/// Nobody else may look into it.
fn data_directory(named: Option<PathBuf>, host: &HostEnvironment) -> anyhow::Result<PathBuf> {
    let directory = match named {
        Some(directory) => directory,
        None => state::open(host)?.path().join("server"),
    };
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory);
    made.with_context(|| format!("cannot make {}", directory.display()))?;
    private(&directory)?;
    Ok(directory)
}

fn private(directory: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let told = || format!("cannot look at {}", directory.display());
    let mode = fs::metadata(directory)
        .with_context(told)?
        .permissions()
        .mode();
    anyhow::ensure!(
        mode & 0o077 == 0,
        "{} can be read by others, and would hold keys and secrets: `chmod 700` it",
        directory.display()
    );
    Ok(())
}

async fn serve(
    url: &DatabaseUrl,
    address: SocketAddr,
    host: &HostEnvironment,
) -> anyhow::Result<()> {
    let end = asked_to_end()?;
    let store = Store::open(url)
        .await
        .with_context(|| format!("cannot open the database {url:?}"))?;
    let control = Arc::new(Control::new(store));
    let bootstrap = Bootstrap {
        key: host.bootstrap_key.clone(),
    };
    let preset = bootstrap.key.is_some();
    let first = control
        .bootstrap(bootstrap)
        .await
        .context("cannot make the first organization")?;
    let sweeping = tokio::spawn(sweep(Arc::clone(&control)));
    let service = Service::listen(address, control).await?;
    let address = service.address()?;
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
    output::print(&format!("listening on http://{address}\n"))?;
    service.run(end).await?;
    sweeping.abort();
    Ok(())
}

/// Never ends by itself. What fails now is done the next time.
async fn sweep(control: Arc<Control>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let _ = control.sweep_files().await;
    }
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
