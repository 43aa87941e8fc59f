//! Searches of what an environment knows: 100 000 pieces of text in two environments, beside the databases' own means and another index.

use std::process::Command;

use anyhow::{Result, ensure};
use bailiwick_testkit::Sdk;

use super::turns::{Contestant, Rates, line_up, take_rates};
use crate::corpus::questions;
use crate::peers::Stage;
use crate::peers::control_plane::Place;
use crate::report::{BAILIWICK, Report};
use crate::searches::SearchLoad;
use crate::worker::Worker;

const CHUNKS: usize = 100_000;
/// Words of a question.
const WORDS: [usize; 3] = [1, 3, 6];
const AT_ONCE: [usize; 2] = [1, 8];
const QUESTIONS: usize = 100;

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    let chunks = stage.pick(CHUNKS, CHUNKS / 20);
    let sqlite = Place::sqlite(stage, "knowledge-search")?;
    let direct = stage.path("direct.db").display().to_string();
    let all = vec![
        ("sqlx + FTS5", searcher(stage, "fts5", &direct, chunks)),
        ("Python tantivy", tantivy(stage, chunks)),
        (
            BAILIWICK,
            searcher(stage, "bailiwick", &sqlite.url(), chunks),
        ),
    ];
    compare_all(stage, "SQLite", all, report);
    match Place::postgres() {
        Ok(place) => {
            let url = place.url();
            let all = vec![
                ("sqlx + tsvector", searcher(stage, "tsvector", &url, chunks)),
                (BAILIWICK, searcher(stage, "bailiwick", &url, chunks)),
            ];
            compare_all(stage, "PostgreSQL", all, report);
        }
        Err(why) => report.absent("knowledge search, PostgreSQL", "everybody", &why),
    }
    Ok(())
}

/// A searcher that has all texts.
fn searcher(stage: &Stage, who: &str, place: &str, chunks: usize) -> Result<Worker> {
    let mut command = stage.role("searches");
    command.args([who, place, "--chunks", &chunks.to_string()]);
    filled(who, command)
}

fn tantivy(stage: &Stage, chunks: usize) -> Result<Worker> {
    let texts = stage.path("texts.jsonl");
    drop(searcher(
        stage,
        "file",
        &texts.display().to_string(),
        chunks,
    )?);
    let mut python = Sdk::tantivy().command(include_str!("../../data/tantivy_search.py"));
    python.arg(&texts);
    filled("tantivy", python)
}

fn filled(who: &str, command: Command) -> Result<Worker> {
    let mut worker = Worker::start(who, command)?;
    ensure!(worker.hear::<bool>()?, "{who} is not ready");
    Ok(worker)
}

fn compare_all(
    stage: &Stage,
    database: &str,
    all: Vec<(&'static str, Result<Worker>)>,
    report: &mut Report,
) {
    let mut contestants = line_up("knowledge search", all, report);
    for at_once in AT_ONCE {
        for words in WORDS {
            let what = match words {
                1 => "1 word".to_owned(),
                more => format!("{more} words"),
            };
            let name = format!("search for {what}, {database}, {at_once} at once");
            compare(stage, &mut contestants, (&name, words, at_once), report);
        }
    }
}

fn compare(
    stage: &Stage,
    contestants: &mut [Contestant<Worker>],
    (name, words, at_once): (&str, usize, usize),
    report: &mut Report,
) {
    let rates = Rates {
        group: "knowledge-search",
        name,
        aims: [None, None, Some("under 20 000")],
    };
    let rounds = stage.pick(3, 1);
    take_rates(rates, contestants, rounds, report, |worker, round| {
        let questions = questions(round as u64, QUESTIONS, words);
        worker.measure(&SearchLoad { questions, at_once })
    });
}
