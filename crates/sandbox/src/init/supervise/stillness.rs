//! Stopping every program for a while.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use super::EVERYBODY;
use crate::sys;

/// How often and how long it is looked whether all have stopped. A program that the kernel does not let stop is not waited for: what it
/// writes is its own loss.
const LOOKS: u32 = 50;
const LOOK: Duration = Duration::from_millis(2);

/// Nothing inside runs but process 1.
pub(super) struct Stillness;

/// Stops all of them at once, also what is being made at this moment (kill(2), the pid -1).
pub(super) fn begin() -> Stillness {
    // ESRCH: there is nobody.
    let _ = sys::kill(EVERYBODY, Signal::STOP.as_raw());
    for _ in 0..LOOKS {
        if !anybody_runs() {
            break;
        }
        std::thread::sleep(LOOK);
    }
    Stillness
}

impl Stillness {
    pub(super) fn end(self) {
        let _ = sys::kill(EVERYBODY, Signal::CONT.as_raw());
    }
}

fn anybody_runs() -> bool {
    let Ok(entries) = fs::read_dir("/proc") else {
        return false;
    };
    let numbers = entries.flatten().filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse::<u32>().ok()?;
        (number != 1).then_some(number)
    });
    numbers.into_iter().any(is_running)
}

/// Its state is the third field, after a name that may hold anything (proc_pid_stat(5)).
fn is_running(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, fields)| fields.trim().chars().next());
    state.is_some_and(|state| matches!(state, 'R' | 'S'))
}
