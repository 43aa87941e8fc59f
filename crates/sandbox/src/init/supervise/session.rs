//! Everything that a program started in its session.

use std::collections::HashSet;
use std::fs;

use crate::sys;

/// Looks at all processes at most this often: each look finds what was forked during the one before.
const LOOKS: usize = 16;

/// Sends a signal to each process of the session that `leader` leads, until a look finds no new one.
///
/// A process that belongs to another user inside cannot be reached: process 1 has no CAP_KILL.
pub(super) fn signal(leader: i32, signal: i32) {
    let mut reached = HashSet::new();
    for _ in 0..LOOKS {
        let found: Vec<_> = members(leader).filter(|pid| reached.insert(*pid)).collect();
        if found.is_empty() {
            return;
        }
        for pid in found {
            // ESRCH: it has just ended. Only this process reaps its children, so no number was given away meanwhile.
            let _ = sys::kill(pid, signal);
        }
    }
}

fn members(leader: i32) -> impl Iterator<Item = i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(move |entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read(entry.path().join("stat")).ok()?;
        (session(&stat)? == leader).then_some(pid)
    })
}

/// The session of a line of `/proc/PID/stat`: the sixth field, counted after the name, which may hold anything (proc_pid_stat(5)).
fn session(stat: &[u8]) -> Option<i32> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(&stat[end_of_name + 1..]).ok()?;
    fields.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_pretend_to_be_a_session() {
        assert_eq!(session(b"12 (sh) S 1 12 34 0 -1"), Some(34));
        assert_eq!(
            session(b"12 (a) S 1 1 99 0) \xff) R 1 12 34 0 -1"),
            Some(34)
        );
        assert_eq!(session(b"12 (a) S 1 1 99 0) b) R 1 12 34 0 -1"), Some(34));
        assert_eq!(session(b"12 (\xff\n) R 1 12 34 0 -1"), Some(34));
        assert_eq!(session(b""), None);
    }
}
