//! The control plane: reads and writes over HTTP, beside the least that answers with a row.

mod size;

use anyhow::Result;
use serde_json::json;
use tokio::runtime::Runtime;

use super::turns::{Contestant, Rates, line_up, take_rates};
use crate::fill::{environment_id, fill};
use crate::peers::Stage;
use crate::peers::control_plane::{KEY, Place, Server, rows};
use crate::protocol::{HttpLoad, HttpRequest, Timed};
use crate::report::{BAILIWICK, Report};
use crate::worker::Worker;

pub(super) use size::{size, start};

/// At once.
const CONNECTIONS: [usize; 4] = [1, 10, 50, 200];
/// What reads and updates go to: a multiple of all of [`CONNECTIONS`], so that no two connections have the same.
const ENVIRONMENTS: i64 = 1000;

/// Somebody who answers.
#[derive(Debug)]
struct Answerer {
    client: Worker,
    address: std::net::SocketAddr,
    requests: Vec<HttpRequest>,
    _bare: Option<Worker>,
    _server: Option<Server>,
}

impl Answerer {
    /// Requests a second, and their latencies.
    fn measure(&mut self, connections: usize, millis: u64) -> Result<Vec<f64>> {
        self.client.measure(&HttpLoad {
            address: self.address,
            key: KEY.to_owned(),
            headers: Vec::new(),
            timed: Timed::Whole,
            connections,
            millis,
            requests: self.requests.clone(),
        })
    }
}

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    databases(stage, "control", report, |database, place, report| {
        reads(stage, database, place, report)?;
        writes(stage, database, place, report)
    })
}

/// Does something on an empty database of each kind that there is; `name` is that of its directory.
fn databases(
    stage: &Stage,
    name: &str,
    report: &mut Report,
    mut measure: impl FnMut(&str, &Place, &mut Report) -> Result<()>,
) -> Result<()> {
    measure("SQLite", &Place::sqlite(stage, name)?, report)?;
    match Place::postgres() {
        Ok(place) => measure("PostgreSQL", &place, report)?,
        Err(why) => report.absent("control plane, PostgreSQL", "everybody", &why),
    }
    Ok(())
}

fn reads(stage: &Stage, database: &str, place: &Place, report: &mut Report) -> Result<()> {
    let server = Server::start(stage, place)?;
    runtime()?.block_on(fill(&place.url(), ENVIRONMENTS, 0))?;
    drop(server);
    let all = vec![
        (
            "constant answer",
            bare(stage, place, |_| "/constant".to_owned()),
        ),
        ("axum + sqlx", bare(stage, place, str::to_owned)),
        (
            BAILIWICK,
            bailiwick(stage, place, environments(|id| get(&id))),
        ),
    ];
    let mut answerers = line_up("reads", all, report);
    for connections in CONNECTIONS {
        let name = format!("read, {database}, {connections} connections");
        let aim = "at least 80 % of axum + sqlx";
        compare(
            stage,
            (&name, Some(aim)),
            &mut answerers,
            connections,
            report,
        );
    }
    Ok(())
}

fn writes(stage: &Stage, database: &str, place: &Place, report: &mut Report) -> Result<()> {
    let creation = HttpRequest {
        method: "POST".to_owned(),
        path: "/v1/environments".to_owned(),
        body: json!({"name": "made-{n}", "config": {"type": "cloud"}}).to_string(),
    };
    let change = |path: String| HttpRequest {
        method: "POST".to_owned(),
        path,
        body: json!({"description": "changed {n}"}).to_string(),
    };
    for (what, requests) in [("create", vec![creation]), ("update", environments(change))] {
        let all = vec![(BAILIWICK, bailiwick(stage, place, requests))];
        let mut answerers = line_up("writes", all, report);
        for connections in CONNECTIONS {
            let name = format!("{what}, {database}, {connections} connections");
            compare(stage, (&name, None), &mut answerers, connections, report);
        }
    }
    Ok(())
}

fn compare(
    stage: &Stage,
    (name, aim): (&str, Option<&'static str>),
    answerers: &mut [Contestant<Answerer>],
    connections: usize,
    report: &mut Report,
) {
    let rates = Rates {
        group: "control",
        name,
        aims: [aim, None, None],
    };
    let (rounds, millis) = (stage.pick(7, 2), stage.pick(1000, 200));
    take_rates(rates, answerers, rounds, report, |answerer, _| {
        answerer.measure(connections, millis)
    });
}

fn environments(request: impl Fn(String) -> HttpRequest) -> Vec<HttpRequest> {
    (1..=ENVIRONMENTS)
        .map(|number| request(format!("/v1/environments/{}", environment_id(number))))
        .collect()
}

fn get(path: &str) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        path: path.to_owned(),
        body: String::new(),
    }
}

fn client(stage: &Stage) -> Result<Worker> {
    Worker::start("the client", stage.role("http-load"))
}

fn bare(stage: &Stage, place: &Place, path: fn(&str) -> String) -> Result<Answerer> {
    let (bare, answering) = rows(stage, place)?;
    Ok(Answerer {
        client: client(stage)?,
        address: answering.address,
        requests: answering.paths.iter().map(|own| get(&path(own))).collect(),
        _bare: Some(bare),
        _server: None,
    })
}

fn bailiwick(stage: &Stage, place: &Place, requests: Vec<HttpRequest>) -> Result<Answerer> {
    let server = Server::start(stage, place)?;
    Ok(Answerer {
        client: client(stage)?,
        address: server.address,
        requests,
        _bare: None,
        _server: Some(server),
    })
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}
