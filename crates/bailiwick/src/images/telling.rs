//! How builds are told of: to a person, on a line that changes, or to a program, as events.

use std::io::{self, IsTerminal};

use bailiwick_images::{BuildError, BuildEvent, Content, FailureClass, Layer, Progress, ProjectAt};

use crate::output::{self, printable};

/// How a build is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    /// Not at all.
    Nothing,
    /// To a person.
    Text,
    /// To a program: events, a JSON object a line.
    Events,
}

/// In which form somebody wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ProgressForm {
    /// For people.
    Text,
    /// For programs: one JSON object a line, on standard error.
    Json,
}

impl Telling {
    pub(crate) fn of(form: ProgressForm, quiet: bool) -> Self {
        match form {
            ProgressForm::Json => Self::Events,
            ProgressForm::Text if quiet => Self::Nothing,
            ProgressForm::Text => Self::Text,
        }
    }
}

/// A failure that standard error has told already.
#[derive(Debug, thiserror::Error)]
#[error("there is no image")]
pub(crate) struct Told;

fn tell_event(event: &BuildEvent<'_>) {
    // Texts and numbers alone, which always have a form in JSON.
    let line = serde_json::to_string(event).unwrap_or_default();
    output::print_to_stderr(&format!("{line}\n"));
}

/// The end of what was told of: where events are, a failure is the last of them.
pub(super) fn ended<T>(telling: Telling, result: anyhow::Result<T>) -> anyhow::Result<T> {
    match (telling, result) {
        (Telling::Events, Err(error)) => {
            tell_failure(&error);
            Err(Told.into())
        }
        (_, result) => result,
    }
}

/// Tells something beside a build that a person should know.
pub(super) fn tell_note(telling: Telling, note: &str) {
    match telling {
        Telling::Nothing => {}
        Telling::Text => output::print_to_stderr(&format!("bailiwick: {}\n", printable(note))),
        Telling::Events => tell_event(&BuildEvent::Line { text: note }),
    }
}

fn tell_failure(error: &anyhow::Error) {
    match error.downcast_ref::<BuildError>() {
        Some(error) => tell_event(&error.into()),
        None => tell_event(&BuildEvent::Failed {
            class: FailureClass::Machine,
            limit: None,
            what: None,
            key: None,
            message: format!("{error:#}"),
        }),
    }
}

/// Tells a person how a build goes: a line that changes on a terminal, else a line per layer.
pub(super) struct Teller {
    telling: Telling,
    terminal: bool,
    current: String,
}

impl Teller {
    pub(super) fn new(telling: Telling) -> Self {
        Self {
            telling,
            terminal: io::stderr().is_terminal(),
            current: String::new(),
        }
    }

    pub(super) fn tell(&mut self, progress: Progress<'_>) {
        match self.telling {
            Telling::Nothing => {}
            Telling::Text => self.tell_person(progress),
            Telling::Events => tell_event(&progress.into()),
        }
    }

    /// That a repository does not answer, so that the project is what it was last.
    pub(super) fn tell_unreachable(&self, project: &ProjectAt, error: &BuildError) {
        let commit = &project.head.commit;
        match self.telling {
            Telling::Nothing => {}
            Telling::Text => {
                // Nobody else tells of it, so the whole of it has to be seen.
                self.clear();
                let text = format!("{error}; the project is what it was last, {commit}");
                output::print_to_stderr(&format!("bailiwick: {}\n", printable(&text)));
            }
            Telling::Events => tell_event(&BuildEvent::Unreachable {
                repository: project.project.repository.as_str(),
                commit,
            }),
        }
    }

    fn tell_person(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Fetching(repository) => {
                self.current = format!("project: fetching {repository}");
                // Mostly there is nothing new, and then nobody wants to read of it.
                if self.terminal {
                    self.say(&self.current.clone(), true);
                }
            }
            Progress::Begun(content) => {
                let what = match content {
                    Content::Packages { .. } | Content::Base { .. } => "installing",
                    Content::Project { .. } => "setting up",
                };
                self.current = format!("{}: {what} {}", content.kind(), content.declared());
                self.say(&self.current.clone(), true);
            }
            Progress::Waiting(content) => {
                let kind = content.kind();
                self.say(
                    &format!("{kind}: waiting for another build of the same layer"),
                    true,
                );
            }
            Progress::Line(line) if self.terminal => {
                self.say(&format!("{} | {}", self.current, line.trim()), true);
            }
            Progress::Line(_) => {}
            Progress::Retrying(pause) => {
                let seconds = pause.as_secs();
                self.say(
                    &format!("the network failed; trying again in {seconds} s"),
                    false,
                );
            }
            Progress::Done(layer) => self.done(layer),
        }
    }

    fn done(&mut self, layer: &Layer) {
        if !std::mem::take(&mut self.current).is_empty() {
            let record = &layer.record;
            let packages = match &record.inputs.content {
                Content::Packages { .. } => format!("{} packages, ", record.resolved.len()),
                Content::Base { .. } | Content::Project { .. } => String::new(),
            };
            let (kind, size) = (record.inputs.content.kind(), record.bytes >> 20);
            self.say(
                &format!("{kind}: {packages}{size} MiB, {} s", record.seconds),
                false,
            );
        }
    }

    /// A line that passes is overwritten by the next one where that is possible.
    fn say(&self, text: &str, passes: bool) {
        let text = printable(text);
        if self.terminal {
            let short: String = text.chars().take(self.columns()).collect();
            let end = if passes { "" } else { "\n" };
            output::print_to_stderr(&format!("\r\x1b[K{short}{end}"));
        } else {
            output::print_to_stderr(&format!("bailiwick: {text}\n"));
        }
    }

    fn columns(&self) -> usize {
        rustix::termios::tcgetwinsize(io::stderr())
            .map_or(80, |size| usize::from(size.ws_col).max(20))
            - 1
    }

    pub(super) fn clear(&self) {
        if self.terminal && self.telling == Telling::Text {
            output::print_to_stderr("\r\x1b[K");
        }
    }
}
