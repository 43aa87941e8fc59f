//! What was measured on: numbers without it mean nothing.

use std::collections::BTreeMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::os;

/// The machine, and the versions of what was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// Seconds since 1970.
    pub(crate) at_unix_seconds: u64,
    pub(crate) kernel: String,
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) memory_mib: u64,
    /// Whether the bench ran as root.
    pub(crate) root: bool,
    /// Load of the last minute when the bench began: above 1, numbers are not to be quoted.
    pub(crate) load: String,
    /// First line that each program prints about itself.
    pub(crate) versions: BTreeMap<String, String>,
}

impl Machine {
    /// Looks around.
    pub(crate) fn describe() -> Self {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        let value = |text: &str, key| {
            let line = text.lines().find(|line| line.starts_with(key));
            line.and_then(|line| line.split(':').nth(1))
                .unwrap_or("unknown")
                .trim()
                .to_owned()
        };
        let memory = value(&read("/proc/meminfo"), "MemTotal");
        let memory_kib = memory.trim_end_matches(" kB").parse().unwrap_or(0_u64);
        Self {
            at_unix_seconds: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: value(&read("/proc/cpuinfo"), "model name"),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory_kib / 1024,
            root: rustix::process::geteuid().is_root(),
            load: read("/proc/loadavg")
                .split(' ')
                .next()
                .unwrap_or("")
                .to_owned(),
            versions: versions(),
        }
    }
}

fn versions() -> BTreeMap<String, String> {
    let ask = |(program, option): (&str, &str)| {
        let output = os::command(os::find(program)?).arg(option).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some((program.to_owned(), text.lines().next()?.to_owned()))
    };
    [
        ("bwrap", "--version"),
        ("crun", "--version"),
        ("tinyproxy", "-v"),
        ("squid", "-v"),
    ]
    .into_iter()
    .filter_map(ask)
    .collect()
}
