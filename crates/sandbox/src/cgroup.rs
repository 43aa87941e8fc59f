//! Control groups, version 2 and version 1: which there are, what a sandbox's limits become in them, and their removal.
//!
//! A plan is a list of directories with the files to write in each; making, joining and removing walk that one list. Version 1
//! is the *hybrid* layout of older distributions, in which memory, pids and cpu are three trees (cgroups(7)).

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

mod hierarchy;

pub use hierarchy::{Controller, Hierarchies};

/// Limits that control groups hold. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CgroupLimits {
    /// Memory, the page cache and the private file system included, in bytes.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a processor.
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// The directories that a sandbox's control groups are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPlan {
    /// Made in order, removed in reverse.
    pub directories: Vec<CgroupDirectory>,
}

/// One directory of one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupDirectory {
    /// Where it is made.
    pub path: PathBuf,
    /// Written in its ancestors first (`cgroup.subtree_control`), file and value; what is already so is no error.
    pub enable: Vec<(PathBuf, String)>,
    /// Written in it, file name and value.
    pub limits: Vec<(String, String)>,
    /// How a process gets into it.
    pub join: Join,
}

/// How a process gets into a control group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// It is born there (CLONE_INTO_CGROUP): version 2.
    Birth,
    /// Its id is written to `cgroup.procs` before it goes on: version 1.
    Attach,
}

/// Why a control group could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A step on a file or directory failed.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// `make`, `write` or `open`.
        action: &'static str,
        /// Of which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// The control groups of one sandbox; removed when it is dropped, by which time its processes are gone.
#[derive(Debug)]
pub struct Cgroup {
    plan: CgroupPlan,
    birthplace: Option<OwnedFd>,
}

impl Cgroup {
    /// Makes the directories and writes the limits.
    ///
    /// # Errors
    ///
    /// What was made is removed again.
    pub fn create(plan: &CgroupPlan) -> Result<Self, CgroupError> {
        let mut cgroup = Self {
            plan: CgroupPlan {
                directories: Vec::new(),
            },
            birthplace: None,
        };
        for directory in &plan.directories {
            for (file, value) in &directory.enable {
                enable(file, value)?;
            }
            make_directory(&directory.path)?;
            cgroup.plan.directories.push(directory.clone());
            for (file, value) in &directory.limits {
                write(&directory.path.join(file), value)?;
            }
            if directory.join == Join::Birth {
                let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH;
                let fd = rustix::fs::open(&directory.path, flags, Mode::empty())
                    .map_err(|e| io_error("open", &directory.path, e.into()))?;
                cgroup.birthplace = Some(fd);
            }
        }
        Ok(cgroup)
    }

    /// The directory that a process is born in, on version 2.
    pub fn birthplace(&self) -> Option<&OwnedFd> {
        self.birthplace.as_ref()
    }

    /// Moves a process into the directories that one cannot be born in.
    ///
    /// # Errors
    ///
    /// The process is then in none or some of them and must not go on.
    pub fn attach(&self, process: Pid) -> Result<(), CgroupError> {
        let attached = self
            .plan
            .directories
            .iter()
            .filter(|d| d.join == Join::Attach);
        for directory in attached {
            write(
                &directory.path.join("cgroup.procs"),
                &process.as_raw_nonzero().to_string(),
            )?;
        }
        Ok(())
    }

    /// How many processes the kernel killed in it because the memory limit was reached.
    pub fn out_of_memory_kills(&self) -> u64 {
        let count = |directory: &CgroupDirectory| {
            ["memory.events", "memory.oom_control"]
                .iter()
                .find_map(|file| {
                    let text = fs::read_to_string(directory.path.join(file)).ok()?;
                    text.lines()
                        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok())
                })
        };
        self.plan.directories.iter().filter_map(count).sum()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove(&self.plan);
    }
}

/// Kills what is left in a plan's control groups and removes them. What is not there is no error: crash recovery calls this too.
pub fn remove(plan: &CgroupPlan) {
    for directory in plan.directories.iter().rev() {
        // Best effort: a group that is already gone cannot be killed or removed, and version 1 has no cgroup.kill.
        let _ = fs::write(directory.path.join("cgroup.kill"), "1");
        for _ in 0..200 {
            match fs::remove_dir(&directory.path) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                Ok(()) | Err(_) => break,
            }
        }
    }
}

/// Hands controllers down to the children of a version 2 group.
///
/// A group with children that use controllers may hold no process itself (cgroups(7), "no internal processes"). In a delegated scope this
/// process is such a one, so it moves into a leaf beside the sandboxes; that vanishes with the scope.
fn enable(subtree_control: &Path, controllers: &str) -> Result<(), CgroupError> {
    match fs::write(subtree_control, controllers) {
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
            let leaf = subtree_control.with_file_name("bailiwick-holder");
            fs::create_dir_all(&leaf).map_err(|error| io_error("make", &leaf, error))?;
            write(&leaf.join("cgroup.procs"), &std::process::id().to_string())?;
            write(subtree_control, controllers)
        }
        Err(error) => Err(io_error("write", subtree_control, error)),
        Ok(()) => Ok(()),
    }
}

fn make_directory(path: &Path) -> Result<(), CgroupError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).map_err(|error| io_error("make", path, error))
        }
        Err(error) => Err(io_error("make", path, error)),
        Ok(()) => Ok(()),
    }
}

fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    fs::write(path, value).map_err(|error| io_error("write", path, error))
}

fn io_error(action: &'static str, path: &Path, error: io::Error) -> CgroupError {
    CgroupError::Io {
        action,
        path: path.to_owned(),
        error,
    }
}
