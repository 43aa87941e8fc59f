//! The tool `bash`: one shell of a session, in which one command runs at a time.
//!
//! The shell is the sandbox's, and so is whoever runs in it: a program that sets out to can take the shell over that it runs in, as it could
//! replace `ls`. What holds against it is outside: one call's end is never another's, time limits and interrupts end what they should
//! through the kernel, and a restart makes another shell.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::limits;
use bailiwick_runtime::Error;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::input::{Fields, InputProblem};
use crate::inside::Inside;
use crate::result::ToolResult;
use crate::{Context, Failure, random};

mod answer;
mod printed;
mod script;
mod shell;

pub(crate) use printed::Output;
use script::Beginning;
use shell::{End, Ran, Shell, StartProblem, Terms};

/// Where shells leave their state, and outputs go that are too long for a result.
const DIRECTORY: &str = "/tmp/.bailiwick";

/// The shell of a session.
pub(crate) struct Bash {
    inside: Arc<dyn Inside>,
    directory: PathBuf,
    variables: Vec<(String, String)>,
    /// Where long outputs go.
    outputs: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shell: Option<Shell>,
    /// Where the shell that runs leaves its state.
    leaves: PathBuf,
    /// What the next shell takes over.
    restored: Option<PathBuf>,
    /// Where the next shell starts, if not where the first one did.
    directory: Option<PathBuf>,
}

/// What is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Run { command: String, limit: Duration },
    Restart,
}

impl Request {
    pub(crate) fn read(input: Value) -> Result<Self, InputProblem> {
        let mut fields = Fields::new(input)?;
        let command = fields.optional_text("command", limits::TOOL_COMMAND_BYTES)?;
        let restart = fields.flag("restart")?;
        let timeout = fields.optional_number("timeout_ms")?;
        fields.done()?;
        let most = i64::try_from(limits::TOOL_COMMAND_TIME_MOST.as_millis()).unwrap_or(i64::MAX);
        let limit = match timeout {
            None | Some(0) => limits::TOOL_COMMAND_TIME,
            Some(found) if (1..=most).contains(&found) => {
                Duration::from_millis(found.unsigned_abs())
            }
            Some(found) => {
                let (field, least) = ("timeout_ms", 0);
                return Err(InputProblem::OutOfRange {
                    field,
                    found,
                    least,
                    most,
                });
            }
        };
        match command {
            Some(_) if restart => Err(InputProblem::Exclusive("command", "restart")),
            Some(command) if command.contains('\0') => Err(InputProblem::Nul { field: "command" }),
            Some(command) => Ok(Self::Run { command, limit }),
            None if restart => Ok(Self::Restart),
            None => Err(InputProblem::Missing { field: "command" }),
        }
    }
}

impl Bash {
    pub(crate) fn new(
        inside: Arc<dyn Inside>,
        directory: PathBuf,
        variables: Vec<(String, String)>,
    ) -> Self {
        Self {
            inside,
            directory,
            variables,
            outputs: Path::new(DIRECTORY).join("outputs"),
            state: Mutex::default(),
        }
    }

    /// Waits for its turn, then runs.
    pub(crate) async fn call(
        &self,
        request: Request,
        context: &Context,
    ) -> Result<ToolResult, Failure> {
        let mut state = tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Ok(ToolResult::error(answer::NOT_BEGUN)),
            state = self.state.lock() => state,
        };
        match request {
            Request::Run { command, limit } => {
                let terms = Terms {
                    limit,
                    cancel: &context.cancel,
                    live: context.live.clone(),
                };
                self.run(&mut state, &command, terms).await
            }
            Request::Restart => {
                self.restart(&mut state).await;
                Ok(ToolResult::text(answer::RESTARTED))
            }
        }
    }

    async fn run(
        &self,
        state: &mut State,
        command: &str,
        terms: Terms<'_>,
    ) -> Result<ToolResult, Failure> {
        let limit = terms.limit;
        // Taken out, so that giving this call up in the middle drops the shell, which kills it.
        let (mut shell, replaced) = match self.shell(state).await {
            Ok(shell) => shell,
            Err(StartProblem::Silent) => return Ok(ToolResult::error(answer::SILENT)),
            Err(StartProblem::Sandbox(Error::CommandNotFound(_))) => {
                return Ok(ToolResult::error(answer::NO_BASH));
            }
            Err(StartProblem::Sandbox(error)) => return Err(Failure::Sandbox(error)),
        };
        let ran = shell.run(command, terms).await.map_err(Failure::Sandbox)?;
        let keeps = self.settle(state, shell, &ran).await;
        Ok(answer::of(self, ran, limit, replaced, keeps).await)
    }

    /// The shell, and whether it stands in for one that ended by itself since the last command.
    async fn shell(&self, state: &mut State) -> Result<(Shell, bool), StartProblem> {
        let mut replaced = false;
        if let Some(shell) = state.shell.take() {
            if !shell.is_gone().await {
                return Ok((shell, false));
            }
            self.take_over(state).await;
            replaced = true;
        }
        state.leaves = Path::new(DIRECTORY).join(format!("shell-{:016x}", random()));
        // The directory must exist when a shell ends; what is in the file does not count yet.
        self.inside.write(&state.leaves, Vec::new(), 0o600).await?;
        let beginning = Beginning {
            directory: state.directory.as_deref().unwrap_or(&self.directory),
            variables: &self.variables,
            state: &state.leaves,
            restored: state.restored.as_deref(),
        };
        let shell = Shell::start(Arc::clone(&self.inside), &beginning).await?;
        state.restored = None;
        state.directory = None;
        Ok((shell, replaced))
    }

    /// Puts the shell back, or sees to it that the next one takes over what it can. Whether that is all that can be kept.
    async fn settle(&self, state: &mut State, shell: Shell, ran: &Ran) -> bool {
        match &ran.end {
            End::Status(_) | End::Interrupted(..) => {
                state.shell = Some(shell);
                true
            }
            End::ShellEnded(_) => self.take_over(state).await,
            End::ShellKilled(_, directory) => {
                state.directory.clone_from(directory);
                false
            }
            End::ShellBroken => false,
        }
    }

    async fn take_over(&self, state: &mut State) -> bool {
        let whole = shell::is_whole(self.inside.as_ref(), &state.leaves).await;
        state.restored = whole.then(|| state.leaves.clone());
        whole
    }

    async fn restart(&self, state: &mut State) {
        if let Some(mut shell) = state.shell.take() {
            shell.kill(Instant::now()).await;
        }
        *state = State::default();
    }

    /// Writes the state of the shell to a file in the sandbox; false if there is no shell whose state could be kept.
    pub(crate) async fn save(&self, file: &Path, context: &Context) -> Result<bool, Failure> {
        let mut state = self.state.lock().await;
        if state.shell.is_none() {
            return Ok(false);
        }
        self.inside
            .write(file, Vec::new(), 0o600)
            .await
            .map_err(Failure::Sandbox)?;
        let terms = Terms {
            limit: limits::TOOL_SHELL_ANSWER,
            cancel: &context.cancel,
            live: None,
        };
        self.run(&mut state, &script::keep(file), terms).await?;
        Ok(shell::is_whole(self.inside.as_ref(), file).await)
    }

    /// Lets the next shell take over what [`Self::save`] wrote; false if that is not there as a whole.
    pub(crate) async fn restore(&self, file: &Path) -> bool {
        let whole = shell::is_whole(self.inside.as_ref(), file).await;
        let mut state = self.state.lock().await;
        self.restart(&mut state).await;
        state.restored = whole.then(|| file.to_owned());
        whole
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_or_a_restart_is_asked_for() {
        let read = |input| Request::read(input).map_err(|problem| problem.to_string());
        let run = |command: &str, seconds| {
            Ok(Request::Run {
                command: command.to_owned(),
                limit: Duration::from_secs(seconds),
            })
        };
        assert_eq!(read(json!({"command": "ls"})), run("ls", 120));
        assert_eq!(
            read(json!({"command": "ls", "timeout_ms": 0, "restart": false})),
            run("ls", 120)
        );
        assert_eq!(
            read(json!({"command": "ls", "timeout_ms": 5000})),
            run("ls", 5)
        );
        assert_eq!(read(json!({"restart": true})), Ok(Request::Restart));
        for wrong in [
            json!({}),
            json!({"command": "a\0b"}),
            json!({"command": "ls", "restart": true}),
            json!({"command": "ls", "timeout_ms": -1}),
            json!({"command": "ls", "timeout_ms": 3_600_001}),
            json!({"command": "ls", "cwd": "/"}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
