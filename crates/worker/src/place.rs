//! The sandbox of one session, from its first call to its end.

use std::path::Path;
use std::sync::Arc;

use bailiwick_model::SandboxId;
use bailiwick_model::limits::{CHECKPOINT_BYTES, SESSION_SANDBOX_GRACE};
use bailiwick_runtime::{Checkpoint, Error, Event, Running, Runtime, Sandbox, SandboxSpec, Verb};
use bailiwick_tools::{Block, Context, Denials, Failure, Options, ToolResult, Toolset};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::JournalError;
use crate::event::Call;
use crate::id::WireId;
use crate::journal::{Entry, Record, Whereabouts};
use crate::skills::Skills;

/// Where the shell is kept over a checkpoint.
const SHELL_STATE: &str = "/home/agent/.bailiwick-shell";
/// What a model is told of a sandbox that is another one than before.
const STARTED_ANEW: &str = "[the sandbox of this session was lost and has been started anew: files and programs of before are gone]";

/// What sandboxes of sessions are made of.
pub struct Sandboxes<P> {
    runtime: Arc<dyn Runtime<Policy = P>>,
    template: SandboxSpec<P>,
    fresh_id: fn() -> SandboxId,
}

impl<P: Clone> Clone for Sandboxes<P> {
    fn clone(&self) -> Self {
        Self {
            runtime: Arc::clone(&self.runtime),
            template: self.template.clone(),
            fresh_id: self.fresh_id,
        }
    }
}

/// The sandbox of one session, or none yet.
pub(crate) struct Place<P> {
    sandboxes: Sandboxes<P>,
    entry: Entry,
    live: Option<Live<P>>,
    /// One that could be used before is gone, and the model does not know it yet.
    was_lost: bool,
    /// What else the model does not know yet of its sandbox.
    untold: Vec<String>,
}

struct Live<P> {
    sandbox: Arc<dyn Sandbox<Policy = P>>,
    tools: Toolset,
    /// It has stopped by itself.
    gone: CancellationToken,
}

/// Why a call could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// There is no sandbox.
    #[error(transparent)]
    Sandbox(#[from] Error),
    /// It cannot be written down that the call begins, so it does not.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl<P: Clone + Send + Sync + 'static> Sandboxes<P> {
    /// Sandboxes like `template`, each with an id of its own.
    pub fn new(
        runtime: Arc<dyn Runtime<Policy = P>>,
        template: SandboxSpec<P>,
        fresh_id: fn() -> SandboxId,
    ) -> Self {
        Self {
            runtime,
            template,
            fresh_id,
        }
    }

    fn spec(&self) -> SandboxSpec<P> {
        SandboxSpec {
            id: (self.fresh_id)(),
            ..self.template.clone()
        }
    }

    /// Starts one and stops it.
    pub(crate) async fn try_one(&self) -> Result<(), Error> {
        let Running { sandbox, events } = self.runtime.start(self.spec()).await?;
        // Nobody asks what happens in it.
        drop(events);
        sandbox.stop(SESSION_SANDBOX_GRACE).await
    }

    pub(crate) fn place(&self, entry: Entry) -> Place<P> {
        Place {
            sandboxes: self.clone(),
            was_lost: entry.record().sandbox == Whereabouts::Running,
            entry,
            live: None,
            untold: Vec::new(),
        }
    }
}

impl<P: Clone + Send + Sync + 'static> Place<P> {
    /// Runs a call to its end, and starts the sandbox for it if there is none, with these skills. That it begins is written down before; [`Self::is_told`] takes
    /// that back.
    pub(crate) async fn run(
        &mut self,
        call: Call,
        cancel: CancellationToken,
        skills: &Skills,
    ) -> Result<ToolResult, PlaceError> {
        if self
            .live
            .as_ref()
            .is_some_and(|live| live.gone.is_cancelled())
        {
            self.live = None;
            self.was_lost = true;
        }
        let Ok(input) = serde_json::from_str(&call.input) else {
            return Ok(told("the input is no JSON that can be read here"));
        };
        if self.live.is_none() {
            self.start(skills).await?;
        }
        let begins = call.id.clone();
        self.note(move |record| {
            record.begun.insert(begins);
        })
        .await?;
        let Some(live) = &self.live else {
            return Err(Error::Refused {
                feature: "a sandbox".into(),
                remedy: None,
            }
            .into());
        };
        let context = Context { cancel, live: None };
        let ran = live.tools.call(call.tool.name(), input, &context).await;
        let mut result = match ran {
            Ok(result) => result,
            Err(Failure::Sandbox(error)) => {
                tracing::warn!(sandbox = %live.sandbox.id(), %error, "a sandbox was lost in a call");
                self.lose().await;
                told("the sandbox was lost while this ran: what it did is gone with it")
            }
        };
        if std::mem::take(&mut self.was_lost) {
            let text = STARTED_ANEW.to_owned();
            result.content.push(Block::Text { text });
        }
        let untold = std::mem::take(&mut self.untold).into_iter();
        result
            .content
            .extend(untold.map(|text| Block::Text { text }));
        Ok(result)
    }

    /// Somebody has the result of a call, or nobody wants it any more.
    pub(crate) async fn is_told(&mut self, call: WireId) -> Result<(), JournalError> {
        self.note(move |record| {
            record.begun.remove(&call);
        })
        .await
    }

    /// Keeps the files of the sandbox, and stops it.
    pub(crate) async fn keep(&mut self) -> Result<(), PlaceError> {
        let Some(live) = self.live.take() else {
            return Ok(());
        };
        match kept(&self.sandboxes, &live).await {
            Ok(kept) => Ok(self.note(move |record| record.sandbox = kept).await?),
            Err(error) => {
                // The next worker reads that it ran, and tells that it was lost.
                live.sandbox.stop(SESSION_SANDBOX_GRACE).await?;
                Err(error.into())
            }
        }
    }

    /// Throws away what was kept. If the session goes on, its model is told.
    pub(crate) async fn forget(mut self) -> Result<(), PlaceError> {
        self.discard().await?;
        let lost = self.note(|record| record.sandbox = Whereabouts::Running);
        Ok(lost.await?)
    }

    /// Throws away what was kept, and all that is written down.
    pub(crate) async fn remove(self) -> Result<(), PlaceError> {
        self.discard().await?;
        Ok(self.entry.remove()?)
    }

    /// Nothing is left of the sandbox, nor of what was kept of it.
    pub(crate) async fn end(&mut self) -> Result<(), PlaceError> {
        if let Some(live) = self.live.take() {
            live.sandbox.stop(SESSION_SANDBOX_GRACE).await?;
        }
        self.discard().await?;
        if self.entry.record().begun.is_empty() {
            Ok(self.entry.clone().remove()?)
        } else {
            Ok(self
                .note(|record| record.sandbox = Whereabouts::Nowhere)
                .await?)
        }
    }

    async fn discard(&self) -> Result<(), Error> {
        match &self.entry.record().sandbox {
            Whereabouts::Kept { checkpoint, .. } => {
                self.sandboxes.runtime.discard(checkpoint).await
            }
            Whereabouts::Nowhere | Whereabouts::Running => Ok(()),
        }
    }

    async fn start(&mut self, skills: &Skills) -> Result<(), PlaceError> {
        let spec = self.sandboxes.spec();
        let directory = spec.directory.clone();
        let (running, has_shell) = match self.entry.record().sandbox.clone() {
            Whereabouts::Kept {
                checkpoint,
                has_shell,
                ..
            } => (self.restored(spec, &checkpoint).await?, has_shell),
            Whereabouts::Nowhere | Whereabouts::Running => {
                (self.sandboxes.runtime.start(spec).await?, false)
            }
        };
        let Running { sandbox, events } = running;
        // What was kept has them.
        let is_fresh = self.was_lost || self.entry.record().sandbox == Whereabouts::Nowhere;
        if is_fresh {
            self.untold = skills.place(sandbox.as_ref(), &directory).await;
        }
        let (denials, gone) = (Arc::new(Denials::default()), CancellationToken::new());
        tokio::spawn(attend(events, Arc::clone(&denials), gone.clone()));
        let options = Options {
            denials,
            ..Options::new(directory)
        };
        let tools = Toolset::new(Arc::clone(&sandbox), options);
        if has_shell {
            // Without it the shell begins anew, and says so itself.
            tools.restore_state(Path::new(SHELL_STATE)).await;
        }
        self.live = Some(Live {
            sandbox,
            tools,
            gone,
        });
        let noted = self
            .note(|record| record.sandbox = Whereabouts::Running)
            .await;
        if noted.is_err() {
            self.lose().await;
        }
        Ok(noted?)
    }

    /// From what was kept, or without it if that is not there any more, or not what was written.
    async fn restored(
        &mut self,
        spec: SandboxSpec<P>,
        checkpoint: &Checkpoint,
    ) -> Result<Running<P>, Error> {
        let runtime = Arc::clone(&self.sandboxes.runtime);
        match runtime.restore(spec.clone(), checkpoint).await {
            Err(Error::CheckpointNotFound(_)) => {
                self.was_lost = true;
                runtime.start(spec).await
            }
            // It is as damaged the next time.
            Err(error @ Error::CheckpointDamaged(_)) => {
                tracing::error!(%error, "what was kept of a session is lost");
                if let Err(error) = runtime.discard(checkpoint).await {
                    tracing::warn!(%checkpoint, %error, "what was kept of a sandbox cannot be removed");
                }
                self.was_lost = true;
                runtime.start(spec).await
            }
            restored => restored,
        }
    }

    async fn lose(&mut self) {
        if let Some(live) = self.live.take()
            && let Err(error) = live.sandbox.stop(SESSION_SANDBOX_GRACE).await
        {
            tracing::warn!(sandbox = %live.sandbox.id(), %error, "a sandbox has not ended as it should");
        }
        self.was_lost = true;
    }

    /// The disk may be slow, and heartbeats do not wait.
    async fn note(
        &mut self,
        change: impl FnOnce(&mut Record) + Send + 'static,
    ) -> Result<(), JournalError> {
        let mut entry = self.entry.clone();
        let noting = tokio::task::spawn_blocking(move || {
            entry.change(change)?;
            Ok::<_, JournalError>(entry)
        });
        match noting.await {
            Ok(entry) => {
                self.entry = entry?;
                Ok(())
            }
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

async fn kept<P>(sandboxes: &Sandboxes<P>, live: &Live<P>) -> Result<Whereabouts, Error>
where
    P: Clone + Send + Sync + 'static,
{
    if !sandboxes.runtime.supports(Verb::Checkpoint) {
        live.sandbox.stop(SESSION_SANDBOX_GRACE).await?;
        return Ok(Whereabouts::Nowhere);
    }
    let saved = live.tools.save_state(Path::new(SHELL_STATE)).await;
    let has_shell = match saved {
        Ok(has_shell) => has_shell,
        Err(Failure::Sandbox(error)) => return Err(error),
    };
    let checkpoint = live.sandbox.checkpoint().await?;
    let bytes = sandboxes.runtime.checkpoint_bytes(&checkpoint).await;
    let bytes = bytes.unwrap_or_else(|error| {
        tracing::warn!(%checkpoint, %error, "how much was kept of a sandbox is not known");
        // As much as there may be.
        let most = sandboxes.template.limits.disk_bytes;
        most.unwrap_or(CHECKPOINT_BYTES)
    });
    Ok(Whereabouts::Kept {
        checkpoint,
        has_shell,
        bytes,
    })
}

/// Reads what happens in a sandbox until nothing does any more.
async fn attend(mut events: mpsc::Receiver<Event>, denials: Arc<Denials>, gone: CancellationToken) {
    while let Some(event) = events.recv().await {
        denials.hear(&event);
    }
    gone.cancel();
}

/// That something did not work, as a model reads it.
pub(crate) fn told(text: impl Into<String>) -> ToolResult {
    ToolResult {
        content: vec![Block::Text { text: text.into() }],
        is_error: true,
    }
}
