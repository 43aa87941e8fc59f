//! What this machine offers: each kernel feature that a sandbox uses, tried for real in a process that is thrown away.

use std::fs;
use std::io::{Read, Write};

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};
use rustix::process::WaitOptions;
use serde::Serialize;

use crate::cgroup::{Controller, Hierarchies};
use crate::init::together;
use crate::network::{self, NetworkPlan};
use crate::sys::{self, Cloned};

/// How much depends on a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Without it no sandbox starts.
    Required,
    /// A second fence; the first holds without it.
    Depth,
    /// A part of what Bailiwick can do.
    Optional,
}

/// One feature, looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is called.
    pub feature: &'static str,
    /// How much depends on it.
    pub need: Need,
    /// The first kernel that has it.
    pub since: &'static str,
    /// `None` if it is there; else what the kernel said.
    pub missing: Option<String>,
    /// What is lost without it.
    pub without: &'static str,
    /// How to get it.
    pub remedy: String,
}

const NOTHING_STARTS: &str = "no sandbox starts";
const NEWER_KERNEL: &str = "use a newer kernel";

/// Looks for every feature. The process must have one thread.
pub fn examine() -> Vec<Finding> {
    let mut findings = required();
    findings.extend(helpful());
    findings
}

fn finding(
    (feature, since): (&'static str, &'static str),
    need: Need,
    missing: Option<String>,
    without: &'static str,
    remedy: &str,
) -> Finding {
    Finding {
        feature,
        need,
        since,
        missing,
        without,
        remedy: remedy.to_owned(),
    }
}

fn required() -> Vec<Finding> {
    let mounts = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID;
    let all = mounts | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;
    let network_namespace = libc::CLONE_NEWUSER | libc::CLONE_NEWNET;
    let user_namespaces = user_namespace_remedy();
    let looked_for: [((&str, &str), Option<String>, &str); 8] = [
        (
            ("user namespaces", "3.8"),
            probe(libc::CLONE_NEWUSER, || Ok(())),
            &user_namespaces,
        ),
        (
            ("mount, pid, ipc, uts and cgroup namespaces", "4.6"),
            probe(all, || Ok(())),
            "in a container: run it with --privileged, or allow these namespaces in its seccomp profile",
        ),
        (
            ("mount_setattr and detached mounts", "5.12"),
            probe(mounts, detached_mount),
            NEWER_KERNEL,
        ),
        (
            ("a proc file system of its own", "5.8"),
            probe(mounts, || mount_of("proc")),
            "the outer /proc is partly covered, as in containers: run the container with an unmasked /proc (docker: --security-opt systempaths=unconfined)",
        ),
        (
            ("network namespaces with nftables", "5.2"),
            probe(network_namespace, network),
            "load or build the kernel modules nf_tables, nft_chain_nat, nft_tproxy, nft_redir, nft_reject_inet, nft_ct, nft_log and nfnetlink_log",
        ),
        (
            ("seccomp filters", "4.14"),
            seccomp(),
            "build the kernel with CONFIG_SECCOMP_FILTER",
        ),
        (
            ("processes counted in each user namespace", "5.14"),
            (!together::kernel_can()).then(|| "this kernel is older".to_owned()),
            NEWER_KERNEL,
        ),
        (
            ("openat2 and close_range", "5.9"),
            recent_calls(),
            NEWER_KERNEL,
        ),
    ];
    let required =
        |(name, missing, remedy)| finding(name, Need::Required, missing, NOTHING_STARTS, remedy);
    looked_for.into_iter().map(required).collect()
}

fn helpful() -> Vec<Finding> {
    let mounts = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID;
    vec![
        finding(
            ("Landlock", "5.13"),
            Need::Depth,
            landlock(),
            "the mounts alone hold the file system",
            "add landlock to the lsm= list of the kernel's command line",
        ),
        finding(
            ("overlayfs in a user namespace", "5.11"),
            Need::Optional,
            probe(mounts, || context_of("overlay")),
            "--root, and images with packages",
            "load the kernel module overlay",
        ),
        finding(
            ("idmapped mounts", "5.12 (overlay: 5.19)"),
            Need::Optional,
            idmapped(),
            "running as root: files of the base belong to nobody inside",
            "run as root, with / on a file system that has them (ext4, xfs, btrfs, tmpfs)",
        ),
        controllers(),
        newuidmap(),
    ]
}

/// Runs `attempt` in a process of its own with fresh namespaces; `None` if it went well.
fn probe(namespaces: libc::c_int, attempt: impl Fn() -> Result<(), String>) -> Option<String> {
    let Ok((reader, writer)) = rustix::pipe::pipe() else {
        return Some("out of file descriptors".to_owned());
    };
    // SAFETY: `examine` is called with one thread.
    match unsafe { sys::clone3(namespaces, None) } {
        Err(errno) => Some(errno.to_string()),
        Ok(Cloned::Child) => {
            let told = attempt().err().unwrap_or_default();
            let _ = fs::File::from(writer).write_all(told.as_bytes());
            sys::exit_now(0)
        }
        Ok(Cloned::Parent { child, .. }) => {
            drop(writer);
            let mut told = String::new();
            let _ = fs::File::from(reader).read_to_string(&mut told);
            let _ = rustix::process::waitpid(Some(child), WaitOptions::empty());
            (!told.is_empty()).then_some(told)
        }
    }
}

fn said(call: &'static str) -> impl Fn(Errno) -> String {
    move |errno| format!("{call}: {errno}")
}

fn detached_mount() -> Result<(), String> {
    use std::os::fd::AsFd;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree =
        rustix::mount::open_tree(rustix::fs::CWD, "/usr", flags).map_err(said("open_tree"))?;
    sys::mount_set_attributes(tree.as_fd(), true, libc::MOUNT_ATTR_RDONLY, None)
        .map_err(said("mount_setattr"))
}

fn context_of(kind: &str) -> Result<(), String> {
    rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
        .map(drop)
        .map_err(said("fsopen"))
}

fn mount_of(kind: &str) -> Result<(), String> {
    let context =
        rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(said("fsopen"))?;
    rustix::mount::fsconfig_create(&context).map_err(said("fsconfig"))?;
    rustix::mount::fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
    .map(drop)
    .map_err(said("fsmount"))
}

fn network() -> Result<(), String> {
    network::set_up(&NetworkPlan::for_this_kernel())
        .map(drop)
        .map_err(|error| error.to_string())
}

fn seccomp() -> Option<String> {
    probe(libc::CLONE_NEWUSER, || {
        rustix::thread::set_no_new_privs(true).map_err(said("prctl"))?;
        crate::seccomp::apply(crate::seccomp::SetuidBits::Refused).map_err(said("seccomp"))
    })
}

fn recent_calls() -> Option<String> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
    let opened = rustix::fs::openat2(
        CWD,
        "/",
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS,
    );
    opened.err().map(said("openat2"))
}

/// landlock_create_ruleset(2) with LANDLOCK_CREATE_RULESET_VERSION.
fn landlock() -> Option<String> {
    // SAFETY: a null attribute with size 0 and the version flag is the documented way to ask for the version.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0usize,
            1u32,
        )
    };
    (version < 1).then(|| std::io::Error::last_os_error().to_string())
}

fn idmapped() -> Option<String> {
    use std::os::fd::AsFd;
    if !rustix::process::geteuid().is_root() {
        return Some("only root can make them".to_owned());
    }
    let map = [crate::plan::IdMap {
        inside: 0,
        outside: 0x7000_0000,
        count: 1,
    }];
    let namespace = match crate::idmap::Namespace::new(&map, &map) {
        Ok(namespace) => namespace,
        Err(error) => return Some(error.to_string()),
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mapped = rustix::mount::open_tree(rustix::fs::CWD, "/usr", flags).and_then(|tree| {
        sys::mount_set_attributes(tree.as_fd(), false, 0, Some(namespace.as_fd()))
    });
    mapped.err().map(said("mount_setattr"))
}

fn controllers() -> Finding {
    let hierarchies = Hierarchies::detect();
    let missing: Vec<_> = [Controller::Memory, Controller::Cpu, Controller::Pids]
        .into_iter()
        .filter(|c| !hierarchies.has(*c))
        .map(Controller::name)
        .collect();
    Finding {
        feature: "control groups (memory, cpu, pids)",
        need: Need::Optional,
        since: "4.15",
        missing: (!missing.is_empty()).then(|| format!("may not be used here: {}", missing.join(", "))),
        without: "--memory, --cpus and --pids are refused; processes are limited by setrlimit",
        remedy: "run as root, or in a delegated group: systemd-run --user --scope -p Delegate=yes -- bailiwick run ...".to_owned(),
    }
}

fn newuidmap() -> Finding {
    let installed = [
        "/usr/bin/newuidmap",
        "/bin/newuidmap",
        "/usr/local/bin/newuidmap",
    ]
    .iter()
    .any(|path| fs::metadata(path).is_ok());
    Finding {
        feature: "newuidmap with subordinate ids",
        need: Need::Optional,
        since: "-",
        missing: (!installed && !rustix::process::geteuid().is_root()).then(|| "newuidmap is not installed".to_owned()),
        without: "--root as an ordinary user has one id only, so apt cannot install what belongs to other users",
        remedy: "install the package uidmap and add lines for the user to /etc/subuid and /etc/subgid (usermod --add-subuids)".to_owned(),
    }
}

/// The usual reasons why an ordinary user has no user namespaces, and the switch for the one that holds here.
fn user_namespace_remedy() -> String {
    let setting = |path: &str| {
        fs::read_to_string(path)
            .ok()
            .map(|text| text.trim().to_owned())
    };
    if setting("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        "sysctl -w kernel.unprivileged_userns_clone=1 (and in /etc/sysctl.d to keep it)".to_owned()
    } else if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref()
        == Some("1")
    {
        "AppArmor restricts them: install an AppArmor profile for bailiwick with `userns,`, or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0".to_owned()
    } else if setting("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        "sysctl -w user.max_user_namespaces=15000".to_owned()
    } else {
        "build the kernel with CONFIG_USER_NS; in a container, allow clone with CLONE_NEWUSER in its seccomp profile".to_owned()
    }
}
