//! What a test must not leave behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, set_child_subreaper};

use crate::process::{Purpose, held};

/// The kernel takes namespaces and control groups apart after the last process has gone, on a busy machine not at once.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a test that kills sandboxes leaves on the machine goes with the next sandbox that it starts.
const PATIENCE_WITH_OTHERS: Duration = Duration::from_secs(60);
/// Where root's sandboxes have their entries, those of all tests.
const OF_THE_MACHINE: &str = "/var/lib";
/// What the name of a process begins with.
const PROCESS: &str = "process ";
/// What the name of an entry of a directory begins with.
const ENTRY: &str = "entry ";
/// Where named network namespaces are mounted (ip-netns(8)).
const NAMED_NAMESPACES: &str = "/run/netns";
/// What the name of a network namespace that a test makes begins with; the test's process id and a hyphen follow.
const TEST_NAMESPACE: &str = "bailiwick-test-";
/// The directory under which Bailiwick makes its control groups, and /sys/fs/cgroup's depth down to which it is looked for.
const CGROUP_NAME: &str = "bailiwick";
const CGROUP_DEPTH: usize = 6;

/// Compares the machine before and after; panics when it is dropped and something is left.
///
/// It is made for a test that has a process of its own (cargo-nextest): processes are known by being descendants of the
/// test, which inherits those whose parents die. Other tests may run at the same time.
///
/// It looks for: processes; control groups of Bailiwick without a process; mounts and named network namespaces of the host; entries of
/// the directories that it watches. (A network namespace without name and without process does not exist any more.)
///
/// Of what belongs to the whole machine only that is left behind which is there each time it looks until its patience is over: tests that run
/// beside this one make and remove such things all the time.
#[derive(Debug)]
#[must_use = "it checks when it is dropped"]
pub struct LeakCheck {
    before: Seen,
    directories: Vec<PathBuf>,
}

/// What is there, by a name that a person understands.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen(BTreeSet<String>);

impl LeakCheck {
    /// Takes the state before.
    pub fn begin() -> Self {
        set_child_subreaper(Some(rustix::process::getpid())).expect("a subreaper");
        Self {
            before: Seen::now(&[]),
            directories: Vec::new(),
        }
    }

    /// Nothing may be left in this directory, which need not exist. An entry with a file `lock` that some process holds a lock
    /// on (flock(2)) is in use: by another test, or by a process that is found as such.
    pub fn watch_directory(&mut self, directory: &Path) {
        self.directories.push(directory.to_owned());
    }

    /// What is left now.
    pub fn leaks(&self) -> Vec<String> {
        let now = Seen::now(&self.directories);
        now.0.difference(&self.before.0).cloned().collect()
    }
}

impl Drop for LeakCheck {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let begun = Instant::now();
        let mut leaks = self.leaks();
        while !leaks.is_empty() && begun.elapsed() < patience_for(&leaks) {
            std::thread::sleep(Duration::from_millis(10));
            let still = self.leaks().into_iter();
            // Processes are the test's own: a new one comes of one that was left.
            leaks = still
                .filter(|leak| leak.starts_with(PROCESS) || leaks.contains(leak))
                .collect();
        }
        assert!(
            leaks.is_empty(),
            "the test left behind:\n  {}",
            leaks.join("\n  ")
        );
    }
}

fn patience_for(leaks: &[String]) -> Duration {
    let is_own = |leak: &String| {
        let entry = leak.strip_prefix(ENTRY);
        leak.starts_with(PROCESS) || entry.is_some_and(|path| !path.starts_with(OF_THE_MACHINE))
    };
    if leaks.iter().any(is_own) {
        PATIENCE
    } else {
        PATIENCE_WITH_OTHERS
    }
}

impl Seen {
    fn now(directories: &[PathBuf]) -> Self {
        let mut seen = BTreeSet::new();
        seen.extend(
            descendants()
                .into_iter()
                .map(|(pid, name)| format!("{PROCESS}{pid} ({name})")),
        );
        seen.extend(mounts().map(|place| format!("mount {place}")));
        let namespaces = entries(Path::new(NAMED_NAMESPACES));
        seen.extend(
            namespaces
                .filter(|path| !is_of_another_test(path))
                .map(|path| format!("network namespace {}", path.display())),
        );
        seen.extend(
            empty_cgroups()
                .into_iter()
                .map(|path| format!("control group {}", path.display())),
        );
        for directory in directories {
            let unused = entries(directory).filter(|path| !is_locked(&path.join("lock")));
            seen.extend(unused.map(|path| format!("{ENTRY}{}", path.display())));
        }
        Self(seen)
    }
}

/// Where something is mounted, but for what ip(8) mounts for the named network namespaces, which are counted by their names. The directory of
/// the names itself stays mounted after the first one.
fn mounts() -> impl Iterator<Item = String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("a list of mounts");
    let places: Vec<_> = mounts
        .lines()
        .map(|line| line.split(' ').nth(4).unwrap_or(line).to_owned())
        .collect();
    places
        .into_iter()
        .filter(|place| !Path::new(place).starts_with(NAMED_NAMESPACES))
}

/// Whether the network namespace of this name was made by another test that still runs.
fn is_of_another_test(namespace: &Path) -> bool {
    let name = namespace.file_name().and_then(|name| name.to_str());
    let process = name.and_then(|name| name.strip_prefix(TEST_NAMESPACE)?.split('-').next());
    let process = process.and_then(|process| process.parse::<u32>().ok());
    process.is_some_and(|process| {
        process != std::process::id() && Path::new("/proc").join(process.to_string()).exists()
    })
}

/// The living descendants of this process that are not helpers, with their names. Those that are dead are reaped.
fn descendants() -> BTreeMap<u32, String> {
    let mut parents = BTreeMap::new();
    for path in entries(Path::new("/proc")) {
        let Some(pid) = path
            .file_name()
            .and_then(|name| name.to_str()?.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(path.join("stat")) else {
            continue;
        };
        // proc_pid_stat(5): the name is in parentheses and may hold any byte; state and parent follow.
        let Some((head, tail)) = stat.rsplit_once(')') else {
            continue;
        };
        let mut fields = tail.split_whitespace();
        let (Some(state), Some(parent)) = (
            fields.next(),
            fields.next().and_then(|p| p.parse::<u32>().ok()),
        ) else {
            continue;
        };
        let name = head.split_once('(').map_or("", |(_, name)| name).to_owned();
        parents.insert(pid, (parent, state == "Z", name));
    }
    let (own, held) = (std::process::id(), held());
    let is_ours = |mut pid: u32| loop {
        match parents.get(&pid) {
            Some(_) if held.get(&pid) == Some(&Purpose::Helper) => break false,
            Some((parent, ..)) if *parent == own => break true,
            Some((parent, ..)) => pid = *parent,
            None => break false,
        }
    };
    let ours: Vec<u32> = parents
        .keys()
        .copied()
        .filter(|pid| is_ours(*pid))
        .collect();
    let mut alive = BTreeMap::new();
    for pid in ours {
        let (parent, zombie, name) = &parents[&pid];
        if !zombie {
            alive.insert(pid, name.clone());
        } else if *parent == own && !held.contains_key(&pid) {
            reap_orphan(pid);
        }
    }
    alive
}

/// An orphan that came to this process has nobody else who waits for it.
fn reap_orphan(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
    }
}

/// Bailiwick's control groups in which no process is: those of running sandboxes are somebody's.
fn empty_cgroups() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![(PathBuf::from("/sys/fs/cgroup"), 0)];
    while let Some((directory, depth)) = waiting.pop() {
        for path in entries(&directory).filter(|path| path.is_dir() && !path.is_symlink()) {
            if directory.ends_with(CGROUP_NAME) {
                let empty = fs::read_to_string(path.join("cgroup.procs"))
                    .is_ok_and(|processes| processes.is_empty());
                found.extend(empty.then_some(path));
            } else if depth < CGROUP_DEPTH {
                waiting.push((path, depth + 1));
            }
        }
    }
    found
}

/// Whether any process holds a lock on the file (proc_locks(5)); asking the kernel with flock(2) would take the lock.
fn is_locked(file: &Path) -> bool {
    let Ok(metadata) = fs::metadata(file) else {
        return false;
    };
    let (device, inode) = (metadata.dev(), metadata.ino());
    let name = format!(
        "{:02x}:{:02x}:{inode}",
        rustix::fs::major(device),
        rustix::fs::minor(device)
    );
    let locks = fs::read_to_string("/proc/locks").expect("a list of locks");
    locks
        .lines()
        .any(|line| line.split_whitespace().any(|word| word == name))
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_namespace_is_another_tests_while_that_test_runs() {
        let of = |process: u32| {
            let name = format!("{TEST_NAMESPACE}{process}-first");
            is_of_another_test(&Path::new(NAMED_NAMESPACES).join(name))
        };
        assert!(of(1));
        assert!(!of(std::process::id()), "this test's own");
        assert!(!of(4_194_305), "no process has such an id");
        assert!(!is_of_another_test(Path::new("/run/netns/other")));
    }
}
