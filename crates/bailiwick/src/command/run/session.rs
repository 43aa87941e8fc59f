//! One run, from its request to its exit code.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_egress::Egress;
use bailiwick_images::{BaseSource, ImageSpec};
use bailiwick_local::{
    Base, Description, Ending, Launching, Limits, Prepared, ProgramError, Published, Request,
    RunAs, Running, Surroundings, Uncovered, Workspace, host_facts,
};
use bailiwick_model::{Flow, limits};
use bailiwick_policy::{CredentialHost, InForce, Projections};
use bailiwick_wire::EnvironmentFile;
use tokio::sync::{mpsc, watch};

use super::request::RunRequest;
use crate::attached::{self, OwnProgram, Signals};
use crate::bad_input::BadInput;
use crate::credential::Credential;
use crate::environment_source::Environment;
use crate::exit::Exit;
use crate::flow_log::FlowLog;
use crate::host_environment::HostEnvironment;
use crate::images::{Image, Images, fresh_id};
use crate::output::{self, Colour};
use crate::stdio::Streams;
use crate::summary::Summary;
use crate::{clock, state};

/// What `--dry-run` calls an environment without a file.
const UNNAMED: &str = "unnamed";

/// How often the host's own addresses are read again: a VPN may come up while a sandbox runs.
const HOST_FACTS_REFRESH: Duration = Duration::from_secs(5);

/// Runs it.
pub(super) fn run(request: RunRequest, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let state = state::open(host)?;
    state.clean_up()?;
    // Before the plan, which makes a file in the work directory read-only inside only if it is there.
    let flow_log = if request.dry_run {
        None
    } else {
        let path = request.flows.as_deref();
        path.map(|path| FlowLog::open(path, request.work_directory.as_deref()))
            .transpose()?
    };
    let image = image(&request, host)?;
    let mut prepared =
        bailiwick_local::prepare(&sandbox_request(&request, image.as_ref(), host)?, &state)?;
    if let Some(directory) = image.as_ref().and_then(Image::directory) {
        prepared.directory = directory.to_owned();
    }
    if request.dry_run {
        if image.is_none() && needs_image(&request) {
            let note = "the image is not built yet; a run builds it first, and has its layers too";
            prepared.notes.push(note.to_owned());
        }
        return Ok(output::print(&describe(&prepared, &request))?).map(|()| Exit::Done.into());
    }
    if !request.quiet {
        prepared
            .notes
            .iter()
            .for_each(|note| output::print_to_stderr(&format!("bailiwick: {note}\n")));
    }
    let owner = prepared.owner_of_pipes();
    let streams = Streams::of_this_process(owner)?;
    // One thread until here: the launch copies this process.
    let launching = prepared.launch(
        &state,
        Description {
            command: command_line(&request.command),
            started_at: clock::now_seconds(),
        },
    )?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let exit = runtime.block_on(attend(request, launching, streams, flow_log, host))?;
    Ok(exit.into())
}

/// Whether there is anything to build: packages, a project, or a base that is a layer itself.
fn needs_image(request: &RunRequest) -> bool {
    let is_there = matches!(request.base, BaseSource::Host | BaseSource::Directory(_));
    request.environment.needs_image() || !is_there
}

/// The image of the environment's packages and project, which stays for as long as the run; what is missing of it is built now.
fn image(request: &RunRequest, host: &HostEnvironment) -> anyhow::Result<Option<Image>> {
    let environment = &request.environment;
    if !needs_image(request) {
        return Ok(None);
    }
    let fetching = request.fetching.clone();
    let images = Images::open(&request.base, &request.registries, fetching, host)?;
    if request.dry_run {
        let spec = images.last_spec(environment).map(|spec| ImageSpec {
            lock: request.lock.clone(),
            ..spec
        });
        return Ok(spec.map(|spec| images.find(&spec)).transpose()?.flatten());
    }
    let mut spec = images.spec(environment, request.telling)?;
    spec.lock.clone_from(&request.lock);
    match images.find(&spec)? {
        Some(image) => Ok(Some(image)),
        None => images.build(&spec, request.telling).map(Some),
    }
}

fn sandbox_request(
    request: &RunRequest,
    image: Option<&Image>,
    host: &HostEnvironment,
) -> anyhow::Result<Request> {
    let placeholders = request.credentials.iter().map(|credential| {
        let (name, placeholder) = credential.variable();
        (name.into(), placeholder.into())
    });
    Ok(Request {
        id: fresh_id(),
        environment: request.environment.name.clone(),
        workspace: request.work_directory.clone().map(|path| Workspace {
            path,
            writable_meta: request.writable_meta,
            allow_sockets: request.allow_sockets,
            read_only: request
                .decisive_files
                .iter()
                .chain(&request.flows)
                .cloned()
                .collect(),
        }),
        layers: image.map(Image::layers).unwrap_or_default(),
        base: match (image, &request.base) {
            (Some(image), _) => image.base(),
            (None, BaseSource::Directory(directory)) => Base::Directory(directory.clone()),
            // Of the others a dry run says nothing before they are built.
            (None, _) => Base::Host,
        },
        toolchains: request.toolchains.clone(),
        run_as: if request.root {
            RunAs::Root
        } else {
            RunAs::Agent
        },
        variables: request
            .variables
            .iter()
            .map(|v| (v.name.clone(), v.value.clone()))
            .chain(placeholders)
            .collect(),
        certificates: request.ca.clone(),
        credentials: !request.credentials.is_empty(),
        limits: Limits {
            memory_bytes: request.limits.memory.map(|bytes| bytes.0),
            cpu_millis: request.limits.cpus.map(|cpus| cpus.0),
            pids: request.limits.pids,
            disk_bytes: request.limits.disk.map(|bytes| bytes.0),
        },
        surroundings: Surroundings {
            home: host.home.clone(),
            ca_file: host.ca_file.clone(),
            terminal: host.terminal.clone(),
        },
    })
}

/// Every relayed connection takes a handful of descriptors here; the soft limit of shells is for programs that use select(2).
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // With fewer, connections over the limit wait; nothing opens.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

/// `--dry-run`.
fn describe(prepared: &Prepared, request: &RunRequest) -> String {
    let mut text = format!("{}\n", prepared.plan);
    let effective = &request.environment.effective;
    let name = request
        .environment
        .name
        .clone()
        .unwrap_or_else(|| UNNAMED.parse().expect("a valid name"));
    let file = EnvironmentFile::of_policy(name, effective.policy.clone());
    let _ = writeln!(
        text,
        "policy from: {}\n{}",
        effective.source,
        file.to_short_yaml().unwrap_or_default()
    );
    let _ = writeln!(text, "\ncommand: {}", command_line(&request.command));
    for variable in &prepared.variables {
        let _ = writeln!(text, "  {}", output::printable(&variable.to_string_lossy()));
    }
    for note in &prepared.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

/// The policy and the secrets. These are read here, when no launch copies this process any more.
fn what_decides(
    environment: &Environment,
    credentials: Vec<Credential>,
) -> Result<InForce, BadInput> {
    let names = credentials.iter().flat_map(Credential::hosts);
    let names = names.filter_map(|host| match host {
        CredentialHost::Name(pattern) => Some(pattern.clone()),
        CredentialHost::Address(_) => None,
    });
    let policy = Arc::new(environment.compile(names.collect()));
    if credentials.is_empty() {
        return Ok(policy.into());
    }
    let placeholders = credentials.into_iter().map(Credential::reveal);
    let placeholders = placeholders.collect::<Result<_, _>>()?;
    Ok(InForce {
        policy,
        projections: Arc::new(Projections::new(placeholders, Vec::new())),
    })
}

async fn attend(
    request: RunRequest,
    launching: Launching,
    streams: Streams,
    flow_log: Option<FlowLog>,
    host: &HostEnvironment,
) -> anyhow::Result<Exit> {
    // From here on a signal is the command's, also one that comes before it runs.
    let signals = Signals::listen()?;
    let (facts, watched_facts) = watch::channel(Arc::new(host_facts(Vec::new())));
    tokio::spawn(refresh(facts));
    let dialer = Dialer::new(DialOptions {
        pins: request.pins,
        proxy: request.upstream_proxy,
        trust_proxy_dns: request.trust_proxy_dns,
        ..DialOptions::new(watched_facts)
    });
    let (_in_force, in_force) =
        watch::channel(what_decides(&request.environment, request.credentials)?);
    let (flows, received) = mpsc::channel(limits::FLOWS_WAITING);
    let egress = Egress::new(Arc::new(dialer)).with_second_thread();
    let egress = match &request.ca {
        Some(authorities) => egress.trusting(authorities)?,
        None => egress,
    };
    let running = launching.serve(&egress, in_force, flows)?;
    let collected = tokio::spawn(collect(received, flow_log));

    let exit = start_and_attend(
        &running,
        signals,
        request.command,
        &request.publish,
        streams,
        request.limits.timeout,
    )
    .await;
    let ending = running.stop().await;
    let (summary, log_failure) = collected.await?;
    if let Some(error) = log_failure {
        output::print_to_stderr(&format!("bailiwick: flows could not be written: {error}\n"));
    }
    if !request.quiet {
        report(&summary, host);
    }
    told_of(&ending, exit)
}

/// What the person must know of how the sandbox ended, whatever else is quiet.
fn told_of(ending: &Ending, exit: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    if ending.out_of_memory_kills > 0 {
        let count = ending.out_of_memory_kills;
        let processes = if count == 1 { "process" } else { "processes" };
        output::print_to_stderr(&format!(
            "bailiwick: the memory limit was reached; the kernel ended {count} {processes}\n"
        ));
    }
    if let Some(uncovered) = &ending.uncovered {
        anyhow::bail!(told_of_replaced(uncovered));
    }
    exit
}

fn told_of_replaced(uncovered: &Uncovered) -> String {
    let path = output::printable(&uncovered.path.to_string_lossy()).into_owned();
    let mut text = format!(
        "this host replaced {path} (its path inside) while the sandbox ran, which made it writable there; the sandbox was ended"
    );
    for aside in &uncovered.moved_aside {
        let aside = output::printable(&aside.to_string_lossy()).into_owned();
        let _ = write!(
            text,
            ". What it was before is back in its place; the new one is {aside}: look at it before you use it"
        );
    }
    for failure in &uncovered.not_restored {
        let _ = write!(
            text,
            ". It could not be put back ({failure}): look at it before you use it"
        );
    }
    text
}

async fn start_and_attend(
    running: &Running,
    signals: Signals,
    command: Vec<OsString>,
    publish: &[u16],
    streams: Streams,
    timeout: Option<Duration>,
) -> anyhow::Result<Exit> {
    let handle = running.handle();
    let _published = Published::offer(publish, handle)
        .await
        .map_err(|(port, error)| {
            anyhow::Error::new(error).context(format!("cannot offer port {port} on this host"))
        })?;
    let name = command
        .first()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let command = handle.command(command, &[]);
    match handle
        .start(command, streams.terminal, streams.passed)
        .await
    {
        Ok(mut program) => {
            let master = program.terminal.take();
            attached::attend(
                OwnProgram { handle, program },
                signals,
                master,
                streams.terminal,
                timeout,
            )
            .await
        }
        Err(error @ ProgramError::NotStarted(_)) => Ok(attached::not_started(&name, &error)),
        Err(ProgramError::Gone) => {
            anyhow::bail!("the sandbox ended before the command was started")
        }
    }
}

async fn refresh(facts: watch::Sender<Arc<bailiwick_policy::HostFacts>>) {
    loop {
        tokio::time::sleep(HOST_FACTS_REFRESH).await;
        facts.send_replace(Arc::new(host_facts(Vec::new())));
    }
}

/// Writes each flow as it comes and counts it; returns the first failure to write.
async fn collect(
    mut flows: mpsc::Receiver<Flow>,
    mut log: Option<FlowLog>,
) -> (Summary, Option<std::io::Error>) {
    let mut summary = Summary::default();
    let mut failure = None;
    while let Some(flow) = flows.recv().await {
        summary.record(&flow);
        if let Some(Err(error)) = log.as_mut().map(|log| log.write(&flow)) {
            failure = Some(error);
            log = None;
        }
    }
    (summary, failure)
}

fn report(summary: &Summary, host: &HostEnvironment) {
    output::print_to_stderr(&summary.render(Colour::of_stderr(host)));
}

fn command_line(command: &[OsString]) -> String {
    let words: Vec<_> = command
        .iter()
        .map(|word| output::printable(&word.to_string_lossy()).into_owned())
        .collect();
    words.join(" ")
}
