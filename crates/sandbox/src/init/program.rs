//! Starting one program from the init: a process, its streams, its terminal, exec.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::Descriptors;
use crate::plan::Command;
use crate::protocol::{TerminalSize, TerminalStreams};
use crate::sys::{self, StringArray};

/// A program that runs.
pub(super) struct Started {
    pub(super) pid: Pid,
    /// The master of its terminal.
    pub(super) terminal: Option<OwnedFd>,
}

/// Starts a program and returns when it has taken the place of its process, or failed to.
///
/// # Errors
///
/// The errno of what failed: ENOENT and EACCES are the program's own.
pub(super) fn start(
    command: &Command,
    streams: TerminalStreams,
    descriptors: Descriptors,
) -> Result<Started, Errno> {
    let terminal = if streams.any() {
        Some(open_terminal(streams.size)?)
    } else {
        None
    };
    let standard = arrange(
        streams,
        descriptors,
        terminal.as_ref().map(|(_, slave)| slave),
    )?;
    let program = Program::prepare(command)?;
    // SAFETY: an init has one thread and blocks every signal; what becomes the program makes system calls and nothing else.
    let pid = unsafe { sys::spawn(&mut || program.become_it(&standard, terminal.is_some())) }?;
    Ok(Started {
        pid,
        terminal: terminal.map(|(master, _)| master),
    })
}

/// Master and slave of a fresh pseudo-terminal of the sandbox's own devpts.
fn open_terminal(size: Option<TerminalSize>) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open("/dev/pts/ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    if let Some(TerminalSize { rows, columns }) = size {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&master, size)?;
    }
    let slave = rustix::pty::ioctl_tiocgptpeer(
        &master,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )?;
    Ok((master, slave))
}

/// The three standard streams.
fn arrange(
    streams: TerminalStreams,
    descriptors: Descriptors,
    slave: Option<&OwnedFd>,
) -> Result<[OwnedFd; 3], Errno> {
    let mut given = descriptors.into_iter();
    let mut stream = |is_terminal: bool| match slave.filter(|_| is_terminal) {
        Some(slave) => rustix::io::fcntl_dupfd_cloexec(slave, 3),
        None => given.next().ok_or(Errno::BADF),
    };
    let [stdin, stdout, stderr] = streams.as_array();
    Ok([stream(stdin)?, stream(stdout)?, stream(stderr)?])
}

/// A command as execve(2) takes it.
struct Program {
    candidates: Vec<CString>,
    arguments: StringArray,
    environment: StringArray,
    directory: CString,
}

impl Program {
    fn prepare(command: &Command) -> Result<Self, Errno> {
        let c_strings = |strings: &[std::ffi::OsString]| {
            strings
                .iter()
                .map(|s| c_string(s))
                .collect::<Result<Vec<_>, _>>()
                .map(StringArray::from)
        };
        let name = command.argv.first().ok_or(Errno::NOENT)?;
        Ok(Self {
            candidates: candidates(name, &command.env)?,
            arguments: c_strings(&command.argv)?,
            environment: c_strings(&command.env)?,
            directory: c_string(command.directory.as_os_str())?,
        })
    }

    /// Replaces the calling process, which shares the init's memory and so allocates nothing. Returns only if that failed.
    fn become_it(&self, standard: &[OwnedFd; 3], with_terminal: bool) -> Errno {
        match self.settle(standard, with_terminal) {
            Ok(()) => self.execute(),
            Err(errno) => errno,
        }
    }

    fn settle(&self, standard: &[OwnedFd; 3], with_terminal: bool) -> Result<(), Errno> {
        rustix::process::setsid()?;
        if with_terminal {
            // Whichever of the streams is the terminal: for the others the ioctl fails, and that is all.
            let taken = standard
                .iter()
                .any(|stream| sys::set_controlling_terminal(stream.as_fd()).is_ok());
            if !taken {
                return Err(Errno::NOTTY);
            }
        }
        for (target, stream) in (0..).zip(standard) {
            sys::duplicate_to(stream, target)?;
        }
        sys::reset_signals();
        rustix::process::umask(Mode::from_raw_mode(0o022));
        rustix::process::chdir(&*self.directory)
    }

    /// The search of execvp(3): EACCES is remembered, ENOENT and ENOTDIR go on, anything else is final.
    fn execute(&self) -> Errno {
        let mut answer = Errno::NOENT;
        for candidate in &self.candidates {
            match sys::execute(candidate, &self.arguments, &self.environment) {
                Errno::NOENT | Errno::NOTDIR => {}
                Errno::ACCESS => answer = Errno::ACCESS,
                other => return other,
            }
        }
        answer
    }
}

fn candidates(name: &OsStr, environment: &[std::ffi::OsString]) -> Result<Vec<CString>, Errno> {
    if name.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(name)?]);
    }
    let path = environment
        .iter()
        .find_map(|variable| variable.as_bytes().strip_prefix(b"PATH="))
        .unwrap_or_default();
    path.split(|byte| *byte == b':')
        .filter(|directory| !directory.is_empty())
        .map(|directory| {
            CString::new([directory, b"/", name.as_bytes()].concat()).map_err(|_| Errno::INVAL)
        })
        .collect()
}

fn c_string(text: &OsStr) -> Result<CString, Errno> {
    CString::new(text.as_bytes()).map_err(|_| Errno::INVAL)
}
