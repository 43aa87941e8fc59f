//! The table, for people and as JSON.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::machine::Machine;
use crate::statistics::{median, percentile};

/// The contestant that the others are there for.
pub(crate) const BAILIWICK: &str = "bailiwick";

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) quick: bool,
    pub(crate) rows: Vec<Row>,
    /// What was to be measured and could not be.
    pub(crate) absent: Vec<Absent>,
}

/// One thing measured, with all who were measured at it in the same run.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    /// What Bailiwick wants to reach here, in words.
    pub(crate) aim: Option<&'static str>,
    /// The first is the baseline: the same without anything in between.
    pub(crate) entries: Vec<Entry>,
}

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// One contestant's numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) who: String,
    pub(crate) median: f64,
    /// The bad end: the 95th percentile where lower is better, the 5th where higher is.
    pub(crate) tail: f64,
    pub(crate) samples: usize,
    /// Its median over the baseline's.
    pub(crate) over_baseline: f64,
    /// Bailiwick's median over this one's.
    pub(crate) bailiwick_over_this: Option<f64>,
}

/// Something that was not measured.
#[derive(Debug, Serialize)]
pub(crate) struct Absent {
    pub(crate) row: String,
    pub(crate) who: String,
    pub(crate) why: String,
}

impl Row {
    /// A row without numbers yet.
    pub(crate) fn new(
        group: &'static str,
        name: impl Into<String>,
        unit: &'static str,
        better: Better,
    ) -> Self {
        Self {
            group,
            name: name.into(),
            unit,
            better,
            aim: None,
            entries: Vec::new(),
        }
    }

    /// Says what is wanted.
    pub(crate) fn aim(mut self, aim: &'static str) -> Self {
        self.aim = Some(aim);
        self
    }

    /// Adds a contestant; without samples, nothing.
    pub(crate) fn add(&mut self, who: &str, samples: &[f64]) {
        let bad_end = if self.better == Better::Lower { 95 } else { 5 };
        let (Some(median), Some(tail)) = (median(samples), percentile(samples, bad_end)) else {
            return;
        };
        let baseline = self.entries.first().map_or(median, |first| first.median);
        let over_baseline = median / baseline;
        let samples = samples.len();
        self.entries.push(Entry {
            who: who.to_owned(),
            median,
            tail,
            samples,
            over_baseline,
            bailiwick_over_this: None,
        });
        if who == BAILIWICK {
            for entry in &mut self.entries {
                entry.bailiwick_over_this = Some(median / entry.median);
            }
        } else if let Some(ours) = self
            .entries
            .iter()
            .find(|entry| entry.who == BAILIWICK)
            .map(|entry| entry.median)
            && let Some(added) = self.entries.last_mut()
        {
            added.bailiwick_over_this = Some(ours / added.median);
        }
    }
}

impl Report {
    /// Nothing measured yet.
    pub(crate) fn new(quick: bool) -> Self {
        Self {
            machine: Machine::describe(),
            quick,
            rows: Vec::new(),
            absent: Vec::new(),
        }
    }

    /// Notes what could not be measured, and says so at once.
    pub(crate) fn absent(&mut self, row: &str, who: &str, why: &anyhow::Error) {
        eprintln!("{row}: {who} is not measured: {why:#}");
        self.absent.push(Absent {
            row: row.to_owned(),
            who: who.to_owned(),
            why: format!("{why:#}"),
        });
    }

    /// Writes the JSON, making the directory if need be.
    pub(crate) fn save(&self, file: &Path) -> Result<()> {
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir)?;
        }
        let json = serde_json::to_string_pretty(self)?;
        fs::write(file, json + "\n").with_context(|| format!("cannot write {}", file.display()))
    }

    /// The table as text.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![
            [
                "",
                "who",
                "median",
                "tail",
                "unit",
                "n",
                "/ baseline",
                "bailiwick / this",
            ]
            .map(str::to_owned),
        ];
        for row in &self.rows {
            for (index, entry) in row.entries.iter().enumerate() {
                lines.push(line(row, index, entry));
            }
        }
        let mut text = self.head() + &aligned(&lines);
        for row in &self.rows {
            if let Some(aim) = row.aim {
                let _ = writeln!(text, "aim: {}: {aim}", row.name);
            }
        }
        for Absent { row, who, why } in &self.absent {
            let _ = writeln!(text, "not measured: {row}: {who}: {why}");
        }
        text
    }

    fn head(&self) -> String {
        let Machine {
            kernel,
            processor,
            processors,
            memory_mib,
            root,
            load,
            ..
        } = &self.machine;
        let who = if *root { "as root" } else { "unprivileged" };
        let quick = if self.quick {
            "QUICK: few rounds, not to be quoted\n"
        } else {
            ""
        };
        format!(
            "Linux {kernel}, {processors} x {processor}, {memory_mib} MiB, {who}, load {load} at the start\n{quick}\n"
        )
    }
}

fn line(row: &Row, index: usize, entry: &Entry) -> [String; 8] {
    let ratio = |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    [
        if index == 0 {
            row.name.clone()
        } else {
            String::new()
        },
        entry.who.clone(),
        number(entry.median),
        number(entry.tail),
        row.unit.to_owned(),
        entry.samples.to_string(),
        ratio((index > 0).then_some(entry.over_baseline)),
        ratio(entry.bailiwick_over_this.filter(|_| entry.who != BAILIWICK)),
    ]
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// Words to the left, numbers to the right.
fn aligned(lines: &[[String; 8]]) -> String {
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..8).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells =
            line.iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, &width))| match column {
                    0 | 1 | 4 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                });
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_do_not_depend_on_the_order_of_contestants() {
        let mut row = Row::new("g", "r", "ms", Better::Lower);
        row.add("plain", &[1.0, 2.0, 3.0]);
        row.add("before", &[4.0]);
        row.add(BAILIWICK, &[6.0]);
        row.add("after", &[3.0]);
        let ratios: Vec<_> = row
            .entries
            .iter()
            .map(|e| (e.over_baseline, e.bailiwick_over_this))
            .collect();
        assert_eq!(
            ratios,
            [
                (1.0, Some(3.0)),
                (2.0, Some(1.5)),
                (3.0, Some(1.0)),
                (1.5, Some(2.0))
            ]
        );
    }

    #[test]
    fn a_contestant_without_samples_is_not_in_the_table() {
        let mut row = Row::new("g", "r", "ms", Better::Lower);
        row.add("plain", &[]);
        assert!(row.entries.is_empty());
    }

    #[test]
    fn the_tail_is_the_bad_end() {
        let samples: Vec<_> = (1..=100).map(f64::from).collect();
        for (better, tail) in [(Better::Lower, 95.0), (Better::Higher, 5.0)] {
            let mut row = Row::new("g", "r", "x", better);
            row.add("plain", &samples);
            assert_eq!(row.entries[0].tail, tail);
        }
    }
}
