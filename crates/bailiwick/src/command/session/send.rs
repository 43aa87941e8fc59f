//! `bailiwick session send`.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use super::following::{EventForm, Printing, id, until_rest};
use crate::bad_input::BadInput;
use crate::client::{Client, SESSIONS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output;

/// Say something to a session, or answer what it asks.
///
/// It prints the id of the event. With --follow it prints what happens from there on until the session rests, and ends as `session stream
/// --until-idle` does.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["text", "confirm", "result"])))]
#[command(after_help = "\
Examples:
  bailiwick session send sesn_01JQ8ZK5T6W3R9X2 'Run the tests.' --follow
  bailiwick session send sesn_01JQ8ZK5T6W3R9X2 --confirm sevt_01JQ8ZM2C4N7P5T8 allow
  bailiwick session send sesn_01JQ8ZK5T6W3R9X2 --confirm sevt_01JQ8ZM2C4N7P5T8 deny --message 'Not on a Friday.'
  bailiwick session send sesn_01JQ8ZK5T6W3R9X2 --result sevt_01JQ8ZM2C4N7P5T8 '21 degrees'")]
pub(crate) struct Arguments {
    /// Its id or its title.
    #[arg(value_name = "SESSION")]
    session: String,
    /// What to say; with --result, what the call came to.
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// Say whether a call that asks for permission may be made: its event's id, and `allow` or `deny`.
    #[arg(
        long,
        num_args = 2,
        value_names = ["CALL", "allow|deny"],
        conflicts_with_all = ["text", "result"]
    )]
    confirm: Option<Vec<String>>,
    /// Why a call may not be made.
    #[arg(long, value_name = "TEXT", requires = "confirm")]
    message: Option<String>,
    /// Say what this call of a tool of yours came to, which is the text.
    #[arg(long, value_name = "CALL", requires = "text")]
    result: Option<String>,
    /// It failed.
    #[arg(long, requires = "result")]
    error: bool,
    /// Print what happens until the session rests.
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to print events.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = EventForm::Text)]
    output: EventForm,
}

impl Arguments {
    fn event(&self) -> Result<Value, BadInput> {
        if let Some([call, verdict]) = self.confirm.as_deref() {
            return match verdict.as_str() {
                "allow" => Ok(confirmation(call, true, None)),
                "deny" => Ok(confirmation(call, false, self.message.as_deref())),
                _ => Err(BadInput::NotAVerdict(verdict.clone())),
            };
        }
        let text = self.text.as_deref().unwrap_or_default();
        let content = json!([{"type": "text", "text": text}]);
        Ok(match &self.result {
            Some(call) => json!({
                "type": "user.custom_tool_result",
                "custom_tool_use_id": call,
                "content": content,
                "is_error": self.error,
            }),
            None => json!({"type": "user.message", "content": content}),
        })
    }
}

/// The event that says whether a call may be made.
pub(super) fn confirmation(call: &str, allowed: bool, why: Option<&str>) -> Value {
    let mut event = json!({
        "type": "user.tool_confirmation",
        "tool_use_id": call,
        "result": if allowed { "allow" } else { "deny" },
    });
    if let Some(why) = why {
        event["deny_message"] = why.into();
    }
    event
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let event = arguments.event()?;
    let client = Client::new(&arguments.server, host)?;
    let session = client.id_of(&SESSIONS, &arguments.session)?;
    let sent = client.wait(client.say(&session, &json!([event])))?;
    let sent = id(&sent["data"][0]).context("the server's answer has no event")?;
    if !arguments.follow {
        output::print(&format!("{sent}\n"))?;
        return Ok(Exit::Done.into());
    }
    let follow = client.follow(&session, Some(sent), arguments.output.has_parts());
    let mut printing = Printing::new(arguments.output, host);
    Ok(client.wait(until_rest(follow, &mut printing))?.into())
}
