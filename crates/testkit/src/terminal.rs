//! A terminal that the test holds the other end of, as a terminal emulator does.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize};

use crate::process::command;
use crate::{Bailiwick, User, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

/// A program whose controlling terminal this is.
pub struct Terminal {
    master: File,
    // Kept open, so that what is on the screen is read to its end.
    _slave: File,
    screen: Arc<Mutex<Vec<u8>>>,
    program: Child,
}

impl Terminal {
    /// Starts a command on a terminal of 30 lines and 100 columns.
    pub fn start(bailiwick: &Bailiwick, command: &Command) -> Self {
        Self::start_with(bailiwick, command, |_| {})
    }

    /// Starts a command, of which `redirect` takes some streams from the terminal.
    pub fn start_with(
        bailiwick: &Bailiwick,
        command: &Command,
        redirect: impl FnOnce(&mut Command),
    ) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a terminal");
        grantpt(&master).expect("its device");
        unlockpt(&master).expect("its device");
        let device = ptsname(&master, Vec::new()).expect("its name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = File::from(rustix::fs::open(device, flags, Mode::empty()).expect("its device"));
        set_size(&slave, 30, 100);
        let mut program = on_its_own_session(bailiwick.user(), command);
        let stream = || Stdio::from(slave.try_clone().expect("a descriptor"));
        program.stdin(stream()).stdout(stream()).stderr(stream());
        redirect(&mut program);
        let program = program.spawn().expect("setsid");
        let master = File::from(master);
        let screen = Arc::default();
        show(
            master.try_clone().expect("a descriptor"),
            Arc::clone(&screen),
        );
        Self {
            master,
            _slave: slave,
            screen,
            program,
        }
    }

    /// Types keys.
    pub fn types(&mut self, keys: &str) {
        self.master
            .write_all(keys.as_bytes())
            .expect("the terminal takes keys");
    }

    /// All that has been shown.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap_or_else(PoisonError::into_inner))
            .into_owned()
    }

    /// Waits until the text has been shown.
    pub fn shows(&self, text: &str) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !self.screen().contains(text) {
            assert!(
                std::time::Instant::now() < deadline,
                "{text:?} was never shown:\n{}",
                self.screen()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its modes.
    pub fn modes(&self) -> Termios {
        rustix::termios::tcgetattr(&self.master).expect("a terminal")
    }

    /// Changes its size, as a window manager does.
    pub fn resize(&self, lines: u16, columns: u16) {
        set_size(&self.master, lines, columns);
    }

    /// The program's process.
    pub fn process(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.program)
    }

    /// Waits for the program's end.
    pub fn exit_code(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let program = &mut self.program;
        let status = eventually("the end of the program", PATIENCE, || {
            program.try_wait().expect("it can be waited for")
        });
        status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal))
            .expect("one of the two")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn set_size(terminal: &File, lines: u16, columns: u16) {
    let size = Winsize {
        ws_row: lines,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(terminal, size).expect("a terminal");
}

/// `setsid --ctty` makes its stdin the controlling terminal and then becomes the command, with the same process id.
fn on_its_own_session(user: User, started: &Command) -> Command {
    let mut program = command("setsid", user);
    program
        .arg("--ctty")
        .arg(started.get_program())
        .args(started.get_args());
    program
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(
            started
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("TERM", "xterm");
    if let Some(directory) = started.get_current_dir() {
        program.current_dir(directory);
    }
    program
}

fn show(mut master: File, screen: Arc<Mutex<Vec<u8>>>) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = master.read(&mut buffer) {
            screen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(&buffer[..count]);
        }
    });
}
