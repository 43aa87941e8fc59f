//! The program `bailiwick-server`: one process that serves an organization.

mod secret_key;

use std::fs::{self, DirBuilder};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bailiwick_control::{Bootstrap, Control, Resealed};
use bailiwick_server::Service;
use bailiwick_store::{DatabaseUrl, Store};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::bad_input::BadInput;
use crate::command::up::Arguments;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::{output, state};
use secret_key::KeySource;

/// How often expired files, and bytes that nothing refers to, are taken away.
const SWEEP: Duration = Duration::from_secs(60);

/// What `bailiwick up` becomes.
#[derive(Debug, Parser)]
#[command(
    name = "bailiwick up",
    bin_name = "bailiwick up",
    version,
    max_term_width = 100
)]
pub(crate) struct ServerCommandLine {
    #[command(flatten)]
    arguments: Arguments,
}

pub(crate) fn execute(
    command_line: ServerCommandLine,
    host: &HostEnvironment,
) -> anyhow::Result<ExitCode> {
    let arguments = command_line.arguments;
    let data = arguments.data;
    let url = match arguments.database_url {
        Some(url) => url,
        None => DatabaseUrl::Sqlite(data_directory(data.clone(), host)?.join("bailiwick.db")),
    };
    let keys = KeySource::of(
        arguments.secret_key_file,
        host.secret_key.clone(),
        &url,
        || data_directory(data, host),
    )?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(&url, &keys, arguments.listen, host))?;
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

/// The use cases, with keys that open everything that is sealed.
async fn control(store: Store, keys: &KeySource) -> anyhow::Result<Arc<Control>> {
    let in_use = store.sealing_keys_in_use().await?;
    let control = Control::new(store, keys.read(!in_use.is_empty())?);
    let missing = control.missing_sealing_keys().await?;
    if missing.is_empty() {
        Ok(Arc::new(control))
    } else {
        Err(BadInput::MissingSecretKeys(missing).into())
    }
}

/// Seals anew what an older key has sealed, while requests are answered.
async fn reseal(control: Arc<Control>) {
    let told = match control.reseal().await {
        Ok(resealed) if resealed == Resealed::default() => return,
        Ok(Resealed {
            secrets,
            unreadable: 0,
        }) => format!(
            "{secrets} secrets were sealed anew: nothing is sealed with an older key any more\n"
        ),
        Ok(Resealed {
            secrets,
            unreadable,
        }) => format!(
            "{secrets} secrets were sealed anew; {unreadable} could not be opened and are as they were\n"
        ),
        Err(error) => format!("not everything could be sealed anew: {error}\n"),
    };
    output::print_to_stderr(&told);
}

async fn serve(
    url: &DatabaseUrl,
    keys: &KeySource,
    address: SocketAddr,
    host: &HostEnvironment,
) -> anyhow::Result<()> {
    let end = asked_to_end()?;
    let store = Store::open(url)
        .await
        .with_context(|| format!("cannot open the database {url:?}"))?;
    let control = control(store, keys).await?;
    let bootstrap = Bootstrap {
        key: host.bootstrap_key.clone(),
    };
    let preset = bootstrap.key.is_some();
    let first = control
        .bootstrap(bootstrap)
        .await
        .context("cannot make the first organization")?;
    let service = Service::listen(address, Arc::clone(&control)).await?;
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
    let sweeping = tokio::spawn(sweep(Arc::clone(&control)));
    let resealing = tokio::spawn(reseal(control));
    service.run(end).await?;
    resealing.abort();
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
