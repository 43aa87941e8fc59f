//! A worker of this machine: the service that it works for, and the sandboxes that it works in.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bailiwick_images::{Builder, Held, ImageSpec};
use bailiwick_local::{HostSettings, HostedRuntime, StateDirectory};
use bailiwick_model::limits::WORKER_KEPT_BYTES;
use bailiwick_policy::InForce;
use bailiwick_runtime::{Image, Runtime, SandboxSpec};
use bailiwick_worker::{Journal, Key, Sandboxes, Service, Terms, WireId, Worker};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::asked_to_end;
use super::images::Images;
use super::work::{hosts, sandbox_limits};
use crate::bad_input::BadInput;
use crate::client::{checked, http};
use crate::command::worker::Arguments;
use crate::environment_source::{self, Environment};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::images::{ORGANIZATION, fresh_id, image_spec};
use crate::project::certificates;
use crate::{input, log, state};

/// Works until it is asked to end.
pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    log::start(&arguments.log, host, None)?;
    let service = service(arguments, host)?;
    let named = arguments.environment_id.clone();
    let environment = named.map_or_else(|| environment_id(host), Ok)?;
    let file = environment_source::load(arguments.environment.as_deref(), host)?;
    if file.base.is_some() || file.project.is_some() {
        return Err(BadInput::WorkerEnvironment.into());
    }
    let name = arguments.name.clone().map_or_else(own_name, Ok)?;
    let state = state::open(host)?;
    let directory = state.path().join("workers").join(environment.as_str());
    let journal = Journal::open(directory.join(name.as_str()))?;
    let terms = Terms {
        name: name.to_string(),
        max_sessions: arguments.max_sessions,
        max_idle: arguments.max_idle,
        lease: arguments.lease,
        grace: arguments.grace,
        kept_bytes: WORKER_KEPT_BYTES,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let place = Place::open(arguments, &file, &state, host).await?;
        let worker = Worker {
            service,
            environment,
            sandboxes: place.sandboxes(&file),
            journal,
            terms,
        };
        let stop = CancellationToken::new();
        let (end, asked) = (asked_to_end()?, stop.clone());
        tokio::spawn(async move {
            end.await;
            asked.cancel();
        });
        let worked = worker.run(stop).await;
        place.hosted.shut_down().await;
        worked.map_err(anyhow::Error::from)
    })?;
    Ok(Exit::Done.into())
}

fn service(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<Service> {
    let url = match (&arguments.base_url, &host.model_url) {
        (Some(url), _) => url.clone(),
        (None, Some(text)) => Url::parse(text).map_err(|_| BadInput::NoService)?,
        (None, None) => return Err(BadInput::NoService.into()),
    };
    let url = checked(url, arguments.plain_http)?;
    let file = arguments.environment_key_file.as_deref();
    let key = match (&arguments.environment_key, file, &host.environment_key) {
        (Some(key), _, _) | (None, None, Some(key)) => key.clone(),
        (None, Some(file), _) => input::secret(file)?,
        (None, None, None) => return Err(BadInput::NoEnvironmentKey.into()),
    };
    let key = Key::read(&key).map_err(|_| BadInput::NoEnvironmentKey)?;
    Ok(Service::new(http(&url, host)?, url, key))
}

fn environment_id(host: &HostEnvironment) -> Result<WireId, BadInput> {
    let id = host.environment_id.as_deref();
    let id = id.and_then(|id| id.parse().ok());
    id.ok_or(BadInput::NoEnvironmentId)
}

/// The machine's, as far as a name of a worker can be.
fn own_name() -> anyhow::Result<WireId> {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().into_owned();
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(safe).collect();
    name.parse()
        .context("this machine's name is none of a worker: give it one with --name")
}

/// Where its sandboxes are.
struct Place {
    hosted: HostedRuntime,
    image: Option<(Image, Held)>,
    /// The snapshot of this machine stays as long as this.
    _images: Option<Images>,
}

impl Place {
    /// Builds what is missing of the environment's image.
    async fn open(
        arguments: &Arguments,
        environment: &Environment,
        state: &StateDirectory,
        host: &HostEnvironment,
    ) -> anyhow::Result<Self> {
        let images = if environment.needs_image() {
            Some(Images::of_this_machine(host)?)
        } else {
            None
        };
        let settings = HostSettings {
            snapshot: images.as_ref().map(Images::snapshot),
            ca_file: host.ca_file.clone(),
            certificates: arguments.ca.clone().map(certificates).transpose()?,
            pins: arguments.resolve.clone(),
            proxy: host.proxy.clone(),
            ..HostSettings::new(state)
        };
        let hosted = HostedRuntime::new(settings, hosts(arguments.sandbox_hosts))?;
        let image = match &images {
            Some(images) => {
                let builder = images.builder(Arc::new(hosted.clone()));
                Some(built(builder, image_spec(environment)).await?)
            }
            None => None,
        };
        Ok(Self {
            hosted,
            image,
            _images: images,
        })
    }

    fn sandboxes(&self, environment: &Environment) -> Sandboxes<InForce> {
        let policy = Arc::new(environment.compile(Vec::new()));
        let mut spec = SandboxSpec::new(fresh_id(), InForce::from(policy));
        spec.environment.clone_from(&environment.name);
        spec.limits = sandbox_limits();
        if let Some((image, _)) = &self.image {
            spec.image = image.clone();
        }
        let runtime: Arc<dyn Runtime<Policy = InForce>> = Arc::new(self.hosted.clone());
        Sandboxes::new(runtime, spec, fresh_id)
    }
}

/// The image, with the layers of `bailiwick run`.
async fn built(builder: Builder, spec: ImageSpec) -> anyhow::Result<(Image, Held)> {
    let builder = Builder {
        organization: ORGANIZATION.to_owned(),
        ..builder
    };
    let runtime = Handle::current();
    // A build reads and hashes trees between its waits.
    let building = tokio::task::spawn_blocking(move || {
        let (keys, held) = runtime.block_on(builder.build(&spec, &mut |_| {}))?;
        anyhow::Ok((builder.image(&keys), held))
    });
    building
        .await?
        .context("cannot build the image of the environment")
}
