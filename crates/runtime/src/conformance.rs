//! What every backend must do, as tests that are generic over it.
//!
//! A backend's tests implement [`Harness`] and name the suite once:
//!
//! ```ignore
//! bailiwick_runtime::conformance_tests!(MyHarness::new());
//! ```
//!
//! Every case starts and stops its own sandboxes. A verb that the backend lacks must say so; the case then checks just that.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::SandboxId;
use tokio::io::AsyncReadExt;

use crate::{
    Command, Error, Event, ExitStatus, Running, Runtime, SandboxSpec, StopReason, Streams,
};

mod files;
mod lifecycle;
mod running;

pub use files::*;
pub use lifecycle::*;
pub use running::*;

/// What no case comes near unless something hangs.
const SOON: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_millis(100);

/// A backend under test.
pub trait Harness: Send + Sync {
    /// As in [`Runtime::Policy`].
    type Policy: Clone + Send + Sync + 'static;

    /// The backend.
    fn runtime(&self) -> Arc<dyn Runtime<Policy = Self::Policy>>;

    /// A policy that denies everything.
    fn policy(&self) -> Self::Policy;
}

/// The programs that the cases start: all of them POSIX, so that every base has them.
pub mod programs {
    /// Ends with 0.
    pub const TRUE: [&str; 1] = ["true"];
    /// Ends with 3.
    pub const EXIT_3: [&str; 3] = ["sh", "-c", "exit 3"];
    /// Runs for longer than any test.
    pub const SLEEP: [&str; 2] = ["sleep", "1000"];
    /// Prints what it reads.
    pub const CAT: [&str; 1] = ["cat"];
    /// Prints `out` and complains `err`.
    pub const BOTH_OUTPUTS: [&str; 3] = ["sh", "-c", "printf out; printf err >&2"];
    /// Prints `$PROBE`, a space and where it runs.
    pub const VARIABLE_AND_DIRECTORY: [&str; 3] =
        ["sh", "-c", "printf '%s %s' \"$PROBE\" \"$PWD\""];
    /// Ends with 0 if its standard input is a terminal, else with 1.
    pub const IS_TERMINAL: [&str; 3] = ["sh", "-c", "test -t 0"];
    /// Makes /tmp/probe/a (`alpha`) and /tmp/probe/deep/b (`beta`).
    pub const WRITE_FILES: [&str; 3] = [
        "sh",
        "-c",
        "mkdir -p /tmp/probe/deep && printf alpha >/tmp/probe/a && printf beta >/tmp/probe/deep/b",
    ];
    /// Does not exist.
    pub const MISSING: [&str; 1] = ["/no/such/program"];
}

/// Makes one test of each case for a harness, which is an expression of a type that implements [`Harness`].
///
/// The crate that uses it needs `tokio` with `macros` and `rt`.
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::conformance_cases!([$crate::conformance_tests] @ $harness;);
    };
    (@ $harness:expr; $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::conformance::$case(&$harness).await;
            }
        )*
    };
}

/// Calls the macro in brackets with the tokens after it and then the name of each case, a function of [`crate::conformance`]: for a
/// backend whose tests cannot run in the threads of the usual test harness.
#[macro_export]
macro_rules! conformance_cases {
    ([$($macro:tt)+] $($given:tt)*) => {
        $($macro)+! {
            $($given)*
            what_was_started_is_listed_until_it_is_stopped
            an_id_that_runs_cannot_be_used_again
            a_wrong_spec_starts_nothing
            a_stopped_sandbox_is_gone_and_stopping_it_again_is_no_error
            stopping_ends_what_runs_inside
            events_begin_with_started_and_end_with_stopped
            a_mark_is_told_and_the_end_is_known_to_whoever_reads_no_events
            a_sandbox_whose_handle_was_dropped_can_be_adopted
            nothing_is_adopted_that_does_not_run
            a_checkpoint_brings_the_files_back_once
            a_checkpoint_that_is_discarded_comes_back_no_more
            a_live_sandbox_takes_another_policy
            exit_codes_come_back
            signals_end_programs
            a_timeout_ends_a_program
            a_missing_program_is_told_apart
            what_goes_in_comes_out
            both_outputs_are_apart
            variables_and_directory_reach_the_program
            a_terminal_is_given_only_when_asked_for
            many_programs_run_at_once
            a_port_where_nothing_listens_is_told_as_such
            files_are_written_and_read
            a_file_is_looked_at
            a_limit_on_reading_is_kept
            wrong_paths_are_told_apart
            directories_are_listed_by_name
            files_are_captured_whole_or_not_at_all
            sandboxes_do_not_see_each_others_files
        }
    };
}

/// A spec with a fresh id.
fn spec<H: Harness>(harness: &H) -> SandboxSpec<H::Policy> {
    use std::hash::{BuildHasher, RandomState};
    let id = SandboxId::from_random(RandomState::new().hash_one(std::process::id()));
    let mut spec = SandboxSpec::new(id, harness.policy());
    spec.directory = "/tmp".into();
    spec
}

async fn started<H: Harness>(harness: &H) -> Running<H::Policy> {
    harness
        .runtime()
        .start(spec(harness))
        .await
        .expect("a sandbox starts")
}

async fn stop<P: Clone + Send + Sync + 'static>(running: Running<P>) {
    running.sandbox.stop(GRACE).await.expect("it stops");
}

/// Runs a program to its end and returns what it printed and complained.
async fn run<P: Clone + Send + Sync + 'static>(
    running: &Running<P>,
    argv: &[&str],
    change: impl FnOnce(&mut Command),
) -> (ExitStatus, Vec<u8>, Vec<u8>) {
    let mut command = Command::new(argv.iter().map(OsString::from));
    change(&mut command);
    let execution = running
        .sandbox
        .exec(command)
        .await
        .expect("the program starts");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let read = async {
        match execution.streams {
            Streams::Pipes {
                stdin,
                mut stdout,
                mut stderr,
            } => {
                drop(stdin);
                let (printed, complained) =
                    tokio::join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
                printed.expect("standard output");
                complained.expect("standard error");
            }
            Streams::Terminal { input, mut output } => {
                // A terminal ends with EIO on Linux.
                let _ = output.read_to_end(&mut out).await;
                drop(input);
            }
        }
    };
    let (status, ()) = within(async { tokio::join!(execution.control.wait(), read) }).await;
    (status.expect("a status"), out, err)
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work)
        .await
        .expect("it takes no longer than any machine may need")
}

async fn last_event<P>(running: &mut Running<P>) -> Option<StopReason> {
    let mut last = None;
    while let Some(event) = within(running.events.recv()).await {
        last = match event {
            Event::Stopped(reason) => Some(reason),
            Event::Started | Event::Flow(_) | Event::Mark(_) | Event::OutOfMemory => None,
        };
    }
    last
}

fn is_gone<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Gone(_)))
}
