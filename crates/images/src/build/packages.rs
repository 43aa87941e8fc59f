//! The build of one package manager's layer.

use std::collections::BTreeMap;
use std::ffi::OsString;

use bailiwick_model::{PackageManager, PolicySource};
use bailiwick_policy::{EffectivePolicy, EgressPolicy, Policy, SessionGrants, registries};
use bailiwick_runtime::Image;

use super::{Builder, Job, Keeps};
use crate::lock::LockedPackages;
use crate::recipe;
use crate::registry::Registry;

/// Where programs are looked for in a build; what a home directory brings along comes last, for the one manager that has its own.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Builder {
    pub(super) fn registry(&self, manager: PackageManager) -> Option<&Registry> {
        self.registries
            .iter()
            .find(|registry| registry.manager == manager)
    }

    pub(super) fn packages_job(
        &self,
        manager: PackageManager,
        specs: &[String],
        locked: Option<&LockedPackages>,
        image: Image,
    ) -> Job {
        let mut env = variables(manager);
        let registries = needed(manager).filter_map(|manager| self.registry(manager));
        env.extend(registries.flat_map(Registry::variables));
        Job {
            argv: recipe::command(manager, specs),
            policy: self.policy_of(needed(manager)),
            image,
            mounts: Vec::new(),
            env,
            directory: "/".into(),
            input: locked.map_or_else(Vec::new, |part| recipe::locked(&part.packages)),
            keeps: Keeps {
                image: true,
                besides: None,
            },
            watched: None,
        }
    }

    /// The registries that are asked for packages of these managers instead of the public ones, as they stand in a key.
    pub(super) fn asked(&self, managers: impl Iterator<Item = PackageManager>) -> Vec<String> {
        let own = managers.filter_map(|manager| self.registry(manager));
        own.map(|registry| format!("{}={registry}", registry.manager.name()))
            .collect()
    }

    /// A policy of Bailiwick's own, over what the organization denies.
    pub(super) fn compiled(&self, policy: EgressPolicy) -> Policy {
        let effective = EffectivePolicy {
            policy,
            source: PolicySource::BuiltIn,
        };
        Policy::compile(effective, &self.floor, &SessionGrants::none())
    }

    /// Exactly the registries of these managers, or those that are asked instead.
    pub(super) fn policy_of(&self, managers: impl Iterator<Item = PackageManager>) -> EgressPolicy {
        let mut policy = EgressPolicy::limited();
        for manager in managers {
            if let Some(registry) = self.registry(manager) {
                policy.allowed_hosts.extend(registry.host().ok().flatten());
                policy.host_ports.extend(registry.host_port());
                continue;
            }
            for entry in registries(manager) {
                if !policy.allowed_hosts.contains(&entry.pattern) {
                    policy.allowed_hosts.push(entry.pattern.clone());
                }
            }
        }
        policy
    }
}

/// Whose packages a build of the manager may need: apt brings a manager that the base lacks.
pub(super) fn needed(manager: PackageManager) -> impl Iterator<Item = PackageManager> {
    let besides = (manager != PackageManager::Apt).then_some(manager);
    [PackageManager::Apt].into_iter().chain(besides)
}

fn variables(manager: PackageManager) -> BTreeMap<OsString, OsString> {
    let mut variables = BTreeMap::new();
    // Rust is mostly installed in a home directory; what such a toolchain brings along is in the PATH that a sandbox has anyway.
    if manager != PackageManager::Cargo {
        variables.insert("PATH".into(), PATH.into());
    }
    variables
}
