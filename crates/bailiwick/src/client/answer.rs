//! How what a server answered is shown.

use serde_json::Value;

use crate::output::{self, printable};

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum AnswerForm {
    /// For people: the most important of each.
    Table,
    /// For programs: everything.
    Json,
    /// Everything, for both.
    Yaml,
}

/// A column of a table: its head, and where its value is (RFC 6901).
pub(crate) type Column = (&'static str, &'static str);

/// Shows a list.
pub(crate) fn print_list(
    form: AnswerForm,
    list: &[Value],
    columns: &[Column],
) -> anyhow::Result<()> {
    match form {
        AnswerForm::Table => Ok(output::print(&table(list, columns))?),
        AnswerForm::Json => output::print_json(&list),
        AnswerForm::Yaml => Ok(output::print(&serde_saphyr::to_string(&list)?)?),
    }
}

/// Shows one thing.
pub(crate) fn print_one(form: AnswerForm, one: &Value, columns: &[Column]) -> anyhow::Result<()> {
    match form {
        AnswerForm::Table => Ok(output::print(&table(std::slice::from_ref(one), columns))?),
        AnswerForm::Json => output::print_json(one),
        AnswerForm::Yaml => Ok(output::print(&serde_saphyr::to_string(one)?)?),
    }
}

fn table(list: &[Value], columns: &[Column]) -> String {
    let heads = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let row = |one: &Value| {
        columns
            .iter()
            .map(|(_, place)| cell(one.pointer(place)))
            .collect()
    };
    let rows: Vec<Vec<String>> = std::iter::once(heads).chain(list.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..columns.len())
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => printable(text).into_owned(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::Array(list)) if list.is_empty() => "-".to_owned(),
        Some(Value::Array(list)) => {
            let cells: Vec<_> = list.iter().map(|one| cell(Some(one))).collect();
            cells.join(" ")
        }
        Some(other @ Value::Number(_)) => other.to_string(),
        Some(other @ Value::Object(_)) => printable(&other.to_string()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_what_people_look_for() {
        let list = [
            json!({"id": "env_1", "name": "a\u{1b}[2J", "config": {"type": "cloud"}, "restricted": true, "hosts": ["a", "b"]}),
            json!({"id": "env_22", "name": null, "config": {}, "restricted": false, "hosts": []}),
        ];
        let columns = [
            ("ID", "/id"),
            ("NAME", "/name"),
            ("KIND", "/config/type"),
            ("RESTRICTED", "/restricted"),
            ("HOSTS", "/hosts"),
        ];
        assert_eq!(
            table(&list, &columns),
            "ID      NAME        KIND   RESTRICTED  HOSTS\n\
             env_1   a\\u{1b}[2J  cloud  yes         a b\n\
             env_22  -           -      no          -\n"
        );
    }
}
