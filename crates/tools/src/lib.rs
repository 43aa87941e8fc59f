//! The built-in tools of an agent, `agent_toolset_20260401`: `bash`, `read`, `write`, `edit`, `glob`, `grep` and `web_fetch`.
//!
//! A [`Toolset`] is that of one session. It runs calls of a model in the session's sandbox, which it sees through the runtime port alone: files
//! are opened and programs are started inside, with the identity of the sandbox, so that no path that somebody made there leads out. What it
//! answers is content for the Messages API; what is the model's mistake is told to the model, and only what no model can help (the sandbox is
//! gone) is an [`Failure`].
//!
//! It must never reach for a file, a process or a name of the machine that it runs on. `web_fetch`, which runs outside of the sandbox, gets
//! what it fetches from a [`web::Fetcher`], which holds to the egress policy of the environment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_runtime::{Error, Sandbox};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

mod bash;
mod denials;
mod edit;
mod input;
mod inside;
mod media;
mod read;
mod result;
mod schema;
mod search;
pub mod web;
mod write;

pub use denials::Denials;
pub use result::{Block, Source, ToolResult};
pub use schema::Tool;

use inside::Inside;

/// Who is shown what a command prints while it runs. It is called from the task that reads, and must not block.
pub type LiveOutput = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// The tools of one session. All calls may run at the same time; commands of `bash` wait for one another.
pub struct Toolset {
    inside: Arc<dyn Inside>,
    directory: PathBuf,
    bash: bash::Bash,
    denials: Arc<Denials>,
    web: Option<web::WebFetch>,
}

/// What a toolset is made with.
pub struct Options {
    /// Where relative paths and the shell start, as a path inside.
    pub directory: PathBuf,
    /// Variables of the shell besides those of the sandbox. Of the sandbox's own, those whose names begin with `ANTHROPIC_` or `BAILIWICK_` are
    /// taken away unless they are among these.
    pub variables: Vec<(String, String)>,
    /// The denials of the sandbox, which whoever reads its events puts there.
    pub denials: Arc<Denials>,
    /// `web_fetch`, where the agent has it.
    pub web: Option<web::WebFetch>,
}

impl Options {
    /// Tools that start in `directory`, without `web_fetch`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            variables: Vec::new(),
            denials: Arc::default(),
            web: None,
        }
    }
}

/// What a call comes with.
#[derive(Clone, Default)]
pub struct Context {
    /// Ends the call.
    pub cancel: CancellationToken,
    /// Who is shown the output of a command as it is printed.
    pub live: Option<LiveOutput>,
}

/// Why a call has no result. No other call to this sandbox will have one.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The sandbox does not do what it is asked.
    #[error(transparent)]
    Sandbox(#[from] Error),
}

impl Toolset {
    /// The tools for a sandbox. Nothing is started before it is needed.
    pub fn new<P: Clone + Send + Sync + 'static>(
        sandbox: Arc<dyn Sandbox<Policy = P>>,
        options: Options,
    ) -> Self {
        let inside: Arc<dyn Inside> = Arc::new(sandbox);
        let bash = bash::Bash::new(
            Arc::clone(&inside),
            options.directory.clone(),
            options.variables,
        );
        Self {
            inside,
            directory: options.directory,
            bash,
            denials: options.denials,
            web: options.web,
        }
    }

    /// Runs a call to its end.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub async fn call(
        &self,
        name: &str,
        input: Value,
        context: &Context,
    ) -> Result<ToolResult, Failure> {
        let Some(tool) = Tool::from_name(name) else {
            return Ok(ToolResult::error(schema::unknown(name)));
        };
        // It ends by being interrupted, not by being given up.
        if tool == Tool::Bash {
            return self.bash(input, context).await;
        }
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => Ok(ToolResult::error("interrupted by the user")),
            result = self.run(tool, input) => result,
        }
    }

    async fn bash(&self, input: Value, context: &Context) -> Result<ToolResult, Failure> {
        let request = match bash::Request::read(input) {
            Ok(request) => request,
            Err(problem) => return Ok(ToolResult::error(input::explain(Tool::Bash, &problem))),
        };
        let result = self.bash.call(request, context).await?;
        let denied = self.denials.take(self.inside.as_ref()).await;
        Ok(result.and(denied))
    }

    async fn run(&self, tool: Tool, input: Value) -> Result<ToolResult, Failure> {
        let (inside, directory) = (self.inside.as_ref(), self.directory.as_path());
        let result = match tool {
            // Never asked for here.
            Tool::Bash => return self.bash(input, &Context::default()).await,
            Tool::Read => match read::Request::read(input) {
                Ok(request) => read::run(inside, directory, request).await,
                Err(problem) => Err(problem.into()),
            },
            Tool::Write => match write::Request::read(input) {
                Ok(request) => write::run(inside, directory, request).await,
                Err(problem) => Err(problem.into()),
            },
            Tool::Edit => match edit::Request::read(input) {
                Ok(request) => edit::run(inside, directory, &request).await,
                Err(problem) => Err(problem.into()),
            },
            Tool::Glob => match search::glob::Request::read(input) {
                Ok(request) => search::glob::run(inside, directory, &request).await,
                Err(problem) => Err(problem.into()),
            },
            Tool::Grep => match search::grep::Request::read(input) {
                Ok(request) => search::grep::run(inside, directory, &request).await,
                Err(problem) => Err(problem.into()),
            },
            Tool::WebFetch => match (&self.web, web::Request::read(input)) {
                (None, _) => return Ok(ToolResult::error(schema::unknown(tool.name()))),
                (Some(web), Ok(request)) => return Ok(web.run(&request).await),
                (Some(_), Err(problem)) => Err(problem.into()),
            },
        };
        match result {
            Ok(result) => Ok(result),
            Err(Trouble::Input(problem)) => Ok(ToolResult::error(input::explain(tool, &problem))),
            Err(Trouble::Told(text)) => Ok(ToolResult::error(text)),
            Err(Trouble::Sandbox(error)) => trouble_inside(error),
        }
    }

    /// Writes what can be kept of the shell (directory, variables, functions, aliases, options) to a file in the sandbox, for a
    /// checkpoint; false if there is nothing to keep. Open files and background jobs cannot be kept.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub async fn save_state(&self, file: &Path) -> Result<bool, Failure> {
        self.bash.save(file, &Context::default()).await
    }

    /// Lets the shell go on with what [`Self::save_state`] wrote; false if there is no whole state.
    pub async fn restore_state(&self, file: &Path) -> bool {
        self.bash.restore(file).await
    }
}

/// Why a call that touches files has no good result.
enum Trouble {
    /// The input.
    Input(input::InputProblem),
    /// Something that the model is told as it is.
    Told(String),
    /// What the sandbox says.
    Sandbox(Error),
}

impl From<input::InputProblem> for Trouble {
    fn from(problem: input::InputProblem) -> Self {
        Self::Input(problem)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Sandbox(error)
    }
}

/// What is wrong with a path is told to the model; the rest is not its to know.
fn trouble_inside(error: Error) -> Result<ToolResult, Failure> {
    match error {
        Error::Path { path, problem } => {
            let path = result::printable(path.as_os_str().as_encoded_bytes());
            Ok(ToolResult::error(format!("{path}: {problem}")))
        }
        error @ (Error::Refused { .. }
        | Error::InvalidSpec { .. }
        | Error::Exists(_)
        | Error::NotFound(_)
        | Error::Gone(_)
        | Error::CheckpointNotFound(_)
        | Error::CheckpointDamaged(_)
        | Error::Unsupported(_)
        | Error::CommandNotFound(_)
        | Error::CommandNotExecutable(_)
        | Error::NotListening(_)
        | Error::Full
        | Error::Backend(_)) => Err(Failure::Sandbox(error)),
    }
}

/// A path as the sandbox takes it.
fn absolute(directory: &Path, path: &str) -> PathBuf {
    directory.join(path)
}

/// For numbers that nobody can know before.
fn random() -> u64 {
    let mut bits = [0; 8];
    // The kernel's generator is there since 3.17, and asking it for so little cannot be interrupted.
    rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())
        .expect("the kernel gives random bits");
    u64::from_ne_bytes(bits)
}
