//! What commands that follow a session have in common: they print events until it rests.

use serde_json::Value;

use super::rest::{Rest, Rests};
use super::transcript::Transcript;
use crate::client::{Client, Event, Follow};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output::{self, Colour};

/// In which form events are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum EventForm {
    /// For people.
    Text,
    /// For programs: each event in a line.
    Json,
}

/// What prints events.
pub(super) struct Printing {
    form: EventForm,
    transcript: Transcript,
}

impl EventForm {
    /// Whether parts of messages are of use.
    pub(super) fn has_parts(self) -> bool {
        match self {
            Self::Text => true,
            Self::Json => false,
        }
    }
}

impl Printing {
    pub(super) fn new(form: EventForm, host: &HostEnvironment) -> Self {
        let transcript = Transcript::new(Colour::of_stdout(host));
        Self { form, transcript }
    }

    pub(super) fn print(&mut self, event: &Event) -> anyhow::Result<()> {
        let text = match self.form {
            EventForm::Text => self.transcript.tell(&event.value),
            EventForm::Json => format!("{}\n", event.json),
        };
        Ok(output::print(&text)?)
    }
}

/// Prints events until the session rests.
pub(super) async fn until_rest(
    mut follow: Follow<'_>,
    printing: &mut Printing,
) -> anyhow::Result<Exit> {
    let mut rests = Rests::default();
    while let Some(event) = follow.next().await? {
        printing.print(&event)?;
        if let Some(rest) = rests.note(&event.value) {
            return Ok(rest.into());
        }
    }
    Ok(Rest::Stopped.into())
}

/// Everything that has happened in a session.
pub(super) fn history(client: &Client, session: &str) -> anyhow::Result<Vec<Value>> {
    client.list(&["v1", "sessions", session, "events"], "1000", &[])
}

/// The event that a session's list ends with.
pub(super) fn last(client: &Client, session: &str) -> anyhow::Result<Option<Value>> {
    let path = ["v1", "sessions", session, "events"];
    let mut found = client.get(&path, &[("order", "desc"), ("limit", "1")])?;
    Ok(found["data"].get_mut(0).map(Value::take))
}

/// The id of an event.
pub(super) fn id(event: &Value) -> Option<String> {
    Some(event["id"].as_str()?.to_owned())
}
