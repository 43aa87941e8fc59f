//! How a server builds the images of its sessions: on this machine's own userland, in its sandbox hosts.

use std::path::PathBuf;

use anyhow::Context;
use bailiwick_control::{SandboxRuntime, SessionImages};
use bailiwick_images::{BaseImage, BuildLimits, Builder, HostBase, Store, host_base};
use bailiwick_local::{snapshot, snapshot_sources};
use bailiwick_policy::OrganizationFloor;
use bailiwick_runtime::Base;
use bailiwick_sandbox::cgroup::{Controller, Hierarchies};

use crate::host_environment::HostEnvironment;
use crate::images::{fresh_id, owners, store};
use crate::{clock, sibling, state};

/// What images of this machine are made from.
pub(super) struct Images {
    store: Store,
    base: HostBase,
}

impl Images {
    /// Looks at this machine, and takes a snapshot of its settings if there is none of its present state.
    pub(super) fn of_this_machine(host: &HostEnvironment) -> anyhow::Result<Self> {
        let store = store(&state::open(host)?)?;
        let base = host_base(&store.bases_directory(), &snapshot_sources(), snapshot)
            .context("cannot take what images need of this host's settings")?;
        Ok(Self { store, base })
    }

    pub(super) fn snapshot(&self) -> PathBuf {
        self.base.snapshot.clone()
    }

    /// The same for sessions, whose environments may have bases of their own.
    pub(super) fn of_sessions(&self, runtime: SandboxRuntime) -> anyhow::Result<SessionImages> {
        Ok(SessionImages {
            builder: self.builder(runtime),
            program: sibling::path()?,
            memory: self.store.bases_directory(),
            owners: owners(),
        })
    }

    /// What builds them. Whose they are is said for each.
    pub(super) fn builder(&self, runtime: SandboxRuntime) -> Builder {
        Builder {
            runtime,
            store: self.store.clone(),
            organization: String::new(),
            fetches_as: String::new(),
            registries: Vec::new(),
            floor: OrganizationFloor::empty(),
            limits: BuildLimits::usual(Hierarchies::detect().has(Controller::Memory)),
            base: BaseImage::Outside {
                base: Base::Host,
                digest: self.base.digest.clone(),
            },
            architecture: std::env::consts::ARCH.to_owned(),
            now: clock::now_seconds,
            sandbox_id: fresh_id,
        }
    }
}
