//! `bailiwick knowledge search`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{AnswerForm, Client, ENVIRONMENTS, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output::{self, Colour, Tone, printable};

/// Search what an environment knows; nothing of another environment is found.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick knowledge search --environment payments-dev rotate signing keys
  bailiwick knowledge search --environment payments-dev -o json 'retry policy'")]
pub(crate) struct Arguments {
    /// What to search for: words, nothing of which is syntax.
    #[arg(value_name = "WORD", required = true)]
    words: Vec<String>,
    /// Where, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: String,
    /// How many results, at most [default: 10].
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let body = json!({
        "environment_id": client.id_of(&ENVIRONMENTS, &arguments.environment)?,
        "query": arguments.words.join(" "),
        "limit": arguments.limit,
    });
    let path = ["api", "knowledge", "search"];
    let found = client.send(Method::POST, &path, Some(&body), None)?;
    let results = found["data"].as_array().cloned().unwrap_or_default();
    match arguments.output {
        AnswerForm::Table => {
            let colour = Colour::of_stdout(host);
            let shown: String = results.iter().map(|one| shown(one, colour)).collect();
            output::print(&shown)?;
        }
        AnswerForm::Json | AnswerForm::Yaml => print_list(arguments.output, &results, &[])?,
    }
    Ok(Exit::Done.into())
}

/// A result for people: title, place, headings, and the passage.
fn shown(result: &Value, colour: Colour) -> String {
    let text = |name: &str| printable(result[name].as_str().unwrap_or_default()).into_owned();
    let place = match result["link"].as_str() {
        Some(link) => printable(link).into_owned(),
        None => text("key"),
    };
    let mut lines = vec![
        colour.paint(Tone::Strong, &text("title")),
        format!("  {}  {place}", text("connector")),
    ];
    let headings = result["headings"].as_array().into_iter().flatten();
    let headings: Vec<_> = headings.filter_map(Value::as_str).map(printable).collect();
    if !headings.is_empty() {
        lines.push(colour.paint(Tone::Quiet, &format!("  {}", headings.join(" > "))));
    }
    lines.push(format!("  {}", passage(&result["snippet"], colour)));
    format!("{}\n\n", lines.join("\n"))
}

/// In one line: what a document says is nothing that a terminal does.
fn passage(snippet: &Value, colour: Colour) -> String {
    let parts = snippet.as_array().into_iter().flatten();
    let parts = parts.map(|part| {
        let text = part["text"].as_str().unwrap_or_default();
        let text = text.replace(['\n', '\t'], " ");
        let text = printable(&text);
        match part["is_match"].as_bool() {
            Some(true) => colour.paint(Tone::Good, &text),
            Some(false) | None => text.into_owned(),
        }
    });
    parts.collect()
}
