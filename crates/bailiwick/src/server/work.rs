//! Agents at work on this server: where their models are asked, and where their tools run.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_control::{
    Control, Engine, GitCheckouts, HostedEntries, HostedServers, ModelRules, Models,
    SandboxRuntime, Sandboxes, ServerUpstream, WithoutSandboxes, Workplaces,
};
use bailiwick_dial::{DialOptions, Dialer, ProxySettings};
use bailiwick_fetch::Web;
use bailiwick_llm::{Authentication, BaseUrl, Client, Protocol, Timeouts, Upstream};
use bailiwick_local::{HostSettings, HostedRuntime, ServerShare, host_facts};
use bailiwick_model::limits::{SESSION_SANDBOX_DISK_BYTES, SESSION_SANDBOX_MEMORY_BYTES};
use bailiwick_outbound::{Outbound, Way};
use bailiwick_policy::Pin;
use bailiwick_runtime::Limits;
use bailiwick_sandbox::cgroup::{Controller, Hierarchies};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::bad_input::BadInput;
use crate::command::up::WorkArguments;
use crate::host_environment::HostEnvironment;
use crate::project::certificates;
use crate::server::images::Images;
use crate::server::outward::Outward;
use crate::{output, state};

/// Where models are asked if nothing else is said.
const USUAL_UPSTREAM: &str = "https://api.anthropic.com";
/// How long sessions have to be given back at the end. What takes longer is found again when their time with this server is over.
const GIVING_BACK: Duration = Duration::from_secs(10);

/// Sessions at work here.
pub(super) struct Work {
    stop: CancellationToken,
    engine: JoinHandle<()>,
    tools: Option<Tools>,
    /// Looks after MCP servers that run here, and ends them.
    looking: Option<JoinHandle<()>>,
}

/// What runs tools.
struct Tools {
    sandboxes: Sandboxes,
    /// MCP servers of the catalog.
    hosted: HostedServers,
    runtime: HostedRuntime,
    /// Brings repositories for knowledge connectors.
    checkouts: Option<GitCheckouts>,
    /// Files of sessions and of sandboxes that were kept go with it.
    _share: ServerShare,
    /// The snapshot of this machine stays as long as this.
    _images: Option<Images>,
}

impl Tools {
    /// On a runtime. Sandboxes of sessions are kept once they have been idle for this long, if that is said.
    fn on(
        control: &Arc<Control>,
        (share, runtime): (ServerShare, HostedRuntime),
        images: Option<Images>,
        idle: Option<Duration>,
    ) -> anyhow::Result<Self> {
        let shared: SandboxRuntime = Arc::new(runtime.clone());
        let (own, uploads) = (Arc::clone(control), share.uploads());
        let mut sandboxes =
            Sandboxes::new(own, Arc::clone(&shared), &uploads).with_limits(sandbox_limits());
        let mut hosted = HostedServers::new(Arc::clone(control), Arc::clone(&shared))
            .with_entries(Arc::clone(control) as Arc<dyn HostedEntries>)
            .with_limits(sandbox_limits());
        let mut checkouts = None;
        if let Some(images) = &images {
            sandboxes = sandboxes.with_images(images.of_sessions(Arc::clone(&shared))?);
            hosted = hosted.with_images(images.of_sessions(Arc::clone(&shared))?);
            let builder = images.builder(shared);
            checkouts = Some(GitCheckouts::new(builder, share.checkouts())?);
        }
        if let Some(idle) = idle {
            sandboxes = sandboxes.with_idle_time(idle);
        }
        Ok(Self {
            sandboxes,
            hosted,
            checkouts,
            runtime,
            _share: share,
            _images: images,
        })
    }
}

impl Work {
    /// Begins to run sessions. No sandbox reaches `listeners`.
    pub(super) fn begin(
        control: &Arc<Control>,
        arguments: &WorkArguments,
        listeners: Vec<SocketAddr>,
        (outward, host): (&Outward, &HostEnvironment),
    ) -> anyhow::Result<Self> {
        let models = models(outward, host)?;
        let web = pages(arguments, outward)?;
        let tools = tools(control, arguments, listeners, host)?;
        let workplaces: Arc<dyn Workplaces> = match &tools {
            Some(tools) => Arc::new(tools.sandboxes.clone()),
            None => Arc::new(WithoutSandboxes),
        };
        let stop = CancellationToken::new();
        let engine = Engine::new(Arc::clone(control), models, workplaces, Some(web));
        let engine = tokio::spawn(engine.run(stop.clone()));
        let looking = tools.as_ref().map(|tools| {
            tokio::spawn(tools.sandboxes.clone().run(stop.clone()));
            tokio::spawn(tools.hosted.clone().run(stop.clone()))
        });
        Ok(Self {
            stop,
            engine,
            tools,
            looking,
        })
    }

    /// What brings repositories here, where there are sandboxes.
    pub(super) fn checkouts(&self) -> Option<GitCheckouts> {
        self.tools.as_ref()?.checkouts.clone()
    }

    /// What runs MCP servers here, where there are sandboxes.
    pub(super) fn hosted_servers(&self) -> Option<HostedServers> {
        Some(self.tools.as_ref()?.hosted.clone())
    }

    /// Gives sessions back and ends their sandboxes. When this returns, none is left.
    pub(super) async fn end(self) {
        self.stop.cancel();
        if tokio::time::timeout(GIVING_BACK, self.engine)
            .await
            .is_err()
        {
            tracing::warn!("not all sessions could be given back; they are taken up again later");
        }
        if let Some(looking) = self.looking {
            // It ends its servers before it does.
            let _ = looking.await;
        }
        if let Some(tools) = self.tools {
            tools.sandboxes.end_all().await;
            tools.runtime.shut_down().await;
        }
    }
}

/// What the operator decided about upstreams of models.
pub(super) fn model_rules(arguments: &WorkArguments, host: &HostEnvironment) -> ModelRules {
    let has_key = host.model_key.is_some();
    let has_server = has_key || host.model_url.is_some();
    ModelRules {
        server: has_server.then_some(ServerUpstream { has_key }),
        allowed_cidrs: arguments.model_upstream_cidrs.clone(),
    }
}

/// Where models are asked: at what the environment of this process names, and at what organizations name.
fn models(outward: &Outward, host: &HostEnvironment) -> anyhow::Result<Models> {
    Ok(Models::new(
        server_upstream(host)?,
        Some(outward.to_named_servers()?),
    ))
}

/// The server's own upstream; none if there is neither a key nor a URL.
pub(super) fn server_upstream(
    host: &HostEnvironment,
) -> anyhow::Result<Option<(Client, Upstream)>> {
    if host.model_key.is_none() && host.model_url.is_none() {
        return Ok(None);
    }
    let url = host.model_url.as_deref().unwrap_or(USUAL_UPSTREAM);
    let base: BaseUrl = url.parse().map_err(BadInput::ModelUrl)?;
    let authentication = match &host.model_key {
        Some(key) => Authentication::ApiKey(key.parse().map_err(BadInput::ModelKey)?),
        None => Authentication::None,
    };
    let proxy = ProxySettings::from_variables(&host.proxy).map_err(BadInput::ProxyVariable)?;
    // Addresses of this machine are no secret from its operator, who chose the upstream.
    let (_, facts) = watch::channel(Arc::new(host_facts(Vec::new())));
    let dialer = Dialer::new(DialOptions {
        proxy,
        ..DialOptions::new(facts)
    });
    let outbound = Outbound::trusting_this_machine(Arc::new(dialer))?;
    let client = Client::new(&outbound, Way::Operator, Timeouts::default());
    let upstream = Upstream {
        base,
        protocol: Protocol::Messages,
        authentication,
    };
    Ok(Some((client, upstream)))
}

/// The way to pages, which is there also where no sandboxes are.
fn pages(arguments: &WorkArguments, outward: &Outward) -> anyhow::Result<Web> {
    let certificates = arguments.sandbox_ca.clone().map(certificates).transpose()?;
    let pins = arguments.sandbox_resolve.iter().map(|pin| pin.parse());
    let pins: Vec<Pin> = pins.collect::<Result<_, _>>()?;
    Ok(outward.to_pages(pins, certificates.as_deref())?)
}

/// Sandboxes in hosts; none where nobody wants them, or where they cannot be, which is told.
fn tools(
    control: &Arc<Control>,
    arguments: &WorkArguments,
    listeners: Vec<SocketAddr>,
    host: &HostEnvironment,
) -> anyhow::Result<Option<Tools>> {
    if arguments.no_sandboxes {
        return Ok(None);
    }
    let certificates = arguments.sandbox_ca.clone().map(certificates).transpose()?;
    let images = match Images::of_this_machine(host) {
        Ok(images) => Some(images),
        Err(error) => {
            output::print_to_stderr(&format!("this server builds no images: {error:#}\n"));
            None
        }
    };
    let runtime = state::open(host).and_then(|state| {
        let share = state.share()?;
        let settings = HostSettings {
            snapshot: images.as_ref().map(Images::snapshot),
            ca_file: host.ca_file.clone(),
            certificates,
            pins: arguments.sandbox_resolve.clone(),
            proxy: host.proxy.clone(),
            listeners,
            checkpoints: Some(share.checkpoints()),
            ..HostSettings::new(&state)
        };
        Ok((
            share,
            HostedRuntime::new(settings, hosts(arguments.sandbox_hosts))?,
        ))
    });
    Ok(match runtime {
        Ok((share, runtime)) => {
            let idle = arguments.sandbox_idle;
            Some(Tools::on(control, (share, runtime), images, idle)?)
        }
        Err(error) => {
            output::print_to_stderr(&format!(
                "this server runs no sandboxes, so agents have no tools that need one: {error} (--no-sandboxes says that this is meant)\n"
            ));
            None
        }
    })
}

/// What one session may use up. Memory is bounded where this machine can bound it: by a control group of this server's own.
pub(super) fn sandbox_limits() -> Limits {
    let bounds_memory = Hierarchies::detect().has(Controller::Memory);
    Limits {
        memory_bytes: bounds_memory.then_some(SESSION_SANDBOX_MEMORY_BYTES),
        disk_bytes: Some(SESSION_SANDBOX_DISK_BYTES),
        ..Limits::default()
    }
}

/// As many as were asked for, or one for each processor.
pub(super) fn hosts(asked: Option<NonZeroUsize>) -> NonZeroUsize {
    let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    asked.unwrap_or_else(processors)
}
