//! Which control group hierarchies this machine has, and where a sandbox's groups go in them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use bailiwick_model::SandboxId;

use super::{CgroupDirectory, CgroupLimits, CgroupPlan, Join};

/// The period of the CPU quota, in microseconds: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;

/// A controller that a limit needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Controller {
    /// Memory.
    Memory,
    /// Processor time.
    Cpu,
    /// Processes and threads.
    Pids,
}

impl Controller {
    const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// The kernel's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where this process may make control groups, for each controller; `None` where it may not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hierarchies {
    /// The version 2 directory below which groups are made, and the controllers that can be had there.
    unified: Option<(PathBuf, Vec<Controller>)>,
    /// The version 1 directories below which groups are made.
    legacy: Vec<(Controller, PathBuf)>,
}

impl Hierarchies {
    /// Looks at the machine.
    pub fn detect() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let found = Self::parse(&mounts, &own, rustix::process::geteuid().is_root());
        Self {
            unified: found.unified.and_then(|(path, _)| {
                let available = fs::read_to_string(path.join("cgroup.controllers")).ok()?;
                let controllers: Vec<_> = Controller::ALL
                    .into_iter()
                    .filter(|c| available.split_whitespace().any(|name| name == c.name()))
                    .collect();
                (!controllers.is_empty() && is_writable(&path)).then_some((path, controllers))
            }),
            legacy: found
                .legacy
                .into_iter()
                .filter(|(_, path)| is_writable(path))
                .collect(),
        }
    }

    /// The candidates in the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`.
    ///
    /// Root makes groups below the root of a hierarchy, where a process may not sit beside them; anybody else below the own group,
    /// which works where it was delegated (`systemd-run --user --scope -p Delegate=yes`).
    fn parse(mountinfo: &str, own: &str, root: bool) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            let Some((head, tail)) = line.split_once(" - ") else {
                continue;
            };
            let Some(mount_point) = head.split(' ').nth(4) else {
                continue;
            };
            let mut tail = tail.split(' ');
            let (kind, options) = (
                tail.next().unwrap_or_default(),
                tail.nth(1).unwrap_or_default(),
            );
            let place = |controller: &str| {
                let below = if root { "" } else { own_group(own, controller) };
                Path::new(mount_point).join(below.trim_start_matches('/'))
            };
            match kind {
                "cgroup2" if found.unified.is_none() => {
                    found.unified = Some((place(""), Vec::new()));
                }
                "cgroup" => {
                    let here = Controller::ALL
                        .into_iter()
                        .filter(|c| options.split(',').any(|option| option == c.name()));
                    found
                        .legacy
                        .extend(here.map(|controller| (controller, place(controller.name()))));
                }
                _ => {}
            }
        }
        found
    }

    /// Whether a limit of this controller can be held.
    pub fn has(&self, controller: Controller) -> bool {
        self.unified
            .as_ref()
            .is_some_and(|(_, controllers)| controllers.contains(&controller))
            || self.legacy.iter().any(|(c, _)| *c == controller)
    }

    /// Whether a sandbox can be born in a group that limits this. Joining one later, as version 1 has it, waits for every processor to
    /// pass through the scheduler (an RCU grace period): 5 to 15 ms, several times the cost of a whole launch.
    pub fn is_cheap(&self, controller: Controller) -> bool {
        self.unified
            .as_ref()
            .is_some_and(|(_, controllers)| controllers.contains(&controller))
    }

    /// The groups of a sandbox with these limits; `None` if no limit needs one.
    ///
    /// # Errors
    ///
    /// The first controller that a limit needs and that cannot be had.
    pub fn plan(
        &self,
        id: &SandboxId,
        limits: &CgroupLimits,
    ) -> Result<Option<CgroupPlan>, Controller> {
        let mut wanted = Vec::new();
        wanted.extend(limits.memory_bytes.map(|_| Controller::Memory));
        wanted.extend(limits.cpu_millis.map(|_| Controller::Cpu));
        wanted.extend(limits.pids.map(|_| Controller::Pids));
        if let Some(missing) = wanted.iter().find(|controller| !self.has(**controller)) {
            return Err(*missing);
        }
        let mut directories = Vec::new();
        if let Some((parent, available)) = &self.unified {
            let here: Vec<_> = wanted
                .iter()
                .copied()
                .filter(|c| available.contains(c))
                .collect();
            directories
                .extend((!here.is_empty()).then(|| unified_directory(parent, id, &here, limits)));
            wanted.retain(|c| !available.contains(c));
        }
        for controller in wanted {
            let parent = self
                .legacy
                .iter()
                .find(|(c, _)| *c == controller)
                .map(|(_, path)| path);
            directories
                .extend(parent.map(|parent| legacy_directory(parent, id, controller, limits)));
        }
        Ok((!directories.is_empty()).then_some(CgroupPlan { directories }))
    }
}

fn unified_directory(
    parent: &Path,
    id: &SandboxId,
    controllers: &[Controller],
    limits: &CgroupLimits,
) -> CgroupDirectory {
    let ours = parent.join("bailiwick");
    let enable: String = controllers.iter().map(|c| format!("+{c} ")).collect();
    let mut writes = Vec::new();
    if let Some(bytes) = limits
        .memory_bytes
        .filter(|_| controllers.contains(&Controller::Memory))
    {
        writes.push(("memory.max".to_owned(), bytes.to_string()));
    }
    if let Some(millis) = limits
        .cpu_millis
        .filter(|_| controllers.contains(&Controller::Cpu))
    {
        writes.push((
            "cpu.max".to_owned(),
            format!("{} {CPU_PERIOD_US}", quota_us(millis)),
        ));
    }
    if let Some(pids) = limits
        .pids
        .filter(|_| controllers.contains(&Controller::Pids))
    {
        writes.push(("pids.max".to_owned(), pids.to_string()));
    }
    CgroupDirectory {
        path: ours.join(id.as_str()),
        enable: [parent, &ours]
            .map(|d| {
                (
                    d.join("cgroup.subtree_control"),
                    enable.trim_end().to_owned(),
                )
            })
            .to_vec(),
        limits: writes,
        join: Join::Birth,
    }
}

fn legacy_directory(
    parent: &Path,
    id: &SandboxId,
    controller: Controller,
    limits: &CgroupLimits,
) -> CgroupDirectory {
    let write = |file: &str, value: String| (file.to_owned(), value);
    let limits = match controller {
        Controller::Memory => limits
            .memory_bytes
            .map(|bytes| vec![write("memory.limit_in_bytes", bytes.to_string())]),
        Controller::Cpu => limits.cpu_millis.map(|millis| {
            vec![
                write("cpu.cfs_period_us", CPU_PERIOD_US.to_string()),
                write("cpu.cfs_quota_us", quota_us(millis).to_string()),
            ]
        }),
        Controller::Pids => limits
            .pids
            .map(|pids| vec![write("pids.max", pids.to_string())]),
    };
    CgroupDirectory {
        path: parent.join("bailiwick").join(id.as_str()),
        enable: Vec::new(),
        limits: limits.unwrap_or_default(),
        join: Join::Attach,
    }
}

fn quota_us(cpu_millis: u32) -> u64 {
    // The kernel refuses quotas under a millisecond.
    (u64::from(cpu_millis) * CPU_PERIOD_US / 1000).max(1000)
}

/// The path of the own group in the hierarchy of `controller`; `""` is version 2 (`0::/path`).
fn own_group<'a>(own: &'a str, controller: &str) -> &'a str {
    own.lines()
        .find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers
                .split(',')
                .any(|c| c == controller)
                .then_some(path)
        })
        .unwrap_or_default()
}

fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
    const UNIFIED: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    fn limits() -> CgroupLimits {
        CgroupLimits {
            memory_bytes: Some(1 << 30),
            cpu_millis: Some(1500),
            pids: Some(512),
        }
    }

    #[test]
    fn version_1_has_one_directory_for_each_limit() {
        let found = Hierarchies::parse(HYBRID, "4:memory:/user\n0::/\n", true);
        let plan = found
            .plan(&"box".parse().unwrap(), &limits())
            .unwrap()
            .unwrap();
        let text: Vec<_> = plan
            .directories
            .iter()
            .map(|d| format!("{} {:?} {:?}", d.path.display(), d.limits, d.join))
            .collect();
        insta::assert_snapshot!(text.join("\n"), @r#"
        /sys/fs/cgroup/memory/bailiwick/box [("memory.limit_in_bytes", "1073741824")] Attach
        /sys/fs/cgroup/cpu/bailiwick/box [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "150000")] Attach
        /sys/fs/cgroup/pids/bailiwick/box [("pids.max", "512")] Attach
        "#);
    }

    #[test]
    fn version_2_has_one_directory_below_the_own_delegated_group() {
        let own = "0::/user.slice/run-1.scope\n";
        let mut found = Hierarchies::parse(UNIFIED, own, false);
        found.unified.as_mut().unwrap().1 = Controller::ALL.to_vec();
        let plan = found
            .plan(&"box".parse().unwrap(), &limits())
            .unwrap()
            .unwrap();
        assert_eq!(plan.directories.len(), 1);
        let directory = &plan.directories[0];
        assert_eq!(
            directory.path,
            Path::new("/sys/fs/cgroup/user.slice/run-1.scope/bailiwick/box")
        );
        assert_eq!(directory.join, Join::Birth);
        assert_eq!(directory.enable[0].1, "+memory +cpu +pids");
        let limits: Vec<_> = directory
            .limits
            .iter()
            .map(|(f, v)| format!("{f}={v}"))
            .collect();
        assert_eq!(
            limits,
            [
                "memory.max=1073741824",
                "cpu.max=150000 100000",
                "pids.max=512"
            ]
        );
    }

    #[test]
    fn a_limit_without_its_controller_is_refused_by_name() {
        let none = Hierarchies::default();
        assert_eq!(
            none.plan(&"box".parse().unwrap(), &limits()),
            Err(Controller::Memory)
        );
        assert_eq!(
            none.plan(&"box".parse().unwrap(), &CgroupLimits::default()),
            Ok(None)
        );
    }
}
