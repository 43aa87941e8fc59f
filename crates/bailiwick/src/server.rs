//! The program `bailiwick-server`: one process that serves an organization, what else touches its database, and what asks a server.

mod backup;
mod config;
mod exports;
mod images;
mod knowledge;
mod outward;
mod restore;
pub(crate) mod secret_key;
mod spending;
mod work;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bailiwick_control::{
    Bootstrap, Control, HostPaths, IdentityProviders, ModelRules, RecordKind, Resealed,
};
use bailiwick_server::{ConnectionLimits, Service, TrustedProxies};
use bailiwick_store::{DatabaseUrl, Store};
use bailiwick_telemetry::{Sending, Telemetry};
use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::bad_input::BadInput;
use crate::command::{self, beside, environment, up};
use crate::database_lock::DatabaseLock;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::{log, output, telemetry};
use config::Config;
pub(crate) use config::{NotAConfig, TrustedProxy};
use exports::Exports;
use knowledge::Syncs;
pub(crate) use knowledge::serve_if_pdf;
use outward::Outward;
use secret_key::KeySource;
use spending::Spending;
use work::Work;

/// How often expired files, and bytes that nothing refers to, are taken away.
const SWEEP: Duration = Duration::from_secs(60);
/// How often entries of audit logs are taken away whose time is over: each time is an entry itself.
const AUDIT_SWEEP: Duration = Duration::from_secs(60 * 60);

/// The commands of `bailiwick` that become this program.
#[derive(Debug, Parser)]
#[command(
    name = "bailiwick-server",
    bin_name = "bailiwick",
    version,
    max_term_width = 100
)]
pub(crate) struct ServerCommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(subcommand)]
    Environment(Box<environment::ServerCommand>),
    #[command(flatten)]
    Beside(Box<beside::Command>),
}

pub(crate) fn execute(
    command_line: ServerCommandLine,
    host: &HostEnvironment,
) -> anyhow::Result<ExitCode> {
    use beside::Command as Beside;
    let command = match command_line.command {
        Command::Environment(command) => return environment::ask(*command, host),
        Command::Beside(command) => *command,
    };
    match command {
        Beside::Up(arguments) => up(*arguments, host),
        Beside::Worker(arguments) => worker::execute(&arguments, host),
        Beside::Backup(arguments) => backup::execute(&arguments, host),
        Beside::Restore(arguments) => restore::execute(&arguments, host),
        Beside::Inside(command) => command::inside::execute(command, host),
        Beside::Apply(arguments) => command::apply::execute(&arguments, host),
        Beside::Agent(command) => command::agent::execute(command, host),
        Beside::Session(command) => command::session::execute(command, host),
        Beside::Vault(command) => command::vault::execute(command, host),
        Beside::File(command) => command::file::execute(command, host),
        Beside::Skill(command) => command::skill::execute(command, host),
        Beside::Organization(command) => command::organization::execute(command, host),
        Beside::Member(command) => command::member::execute(command, host),
        Beside::ModelUpstream(command) => command::model_upstream::execute(command, host),
        Beside::LlmProxy(command) => command::llm_proxy::execute(command, host),
        Beside::McpCatalog(command) => command::mcp_catalog::execute(command, host),
        Beside::McpGateway(command) => command::mcp_gateway::execute(command, host),
        Beside::KnowledgeConnector(command) => command::knowledge_connector::execute(command, host),
        Beside::Knowledge(command) => command::knowledge::execute(command, host),
        Beside::Limit(command) => command::limit::execute(command, host),
        Beside::Usage(command) => command::usage::execute(command, host),
        Beside::Team(command) => command::team::execute(command, host),
        Beside::Role(command) => command::role::execute(command, host),
        Beside::Grant(command) => command::grant::execute(command, host),
        Beside::ServiceAccount(command) => command::service_account::execute(command, host),
        Beside::Key(command) => command::key::execute(command, host),
        Beside::OauthGrant(command) => command::oauth_grant::execute(command, host),
        Beside::Whoami(arguments) => command::whoami::execute(&arguments, host),
        Beside::AuditLog(command) => command::audit_log::execute(command, host),
        Beside::Flow(command) => command::flow::execute(command, host),
        Beside::Retention(command) => command::retention::execute(command, host),
    }
}

fn up(arguments: up::Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let telemetry = telemetry::open(&arguments.telemetry, host)?;
    log::start(&arguments.log, host, telemetry.as_ref())?;
    let database = &arguments.database;
    let url = database.url(host)?;
    let _lock = match &url {
        DatabaseUrl::Sqlite(path) => Some(DatabaseLock::take(path)?),
        // Several servers share one.
        DatabaseUrl::Postgres(_) => None,
    };
    let config = Config::read(arguments.config.as_deref())?;
    let outward = Outward::open(arguments.resolve.clone(), host)?;
    let keys = KeySource::of(
        arguments.secret_key_file.clone(),
        arguments
            .secret_key_command
            .clone()
            .or_else(|| config.secret_key_command.clone()),
        host.secret_key.clone(),
        &url,
        || database.data_directory(host),
    )?;
    let rules = Rules {
        exports: Exports::open(&arguments, host, outward.dialer())?,
        host_paths: HostPaths::new(arguments.host_paths).map_err(BadInput::from)?,
        knowledge_roots: config.knowledge_roots()?,
        proxies: config
            .trusted_proxies(&arguments.trusted_proxies)?
            .into_iter()
            .collect(),
        identity_providers: config.identity_providers(outward.dialer())?,
        public_url: config.public_url()?,
        work: arguments.work,
        outward,
        telemetry,
        journal: spending::directory(database, &url, host)?,
    };
    let addresses = Addresses {
        listen: arguments.listen,
        metrics: arguments.metrics_listen,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(&url, &keys, addresses, rules, host))?;
    Ok(Exit::Done.into())
}

/// What the operator decided.
struct Rules {
    /// What is exported.
    exports: Exports,
    /// What environments may name of this machine.
    host_paths: HostPaths,
    /// What knowledge connectors may read of this machine.
    knowledge_roots: HostPaths,
    /// Who says where requests came from.
    proxies: TrustedProxies,
    /// Where people sign in.
    identity_providers: IdentityProviders,
    /// Where clients reach the server, if that is said.
    public_url: Option<String>,
    /// How agents work.
    work: up::WorkArguments,
    /// How others are reached.
    outward: Outward,
    /// What is told of the server, and to whom.
    telemetry: Option<Telemetry>,
    /// Where it is written down what is being spent.
    journal: Option<PathBuf>,
}

/// Where it listens.
struct Addresses {
    listen: SocketAddr,
    /// For numbers alone, if they have an address of their own.
    metrics: Option<SocketAddr>,
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

/// The use cases, with keys that open everything that is sealed.
async fn control(
    store: Store,
    keys: &KeySource,
    [host_paths, knowledge_roots]: [HostPaths; 2],
    identity_providers: IdentityProviders,
    (outward, model_rules, host): (&Outward, ModelRules, &HostEnvironment),
) -> anyhow::Result<Arc<Control>> {
    let in_use = store.sealing_keys_in_use().await?;
    let control = Control::new(store, keys.read(!in_use.is_empty())?)
        .with_host_paths(host_paths)
        .with_knowledge_roots(knowledge_roots)
        .with_identity_providers(identity_providers)
        .with_model_rules(model_rules)
        .with_server_upstream(work::server_upstream(host)?)
        .with_outbound(outward.to_named_servers()?);
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
    addresses: Addresses,
    Rules {
        exports,
        host_paths,
        knowledge_roots,
        proxies,
        identity_providers,
        public_url,
        work,
        outward,
        telemetry,
        journal,
    }: Rules,
    host: &HostEnvironment,
) -> anyhow::Result<()> {
    let end = asked_to_end()?;
    let store = Store::open(url)
        .await
        .with_context(|| format!("cannot open the database {url:?}"))?;
    let ways = (&outward, work::model_rules(&work, host), host);
    let paths = [host_paths, knowledge_roots];
    let control = control(store, keys, paths, identity_providers, ways).await?;
    // Before there is a key that would be made and never be shown.
    let mut service = listening(addresses, &control, telemetry.as_ref())
        .await?
        .with_public_url(public_url)
        .with_trusted_proxies(proxies);
    bootstrap(&control, host).await?;
    let sending = start_sending(telemetry, &service, &outward)?;
    if let Some(address) = service.metrics_address()? {
        output::print(&format!("numbers on http://{address}/metrics\n"))?;
    }
    let address = service.address()?;
    if matches!(url, DatabaseUrl::Sqlite(_)) {
        // Nobody else has this database, so whoever ran sessions before is gone.
        control.end_runs_of_others().await?;
    }
    let spending = Spending::begin(&control, journal.as_deref()).await?;
    let listeners: Vec<_> = std::iter::once(address)
        .chain(service.metrics_address()?)
        .collect();
    let work = Work::begin(&control, &work, listeners.clone(), (&outward, host))?;
    service = service.with_hosted_servers(work.hosted_servers());
    let syncs = Syncs::begin(&control, work.checkouts());
    output::print(&format!("listening on http://{address}\n"))?;
    let following = tokio::spawn(outward.follow(listeners));
    let (stop, stopped) = watch::channel(false);
    let expiring = tokio::spawn(expire(Arc::clone(&control), Delivered::to(&exports)));
    let exporting = exports.start(&control, &stopped);
    let sweeping = tokio::spawn(sweep(Arc::clone(&control)));
    let resealing = tokio::spawn(reseal(control));
    service.run(end).await;
    syncs.end().await;
    work.end().await;
    spending.end().await;
    resealing.abort();
    sweeping.abort();
    expiring.abort();
    let _ = stop.send(true);
    exporting.join_all().await;
    if let Some(sending) = sending {
        sending.stop().await;
    }
    following.abort();
    Ok(())
}

/// The side of HTTP, which answers nothing yet.
async fn listening(
    addresses: Addresses,
    control: &Arc<Control>,
    telemetry: Option<&Telemetry>,
) -> anyhow::Result<Service> {
    let mut service = Service::listen(addresses.listen, Arc::clone(control))
        .await?
        .with_limits(connection_limits());
    if let Some(address) = addresses.metrics {
        service = service.with_metrics_at(address).await?;
    }
    if let Some(telemetry) = telemetry {
        service = service.with_telemetry(telemetry.counters());
    }
    Ok(service)
}

/// Sends telemetry, if it was asked for.
fn start_sending(
    telemetry: Option<Telemetry>,
    service: &Service,
    outward: &Outward,
) -> anyhow::Result<Option<Sending>> {
    let numbers = service.numbers();
    let start = |telemetry: Telemetry| telemetry.start(outward.dialer(), move || numbers.text());
    let sending = telemetry.map(start).transpose();
    sending.context("cannot send telemetry")
}

/// Makes the first organization, if there is none, and shows its administrator's key.
async fn bootstrap(control: &Control, host: &HostEnvironment) -> anyhow::Result<()> {
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

/// Where records must be delivered to before they may be taken away.
struct Delivered {
    audit: Vec<String>,
    flows: Vec<String>,
}

impl Delivered {
    fn to(exports: &Exports) -> Self {
        Self {
            audit: exports.names(RecordKind::Audit),
            flows: exports.names(RecordKind::Flows),
        }
    }
}

/// Never ends by itself. What fails now is done the next time.
async fn expire(control: Arc<Control>, delivered: Delivered) {
    let mut ticks = tokio::time::interval(AUDIT_SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let _ = control.sweep_audit_logs(&delivered.audit).await;
        let _ = control.sweep_session_events().await;
        let _ = control.sweep_flows(&delivered.flows).await;
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
