//! This program once more, as another process with another role: for what must not happen in a process with threads.
//!
//! The role is chosen by the name that the process is started with (`argv[0]`), before anything else happens in it. It has an end of a
//! [`Channel`] and nothing more of its parent's: no environment, no descriptor, no terminal to be interrupted from.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::net::SocketType;
use rustix::process::{PidfdFlags, Resource, Rlimit, Signal};

use crate::channel::Channel;
use crate::sys;

/// The program that runs, whatever has become of its file.
const SELF: &str = "/proc/self/exe";

/// A process in a role. Dropping it ends it.
#[derive(Debug)]
pub struct RoleProcess {
    child: Child,
    /// Becomes readable when it has ended (pidfd_open(2)).
    pidfd: OwnedFd,
}

impl RoleProcess {
    /// Starts this program as `role`, and returns this side's end of the channel. What it complains goes where this process's complaints go.
    ///
    /// # Errors
    ///
    /// No process or descriptor can be had.
    #[expect(
        clippy::disallowed_methods,
        reason = "this crate is the one that starts programs"
    )]
    pub fn start(role: &str) -> io::Result<(Self, Channel)> {
        let (ours, theirs) = Channel::pair()?;
        let mut child = Command::new(SELF)
            .arg0(role)
            .env_clear()
            .current_dir("/")
            // Ctrl-C in the terminal of the parent is for the parent to carry out.
            .process_group(0)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        match pidfd(&child) {
            Ok(pidfd) => Ok((Self { child, pidfd }, ours)),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Becomes readable when it has ended.
    pub fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    /// Ends it at once.
    pub fn kill(&self) {
        // ESRCH: it has ended.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

/// Not yet waited for, so that the number is its own.
fn pidfd(child: &Child) -> io::Result<OwnedFd> {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

impl Drop for RoleProcess {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// The channel to the parent, if this process was started as `role`. For the beginning of `main`: it closes every descriptor that is not
/// a standard stream.
///
/// # Errors
///
/// It was started so by somebody else: standard input is no channel.
pub fn taken(role: &str) -> io::Result<Option<Channel>> {
    if std::env::args_os().next().is_none_or(|name| name != role) {
        return Ok(None);
    }
    let stdin = rustix::stdio::stdin();
    if rustix::net::sockopt::socket_type(stdin)? != SocketType::SEQPACKET {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    sys::close_all_except(&[]);
    let channel = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(null.as_fd())?;
    raise_descriptor_limit();
    sys::block_requests_to_end();
    Ok(Some(Channel::from_socket(channel)))
}

/// One process holds many sandboxes, and each has some twenty descriptors here.
fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // A lower one is what there is then; it refuses what is too much.
    let _ = rustix::process::setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}

/// A process in a role that is given some bytes and says some, and then has ended. Dropping it ends it.
#[derive(Debug)]
pub struct PipedRole {
    process: RoleProcess,
    input: Option<ChildStdin>,
    output: Option<ChildStdout>,
}

/// What such a process may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipedLimits {
    /// Bytes of its address space.
    pub memory_bytes: u64,
    /// Seconds that it may compute.
    pub processor_seconds: u64,
}

impl PipedRole {
    /// Starts this program as `role`, with a pipe to it and one from it. What it complains is nobody's.
    ///
    /// # Errors
    ///
    /// No process or descriptor can be had.
    #[expect(
        clippy::disallowed_methods,
        reason = "this crate is the one that starts programs"
    )]
    pub fn start(role: &str) -> io::Result<Self> {
        let mut child = Command::new(SELF)
            .arg0(role)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        match pidfd(&child) {
            Ok(pidfd) => Ok(Self {
                process: RoleProcess { child, pidfd },
                input,
                output,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Where it reads, and what it says; once.
    pub fn pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        Some((self.input.take()?, self.output.take()?))
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Whether this process was started as `role` by [`PipedRole::start`]. For the beginning of `main`: it closes every descriptor that is not a
/// standard stream, opens no more, and uses up no more than this.
///
/// # Errors
///
/// A bound cannot be set.
pub fn taken_piped(role: &str, limits: PipedLimits) -> io::Result<bool> {
    if std::env::args_os().next().is_none_or(|name| name != role) {
        return Ok(false);
    }
    sys::close_all_except(&[]);
    for (resource, most) in [
        (Resource::As, limits.memory_bytes),
        (Resource::Cpu, limits.processor_seconds),
        // It has three, and needs none.
        (Resource::Nofile, 3),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        rustix::process::setrlimit(resource, limit)?;
    }
    rustix::thread::set_no_new_privs(true)?;
    Ok(true)
}
