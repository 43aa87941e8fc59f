//! `bailiwick session attach`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::conversation::{Conversation, Wants};
use super::following::{EventForm, Printing, history, id};
use super::rest::Rest;
use crate::client::{Client, Event, Follow, SESSIONS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output;

/// Takes back a prompt that nobody has answered.
const ERASED: &str = "\r\u{1b}[K";

/// Take part in a session, with live output.
///
/// Ctrl-C interrupts what the session does, and a second one, or one while it rests, leaves it; so does Ctrl-D. Where a call asks for
/// permission, the line is the answer: `y`, `n`, or `n` and why not.
///
/// Without a terminal each line waits until the session rests or asks, and after the last one it ends when the session rests: with 0 if the
/// agent has done its part, 1 if somebody has to allow a call or say what one came to, 3 if it stopped otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick session attach sesn_01JQ8ZK5T6W3R9X2
  printf 'Run the tests.\\ny\\n' | bailiwick session attach sesn_01JQ8ZK5T6W3R9X2")]
pub(crate) struct Arguments {
    /// Its id or its title.
    #[arg(value_name = "SESSION")]
    session: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let session = client.id_of(&SESSIONS, &arguments.session)?;
    Ok(to(&client, &session, host)?.into())
}

/// Takes part in a session until somebody leaves it, or it ends.
pub(super) fn to(client: &Client, session: &str, host: &HostEnvironment) -> anyhow::Result<Exit> {
    let mut printing = Printing::new(EventForm::Text, host);
    let mut conversation = Conversation::default();
    let mut last = None;
    for event in history(client, session)? {
        let event = Event::of(event);
        printing.print(&event)?;
        conversation.note(&event.value);
        last = id(&event.value).or(last);
        if Rest::is_end(&event.value) {
            return Ok(Rest::Stopped.into());
        }
    }
    let attached = Attached {
        client,
        session,
        follow: client.follow(session, last, true),
        printing,
        conversation,
        is_terminal: std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
        has_prompt: false,
    };
    client.wait(attached.run())
}

struct Attached<'c> {
    client: &'c Client,
    session: &'c str,
    follow: Follow<'c>,
    printing: Printing,
    conversation: Conversation,
    is_terminal: bool,
    /// A prompt stands at the end of what was printed.
    has_prompt: bool,
}

impl Attached<'_> {
    async fn run(mut self) -> anyhow::Result<Exit> {
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut lines = lines();
        let mut has_lines = true;
        loop {
            if !has_lines && let Some(rest) = self.conversation.rests() {
                return Ok(rest.into());
            }
            self.prompt()?;
            let takes_lines = has_lines && (self.is_terminal || self.conversation.takes_a_line());
            tokio::select! {
                event = self.follow.next() => {
                    let Some(event) = event? else { return Ok(Rest::Stopped.into()) };
                    self.happened(&event)?;
                }
                line = lines.recv(), if takes_lines => match line {
                    Some(line) => self.take(&line).await?,
                    None if self.is_terminal => return self.left(),
                    None => has_lines = false,
                },
                _ = interrupts.recv() => {
                    if !self.conversation.may_be_interrupted() {
                        return self.left();
                    }
                    self.conversation.is_interrupted();
                    self.send(&json!({"type": "user.interrupt"})).await?;
                    self.note("[interrupting; again, to leave]")?;
                }
            }
        }
    }

    fn happened(&mut self, event: &Event) -> anyhow::Result<()> {
        if std::mem::take(&mut self.has_prompt) {
            output::print(ERASED)?;
        }
        self.printing.print(event)?;
        self.conversation.note(&event.value);
        Ok(())
    }

    /// Shows what a line would be, if somebody may be there to write one.
    fn prompt(&mut self) -> anyhow::Result<()> {
        if !self.is_terminal || self.has_prompt {
            return Ok(());
        }
        let prompt = match self.conversation.wants() {
            Wants::Nothing => return Ok(()),
            Wants::Words => "> ",
            Wants::Permission(_) => "allow it? [y/n] ",
        };
        self.has_prompt = true;
        Ok(output::print(prompt)?)
    }

    async fn take(&mut self, line: &str) -> anyhow::Result<()> {
        self.has_prompt = false;
        let line = line.trim();
        if line.is_empty() {
            return Ok(());
        }
        match self.conversation.answer(line) {
            Some(event) => self.send(&event).await,
            None => self.note("[answer y or n]"),
        }
    }

    /// What a server refuses is told to whoever can write something else.
    async fn send(&mut self, event: &Value) -> anyhow::Result<()> {
        match self.client.say(self.session, &json!([event])).await {
            Ok(_) => Ok(()),
            Err(error) if self.is_terminal => {
                let text = format!("{error:#}");
                self.note(&format!("[{}]", output::printable(&text)))
            }
            Err(error) => Err(error),
        }
    }

    fn note(&mut self, text: &str) -> anyhow::Result<()> {
        let erased = if std::mem::take(&mut self.has_prompt) {
            ERASED
        } else {
            ""
        };
        Ok(output::print(&format!("{erased}{text}\n"))?)
    }

    fn left(&self) -> anyhow::Result<Exit> {
        if self.has_prompt {
            output::print("\n")?;
        }
        Ok(Exit::Done)
    }
}

/// The lines of standard input, as they are wanted. What reads them ends with this process: a read cannot be given up.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}
