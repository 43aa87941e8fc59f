//! Writing the id maps of a user namespace, and user namespaces that exist only for the maps of an idmapped mount.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions};

use crate::plan::{IdMap, MapWriter};
use crate::sys;

/// Why ids could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum IdMapError {
    /// The kernel refused a map.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The map.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// `newuidmap` or `newgidmap` could not be run or refused.
    #[error("{program} failed: {detail}")]
    Helper {
        /// Which.
        program: &'static str,
        /// What it said.
        detail: String,
    },
    /// The namespace for an idmapped mount could not be made.
    #[error("cannot make a user namespace for an idmapped mount: {0}")]
    Namespace(Errno),
}

/// Writes both maps of the namespace that `process` is the first member of.
pub(crate) fn write(
    process: Pid,
    writer: MapWriter,
    uids: &[IdMap],
    gids: &[IdMap],
) -> Result<(), IdMapError> {
    match writer {
        MapWriter::Root => {
            write_file(process, "uid_map", &lines(uids))?;
            write_file(process, "gid_map", &lines(gids))
        }
        MapWriter::Caller => {
            // A process that may drop its groups could get around a group's denial (CVE-2014-8989); without this the kernel refuses the map.
            write_file(process, "setgroups", "deny")?;
            write_file(process, "uid_map", &lines(uids))?;
            write_file(process, "gid_map", &lines(gids))
        }
        MapWriter::NewIdMap => {
            run_helper("newuidmap", process, uids)?;
            run_helper("newgidmap", process, gids)
        }
    }
}

fn lines(maps: &[IdMap]) -> String {
    maps.iter().fold(String::new(), |mut text, map| {
        let _ = writeln!(text, "{} {} {}", map.inside, map.outside, map.count);
        text
    })
}

fn write_file(process: Pid, file: &str, content: &str) -> Result<(), IdMapError> {
    let path = PathBuf::from(format!("/proc/{}/{file}", process.as_raw_nonzero()));
    fs::write(&path, content).map_err(|error| IdMapError::Write { path, error })
}

#[expect(
    clippy::disallowed_methods,
    reason = "this crate is the one that starts programs"
)]
fn run_helper(program: &'static str, process: Pid, maps: &[IdMap]) -> Result<(), IdMapError> {
    let failed = |detail: String| IdMapError::Helper { program, detail };
    let numbers = maps
        .iter()
        .flat_map(|map| [map.inside, map.outside, map.count])
        .map(|n| n.to_string());
    let output = std::process::Command::new(program)
        .arg(process.as_raw_nonzero().to_string())
        .args(numbers)
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}

/// A user namespace with the given maps, as an idmapped mount needs (mount_setattr(2)).
#[derive(Debug)]
pub(crate) struct Namespace {
    namespace: OwnedFd,
    /// Its only member is told to end at once, but waited for only in the end: that takes longer than all the rest.
    _member: Member,
}

#[derive(Debug)]
struct Member(Pid);

impl Namespace {
    /// Makes one. Needs root.
    pub(crate) fn new(uids: &[IdMap], gids: &[IdMap]) -> Result<Self, IdMapError> {
        let member =
            Member(sys::spawn_sleeper(libc::CLONE_NEWUSER).map_err(IdMapError::Namespace)?);
        write(member.0, MapWriter::Root, uids, gids)?;
        let namespace = user_namespace_of(member.0)?;
        member.kill();
        Ok(Self {
            namespace,
            _member: member,
        })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

impl Member {
    fn kill(&self) {
        // Not waited for yet, so the id is still its own.
        let _ = rustix::process::kill_process(self.0, rustix::process::Signal::KILL);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
        let _ = rustix::process::waitpid(Some(self.0), WaitOptions::empty());
    }
}

/// The user namespace of a process.
pub(crate) fn user_namespace_of(process: Pid) -> Result<OwnedFd, IdMapError> {
    let path = format!("/proc/{}/ns/user", process.as_raw_nonzero());
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(IdMapError::Namespace)
}

#[cfg(all(test, feature = "system-tests"))]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// The parent of a process, which is 1 or another reaper once its own is gone.
    fn is_there(process: Pid) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn the_member_of_a_namespace_does_not_outlive_the_one_who_made_it() {
        let (mut told, mut tell) = io::pipe().unwrap();
        // SAFETY: the child calls nothing that could wait for a lock of another thread but the allocator, as glibc allows after fork.
        match unsafe { sys::fork() }.unwrap() {
            None => {
                let member = sys::spawn_sleeper(0).unwrap();
                let number = member.as_raw_nonzero().get();
                io::Write::write_all(&mut tell, &number.to_ne_bytes()).unwrap();
                loop {
                    std::thread::park();
                }
            }
            Some(maker) => {
                let mut number = [0; 4];
                io::Read::read_exact(&mut told, &mut number).unwrap();
                let member = Pid::from_raw(i32::from_ne_bytes(number)).unwrap();
                assert!(is_there(member), "control");
                rustix::process::kill_process(maker, rustix::process::Signal::KILL).unwrap();
                rustix::process::waitpid(Some(maker), WaitOptions::empty()).unwrap();
                let begun = Instant::now();
                while is_there(member) {
                    assert!(
                        begun.elapsed() < Duration::from_secs(5),
                        "it is still there"
                    );
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}
