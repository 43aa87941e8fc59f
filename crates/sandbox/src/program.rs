//! A program of the operator's own choice, run on the host as the caller, for what it prints. Nothing that an API caller, an agent or a
//! sandbox names may come here.

use std::io::{self, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// How often it is looked whether a program has ended that has closed its output.
const LOOK: Duration = Duration::from_millis(5);

/// How long a program that was ended is listened to.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What is run, and what it may take.
#[derive(Debug, Clone)]
pub struct Program {
    /// For `/bin/sh -c`.
    pub command: String,
    /// How long it may take.
    pub time: Duration,
    /// Bytes that it may print.
    pub output_bytes: usize,
    /// Bytes of what it complains that are kept, the last ones.
    pub complaint_bytes: usize,
    /// Variables of the environment that it does not get.
    pub without: Vec<String>,
}

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It could not be started, or its output not be read.
    #[error("it could not be run")]
    Run(#[source] io::Error),
    /// It failed.
    #[error("it ended with {status}{}", told(.complaint))]
    Failed {
        /// How.
        status: String,
        /// The end of what it complained.
        complaint: String,
    },
    /// It took too long, and was ended.
    #[error("it took longer than {} seconds and was ended{}", .time.as_secs_f64(), told(.complaint))]
    TooLong {
        /// How long it may take.
        time: Duration,
        /// The end of what it complained.
        complaint: String,
    },
    /// It printed too much, and was ended.
    #[error("it printed more than {0} bytes and was ended")]
    TooMuch(usize),
}

fn told(complaint: &str) -> String {
    if complaint.is_empty() {
        return String::new();
    }
    format!("; it complained: {complaint}")
}

/// Ends the program with everything that it started when it goes.
struct Running {
    child: Child,
    is_over: bool,
}

impl Running {
    /// Whether it has ended. It is not waited for: until then nothing else gets its number, which is that of its group.
    fn has_ended(&self) -> io::Result<bool> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(&self.child)), look)?;
        Ok(status.is_some())
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        // It or something that it started is there, or nothing is.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        self.is_over = true;
        self.child.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.end();
        }
    }
}

/// What came of one of the two streams.
enum Came {
    Output(io::Result<Vec<u8>>),
    Complaint(Vec<u8>),
}

impl Program {
    /// Runs it to its end and hands what it printed to `read`, which may wipe it.
    ///
    /// # Errors
    ///
    /// [`ProgramError`]; nothing of it runs any more then.
    pub fn run<T>(&self, read: impl FnOnce(&mut [u8]) -> T) -> Result<T, ProgramError> {
        let deadline = Instant::now() + self.time;
        let mut running = Running {
            child: self.spawn().map_err(ProgramError::Run)?,
            is_over: false,
        };
        let came = self.listen(&mut running.child);
        let (mut output, mut complaint) = (None, None);
        while output.is_none() || complaint.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            match came.recv_timeout(left) {
                Ok(Came::Output(bytes)) => {
                    let bytes = bytes.map_err(ProgramError::Run)?;
                    if bytes.len() > self.output_bytes {
                        return Err(ProgramError::TooMuch(self.output_bytes));
                    }
                    output = Some(bytes);
                }
                Ok(Came::Complaint(bytes)) => complaint = Some(self.last_of(&bytes)),
                Err(_) => return Err(self.too_long(running, &came, complaint)),
            }
        }
        let complaint = complaint.unwrap_or_default();
        while !running.has_ended().map_err(ProgramError::Run)? {
            if Instant::now() >= deadline {
                return Err(self.too_long(running, &came, Some(complaint)));
            }
            std::thread::sleep(LOOK);
        }
        let status = running.end().map_err(ProgramError::Run)?;
        if status.success() {
            return Ok(read(&mut output.unwrap_or_default()));
        }
        let status = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an unknown status".to_owned(),
        };
        Err(ProgramError::Failed { status, complaint })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this crate is the one that starts programs"
    )]
    fn spawn(&self) -> io::Result<Child> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &self.command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for name in &self.without {
            command.env_remove(name);
        }
        command.spawn()
    }

    /// Threads that read both streams, so that neither fills up; they end with the program.
    fn listen(&self, child: &mut Child) -> mpsc::Receiver<Came> {
        let (tell, came) = mpsc::channel();
        let (output, complaint) = (child.stdout.take(), child.stderr.take());
        let most = self.output_bytes;
        let also = tell.clone();
        std::thread::spawn(move || {
            // All of it at once: a buffer that grows leaves copies behind.
            let mut bytes = Vec::with_capacity(most + 1);
            let read = output.map_or(Ok(0), |from| {
                from.take(most as u64 + 1).read_to_end(&mut bytes)
            });
            let _ = tell.send(Came::Output(read.map(|_| bytes)));
        });
        let most = self.complaint_bytes;
        std::thread::spawn(move || {
            let bytes = complaint.map_or_else(Vec::new, |from| last_bytes(from, most));
            let _ = also.send(Came::Complaint(bytes));
        });
        came
    }

    /// Ends it, and tells what it has complained until then.
    fn too_long(
        &self,
        running: Running,
        came: &mpsc::Receiver<Came>,
        complaint: Option<String>,
    ) -> ProgramError {
        drop(running);
        // What left its group may hold the stream open for ever.
        let said = || loop {
            match came.recv_timeout(LAST_WORDS) {
                Ok(Came::Complaint(bytes)) => return Some(self.last_of(&bytes)),
                Ok(Came::Output(_)) => {}
                Err(_) => return None,
            }
        };
        ProgramError::TooLong {
            time: self.time,
            complaint: complaint.or_else(said).unwrap_or_default(),
        }
    }

    fn last_of(&self, bytes: &[u8]) -> String {
        let from = bytes.len().saturating_sub(self.complaint_bytes);
        String::from_utf8_lossy(&bytes[from..]).trim().to_owned()
    }
}

/// Reads to the end, and keeps about so many bytes of it.
fn last_bytes(mut from: impl Read, most: usize) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..length]);
        let surplus = kept.len().saturating_sub(most);
        kept.drain(..surplus);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str) -> Result<String, ProgramError> {
        let program = Program {
            command: command.to_owned(),
            time: Duration::from_millis(1500),
            output_bytes: 1000,
            complaint_bytes: 40,
            without: vec!["PATH_OF_NOTHING".to_owned()],
        };
        program.run(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    #[test]
    fn a_program_is_run_for_what_it_prints() {
        assert_eq!(run("echo a | tr a b; echo ignored >&2").unwrap(), "b\n");
        assert_eq!(run("true").unwrap(), "");
        // Whatever it complains does not hold it up.
        let loud = run("head -c 1000000 /dev/zero >&2; echo done");
        assert_eq!(loud.unwrap(), "done\n");
    }

    #[test]
    fn one_that_fails_says_why() {
        let failed = run("echo secret; echo 'access denied' >&2; exit 3").unwrap_err();
        assert_eq!(
            failed.to_string(),
            "it ended with exit code 3; it complained: access denied"
        );
        let long = run("seq 1000 >&2; exit 1").unwrap_err().to_string();
        assert!(long.len() < 100 && long.ends_with("999\n1000"), "{long}");
        let killed = run("kill -9 $$").unwrap_err().to_string();
        assert_eq!(killed, "it ended with signal 9");
        let missing = run("no-such-program-anywhere").unwrap_err().to_string();
        assert!(missing.contains("exit code 127"), "{missing}");
    }

    #[test]
    fn one_that_takes_too_long_is_ended_with_all_that_it_started() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display();
        for command in [
            format!("echo waiting >&2; (sleep 3; echo late > {path}) & sleep 60"),
            // It closes its streams, and goes on.
            format!(
                "echo waiting >&2; exec >/dev/null 2>&1; (sleep 3; echo late > {path}) & sleep 60"
            ),
            // It has ended, and something holds its streams open.
            format!("echo waiting >&2; (sleep 3; echo late > {path}; sleep 60) & exit 0"),
        ] {
            let begun = Instant::now();
            let ended = run(&command).unwrap_err();
            assert!(matches!(ended, ProgramError::TooLong { .. }), "{ended}");
            assert!(
                ended.to_string().ends_with("it complained: waiting"),
                "{ended}"
            );
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "");
    }

    #[test]
    fn one_that_prints_too_much_is_ended() {
        let begun = Instant::now();
        let ended = run("yes").unwrap_err();
        assert_eq!(
            ended.to_string(),
            "it printed more than 1000 bytes and was ended"
        );
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(run("head -c 1000 /dev/zero").unwrap().len(), 1000);
    }
}
