//! From a plan to a running sandbox: the one place that launches, and the order in which everything is made and undone.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bailiwick_egress::{
    Attachment, AuthorityError, DormantAuthority, Egress, SandboxLimits, SandboxNetwork, Sockets,
};
use bailiwick_model::{EnvironmentName, Flow, SandboxId};
use bailiwick_policy::InForce;
use bailiwick_sandbox::network::NetworkSockets;
use bailiwick_sandbox::{Building, LaunchError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::control;
use crate::keeper::Uncovered;
use crate::keeper::{self, Handle, Keeper};
use crate::placeholder::Held;
use crate::prepare::Prepared;
use crate::restore::Before;
use crate::state::{Entry, Record, StateDirectory, StateError};
use crate::uncovered::MountTable;
use crate::workspace;

/// What of a start is for people and for `ps`.
#[derive(Debug, Clone)]
pub struct Description {
    /// The command, as it would be typed.
    pub command: String,
    /// When, in seconds since 1970.
    pub started_at: i64,
}

/// Why a sandbox did not start. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The launch.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The mount table of the sandbox cannot be read, or is not as it should be.
    #[error("the mounts of the sandbox are not as planned: {0}")]
    Mounts(io::Error),
    /// The key of the sandbox's certificate authority is gone.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The network could not be served.
    #[error("cannot serve the network of the sandbox: {0}")]
    Serve(io::Error),
}

/// What must outlive the processes of a sandbox, in the order in which it goes.
#[derive(Debug)]
pub(crate) struct Guards {
    /// What covered paths were before the start.
    before: Vec<Before>,
    _placeholders: Option<Held>,
    _entry: Entry,
    _uid_range: Option<File>,
}

/// A sandbox that builds itself. Dropping it ends that.
#[derive(Debug)]
pub struct Launching {
    building: Building,
    init: u32,
    environment: Option<EnvironmentName>,
    authority: Option<DormantAuthority>,
    guards: Guards,
    id: SandboxId,
    covered: Vec<PathBuf>,
    control: PathBuf,
    defaults: keeper::Defaults,
}

/// A sandbox whose network is served. Dropping it ends everything inside.
pub struct Running {
    handle: Handle,
    keeper: JoinHandle<keeper::Ending>,
    _control: AbortOnDropHandle<()>,
    network: Attachment,
    id: SandboxId,
}

impl Guards {
    /// Puts back what this host replaced, now that nothing inside can write any more.
    pub(crate) fn restore(&self, uncovered: &mut Uncovered) {
        for before in &self.before {
            match before.restore() {
                Ok(aside) => uncovered.moved_aside.extend(aside),
                Err(error) => uncovered.not_restored.push(error.to_string()),
            }
        }
    }
}

/// Of each covered path inside, what it is on this host.
fn before(work_directory: &Path, covered: &[PathBuf]) -> Vec<Before> {
    let on_host =
        |path: &PathBuf| Some(work_directory.join(path.strip_prefix(workspace::INSIDE).ok()?));
    covered
        .iter()
        .filter_map(on_host)
        .filter_map(Before::of)
        .collect()
}

impl Prepared {
    /// Launches: what is left after this the sandbox does by itself. The process must have one thread.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn launch(
        self,
        state: &StateDirectory,
        description: Description,
    ) -> Result<Launching, StartError> {
        let record = Record {
            id: self.plan.id.clone(),
            environment: self.environment.clone(),
            holder: std::process::id(),
            outside: self.owner_of_pipes(),
            started_at: description.started_at,
            command: description.command,
            workspace: self.work_directory.clone(),
            cgroup: self.plan.cgroup.clone(),
            placeholders: self.placeholders.clone(),
        };
        let entry = state.enter(&record)?;
        let control = entry.control_socket();
        let begun = bailiwick_sandbox::begin(&self.plan)?;
        let placeholders = self
            .placeholders
            .map(|placeholders| placeholders.hold(state))
            .transpose()?;
        let guards = Guards {
            before: self
                .work_directory
                .iter()
                .flat_map(|directory| before(directory, &self.covered))
                .collect(),
            _placeholders: placeholders,
            _entry: entry,
            _uid_range: self.uid_range,
        };
        let init = begun.pid().as_raw_nonzero().get().unsigned_abs();
        Ok(Launching {
            building: begun.provide()?,
            init,
            environment: self.environment,
            authority: self.authority,
            guards,
            id: record.id,
            covered: self.covered,
            control,
            defaults: keeper::Defaults {
                variables: self.variables,
                directory: self.directory,
            },
        })
    }
}

impl Launching {
    /// Serves the sandbox's network under what is `in_force`, and its control socket, and waits until it is built. Must be called inside a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// See [`StartError`]; the sandbox is ended then.
    pub fn serve(
        self,
        egress: &Egress,
        in_force: watch::Receiver<InForce>,
        flows: mpsc::Sender<Flow>,
    ) -> Result<Running, StartError> {
        let NetworkSockets {
            relay,
            dns_tcp,
            dns_udp_v4,
            denied_udp,
            dns_udp_v6,
        } = self.building.network()?;
        let sockets = Sockets {
            tcp: relay,
            dns_tcp,
            dns_udp_v4,
            dns_udp_v6,
            denied_udp,
        };
        let network = SandboxNetwork {
            sandbox: self.id.clone(),
            environment: self.environment,
            in_force,
            authority: self.authority.map(DormantAuthority::wake).transpose()?,
            limits: SandboxLimits::default(),
            flows,
        };
        let network = egress.attach(network, sockets).map_err(StartError::Serve)?;
        let (handle, asks) = Handle::new(self.defaults);
        let control = control::serve(&self.control, handle.clone()).map_err(StartError::Serve)?;
        let control = AbortOnDropHandle::new(control);

        let sandbox = self.building.finish()?;
        let mounts = MountTable::of(self.init, &self.covered).map_err(StartError::Mounts)?;
        let keeper = Keeper::new(sandbox, asks, self.guards, mounts).map_err(StartError::Serve)?;
        Ok(Running {
            handle,
            keeper: tokio::spawn(keeper.run()),
            _control: control,
            network,
            id: self.id,
        })
    }
}

impl Running {
    /// The way to what runs inside.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Its id.
    pub fn id(&self) -> &SandboxId {
        &self.id
    }

    /// The network side.
    pub fn network(&self) -> &Attachment {
        &self.network
    }

    /// Ends everything inside, waits until it is gone, and hands over the last flows; their receiver must be read meanwhile.
    pub async fn stop(self) -> keeper::Ending {
        self.handle.stop();
        let ending = self.keeper.await.unwrap_or_default();
        self.network.shutdown(FLOWS_DEADLINE).await;
        ending
    }
}

/// How long the last flows may take to be handed over.
const FLOWS_DEADLINE: std::time::Duration = std::time::Duration::from_secs(2);
