//! How a plan, and what came of it, is shown.

use serde::Serialize;
use serde_json::Value;

use super::Arguments;
use super::carry_out::{Failed, Outcome};
use super::difference::Change;
use super::plan::{Item, Kind, Plan, Step};
use crate::client::AnswerForm;
use crate::output::{self, Colour, Tone, printable};

/// The most characters of a value that people are shown.
const VALUE_CHARS: usize = 100;

/// A plan and what came of it, for programs.
#[derive(Serialize)]
struct Answer<'a> {
    set: Option<&'a str>,
    dry_run: bool,
    items: Vec<ShownItem<'a>>,
}

#[derive(Serialize)]
struct ShownItem<'a> {
    action: &'static str,
    kind: Kind,
    name: &'a str,
    id: Option<&'a str>,
    /// `planned`, `done`, `failed` or `not_done`.
    state: &'static str,
    changes: &'a [Change],
    error: Option<String>,
}

impl Step {
    fn sign(&self) -> (char, Tone) {
        match self {
            Self::Create { .. } => ('+', Tone::Good),
            Self::Update { .. } => ('~', Tone::Strong),
            Self::Unchanged { .. } => ('=', Tone::Quiet),
            Self::Prune { .. } => ('-', Tone::Bad),
        }
    }

    /// The word for programs.
    fn action(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Unchanged { .. } => "unchanged",
            Self::Prune { .. } => "prune",
        }
    }

    fn past(&self, kind: Kind) -> &'static str {
        match self {
            Self::Create { .. } => "created",
            Self::Update { .. } => "updated",
            Self::Unchanged { .. } => "unchanged",
            Self::Prune { .. } => kind.taken_away(),
        }
    }

    fn changes(&self) -> &[Change] {
        match self {
            Self::Create { changes, .. } | Self::Update { changes, .. } => changes,
            Self::Unchanged { .. } | Self::Prune { .. } => &[],
        }
    }
}

/// A plan for people.
pub(super) fn plan(plan: &Plan, colour: Colour) -> String {
    let mut text = String::new();
    for item in &plan.items {
        let (sign, tone) = item.step.sign();
        let id = item.step.id().map(|id| format!(" ({})", printable(id)));
        let (kind, name) = (item.kind, printable(&item.name));
        let note = match item.step {
            Step::Prune { .. } => format!(": is {}", kind.taken_away()),
            Step::Create { .. } | Step::Update { .. } | Step::Unchanged { .. } => String::new(),
        };
        let line = format!("{sign} {kind} {name}{}{note}", id.unwrap_or_default());
        text += &colour.paint(tone, &line);
        text.push('\n');
        for change in item.step.changes() {
            text += &line_of(change, colour);
        }
    }
    text + &counts(plan)
}

fn line_of(change: &Change, colour: Colour) -> String {
    let path = printable(&change.path);
    let (tone, line) = match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            let line = format!("~ {path}: {} -> {}", short(before), short(after));
            (Tone::Strong, line)
        }
        (Some(before), None) => (Tone::Bad, format!("- {path}: {}", short(before))),
        (None, after) => {
            let after = after.as_ref().map(short).unwrap_or_default();
            (Tone::Good, format!("+ {path}: {after}"))
        }
    };
    format!("    {}\n", colour.paint(tone, &line))
}

/// A value as JSON; of a long one its beginning.
fn short(value: &Value) -> String {
    let text = value.to_string();
    let count = text.chars().count();
    if count <= VALUE_CHARS {
        return printable(&text).into_owned();
    }
    let begin: String = text.chars().take(VALUE_CHARS).collect();
    format!("{}... ({count} characters)", printable(&begin))
}

/// `2 to create, 1 to update`.
fn counts(plan: &Plan) -> String {
    let count = |action| {
        plan.items
            .iter()
            .filter(|item| item.step.action() == action)
            .count()
    };
    let pruned = |how| {
        let items = plan.items.iter();
        items
            .filter(|item| item.step.action() == "prune" && item.kind.taken_away() == how)
            .count()
    };
    let unchanged = count("unchanged");
    if plan.has_nothing_to_do() {
        return format!("nothing to do: {unchanged} unchanged\n");
    }
    let parts = [
        (count("create"), "to create"),
        (count("update"), "to update"),
        (pruned("archived"), "to archive"),
        (pruned("deleted"), "to delete"),
        (unchanged, "unchanged"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    format!("{}\n", parts.join(", "))
}

/// The line for what was done; none for what was as it should be.
pub(super) fn done(item: &Item, id: &str) -> String {
    if matches!(item.step, Step::Unchanged { .. }) {
        return String::new();
    }
    let (past, kind) = (item.step.past(item.kind), item.kind);
    format!(
        "{past} {kind} {} ({})\n",
        printable(&item.name),
        printable(id)
    )
}

/// What was done before something failed, what failed, and what was not tried.
pub(super) fn left(plan: &Plan, failed: &Failed) -> String {
    let lines = |items: &[Item]| {
        let todo = items
            .iter()
            .filter(|item| item.step.action() != "unchanged");
        let line = |item: &Item| {
            let (action, kind) = (item.step.action(), item.kind);
            format!("  {action} {kind} {}\n", printable(&item.name))
        };
        todo.map(line).collect::<String>()
    };
    let (before, after) = plan.items.split_at(failed.index);
    let parts = [
        ("done", before),
        ("failed", &after[..1]),
        ("not done", &after[1..]),
    ];
    let part = |(title, items)| match lines(items) {
        lines if lines.is_empty() => format!("{title}: nothing\n"),
        lines => format!("{title}:\n{lines}"),
    };
    let text: String = parts.into_iter().map(part).collect();
    text + "apply again to see what is left to do\n"
}

/// The answer for programs.
pub(super) fn answer(
    arguments: &Arguments,
    plan: &Plan,
    outcome: Option<&Outcome>,
) -> anyhow::Result<()> {
    let items = plan.items.iter().enumerate();
    let answer = Answer {
        set: arguments.set.as_deref(),
        dry_run: arguments.dry_run,
        items: items
            .map(|(index, item)| shown(index, item, outcome))
            .collect(),
    };
    match arguments.output {
        AnswerForm::Table => Ok(()),
        AnswerForm::Json => output::print_json(&answer),
        AnswerForm::Yaml => Ok(output::print(&serde_saphyr::to_string(&answer)?)?),
    }
}

fn shown<'a>(index: usize, item: &'a Item, outcome: Option<&'a Outcome>) -> ShownItem<'a> {
    let failed = outcome.and_then(|outcome| outcome.failed.as_ref());
    let done = outcome.and_then(|outcome| outcome.done.get(index));
    let error = failed.filter(|failed| failed.index == index);
    let state = match (outcome, done, error) {
        (None, _, _) => "planned",
        (Some(_), Some(_), _) => "done",
        (Some(_), None, Some(_)) => "failed",
        (Some(_), None, None) => "not_done",
    };
    ShownItem {
        action: item.step.action(),
        kind: item.kind,
        name: &item.name,
        id: done.map(String::as_str).or_else(|| item.step.id()),
        state,
        changes: item.step.changes(),
        error: error.map(|failed| format!("{:#}", failed.error)),
    }
}
