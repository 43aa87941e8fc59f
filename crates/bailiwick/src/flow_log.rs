//! The file of `--flows`: one JSON object a line, written as it happens.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bailiwick_model::Flow;
use rustix::fs::OFlags;

use crate::bad_input::BadInput;

/// A file that flows are appended to.
#[derive(Debug)]
pub(crate) struct FlowLog {
    file: File,
}

impl FlowLog {
    /// Opens or creates the file (readable by its owner alone).
    ///
    /// A program that ran in the work directory before may have left a symbolic link there. None is followed: neither the
    /// file itself, nor a directory below the work directory that leads out of it. `/dev/stdout` and the like are.
    ///
    /// # Errors
    ///
    /// [`BadInput`], if the file cannot be opened or is reached through such a link.
    pub(crate) fn open(path: &Path, work_directory: Option<&Path>) -> Result<Self, BadInput> {
        let unusable = |source| BadInput::FlowLog {
            path: path.to_owned(),
            source,
        };
        let is_device = path.starts_with("/dev") || path.starts_with("/proc/self/fd");
        let place = if is_device {
            path.to_owned()
        } else {
            resolved(path, work_directory)?
        };
        let no_follow = if is_device {
            OFlags::empty()
        } else {
            OFlags::NOFOLLOW
        };
        let mut options = OpenOptions::new();
        options
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(no_follow.bits().cast_signed());
        options
            .open(place)
            .map(|file| Self { file })
            .map_err(unusable)
    }

    /// Appends one flow. The line is one write, so that lines of several writers stay whole.
    ///
    /// # Errors
    ///
    /// What the file system says, for instance that it is full.
    pub(crate) fn write(&mut self, flow: &Flow) -> io::Result<()> {
        let mut line = serde_json::to_vec(flow)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

/// The path with its directory resolved, which stays below the work directory if it was typed so.
fn resolved(path: &Path, work_directory: Option<&Path>) -> Result<PathBuf, BadInput> {
    let unusable = |source| BadInput::FlowLog {
        path: path.to_owned(),
        source,
    };
    let typed = std::path::absolute(path).map_err(unusable)?;
    let (Some(directory), Some(name)) = (typed.parent(), typed.file_name()) else {
        return Err(unusable(io::ErrorKind::IsADirectory.into()));
    };
    let real = directory.canonicalize().map_err(unusable)?;
    let leaves = |work: &Path| typed.starts_with(work) && !real.starts_with(work);
    if work_directory.is_some_and(leaves) {
        return Err(BadInput::FlowLogLeavesWorkDirectory(path.to_owned()));
    }
    Ok(real.join(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use bailiwick_model::{Destination, PolicySource, Reason, SandboxId};

    use super::*;

    fn flow() -> Flow {
        Flow {
            at: jiff::Timestamp::UNIX_EPOCH,
            sandbox: SandboxId::from_random(7),
            environment: None,
            destination: Destination::tcp_address("192.0.2.1".parse().unwrap(), 443),
            address: None,
            verdict: Reason::NoRule.verdict(),
            reason: Reason::NoRule,
            rule: None,
            source: PolicySource::BuiltIn,
            hint: Some("a\nb".to_owned()),
            bytes_out: 0,
            bytes_in: 0,
            duration_ms: 0,
            notes: Vec::new(),
        }
    }

    #[test]
    fn each_flow_is_one_line_that_reads_back_and_nothing_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flows.jsonl");
        for _ in 0..2 {
            FlowLog::open(&path, Some(directory.path()))
                .unwrap()
                .write(&flow())
                .unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let read: Vec<Flow> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, [flow(), flow()]);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_symbolic_link_left_in_the_work_directory_is_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        let work = tempfile::tempdir().unwrap();
        let victim = outside.path().join("profile");
        std::fs::write(&victim, "kept").unwrap();
        symlink(&victim, work.path().join("flows.jsonl")).unwrap();
        symlink(outside.path(), work.path().join("logs")).unwrap();
        std::fs::create_dir(work.path().join("inside")).unwrap();
        symlink(work.path().join("inside"), work.path().join("within")).unwrap();
        for left in [
            "flows.jsonl",
            "logs/profile",
            "logs/new",
            "./inside/../logs/profile",
        ] {
            assert!(
                FlowLog::open(&work.path().join(left), Some(work.path())).is_err(),
                "{left} was followed"
            );
        }
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        FlowLog::open(&work.path().join("within/flows.jsonl"), Some(work.path()))
            .expect("the control: a link that stays inside");
        FlowLog::open(Path::new("/dev/stderr"), Some(work.path())).expect("the control: a device");
    }
}
