//! The caller's standard streams, handed to a program inside.
//!
//! A stream that is a pipe or a file is passed as it is. A stream that is a terminal is not: whoever holds the caller's terminal could
//! push characters into its input (TIOCSTI). The program gets a terminal of the sandbox's own, and this module carries bytes,
//! window size and modes between the two.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bailiwick_sandbox::readiness::register;
use bailiwick_sandbox::{TerminalSize, TerminalStreams};
use rustix::fs::{FileType, Gid, Uid};
use rustix::termios::{OptionalActions, Termios};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};

/// What a program gets as its standard streams.
#[derive(Debug)]
pub(crate) struct Streams {
    /// Those that are terminals.
    pub(crate) terminal: TerminalStreams,
    /// The others, in order.
    pub(crate) passed: Vec<OwnedFd>,
}

impl Streams {
    /// The streams of this process. A pipe becomes the property of `owner`, if there is one: who opens `/dev/stderr` inside must own it.
    pub(crate) fn of_this_process(owner: Option<(u32, u32)>) -> io::Result<Self> {
        let [stdin, stdout, stderr] = [
            rustix::stdio::stdin(),
            rustix::stdio::stdout(),
            rustix::stdio::stderr(),
        ];
        for (stream, name) in [
            (stdin, "standard input"),
            (stdout, "standard output"),
            (stderr, "standard error"),
        ] {
            refuse_door(stream, name)?;
        }
        let is_terminal = |stream: BorrowedFd<'_>| rustix::termios::isatty(stream);
        let mut terminal = TerminalStreams {
            stdin: is_terminal(stdin),
            stdout: is_terminal(stdout),
            stderr: is_terminal(stderr),
            size: None,
        };
        terminal.size = rustix::termios::tcgetwinsize(screen(terminal))
            .ok()
            .map(|size| TerminalSize {
                rows: size.ws_row,
                columns: size.ws_col,
            });
        let passed = [stdin, stdout, stderr]
            .into_iter()
            .filter(|stream| !is_terminal(*stream))
            .map(|stream| {
                give_pipe(stream, owner);
                Ok(rustix::io::fcntl_dupfd_cloexec(stream, 3)?)
            });
        Ok(Self {
            terminal,
            passed: passed.collect::<io::Result<_>>()?,
        })
    }
}

/// Passes what carries bytes and leads nowhere: pipes, files, harmless devices, and one end of a pair of unix sockets, which some programs
/// use as a pipe.
///
/// A directory is a door to everything that can be named from there. A socket belongs to the network namespace of this host, wherever it is
/// passed, and most kinds can be connected anew.
fn refuse_door(stream: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let refused = |what: &str| {
        let text = format!(
            "{name} is {what}, which would lead out of the sandbox; give it a pipe or a file"
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    };
    if rustix::fs::fcntl_getfl(stream).is_ok_and(|flags| flags.contains(rustix::fs::OFlags::PATH)) {
        return refused("a descriptor of a path");
    }
    let status = rustix::fs::fstat(stream)?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::Fifo | FileType::RegularFile => Ok(()),
        FileType::CharacterDevice
            if is_harmless(status.st_rdev) || rustix::termios::isatty(stream) =>
        {
            Ok(())
        }
        FileType::Socket if is_connected_pair(stream) => Ok(()),
        FileType::Socket => refused("a network socket"),
        FileType::Directory => refused("a directory"),
        FileType::CharacterDevice | FileType::BlockDevice => refused("a device"),
        FileType::Symlink | FileType::Unknown => refused("neither a pipe nor a file"),
    }
}

/// The memory devices: /dev/null, zero, full, random, urandom (Documentation/admin-guide/devices.txt).
fn is_harmless(device: u64) -> bool {
    rustix::fs::major(device) == 1 && matches!(rustix::fs::minor(device), 3 | 5 | 7 | 8 | 9)
}

/// A connected stream of AF_UNIX stays connected to its one peer for ever (unix(7)).
fn is_connected_pair(socket: BorrowedFd<'_>) -> bool {
    use rustix::net::{AddressFamily, SocketType, getpeername, sockopt};
    sockopt::socket_domain(socket).is_ok_and(|domain| domain == AddressFamily::UNIX)
        && sockopt::socket_type(socket).is_ok_and(|kind| kind == SocketType::STREAM)
        && getpeername(socket).is_ok()
}

/// Best effort: a pipe of somebody else's stays theirs, and works but for being opened again.
fn give_pipe(stream: BorrowedFd<'_>, owner: Option<(u32, u32)>) {
    let is_pipe = rustix::fs::fstat(stream)
        .is_ok_and(|s| FileType::from_raw_mode(s.st_mode).is_fifo() && s.st_nlink == 1);
    if let Some((uid, gid)) = owner.filter(|_| is_pipe) {
        let _ = rustix::fs::fchown(stream, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    }
}

/// The caller's terminal, joined to the one of a program inside. The caller's modes come back when it is dropped.
#[derive(Debug)]
pub(crate) struct Terminal {
    master: AsyncFd<OwnedFd>,
    saved: Option<Termios>,
    streams: TerminalStreams,
}

impl Terminal {
    /// Joins the terminals; keys go through untouched from here on.
    pub(crate) fn join(master: OwnedFd, streams: TerminalStreams) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&master, true)?;
        let mut terminal = Self {
            master: register(master, Interest::READABLE | Interest::WRITABLE)?,
            saved: None,
            streams,
        };
        terminal.copy_window_size();
        if streams.stdin {
            let modes = rustix::termios::tcgetattr(rustix::stdio::stdin())?;
            let mut raw = modes.clone();
            raw.make_raw();
            rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &raw)?;
            terminal.saved = Some(modes);
        }
        Ok(terminal)
    }

    /// Carries bytes until the program's side is closed. Cancel it when the program ends, then [`Terminal::drain`].
    pub(crate) async fn carry(&self) -> io::Result<()> {
        let mut resized = signal(SignalKind::window_change())?;
        let keyboard = self.keyboard()?;
        let mut from_program = [0; 16 * 1024];
        let mut from_keyboard = [0; 4 * 1024];
        loop {
            tokio::select! {
                _ = resized.recv() => self.copy_window_size(),
                read = read(&self.master, &mut from_program) => match read {
                    // EIO: nobody inside has the terminal open any more.
                    Ok(0) | Err(_) => return Ok(()),
                    Ok(count) => self.show(&from_program[..count])?,
                },
                read = read_keyboard(keyboard.as_ref(), &mut from_keyboard) => match read? {
                    0 => return Ok(()),
                    count => self.type_in(&from_keyboard[..count]).await?,
                },
            }
        }
    }

    /// Shows what the program wrote before it ended.
    pub(crate) fn drain(&self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match rustix::io::read(self.master.get_ref(), &mut buffer) {
                Ok(0) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::IO) => return Ok(()),
                Ok(count) => self.show(&buffer[..count])?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn keyboard(&self) -> io::Result<Option<AsyncFd<BorrowedFd<'static>>>> {
        let keyboard = self
            .streams
            .stdin
            .then(|| register(rustix::stdio::stdin(), Interest::READABLE));
        keyboard.transpose()
    }

    async fn type_in(&self, mut keys: &[u8]) -> io::Result<()> {
        while !keys.is_empty() {
            let mut ready = self.master.writable().await?;
            match ready.try_io(|master| Ok(rustix::io::write(master, keys)?)) {
                Ok(written) => keys = &keys[written?..],
                Err(_would_block) => {}
            }
        }
        Ok(())
    }

    /// The program's terminal output goes to whichever of the caller's streams is a terminal.
    fn show(&self, mut text: &[u8]) -> io::Result<()> {
        let screen = screen(self.streams);
        while !text.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(screen, text))?;
            text = &text[written..];
        }
        Ok(())
    }

    /// A terminal that cannot tell its size leaves the program's as it is.
    fn copy_window_size(&self) {
        if let Ok(size) = rustix::termios::tcgetwinsize(screen(self.streams)) {
            let _ = rustix::termios::tcsetwinsize(self.master.get_ref(), size);
        }
    }
}

/// Where what a program writes to its terminal is shown.
fn screen(streams: TerminalStreams) -> BorrowedFd<'static> {
    if streams.stdout {
        rustix::stdio::stdout()
    } else if streams.stderr {
        rustix::stdio::stderr()
    } else {
        rustix::stdio::stdin()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(modes) = &self.saved {
            let _ =
                rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, modes);
        }
    }
}

async fn read<T: AsFd + std::os::fd::AsRawFd>(
    from: &AsyncFd<T>,
    buffer: &mut [u8],
) -> io::Result<usize> {
    loop {
        let mut ready = from.readable().await?;
        match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut *buffer)?)) {
            Ok(read) => return read,
            Err(_would_block) => {}
        }
    }
}

/// Without a keyboard, never anything. The caller's terminal stays blocking: its modes are shared with the shell that started this.
async fn read_keyboard(
    keyboard: Option<&AsyncFd<BorrowedFd<'static>>>,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let Some(keyboard) = keyboard else {
        return std::future::pending().await;
    };
    let mut ready = keyboard.readable().await?;
    ready.clear_ready();
    Ok(rustix::io::read(keyboard.get_ref(), buffer)?)
}
