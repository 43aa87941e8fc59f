//! `bailiwick apply`.

mod carry_out;
mod difference;
mod documents;
mod plan;
mod present;
mod show;

use std::io::{self, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::bad_input::BadInput;
use crate::client::{AnswerForm, Client, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::input::STDIN;
use crate::output::{self, Colour};
use crate::value;
use carry_out::{ChangedMeanwhile, Outcome};
use documents::Document;
use plan::{Asked, Plan};
use present::Wanted;

/// Make a server have what files declare: environments, agents and more.
///
/// Reads documents of `kind: Environment` (an environment file, which needs no `kind`) and `kind: Agent` (the shape of the wire API, and `environment:
/// NAME`), `kind: LlmProxy`, `kind: Limit` and `kind: KnowledgeConnector`, compares them with what the server has, shows what it would do, asks, and does it:
/// first environments, then agents, proxies, limits and connectors. What a document does not name is the default; only `restricted`, `namespace` and an
/// agent's `environment` stay as they are.
///
/// What is made with --set NAME is marked by the pair `apply-set: NAME` in its metadata, or by `apply_set` where there is none. --prune archives what has the
/// mark and is in no document any more (of proxies, limits and connectors it deletes it), and nothing else.
///
/// Exit codes: 0 everything is as declared; 1 there is something to do (--dry-run); 2 bad input, nothing was written; 3 not confirmed, or the server
/// refused something: the summary says what was done and what was not; 125 the server could not be reached or failed, likewise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick apply -f environments/ --dry-run
  bailiwick apply -f environments/ -f agents/ --set payments --prune
  bailiwick apply -f - --set payments --yes -o json < all.yaml")]
pub(crate) struct Arguments {
    /// A file, a directory with all below it that is called *.yaml, *.yml or *.json, or `-` for standard input; may be given several times.
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// The set that what is made belongs to.
    #[arg(long, value_name = "NAME", value_parser = value::set)]
    set: Option<String>,
    /// Archive, or delete, what was made with this set and is in no document any more.
    #[arg(long, requires = "set")]
    prune: bool,
    /// Let the set have what belongs to another one or to none, so that --prune archives it later.
    #[arg(long, requires = "set")]
    take_over: bool,
    /// Do it without asking.
    #[arg(short = 'y', long)]
    yes: bool,
    /// Only show what would be done.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(crate) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let documents = documents::read(&arguments.files, host)?;
    let client = Client::new(&arguments.server, host)?;
    let wants = |of: fn(&Document) -> bool| arguments.prune || documents.iter().any(of);
    let wanted = Wanted {
        spending: wants(Document::is_about_spending),
        knowledge: wants(Document::is_about_knowledge),
    };
    let present = present::read(&client, wanted)?;
    let asked = Asked {
        documents: &documents,
        present: &present,
        set: arguments.set.as_deref(),
        prune: arguments.prune,
        take_over: arguments.take_over,
    };
    let plan = match plan::plan(&asked) {
        Ok(plan) => plan,
        Err(problems) => {
            for problem in &problems {
                output::print_error(&anyhow::Error::msg(problem.to_string()), host);
            }
            let told = format!("{} cannot be applied", counted(problems.len(), "document"));
            return Err(BadInput::NotApplied(told).into());
        }
    };
    if arguments.output == AnswerForm::Table {
        output::print(&show::plan(&plan, Colour::of_stdout(host)))?;
    }
    if plan.has_nothing_to_do() || arguments.dry_run {
        show::answer(arguments, &plan, None)?;
        let exit = if plan.has_nothing_to_do() {
            Exit::Done
        } else {
            Exit::Differs
        };
        return Ok(exit.into());
    }
    if !confirmed(arguments)? {
        output::print_to_stderr("nothing was written\n");
        return Ok(Exit::Denied.into());
    }
    let told = |line: &str| match arguments.output {
        AnswerForm::Table => output::print(line),
        AnswerForm::Json | AnswerForm::Yaml => Ok(()),
    };
    let outcome = carry_out::carry_out(&client, &plan, &present, told)?;
    show::answer(arguments, &plan, Some(&outcome))?;
    Ok(ended(&plan, outcome, host).into())
}

fn ended(plan: &Plan, outcome: Outcome, host: &HostEnvironment) -> Exit {
    let Some(failed) = outcome.failed else {
        return Exit::Done;
    };
    output::print_error(&failed.error, host);
    output::print_to_stderr(&show::left(plan, &failed));
    let exit = Exit::of_error(&failed.error);
    if exit == Exit::BadInput || failed.error.is::<ChangedMeanwhile>() {
        // What was typed was right until then.
        Exit::Denied
    } else {
        exit
    }
}

/// Whether it may be done: somebody says so, now or by `--yes`.
fn confirmed(arguments: &Arguments) -> anyhow::Result<bool> {
    if arguments.yes {
        return Ok(true);
    }
    let reads_documents = arguments.files.iter().any(|file| file == Path::new(STDIN));
    let asks = arguments.output == AnswerForm::Table && !reads_documents;
    if !asks || !io::stdin().is_terminal() {
        return Err(BadInput::NotConfirmed.into());
    }
    output::print_to_stderr("Do it? [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// `1 file`, `2 files`.
fn counted(count: usize, noun: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{end}")
}
