//! The loop of process 1: requests of the holder on one side, ended children on the other.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::Timespec;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, WaitOptions};

use super::program;
use crate::channel::{Channel, Message};
use crate::plan::{Command, Place};
use crate::protocol::{ArchiveLimits, Audience, ExitStatus, Report, Request, TerminalStreams};
use crate::sys;

mod bring_back;
mod files;
mod keep;
mod named;
mod session;
mod stillness;
mod unlocked;

/// To kill(2): every process but this one.
const EVERYBODY: i32 = -1;

/// Serves until the holder's end of the channel closes. The kernel then kills everything in the pid namespace,
/// because its process 1 ends (pid_namespaces(7)).
pub(super) fn until_abandoned(channel: &Channel) -> i32 {
    match serve(channel) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn serve(channel: &Channel) -> io::Result<()> {
    let children = sys::child_signals()?;
    let mut programs = Programs {
        ready: rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse),
        numbers: HashMap::new(),
        terminating: false,
        childless: false,
    };
    loop {
        let mut polled = [
            PollFd::new(channel, PollFlags::IN),
            PollFd::new(&children, PollFlags::IN),
        ];
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, None))?;
        let [from_holder, from_children] = [polled[0].revents(), polled[1].revents()];
        if from_children.contains(PollFlags::IN) {
            drain(&children);
            programs.reap(channel)?;
        }
        if !from_holder.is_empty() {
            match channel.receive::<Request>()? {
                Some(message) => programs.answer(channel, message)?,
                None => return Ok(()),
            }
        }
        if programs.is_over() {
            return Ok(());
        }
    }
}

fn drain(signals: &OwnedFd) {
    let mut buffer = [0; 1024];
    while matches!(rustix::io::read(signals, &mut buffer), Ok(1..)) {}
}

struct Programs {
    /// When there was nothing but what the plan makes, by the clock of the file system.
    ready: Timespec,
    /// Those that the holder asked for and that still run, by pid.
    numbers: HashMap<Pid, u32>,
    /// Nothing more is started.
    terminating: bool,
    /// Every child was reaped: only this process is left, since orphans are its children (pid_namespaces(7)).
    childless: bool,
}

impl Programs {
    fn answer(&mut self, channel: &Channel, message: Message<Request>) -> io::Result<()> {
        match message.body {
            // The launch is over; nothing is left to proceed with.
            Request::Proceed { .. } => Ok(()),
            Request::Start {
                number,
                command,
                terminal,
            } => match self.start(&command, terminal, message.descriptors) {
                Ok(started) => {
                    self.numbers.insert(started.pid, number);
                    let master: Vec<_> = started.terminal.iter().map(AsFd::as_fd).collect();
                    channel.send(&Report::Started { number }, &master)
                }
                Err(errno) => channel.send(
                    &Report::NotStarted {
                        number,
                        errno: errno.raw_os_error(),
                    },
                    &[],
                ),
            },
            Request::Signal {
                number,
                signal,
                audience,
            } => {
                self.signal(number, signal, audience);
                Ok(())
            }
            Request::Socket { ipv6 } => match tcp_socket(ipv6) {
                Ok(socket) => channel.send(&Report::Socket, &[socket.as_fd()]),
                Err(errno) => channel.send(
                    &Report::NoSocket {
                        errno: errno.raw_os_error(),
                    },
                    &[],
                ),
            },
            Request::File {
                number,
                path,
                action,
            } => tell(
                channel,
                number,
                files::act(&path, action, message.descriptors),
            ),
            Request::Keep {
                number,
                places,
                limits,
            } => {
                let kept = self.keep(&places, message.descriptors, limits);
                tell(channel, number, kept.map(|()| None))
            }
            Request::BringBack { number, places } => {
                let made = only(message.descriptors)
                    .and_then(|archive| bring_back::bring_back(&places, archive));
                tell(channel, number, made.map(|()| None))
            }
            Request::Terminate => {
                self.terminating = true;
                // ESRCH: there is nobody.
                let _ = sys::kill(EVERYBODY, Signal::TERM.as_raw());
                self.reap(channel)
            }
        }
    }

    fn start(
        &self,
        command: &Command,
        terminal: TerminalStreams,
        descriptors: Vec<OwnedFd>,
    ) -> Result<program::Started, Errno> {
        if self.terminating {
            return Err(Errno::SHUTDOWN);
        }
        program::start(command, terminal, descriptors)
    }

    /// Nothing runs any more when it is done; after a failure all goes on.
    fn keep(
        &self,
        places: &[Place],
        descriptors: Vec<OwnedFd>,
        limits: ArchiveLimits,
    ) -> Result<(), Errno> {
        let still = stillness::begin();
        let kept =
            only(descriptors).and_then(|archive| keep::keep(places, self.ready, archive, limits));
        if kept.is_err() {
            still.end();
        }
        kept
    }

    fn is_over(&self) -> bool {
        self.terminating && self.childless
    }

    /// A program that has just ended is no error: its end is on the way to the holder.
    fn signal(&self, number: u32, signal: i32, audience: Audience) {
        let Some(pid) = self
            .numbers
            .iter()
            .find_map(|(pid, n)| (*n == number).then_some(pid.as_raw_nonzero().get()))
        else {
            return;
        };
        let _ = match audience {
            Audience::Leader => sys::kill(pid, signal),
            Audience::Group => sys::kill(-pid, signal),
            Audience::Session => return session::signal(pid, signal),
        };
    }

    fn reap(&mut self, channel: &Channel) -> io::Result<()> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let Some(number) = self.numbers.remove(&pid) else {
                        continue;
                    };
                    let status = match status.terminating_signal() {
                        Some(signal) => ExitStatus::Signaled(signal),
                        None => ExitStatus::Exited(status.exit_status().unwrap_or_default()),
                    };
                    channel.send(&Report::Ended { number, status }, &[])?;
                }
                outcome @ (Ok(None) | Err(Errno::CHILD)) => {
                    self.childless = outcome.is_err();
                    return Ok(());
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

fn only(descriptors: Vec<OwnedFd>) -> Result<OwnedFd, Errno> {
    descriptors.into_iter().next().ok_or(Errno::BADF)
}

/// What became of files.
fn tell(channel: &Channel, number: u32, done: Result<Option<OwnedFd>, Errno>) -> io::Result<()> {
    match done {
        Ok(opened) => {
            let opened: Vec<_> = opened.iter().map(AsFd::as_fd).collect();
            channel.send(&Report::File { number }, &opened)
        }
        Err(errno) => {
            let errno = errno.raw_os_error();
            channel.send(&Report::NoFile { number, errno }, &[])
        }
    }
}

fn tcp_socket(ipv6: bool) -> Result<OwnedFd, Errno> {
    let family = if ipv6 {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    rustix::net::socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
}
