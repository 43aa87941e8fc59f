//! The loop of process 1: requests of the holder on one side, ended children on the other.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, WaitOptions};

use super::program;
use crate::channel::{Channel, Message};
use crate::protocol::{Audience, ExitStatus, Report, Request};
use crate::sys;

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
    let mut programs = Programs::default();
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
    }
}

fn drain(signals: &OwnedFd) {
    let mut buffer = [0; 1024];
    while matches!(rustix::io::read(signals, &mut buffer), Ok(1..)) {}
}

/// The programs that the holder asked for and that still run, by pid.
#[derive(Default)]
struct Programs(HashMap<Pid, u32>);

impl Programs {
    fn answer(&mut self, channel: &Channel, message: Message<Request>) -> io::Result<()> {
        match message.body {
            // The launch is over; nothing is left to proceed with.
            Request::Proceed { .. } => Ok(()),
            Request::Start {
                number,
                command,
                terminal,
            } => match program::start(&command, terminal, message.descriptors) {
                Ok(started) => {
                    self.0.insert(started.pid, number);
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
        }
    }

    /// A program that has just ended is no error: its end is on the way to the holder.
    fn signal(&self, number: u32, signal: i32, audience: Audience) {
        let Some(pid) = self
            .0
            .iter()
            .find_map(|(pid, n)| (*n == number).then_some(pid.as_raw_nonzero().get()))
        else {
            return;
        };
        let process = match audience {
            Audience::Leader => pid,
            Audience::Group => -pid,
        };
        let _ = sys::kill(process, signal);
    }

    fn reap(&mut self, channel: &Channel) -> io::Result<()> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let Some(number) = self.0.remove(&pid) else {
                        continue;
                    };
                    let status = match status.terminating_signal() {
                        Some(signal) => ExitStatus::Signaled(signal),
                        None => ExitStatus::Exited(status.exit_status().unwrap_or_default()),
                    };
                    channel.send(&Report::Ended { number, status }, &[])?;
                }
                Ok(None) | Err(Errno::CHILD) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
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
