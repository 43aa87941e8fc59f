//! Process 1 of a sandbox: builds it, gives up every right, then starts programs and reaps them until its holder is gone.
//!
//! It is a copy of the launcher that never executes another program itself, and it is not dumpable: `/proc/1/exe` and
//! `/proc/1/mem` cannot be opened from inside (the class of CVE-2019-5736; ptrace(2), "ptrace access mode checking").

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::{Gid, Uid};

use crate::channel::Channel;
use crate::mounts::{self, Sources};
use crate::plan::{Access, MapWriter, MountStep, Plan, ProcessLimits};
use crate::protocol::{LaunchFailure, LaunchStep, Report, Request};
use crate::{capabilities, confine, network, seccomp, sys};

mod program;
mod supervise;
pub(crate) mod together;

/// The whole life of an init. Never returns: the process is a copy, whose other code must not run.
pub(crate) fn run(plan: &Plan, channel: &Channel) -> ! {
    sys::erase_arguments();
    // A name that `ps` shows inside.
    let _ = rustix::thread::set_name(c"init");
    sys::close_all_except(&[channel.as_fd().as_raw_fd()]);
    let code = match set_up(plan, channel) {
        Ok(()) => supervise::until_abandoned(channel),
        Err(failure) => {
            // If the holder is gone too there is nobody to tell.
            let _ = channel.send(&Report::Failed(failure), &[]);
            1
        }
    };
    sys::exit_now(code)
}

fn set_up(plan: &Plan, channel: &Channel) -> Result<(), LaunchFailure> {
    at(LaunchStep::Identity, silence_standard_streams())?;
    // Network first: whatever fails later, there was never a moment with a way out.
    let sockets =
        network::set_up(&plan.network).map_err(|e| failure(LaunchStep::Network, &e, None))?;
    let descriptors = sockets.into_descriptors();
    let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    channel
        .send(&Report::Network, &borrowed)
        .map_err(|e| failure(LaunchStep::Network, &e, None))?;
    drop(descriptors);

    let sources = await_sources(plan, channel)?;
    if plan.identity.maps_root() {
        at(LaunchStep::Identity, become_user(0, 0))?;
    }
    mounts::build_root(&plan.mounts, &plan.private, &plan.identity, sources)
        .map_err(|e| mount_failure(&e))?;
    at(
        LaunchStep::HostName,
        rustix::system::sethostname(plan.hostname.as_bytes()),
    )?;
    at(
        LaunchStep::ProcessLimits,
        limit_processes(&plan.process_limits),
    )?;
    if plan.counts_together() {
        at(LaunchStep::ProcessLimits, together::enter(&plan.identity))?;
    }
    confine::restrict(&writable_paths(plan))
        .map_err(|e| failure(LaunchStep::Landlock, &e, None))?;
    at(LaunchStep::Privileges, drop_privileges(plan))?;
    at(LaunchStep::Seccomp, seccomp::apply(plan.sets_ids()))?;
    channel
        .send(&Report::Ready, &[])
        .map_err(|e| failure(LaunchStep::Seccomp, &e, None))
}

/// The holder's terminal is nobody's business inside: standard streams of the init itself go to /dev/null.
fn silence_standard_streams() -> Result<(), Errno> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    for stream in 0..3 {
        sys::duplicate_to(&null, stream)?;
    }
    Ok(())
}

fn await_sources(plan: &Plan, channel: &Channel) -> Result<Sources, LaunchFailure> {
    let message = channel
        .receive::<Request>()
        .map_err(|e| failure(LaunchStep::Identity, &e, None))?;
    let Some(message) = message else {
        return Err(failure(LaunchStep::Identity, &"the launcher is gone", None));
    };
    match message.body {
        Request::Proceed {
            sources_attached: true,
        } => Ok(Sources(message.descriptors)),
        Request::Proceed {
            sources_attached: false,
        } => Sources::open(&plan.mounts, None).map_err(|e| mount_failure(&e)),
        Request::Start { .. }
        | Request::Signal { .. }
        | Request::Socket { .. }
        | Request::File { .. }
        | Request::Keep { .. }
        | Request::BringBack { .. }
        | Request::Terminate => Err(failure(
            LaunchStep::Identity,
            &"a request came before the id maps",
            None,
        )),
    }
}

fn become_user(uid: u32, gid: u32) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

fn limit_processes(limits: &ProcessLimits) -> Result<(), Errno> {
    let both = |value| Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    // The hard limit cannot be raised without a capability of the host.
    let hard = rustix::process::getrlimit(Resource::Nofile)
        .maximum
        .unwrap_or(u64::MAX);
    rustix::process::setrlimit(Resource::Nofile, both(limits.open_files.min(hard)))?;
    rustix::process::setrlimit(Resource::Core, both(0))?;
    if let Some(processes) = limits.processes {
        // Older ones also count what the user runs outside, and nothing together.
        if !together::kernel_can() {
            return Err(Errno::NOSYS);
        }
        rustix::process::setrlimit(Resource::Nproc, both(processes))?;
    }
    if let Some(bytes) = limits.address_space {
        rustix::process::setrlimit(Resource::As, both(bytes))?;
    }
    Ok(())
}

/// What Landlock lets change: what the mounts leave writable.
fn writable_paths(plan: &Plan) -> Vec<&str> {
    if plan.private.writable_root {
        return vec!["/"];
    }
    let steps = plan.mounts.iter().filter_map(|step| match step {
        MountStep::Private { path }
        | MountStep::Overlay {
            path,
            private: true,
            ..
        }
        | MountStep::Bind {
            path,
            access: Access::ReadWrite,
            ..
        } => path.to_str(),
        MountStep::Directory { .. }
        | MountStep::File { .. }
        | MountStep::Symlink { .. }
        | MountStep::Bind {
            access: Access::ReadOnly,
            ..
        }
        | MountStep::Overlay { private: false, .. }
        | MountStep::Device { .. }
        | MountStep::Proc
        | MountStep::DevPts
        | MountStep::ReadOnly { .. }
        | MountStep::Mask { .. } => None,
    });
    ["/dev", "/proc"].into_iter().chain(steps).collect()
}

fn drop_privileges(plan: &Plan) -> Result<(), Errno> {
    capabilities::bound(plan.profile)?;
    if plan.identity.writer != MapWriter::Caller {
        rustix::thread::set_thread_groups(&[])?;
        become_user(plan.identity.uid, plan.identity.gid)?;
    }
    capabilities::keep_only(plan.profile)?;
    rustix::thread::set_no_new_privs(true)?;
    // After the last change of credentials, which would undo both.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
}

fn at<T>(step: LaunchStep, result: Result<T, Errno>) -> Result<T, LaunchFailure> {
    result.map_err(|errno| failure(step, &errno, Some(errno)))
}

fn mount_failure(error: &mounts::MountError) -> LaunchFailure {
    failure(LaunchStep::Mounts, error, Some(error.errno))
}

fn failure(step: LaunchStep, cause: &dyn std::fmt::Display, errno: Option<Errno>) -> LaunchFailure {
    LaunchFailure {
        step,
        cause: cause.to_string(),
        errno: errno.map(Errno::raw_os_error),
    }
}

/// Descriptors that are only kept so that they are closed together.
type Descriptors = Vec<OwnedFd>;
