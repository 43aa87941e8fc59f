//! `bailiwick session stream`.

use std::process::ExitCode;

use super::following::{EventForm, Printing, history, id, last, until_rest};
use super::rest::Rest;
use crate::client::{Client, Event, SESSIONS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Print what happens in a session, as it happens.
///
/// A connection that breaks is made again, and goes on after the last event that came. It ends with the session; with --until-idle also when
/// the session rests, or at once if it does already: with 0 if the agent has done its part, 1 if somebody has to allow a call or say what one
/// came to, 3 if it stopped otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick session stream sesn_01JQ8ZK5T6W3R9X2
  bailiwick session stream sesn_01JQ8ZK5T6W3R9X2 --history --until-idle -o json | jq -r .type")]
pub(crate) struct Arguments {
    /// Its id or its title; archived ones have an id alone.
    #[arg(value_name = "SESSION")]
    session: String,
    /// First what has happened already.
    #[arg(long)]
    history: bool,
    /// Only what comes after this event.
    #[arg(long, value_name = "EVENT", conflicts_with = "history")]
    after: Option<String>,
    /// End when the session rests.
    #[arg(long)]
    until_idle: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to print events.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = EventForm::Text)]
    output: EventForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let session = client.id_of(&SESSIONS, &arguments.session)?;
    let mut printing = Printing::new(arguments.output, host);
    let mut latest = None;
    if arguments.history {
        for event in history(&client, &session)? {
            printing.print(&Event::of(event.clone()))?;
            latest = Some(event);
        }
    } else if arguments.after.is_none() {
        latest = last(&client, &session)?;
    }
    if let Some(latest) = &latest {
        match Rest::of(latest) {
            Some(rest) if arguments.until_idle => return Ok(Exit::from(rest).into()),
            Some(_) if Rest::is_end(latest) => return Ok(Exit::Done.into()),
            Some(_) | None => {}
        }
    }
    let after = arguments.after.clone().or(latest.as_ref().and_then(id));
    let mut follow = client.follow(&session, after, arguments.output.has_parts());
    let exit = client.wait(async {
        if arguments.until_idle {
            return until_rest(follow, &mut printing).await;
        }
        while let Some(event) = follow.next().await? {
            printing.print(&event)?;
        }
        Ok(Exit::Done)
    });
    Ok(exit?.into())
}
