//! A running sandbox, as its holder has it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::cgroup::Cgroup;
use crate::channel::Channel;
use crate::plan::{Command, Place};
use crate::protocol::{
    ArchiveLimits, Audience, ExitStatus, FileAction, Report, Request, TerminalSize, TerminalStreams,
};

/// A sandbox. Dropping it ends everything inside and waits for that; the control groups go with it.
#[derive(Debug)]
pub struct Sandbox {
    /// `None` once the sandbox is told to end: the init lives as long as this end is open.
    channel: Option<Channel>,
    pid: Pid,
    pidfd: OwnedFd,
    cgroup: Option<Cgroup>,
}

/// What a sandbox tells its holder.
#[derive(Debug)]
pub enum Event {
    /// A program runs.
    Started {
        /// The number it was started under.
        number: u32,
        /// The master of its terminal, if it was given one.
        terminal: Option<OwnedFd>,
    },
    /// A program could not be started.
    NotStarted {
        /// The number it was to have.
        number: u32,
        /// Why (errno(3)).
        errno: i32,
    },
    /// A program ended.
    Ended {
        /// The number it was started under.
        number: u32,
        /// How.
        status: ExitStatus,
    },
    /// The TCP socket that was asked for, not connected, in the sandbox's network namespace; or why there is none (errno(3)).
    Socket(Result<OwnedFd, i32>),
    /// What was asked of a path is done, or why not (errno(3)).
    File {
        /// The number it was asked under.
        number: u32,
        /// What was opened, if something was.
        result: Result<Option<OwnedFd>, i32>,
    },
    /// The init is gone, and everything inside with it.
    Gone,
}

impl Sandbox {
    pub(crate) fn new(pid: Pid, pidfd: OwnedFd, channel: Channel, cgroup: Option<Cgroup>) -> Self {
        Self {
            channel: Some(channel),
            pid,
            pidfd,
            cgroup,
        }
    }

    pub(crate) fn channel(&self) -> &Channel {
        self.channel
            .as_ref()
            .expect("it is taken only when the sandbox is consumed")
    }

    pub(crate) fn cgroup(&self) -> Option<&Cgroup> {
        self.cgroup.as_ref()
    }

    /// The init's id, as the host sees it.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Starts a program. `streams` are the standard streams that are not the terminal, in order.
    ///
    /// # Errors
    ///
    /// Only that the sandbox is gone: whether the program could be started comes as an event.
    pub fn start(
        &self,
        number: u32,
        command: Command,
        terminal: TerminalStreams,
        streams: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.channel().send(
            &Request::Start {
                number,
                command,
                terminal,
            },
            streams,
        )
    }

    /// Starts a program whose three standard streams are a terminal of this size.
    ///
    /// # Errors
    ///
    /// As for [`Sandbox::start`].
    pub fn start_in_terminal(
        &self,
        number: u32,
        command: Command,
        size: TerminalSize,
    ) -> io::Result<()> {
        let terminal = TerminalStreams {
            stdin: true,
            stdout: true,
            stderr: true,
            size: Some(size),
        };
        self.channel().send(
            &Request::Start {
                number,
                command,
                terminal,
            },
            &[],
        )
    }

    /// Sends a signal to a program.
    ///
    /// # Errors
    ///
    /// Only that the sandbox is gone; a program that has ended is no error.
    pub fn signal(&self, number: u32, signal: i32, audience: Audience) -> io::Result<()> {
        self.channel().send(
            &Request::Signal {
                number,
                signal,
                audience,
            },
            &[],
        )
    }

    /// Asks for a TCP socket inside; the answer is an event.
    ///
    /// # Errors
    ///
    /// Only that the sandbox is gone.
    pub fn request_socket(&self, ipv6: bool) -> io::Result<()> {
        self.channel().send(&Request::Socket { ipv6 }, &[])
    }

    /// Asks something of a path; the answer is an event. `descriptor` is the one that the action names.
    ///
    /// # Errors
    ///
    /// Only that the sandbox is gone.
    pub fn request_file(
        &self,
        number: u32,
        path: &[u8],
        action: FileAction,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let request = Request::File {
            number,
            path: path.to_owned(),
            action,
        };
        self.channel().send(&request, descriptor.as_slice())
    }

    /// Asks for the files of the places, within limits, in the file `archive`; the answer is an [`Event::File`]. When it is good, every program has
    /// been stopped, and the sandbox is to be ended.
    ///
    /// # Errors
    ///
    /// Only that the sandbox is gone.
    pub fn request_keep(
        &self,
        number: u32,
        places: Vec<Place>,
        limits: ArchiveLimits,
        archive: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let request = Request::Keep {
            number,
            places,
            limits,
        };
        self.channel().send(&request, &[archive])
    }

    /// Asks for the files that `archive` holds, before anything was started; the answer is an [`Event::File`].
    ///
    /// # Errors
    ///
    /// Only that the sandbox is gone.
    pub fn request_bring_back(
        &self,
        number: u32,
        places: Vec<Place>,
        archive: BorrowedFd<'_>,
    ) -> io::Result<()> {
        self.channel()
            .send(&Request::BringBack { number, places }, &[archive])
    }

    /// Asks everything inside to end; [`Event::Gone`] says that it has.
    ///
    /// # Errors
    ///
    /// Only that the sandbox is gone.
    pub fn terminate(&self) -> io::Result<()> {
        self.channel().send(&Request::Terminate, &[])
    }

    /// Waits for the next event; poll [`AsFd::as_fd`] for one that does not wait.
    ///
    /// # Errors
    ///
    /// What the init said could not be understood.
    pub fn receive(&self) -> io::Result<Event> {
        let message = match self.channel().receive::<Report>() {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(Event::Gone),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(Event::Gone),
            Err(error) => return Err(error),
        };
        let mut descriptors = message.descriptors.into_iter();
        Ok(match message.body {
            Report::Started { number } => Event::Started {
                number,
                terminal: descriptors.next(),
            },
            Report::NotStarted { number, errno } => Event::NotStarted { number, errno },
            Report::Ended { number, status } => Event::Ended { number, status },
            Report::Socket => Event::Socket(descriptors.next().ok_or(libc::EBADF)),
            Report::NoSocket { errno } => Event::Socket(Err(errno)),
            Report::File { number } => Event::File {
                number,
                result: Ok(descriptors.next()),
            },
            Report::NoFile { number, errno } => Event::File {
                number,
                result: Err(errno),
            },
            Report::Network | Report::Ready | Report::Failed(_) => {
                return Err(io::ErrorKind::InvalidData.into());
            }
        })
    }

    /// How many processes the kernel killed because the memory limit was reached.
    pub fn out_of_memory_kills(&self) -> u64 {
        self.cgroup.as_ref().map_or(0, Cgroup::out_of_memory_kills)
    }

    /// Tells the kernel to end everything inside. Dropping the sandbox waits for it; [`Sandbox::pidfd`] becomes readable then.
    pub fn kill(&self) {
        // ESRCH: it is gone already.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Becomes readable when everything inside is gone (pidfd_open(2)).
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Ends everything inside and waits until it is gone.
    fn end(&mut self) {
        if self.channel.take().is_none() {
            return;
        }
        // The closed channel is enough for an init that listens; the signal is for one that is still being built.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        let mut polled = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let _ = rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, None));
        // Not our child where a launcher process cloned it: then that one reaps it.
        let _ = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}

impl AsFd for Sandbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel().as_fd()
    }
}

impl AsRawFd for Sandbox {
    fn as_raw_fd(&self) -> RawFd {
        self.channel().as_fd().as_raw_fd()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end();
    }
}
