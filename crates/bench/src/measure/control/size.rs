//! The control plane when it holds a lot.

use anyhow::Result;

use super::{Answerer, bailiwick, compare, databases, get, runtime};
use crate::fill::{environment_id, fill};
use crate::measure::turns::{line_up, take};
use crate::peers::Stage;
use crate::peers::control_plane::{Place, Server};
use crate::protocol::HttpRequest;
use crate::report::{BAILIWICK, Better, Report, Row};

/// Environments, and entries of the audit log.
const SMALL: (i64, i64) = (1000, 10_000);
const LARGE: (i64, i64) = (1_000_000, 10_000_000);
const QUICK: (i64, i64) = (10_000, 100_000);
const CONNECTIONS: usize = 50;
/// How many different ones are read.
const READ: i64 = 1000;

/// What is asked: of so many environments, the requests.
type Question = (&'static str, fn(i64) -> Vec<HttpRequest>);

const QUESTIONS: [Question; 3] = [
    ("read", reads),
    ("list, the first page", |_| {
        vec![get("/v1/environments?limit=20")]
    }),
    ("list, a page in the middle", |environments| {
        let middle = environment_id(environments / 2);
        vec![get(&format!(
            "/v1/environments?limit=20&page=page_{middle}"
        ))]
    }),
];

/// Reads and lists, of few and of many.
pub(in crate::measure) fn size(stage: &Stage, report: &mut Report) -> Result<()> {
    let large = stage.pick(LARGE, QUICK);
    let small = [Place::sqlite(stage, "small"), Place::postgres()];
    let places = [Place::sqlite(stage, "large"), Place::postgres()];
    for (database, (small, place)) in ["SQLite", "PostgreSQL"]
        .into_iter()
        .zip(small.into_iter().zip(places))
    {
        let (small, place) = match (small, place) {
            (Ok(small), Ok(place)) => (small, place),
            (Err(why), _) | (_, Err(why)) => {
                report.absent("much", database, &why);
                continue;
            }
        };
        filled(stage, &small, SMALL)?;
        filled(stage, &place, large)?;
        for (what, requests) in QUESTIONS {
            let of =
                |place, count| -> Result<Answerer> { bailiwick(stage, place, requests(count)) };
            let all = vec![
                ("1 000 environments", of(&small, SMALL.0)),
                (BAILIWICK, of(&place, large.0)),
            ];
            let mut answerers = line_up("much", all, report);
            let name = format!("{what}, {database}, of {} environments", large.0);
            let aim = Some("at least half of what it is of few");
            compare(stage, (&name, aim), &mut answerers, CONNECTIONS, report);
        }
        ready(stage, database, &small, &place, report);
    }
    Ok(())
}

/// How long a server takes until it answers.
pub(in crate::measure) fn start(stage: &Stage, report: &mut Report) -> Result<()> {
    databases(stage, "control-start", report, |database, place, report| {
        drop(Server::start(stage, place)?);
        let mut all = line_up("start to ready", vec![(BAILIWICK, Ok(place))], report);
        let name = format!("start to ready, {database}");
        let row = Row::new("control-start", name, "ms", Better::Lower).aim("under 300 ms");
        take(row, &mut all, stage.pick(20, 3), report, |place| {
            Ok(vec![Server::time_to_ready(stage, place)?])
        });
        Ok(())
    })
}

fn ready(stage: &Stage, database: &str, small: &Place, large: &Place, report: &mut Report) {
    let all = vec![("1 000 environments", Ok(small)), (BAILIWICK, Ok(large))];
    let mut all = line_up("start to ready", all, report);
    let name = format!("start to ready, {database}, with much in it");
    let row = Row::new("control-size", name, "ms", Better::Lower).aim("under 300 ms");
    take(row, &mut all, stage.pick(20, 3), report, |place| {
        Ok(vec![Server::time_to_ready(stage, place)?])
    });
}

fn filled(stage: &Stage, place: &Place, (environments, entries): (i64, i64)) -> Result<()> {
    let _server = Server::start(stage, place)?;
    runtime()?.block_on(fill(&place.url(), environments, entries))
}

fn reads(environments: i64) -> Vec<HttpRequest> {
    let numbers = (1..=READ).map(|number| number * (environments / READ).max(1));
    numbers
        .map(|number| get(&format!("/v1/environments/{}", environment_id(number))))
        .collect()
}
