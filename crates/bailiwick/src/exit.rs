//! The exit codes, all of them.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; for `policy check`: every destination is allowed |
//! | 1 | `--dry-run` of what changes a server, `environment impact`: there is something to do, something would change (as diff(1) has it); what follows a session until it rests: it waits for somebody |
//! | 2 | bad input: arguments, an environment file, a flow file; nothing was started |
//! | 3 | `policy check`: at least one destination is denied; `audit-log verify`: the log is not what was written; `apply`: not everything was done; what follows a session: it stopped otherwise than by its agent's having done its part |
//! | 124 | the command was ended by `--timeout` (as timeout(1) has it) |
//! | 125 | Bailiwick itself failed |
//! | 126 | the command was found but cannot be executed |
//! | 127 | the command was not found |
//! | 128+n | the command was ended by signal n |
//! | other | the command's own |

use std::process::ExitCode;

use bailiwick_local::PrepareError;

use crate::bad_input::BadInput;
use crate::client::ClientError;

/// How a run of `bailiwick` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, and every answer is yes.
    Done,
    /// There is something to do, which was only asked for.
    Differs,
    /// Bad input; nothing was started.
    BadInput,
    /// An answer is no: a destination is denied, a log was changed, something was not applied.
    Denied,
    /// The command was ended by `--timeout`.
    TimedOut,
    /// Bailiwick itself failed.
    Failed,
    /// The command was found but cannot be executed.
    CannotExecute,
    /// The command was not found.
    NotFound,
    /// The command was ended by a signal, whose number is here.
    Signal(u8),
    /// The command ended by itself, with this code.
    Command(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Differs => 1,
            Exit::BadInput => 2,
            Exit::Denied => 3,
            Exit::TimedOut => 124,
            Exit::Failed => 125,
            Exit::CannotExecute => 126,
            Exit::NotFound => 127,
            Exit::Signal(number) => 128u8.saturating_add(number),
            Exit::Command(code) => code,
        })
    }
}

impl Exit {
    /// The exit that an error stands for: whose fault it was.
    pub(crate) fn of_error(error: &anyhow::Error) -> Self {
        let is_input = |cause: &(dyn std::error::Error + 'static)| {
            cause.is::<BadInput>()
                || cause.downcast_ref().is_some_and(PrepareError::is_bad_input)
                || cause.downcast_ref().is_some_and(ClientError::is_bad_input)
        };
        if error.chain().any(is_input) {
            Self::BadInput
        } else {
            Self::Failed
        }
    }
}
