//! What one build may use up, and which of it a build used up.

use std::fmt;
use std::time::Duration;

use bailiwick_model::limits;

/// What one build may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildLimits {
    /// How long it may take.
    pub time: Duration,
    /// Bytes on disk of the layer that it writes.
    pub disk_bytes: u64,
    /// Bytes of memory, if anything here holds that: a runtime that cannot refuses the build.
    pub memory_bytes: Option<u64>,
    /// Processes and threads; `None` is the runtime's own bound, which there always is.
    pub processes: Option<u32>,
}

impl BuildLimits {
    /// The usual limits. Memory is limited only where the runtime can hold that: nobody is refused a build for want of a control group.
    pub fn usual(holds_memory: bool) -> Self {
        Self {
            time: limits::BUILD_TIME,
            disk_bytes: limits::BUILD_DISK_BYTES,
            memory_bytes: holds_memory.then_some(limits::BUILD_MEMORY_BYTES),
            processes: None,
        }
    }
}

/// What a build ran out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildLimit {
    /// It took longer than this.
    Time(Duration),
    /// Its layer has more bytes on disk than this.
    Disk(u64),
    /// Its layer has more files than this.
    Files(u64),
    /// The file system on which layers are kept is all but full.
    FreeDisk,
    /// Its private files, which are held in memory and vanish with it.
    Scratch,
    /// Memory; how much, where it was limited.
    Memory(Option<u64>),
    /// Processes and threads.
    Processes,
}

impl BuildLimit {
    /// One word that stays the same.
    pub fn code(self) -> &'static str {
        match self {
            Self::Time(_) => "time",
            Self::Disk(_) => "disk",
            Self::Files(_) => "files",
            Self::FreeDisk => "free_disk",
            Self::Scratch => "scratch",
            Self::Memory(_) => "memory",
            Self::Processes => "processes",
        }
    }
}

impl fmt::Display for BuildLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(f, "the limit of builds on time, {} s", time.as_secs()),
            Self::Disk(bytes) => {
                let mebibytes = bytes >> 20;
                write!(f, "the limit of builds on disk space, {mebibytes} MiB")
            }
            Self::Files(files) => write!(f, "the limit of builds on files, {files}"),
            Self::FreeDisk => f.write_str("the end of the disk: its file system is all but full"),
            Self::Scratch => f.write_str("the limit on private files, which are held in memory"),
            Self::Memory(Some(bytes)) => {
                let mebibytes = bytes >> 20;
                write!(f, "the limit of builds on memory, {mebibytes} MiB")
            }
            Self::Memory(None) => f.write_str("the end of this machine's memory"),
            Self::Processes => f.write_str("the limit of builds on processes"),
        }
    }
}

/// The limit that the end of a failed build's output speaks of. A build that lies only says so about itself.
pub(super) fn named_in(tail: &str) -> Option<BuildLimit> {
    const NO_PROCESS: &[&str] = &[
        "Resource temporarily unavailable",
        "Cannot fork",
        "can't start new thread",
        "fork: retry",
    ];
    let full = tail
        .contains("No space left on device")
        .then_some(BuildLimit::Scratch);
    let crowded = || NO_PROCESS.iter().any(|sign| tail.contains(sign));
    full.or_else(|| crowded().then_some(BuildLimit::Processes))
}
