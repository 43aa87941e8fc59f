//! Processes that a test starts: run to their end with a deadline, or kept while a value lives.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::User;

/// The processes that a [`Child`] holds.
static HELD: Mutex<BTreeMap<u32, Purpose>> = Mutex::new(BTreeMap::new());

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It runs because the test wants it to: no leak, with all its descendants.
    Helper,
    /// The test is about it.
    Subject,
}

/// A command for this machine, run by `user`.
pub(crate) fn command(program: impl AsRef<OsStr>, user: User) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests start programs beside the product"
    )]
    let mut command = Command::new(program);
    if user != User::current() {
        // The standard library drops the supplementary groups too.
        command.uid(user.uid).gid(user.gid);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command that must succeed, and returns what it printed.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

/// Waits until `condition` gives something.
///
/// # Panics
///
/// When it gives nothing within `patience`; `what` says what was waited for.
pub fn eventually<T>(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {patience:?} in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process that is killed when this is dropped. What it prints is kept.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    printed: Arc<Output>,
    complained: Arc<Output>,
    readers: [JoinHandle<()>; 2],
}

impl Child {
    /// Starts a process that the test watches: if it is still there at the end of the test, that is a leak.
    pub fn start(command: &mut Command) -> Self {
        Self::spawn(command, Purpose::Subject)
    }

    /// Starts a process that helps the test.
    pub(crate) fn start_helper(command: &mut Command) -> Self {
        Self::spawn(command, Purpose::Helper)
    }

    fn spawn(command: &mut Command, purpose: Purpose) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // Held over the start, so that no leak check sees the process before it is known.
        let mut held = lock(&HELD);
        let mut process = command
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        held.insert(process.id(), purpose);
        drop(held);
        let printed = Output::of(process.stdout.take().expect("a pipe"));
        let complained = Output::of(process.stderr.take().expect("a pipe"));
        let readers = [&printed, &complained].map(|output| {
            let output = Arc::clone(output);
            std::thread::spawn(move || output.collect())
        });
        Self {
            process,
            printed,
            complained,
            readers,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// All that it has printed so far; what is not UTF-8 is replaced.
    pub fn printed(&self) -> String {
        self.printed.text()
    }

    /// All that it has complained so far.
    pub fn complained(&self) -> String {
        self.complained.text()
    }

    /// Waits for the first printed line that `pick` takes.
    ///
    /// # Panics
    ///
    /// When none comes in 60 s, with what was complained.
    pub fn wait_for<T>(&self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = self.printed().lines().find_map(&pick) {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "{what} never came; it complained {:?}",
                self.complained()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).expect("it has not been waited for");
    }

    /// Asks it to end, and gives it some time; one that is still there is killed when this goes.
    pub(crate) fn ask_to_end(&mut self, signal: rustix::process::Signal) {
        let deadline = Instant::now() + Duration::from_secs(10);
        if matches!(self.process.try_wait(), Ok(None)) {
            self.signal(signal);
        }
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal to what it has started.
    pub(crate) fn signal_children(&self, signal: rustix::process::Signal) {
        let id = self.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.expect("the kernel tells a process's children");
        for child in children.split_whitespace() {
            let pid = child.parse().ok().and_then(rustix::process::Pid::from_raw);
            // It may end meanwhile.
            let _ = rustix::process::kill_process(pid.expect("a process id"), signal);
        }
    }

    /// Whether nothing will be printed any more, by it or by what it has started.
    pub(crate) fn has_ended(&self) -> bool {
        self.readers.iter().all(JoinHandle::is_finished)
    }

    /// Waits for its end and returns the exit code as a shell tells it: 128 and the signal's number for a signal.
    ///
    /// # Panics
    ///
    /// When it is still there after `patience`, or its output is still held open by something that it started.
    pub fn wait(&mut self, patience: Duration) -> i32 {
        let deadline = Instant::now() + patience;
        loop {
            let status = self.process.try_wait().expect("it can be waited for");
            if let (Some(status), true) = (status, self.has_ended()) {
                return status
                    .code()
                    .or_else(|| status.signal().map(|signal| 128 + signal))
                    .expect("one of the two");
            }
            if Instant::now() >= deadline {
                let _ = self.process.kill();
                let (printed, complained) = (self.printed(), self.complained());
                panic!(
                    "not over after {patience:?}; status {status:?}\n--- stdout\n{printed}\n--- stderr\n{complained}"
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        lock(&HELD).remove(&self.process.id());
    }
}

/// The processes that are held now.
pub(crate) fn held() -> BTreeMap<u32, Purpose> {
    lock(&HELD).clone()
}

/// What a process writes to one of its streams.
///
/// A thread reads it, so that the process is never held up; who asks for the text reads too, since that thread may not have run since
/// the process wrote.
#[derive(Debug)]
struct Output {
    /// Its reads do not block.
    pipe: OwnedFd,
    collected: Mutex<Collected>,
}

#[derive(Debug, Default)]
struct Collected {
    bytes: Vec<u8>,
    is_over: bool,
}

impl Output {
    fn of(pipe: impl Into<OwnedFd>) -> Arc<Self> {
        let pipe = pipe.into();
        rustix::io::ioctl_fionbio(&pipe, true).expect("a flag");
        Arc::new(Self {
            pipe,
            collected: Mutex::default(),
        })
    }

    /// Reads to the end.
    fn collect(&self) {
        while !self.take_what_is_there().is_over {
            // An error here is one of the read too, which ends the stream.
            let _ = poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], None);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.take_what_is_there().bytes).into_owned()
    }

    /// Takes what was written before this was called, which is no more than a pipe holds: of one that is always filled again there is no end.
    fn take_what_is_there(&self) -> MutexGuard<'_, Collected> {
        let mut collected = lock(&self.collected);
        let mut left = rustix::pipe::fcntl_getpipe_size(&self.pipe).expect("a pipe");
        let mut buffer = [0; 16 * 1024];
        while left > 0 && !collected.is_over {
            match rustix::io::read(&self.pipe, &mut buffer) {
                Ok(0) => collected.is_over = true,
                Ok(length) => {
                    collected.bytes.extend_from_slice(&buffer[..length]);
                    left = left.saturating_sub(length);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => collected.is_over = true,
            }
        }
        collected
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
